//! The bytes, what damaged ones read as, and what SQL makes of headers.

use super::*;

type Pairs<'a> = &'a [(&'a str, Option<&'a str>)];

fn encoded(pairs: Pairs<'_>) -> Vec<u8> {
    let mut builder = HeaderBuilder::default();
    pairs.iter().for_each(|(name, value)| builder.push(name.as_bytes(), value.map(str::as_bytes)));
    builder.finish()
}

fn decoded(bytes: &[u8]) -> Vec<(String, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Headers::new(bytes).map(|(name, value)| (text(name), value.map(text))).collect()
}

fn owned(pairs: Pairs<'_>) -> Vec<(String, Option<String>)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
}

#[test]
fn what_is_written_is_read() {
    let long = "v".repeat(70_000);
    let check = |pairs: Pairs<'_>| {
        let bytes = encoded(pairs);
        let mut read = Headers::new(&bytes);
        assert_eq!(read.by_ref().count(), pairs.len());
        assert!(read.is_whole());
        assert_eq!(decoded(&bytes), owned(pairs));
        let mut twice = HeaderBuilder::default();
        twice.extend(&bytes, |_| true);
        assert_eq!(twice.finish(), bytes);
    };
    check(&[]);
    check(&[("a", Some("1")), ("a", None), ("a", Some(""))]);
    check(&[("", Some(&long)), (&long[..200], Some("x"))]);
}

#[test]
fn the_bytes_are_those_of_the_record_format() {
    assert_eq!(encoded(&[("ab", Some("xyz"))]), b"\x02\x04ab\x06xyz");
    assert_eq!(encoded(&[("n", None)]), b"\x02\x02n\x01");
    for (number, bytes) in [(0, vec![0]), (-1, vec![1]), (1, vec![2]), (-65, vec![0x81, 1]), (64, vec![0x80, 1])] {
        let mut out = Vec::new();
        write_number(&mut out, number);
        assert_eq!(out, bytes, "{number}");
    }
    for number in [i64::MIN, i64::MAX] {
        let mut out = Vec::new();
        write_number(&mut out, number);
        assert_eq!(Headers { rest: &out, left: 0 }.number(), Some(number));
    }
}

#[test]
fn cut_or_wrong_bytes_are_never_whole() {
    let bytes = encoded(&[("key", Some("value")), ("k", None)]);
    for end in 1..bytes.len() {
        let mut read = Headers::new(&bytes[..end]);
        assert!(read.by_ref().count() < 2 && !read.is_whole(), "cut at {end}");
    }
    for bad in [&b"\x02\x7fx"[..], b"\x01", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x02\x02n\x03"] {
        let mut read = Headers::new(bad);
        assert!(read.by_ref().count() == 0 && !read.is_whole(), "{bad:?}");
    }
}

#[test]
fn of_equal_names_the_last_one_counts() {
    let bytes = encoded(&[("a", Some("1")), ("A", Some("2")), ("a", Some("3")), ("n", None)]);
    let check = |name: &str, expect: Option<Option<&str>>| {
        assert_eq!(find(&bytes, name.as_bytes()), expect.map(|v| v.map(str::as_bytes)), "{name}");
    };
    check("a", Some(Some("3")));
    check("A", Some(Some("2")));
    check("n", Some(None));
    check("b", None);
}

#[test]
fn changes_apply_in_their_order() {
    let check = |before: Pairs<'_>, edits: Pairs<'_>, after: Pairs<'_>| {
        let edit = |(name, value): &(&str, Option<&str>)| -> Edit {
            (name.as_bytes().into(), value.map(|v| v.as_bytes().into()))
        };
        let edits: Vec<Edit> = edits.iter().map(edit).collect();
        assert_eq!(decoded(&edited(&encoded(before), &edits)), owned(after));
    };
    check(&[("a", Some("1")), ("b", Some("2"))], &[], &[("a", Some("1")), ("b", Some("2"))]);
    check(&[("a", Some("1")), ("b", Some("2"))], &[("a", Some("9"))], &[("b", Some("2")), ("a", Some("9"))]);
    check(&[("a", Some("1")), ("a", Some("2"))], &[("a", None)], &[]);
    check(&[], &[("x", Some("1")), ("y", Some("2")), ("x", None)], &[("y", Some("2"))]);
    check(&[], &[("x", None), ("x", Some("")), ("x", Some("3"))], &[("x", Some("3"))]);
}

#[test]
fn sinks_hand_on_all_but_the_engines_own() {
    let check = |pairs: Pairs<'_>, expect: Pairs<'_>| {
        let kept = handed_on(&encoded(pairs));
        assert_eq!(kept.is_none(), expect.is_empty());
        assert_eq!(decoded(&kept.unwrap_or_default()), owned(expect));
    };
    check(&[], &[]);
    check(&[("_event_time", Some("1")), ("TraceParent", Some("x"))], &[]);
    check(&[("a", Some("1")), ("_EVENT_TIME_NS", Some("1")), ("b", None)], &[("a", Some("1")), ("b", None)]);
}

#[test]
fn event_times() {
    let check = |pairs: Pairs<'_>, expect| assert_eq!(event_time_ns(&encoded(pairs)), expect, "{pairs:?}");
    check(&[], None);
    check(&[("a", Some("1")), ("_EVENT_TIME", Some("7"))], Some(7_000_000));
    check(&[("_event_time", Some("-7")), ("b", None)], Some(-7_000_000));
    check(&[("_EVENT_TIME_NS", Some("7000001")), ("_EVENT_TIME", Some("7"))], Some(7_000_001));
    check(&[("_EVENT_TIME", Some("7")), ("_EVENT_TIME", Some("8"))], Some(8_000_000));
    check(&[("_EVENT_TIME", Some("noon"))], None);
    check(&[("_EVENT_TIME", None)], None);
    check(&[("_EVENT_TIME", Some("9223372036854775807"))], None);
    let whole = encoded(&[("a", Some("1")), ("_EVENT_TIME", Some("7"))]);
    for cut in 0..whole.len() {
        assert_eq!(event_time_ns(&whole[..cut]), None, "{cut}");
    }
    assert_eq!(event_time_ns(&[0xff; 20]), None);
}
