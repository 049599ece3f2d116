//! Record headers as bytes, in the form of Kafka's record format v2: a count, then per header the key's length and
//! bytes, the value's length (−1 for null) and bytes; all numbers are zigzag varints. Order and duplicates are kept.

/// Headers under construction.
#[derive(Clone, Debug, Default)]
pub struct HeaderBuilder {
    count: i64,
    body: Vec<u8>,
}

/// Appends a zigzag varint.
pub fn put_varint(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Takes a zigzag varint off the front; `None` when it is cut or longer than ten bytes.
pub fn take_varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            *bytes = &bytes[i + 1..];
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

impl HeaderBuilder {
    /// Appends one header.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.count += 1;
        put_varint(key.len() as i64, &mut self.body);
        self.body.extend_from_slice(key);
        match value {
            Some(value) => {
                put_varint(value.len() as i64, &mut self.body);
                self.body.extend_from_slice(value);
            }
            None => put_varint(-1, &mut self.body),
        }
    }

    /// Appends all headers of an encoded list; one that is cut ends it.
    pub fn extend(&mut self, encoded: &[u8]) {
        Headers::new(encoded).for_each(|(key, value)| self.push(key, value));
    }

    /// The list as bytes.
    pub fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.body.len() + 4);
        put_varint(self.count, &mut bytes);
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The headers of an encoded list, in order; ends early where the bytes are cut.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    left: i64,
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Of these bytes.
    pub fn new(encoded: &'a [u8]) -> Headers<'a> {
        let mut rest = encoded;
        let left = take_varint(&mut rest).unwrap_or(0);
        Headers { left, rest }
    }

    fn take(&mut self, length: i64) -> Option<&'a [u8]> {
        let length = usize::try_from(length).ok()?;
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let length = take_varint(&mut self.rest)?;
        let key = self.take(length)?;
        match take_varint(&mut self.rest)? {
            -1 => Some((key, None)),
            length => Some((key, Some(self.take(length)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_in_order_with_duplicates_and_nulls() {
        let headers: [(&[u8], Option<&[u8]>); 4] =
            [(b"a", Some(b"1")), (b"a", Some(b"2")), (b"null", None), (b"", Some(&[7; 300]))];
        let mut builder = HeaderBuilder::default();
        headers.iter().for_each(|(k, v)| builder.push(k, *v));
        let bytes = builder.finish();
        assert_eq!(Headers::new(&bytes).collect::<Vec<_>>(), headers);
        for cut in 0..bytes.len() {
            assert!(Headers::new(&bytes[..cut]).count() < headers.len(), "cut at {cut}");
        }
        let mut twice = HeaderBuilder::default();
        twice.extend(&bytes);
        assert_eq!(twice.finish(), bytes);
    }

    #[test]
    fn varints_are_zigzag() {
        for (value, bytes) in [(0, vec![0]), (-1, vec![1]), (1, vec![2]), (-65, vec![0x81, 1]), (64, vec![0x80, 1])] {
            let mut out = Vec::new();
            put_varint(value, &mut out);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(take_varint(&mut &out[..]), Some(value));
        }
        for value in [i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            put_varint(value, &mut out);
            assert_eq!(take_varint(&mut &out[..]), Some(value));
        }
        assert_eq!(take_varint(&mut &[0xff; 11][..]), None);
    }
}
