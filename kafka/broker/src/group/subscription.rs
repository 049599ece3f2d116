//! Which topics a consumer subscribes to, read from the start of its protocol metadata: a version and an array of
//! names, big endian. The rest is the assignor's own. Claimed lengths are never trusted.

/// The topics; `None` if the metadata is not the consumer protocol's.
pub(super) fn topics(metadata: &[u8]) -> Option<Vec<&str>> {
    let (version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = i32::from_be_bytes(*count);
    if i16::from_be_bytes(*version) < 0 || count < 0 {
        return None;
    }
    let mut topics = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (name, after) = after.split_at_checked(usize::try_from(i16::from_be_bytes(*length)).ok()?)?;
        topics.push(std::str::from_utf8(name).ok()?);
        rest = after;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_names_and_refuses_nonsense() {
        let check = |bytes: &[u8], want: Option<Vec<&str>>| assert_eq!(super::topics(bytes), want, "{bytes:?}");
        check(b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff", Some(vec!["a", "bc"]));
        check(b"\0\0\0\0\0\0", Some(vec![]));
        check(b"", None);
        check(b"\0\x01\x7f\xff\xff\xff\0\x01a", None);
        check(b"\0\x01\xff\xff\xff\xff", None);
        check(b"\0\x01\0\0\0\x01\xff\xffa", None);
        check(b"\0\x01\0\0\0\x01\0\x09a", None);
    }
}
