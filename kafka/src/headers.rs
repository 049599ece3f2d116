//! Record headers as Kafka's record format writes them: their number, then for each the key's length and bytes, the
//! value's length (-1: null) and bytes; all lengths are zigzag varints. The form in which headers travel in
//! `RecordRef::headers` and `Chunk::headers`; order and duplicates are kept.

/// Appends `number` as a zigzag varint.
fn write_number(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends how many headers follow.
pub(crate) fn write_count(out: &mut Vec<u8>, count: usize) {
    write_number(out, count as i64);
}

/// Appends one header.
pub(crate) fn write_header(out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    write_number(out, key.len() as i64);
    out.extend_from_slice(key);
    write_number(out, value.map_or(-1, |value| value.len() as i64));
    out.extend_from_slice(value.unwrap_or_default());
}

/// The headers in `bytes`, in order. Ends early where the bytes end inside a header; [`Headers::is_whole`] tells.
#[derive(Clone)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: u64,
}

/// Reads what [`crate::RecordRef::headers`](velostream_types::RecordRef::headers) describes.
pub fn headers(bytes: &[u8]) -> Headers<'_> {
    let mut headers = Headers { rest: bytes, left: 0 };
    let count = headers.number().and_then(|count| u64::try_from(count).ok());
    // One that cannot be read counts as one header more than there are bytes for.
    headers.left = count.unwrap_or(1 + bytes.len() as u64);
    headers
}

impl<'a> Headers<'a> {
    /// TRUE when all headers were read and nothing follows them.
    pub fn is_whole(&self) -> bool {
        self.left == 0 && self.rest.is_empty()
    }

    fn number(&mut self) -> Option<i64> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f).checked_shl(7 * i as u32)?;
            if byte & 0x80 == 0 {
                self.rest = &self.rest[i + 1..];
                return Some((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        None
    }

    fn bytes(&mut self, length: i64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let mut ahead = self.clone();
        let length = ahead.number()?;
        let key = ahead.bytes(length)?;
        let value = match ahead.number()? {
            -1 => None,
            length => Some(ahead.bytes(length)?),
        };
        *self = Headers { left: self.left - 1, ..ahead };
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = Vec<(Vec<u8>, Option<Vec<u8>>)>;

    fn encoded(pairs: &Pairs) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_count(&mut bytes, pairs.len());
        pairs.iter().for_each(|(key, value)| write_header(&mut bytes, key, value.as_deref()));
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let check = |pairs: Pairs| {
            let bytes = encoded(&pairs);
            let mut read = headers(&bytes);
            let found: Pairs = read.by_ref().map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec))).collect();
            assert_eq!(found, pairs);
            assert!(read.is_whole());
        };
        check(vec![]);
        check(vec![(b"a".to_vec(), Some(b"1".to_vec())), (b"a".to_vec(), None), (b"a".to_vec(), Some(vec![]))]);
        check(vec![(vec![], Some(vec![7; 300])), (vec![b'k'; 200], Some(vec![1; 70_000]))]);
    }

    #[test]
    fn the_bytes_are_those_of_the_record_format() {
        assert_eq!(encoded(&vec![(b"ab".to_vec(), Some(b"xyz".to_vec()))]), b"\x02\x04ab\x06xyz");
        assert_eq!(encoded(&vec![(b"n".to_vec(), None)]), b"\x02\x02n\x01");
    }

    #[test]
    fn cut_or_wrong_bytes_are_never_whole() {
        let bytes = encoded(&vec![(b"key".to_vec(), Some(b"value".to_vec())), (b"k".to_vec(), None)]);
        for end in 0..bytes.len() {
            let mut read = headers(&bytes[..end]);
            assert!(read.by_ref().count() < 2 && !read.is_whole(), "cut at {end}");
        }
        for bad in [&b"\x02\x7fx"[..], b"\x01", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x02\x02n\x03"] {
            let mut read = headers(bad);
            assert!(read.by_ref().count() == 0 && !read.is_whole(), "{bad:?}");
        }
    }
}
