//! Frames: four bytes of length, then that many bytes. Reading reserves memory only in proportion to what has arrived,
//! so that a claimed length costs nothing; writing sends stored batches from where they lie (writev).

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;

use bytes::Bytes;

/// Longest frame taken; a longer one closes the connection, as with Apache Kafka's `socket.request.max.bytes`.
pub const FRAME_BYTES_MAX: usize = 100 << 20;
/// What is reserved before the first byte of a frame arrives.
const FIRST_BYTES: usize = 64 << 10;
/// After that, at most this many times what has arrived: a frame of 1 MiB is copied once, of 64 KiB.
const GROWTH: usize = 16;
/// Parts per writev; the kernel takes 1,024.
const PARTS_PER_WRITE: usize = 256;

/// Why no frame came.
#[derive(Debug)]
pub(crate) enum FrameError {
    /// The other side closed, between frames or inside one.
    Closed,
    /// A length below zero or above [`FRAME_BYTES_MAX`].
    Length(i32),
    /// The connection failed.
    Io(io::Error),
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                FrameError::Closed
            }
            _ => FrameError::Io(error),
        }
    }
}

/// Reads one frame without its length.
pub(crate) fn read(from: &mut impl Read) -> Result<Bytes, FrameError> {
    let mut length = [0u8; 4];
    from.read_exact(&mut length)?;
    let claimed = i32::from_be_bytes(length);
    let total = usize::try_from(claimed).map_err(|_| FrameError::Length(claimed))?;
    if total > FRAME_BYTES_MAX {
        return Err(FrameError::Length(claimed));
    }
    let mut frame = Vec::new();
    while frame.len() < total {
        let chunk = (total - frame.len()).min((frame.len() * (GROWTH - 1)).max(FIRST_BYTES));
        frame.reserve_exact(chunk);
        let read = from.by_ref().take(chunk as u64).read_to_end(&mut frame)?;
        if read < chunk {
            return Err(FrameError::Closed);
        }
    }
    Ok(Bytes::from(frame))
}

/// Writes all parts in order. `piece_bytes` above 0 sends pieces of at most that many bytes, one system call each.
pub(crate) fn write(mut to: &TcpStream, parts: &[Bytes], piece_bytes: usize) -> io::Result<()> {
    if piece_bytes > 0 {
        return parts.iter().flat_map(|part| part.chunks(piece_bytes)).try_for_each(|piece| to.write_all(piece));
    }
    let mut first = 0;
    let mut skip = 0;
    while first < parts.len() {
        let mut slices = Vec::with_capacity((parts.len() - first).min(PARTS_PER_WRITE));
        slices.push(IoSlice::new(&parts[first][skip..]));
        slices.extend(parts[first + 1..].iter().take(PARTS_PER_WRITE - 1).map(|part| IoSlice::new(part)));
        let mut written = to.write_vectored(&slices)?;
        if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while first < parts.len() && written >= parts[first].len() - skip {
            written -= parts[first].len() - skip;
            first += 1;
            skip = 0;
        }
        skip += written;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes one read at a time and remembers the largest buffer it was offered.
    struct Trickle<'a> {
        bytes: &'a [u8],
        step: usize,
    }

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = buffer.len().min(self.step).min(self.bytes.len());
            buffer[..n].copy_from_slice(&self.bytes[..n]);
            self.bytes = &self.bytes[n..];
            Ok(n)
        }
    }

    #[test]
    fn frames_come_whole_or_not_at_all() {
        let mut whole = 200_000u32.to_be_bytes().to_vec();
        whole.extend((0..200_000u32).map(|i| i as u8));
        for step in [1, 1000, 1 << 20] {
            let frame = read(&mut Trickle { bytes: &whole, step }).expect("whole");
            assert_eq!(frame[..], whole[4..], "step {step}");
        }
        for cut in [0, 3, 4, 70_000, 200_003] {
            let error = read(&mut Trickle { bytes: &whole[..cut], step: 4096 }).expect_err("cut");
            assert!(matches!(error, FrameError::Closed), "cut at {cut}: {error:?}");
        }
    }

    #[test]
    fn absurd_lengths_are_refused_before_anything_is_reserved() {
        for claimed in [-1, i32::MIN, i32::MAX, FRAME_BYTES_MAX as i32 + 1] {
            let bytes = claimed.to_be_bytes();
            let error = read(&mut Trickle { bytes: &bytes, step: 4 }).expect_err("absurd");
            assert!(matches!(error, FrameError::Length(n) if n == claimed), "{claimed}: {error:?}");
        }
    }
}
