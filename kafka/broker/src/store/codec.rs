//! Inflating compressed batch bodies. Output is bounded whatever the input claims, and grows as bytes come out, never by
//! a claimed length.

use std::io::{self, Read};

use bytes::Bytes;

/// Codec numbers of the attribute bits.
pub(super) const NONE: i16 = 0;
const GZIP: i16 = 1;
const SNAPPY: i16 = 2;
pub(super) const LZ4: i16 = 3;
const ZSTD: i16 = 4;
/// The greatest codec number there is.
pub(super) const LAST: i16 = ZSTD;

/// Largest inflated batch, in bytes. A batch is at most `max.message.bytes` compressed, 1 MiB by default.
const INFLATED_MAX: usize = 128 << 20;
/// No Snappy element yields more output per input byte (64 bytes from a copy of 3, rounded up).
const SNAPPY_RATIO_MAX: usize = 32;
/// Largest zstd window, as a power of two.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;
/// What Java's Snappy stream begins with; two version numbers of 4 bytes follow.
const XERIAL_MAGIC: &[u8] = &[0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER: usize = 16;

fn damaged(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Inflates the body of a batch.
pub(super) fn inflate(codec: i16, body: &[u8]) -> io::Result<Bytes> {
    let plain = match codec {
        NONE => body.to_vec(),
        GZIP => read_bounded(flate2::read::MultiGzDecoder::new(body))?,
        SNAPPY => inflate_snappy(body)?,
        LZ4 => read_bounded(lz4_flex::frame::FrameDecoder::new(body))?,
        ZSTD => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            read_bounded(decoder)?
        }
        other => return Err(damaged(format!("unknown codec {other}"))),
    };
    Ok(plain.into())
}

fn read_bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    source.take(INFLATED_MAX as u64 + 1).read_to_end(&mut out)?;
    if out.len() > INFLATED_MAX {
        Err(damaged(format!("it inflates to more than {INFLATED_MAX} bytes")))
    } else {
        Ok(out)
    }
}

fn inflate_snappy(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    if !body.starts_with(XERIAL_MAGIC) {
        snappy_block(body, &mut out)?;
        return Ok(out);
    }
    let mut rest = body.get(XERIAL_HEADER..).ok_or_else(|| damaged("its Snappy header is cut off"))?;
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("a Snappy block is cut off"))?;
        let (block, behind) = behind
            .split_at_checked(u32::from_be_bytes(*length) as usize)
            .ok_or_else(|| damaged("a Snappy block is cut off"))?;
        snappy_block(block, &mut out)?;
        rest = behind;
    }
    Ok(out)
}

fn snappy_block(block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let claimed = snap::raw::decompress_len(block).map_err(|e| damaged(e.to_string()))?;
    if claimed > block.len().saturating_mul(SNAPPY_RATIO_MAX) || out.len() + claimed > INFLATED_MAX {
        return Err(damaged(format!("a Snappy block of {} bytes claims {claimed}", block.len())));
    }
    let start = out.len();
    out.resize(start + claimed, 0);
    let n = snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(|e| damaged(e.to_string()))?;
    out.truncate(start + n);
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    /// `plain` compressed; codec 12 is Snappy as Java frames it.
    pub(in crate::store) fn deflate(codec: i16, plain: &[u8]) -> Vec<u8> {
        let snappy = |plain: &[u8]| snap::raw::Encoder::new().compress_vec(plain).unwrap();
        match codec {
            GZIP => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(plain).unwrap();
                out.finish().unwrap()
            }
            SNAPPY => snappy(plain),
            12 => {
                let mut out = [XERIAL_MAGIC, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
                for block in plain.chunks(100) {
                    let block = snappy(block);
                    out.extend_from_slice(&(block.len() as u32).to_be_bytes());
                    out.extend_from_slice(&block);
                }
                out
            }
            LZ4 => {
                let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
                out.write_all(plain).unwrap();
                out.finish().unwrap()
            }
            ZSTD => zstd::stream::encode_all(plain, 1).unwrap(),
            _ => plain.to_vec(),
        }
    }

    #[test]
    fn every_codec_inflates() {
        let plain: Vec<u8> = (0..1_000_u32).flat_map(|i| (i / 3).to_le_bytes()).collect();
        let check = |codec: i16| {
            let small = deflate(codec, &plain);
            assert_eq!(inflate(codec % 10, &small).unwrap(), plain, "codec {codec}");
            if codec != NONE {
                for cut in 0..small.len() {
                    // Any answer will do as long as it is one.
                    let _ = inflate(codec % 10, &small[..cut]);
                }
            }
        };
        [0, 1, 2, 12, 3, 4].into_iter().for_each(check);
        assert!(inflate(5, &plain).is_err());
    }

    #[test]
    fn claims_and_bombs_are_refused() {
        let check = |codec: i16, body: &[u8], want: &str| {
            let error = inflate(codec, body).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        };
        check(SNAPPY, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0], "claims");
        let zeros = vec![0; INFLATED_MAX + 1];
        check(ZSTD, &deflate(ZSTD, &zeros), "inflates to more");
        check(GZIP, &deflate(GZIP, &zeros), "inflates to more");
    }
}
