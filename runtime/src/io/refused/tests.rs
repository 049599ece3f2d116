//! Letters that are refused in their turn, and when they count as safe.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::*;

/// A topic that takes at most `max` bytes a record, once `opens` is set.
#[derive(Default)]
struct Topic {
    max: usize,
    room: bool,
    written: Vec<Rejected>,
    rejected: Vec<Rejected>,
    /// Marks, and how many records were sent before each.
    marks: Vec<(u64, usize)>,
    sent: usize,
    refused: usize,
}

struct Handle(Rc<RefCell<Topic>>);

impl Produce for Handle {
    fn send(&mut self, _: usize, rows: &Chunk, from: usize) -> Result<usize, Fatal> {
        let mut topic = self.0.borrow_mut();
        assert_eq!((rows.rows(), from), (1, 0));
        if !topic.room {
            return Ok(0);
        }
        let record = Rejected {
            topic: 0,
            reason: "too large".into(),
            key: rows.keys[0].as_deref().map(<[u8]>::to_vec),
            value: (!rows.deletes[0]).then(|| rows.row(0).to_vec()),
            headers: rows.headers[0].as_deref().map(<[u8]>::to_vec),
            timestamp_ms: rows.times_ms.first().copied(),
        };
        topic.sent += 1;
        let size = rows.row(0).len() + rows.keys[0].as_ref().map_or(0, |key| key.len());
        if size > topic.max {
            topic.refused += 1;
            topic.rejected.push(record);
        } else {
            topic.written.push(record);
        }
        Ok(1)
    }
    fn poll(&mut self) -> Result<(), Fatal> {
        Ok(())
    }
    fn mark(&mut self, n: u64) {
        let mut topic = self.0.borrow_mut();
        let sent = topic.sent;
        topic.marks.push((n, sent));
    }
    fn acknowledged(&self) -> u64 {
        let topic = self.0.borrow();
        // The fake's own rule: with a refused record outstanding nothing is.
        if topic.refused > 0 { 0 } else { topic.marks.last().map_or(0, |mark| mark.0) }
    }
    fn outstanding(&self) -> usize {
        self.0.borrow().refused
    }
    fn flush(&mut self, _: Duration) -> Result<bool, Fatal> {
        Ok(self.0.borrow().refused == 0)
    }
    fn take_rejected(&mut self) -> Vec<Rejected> {
        std::mem::take(&mut self.0.borrow_mut().rejected)
    }
    fn buried(&mut self, records: usize) {
        self.0.borrow_mut().refused -= records;
    }
    fn notices(&mut self) -> Vec<String> {
        Vec::new()
    }
}

fn grave(max: usize) -> (Rc<RefCell<Topic>>, Grave) {
    let topic = Rc::new(RefCell::new(Topic { max, room: true, ..Topic::default() }));
    let shared = Rc::clone(&topic);
    let open = move || Ok(Box::new(Handle(Rc::clone(&shared))) as Box<dyn Produce>);
    let place = Place::Topic(Letters::new("out-dlq".into(), Box::new(open)));
    (topic, Grave::new(place, "app".into(), RunClock::Fixed(0)))
}

fn record(key: &str, value: &str) -> Rejected {
    let (key, value) = (Some(key.as_bytes().to_vec()), Some(value.as_bytes().to_vec()));
    Rejected { topic: 3, reason: "too large".into(), key, value, headers: None, timestamp_ms: Some(9) }
}

#[test]
fn a_letter_is_halved_until_it_fits_and_loses_its_key_last() {
    let check = |max, key: Option<&str>, value: &str| {
        let (topic, mut grave) = grave(max);
        assert_eq!(grave.bury(record("key", "0123456789"), "out", false), Ok(1));
        let mut rounds = 0;
        while grave.safe() < 1 {
            grave.serve().expect("it fits at last");
            rounds += 1;
            assert!(rounds < 10);
        }
        let topic = topic.borrow();
        let written: Vec<_> = topic.written.iter().map(|r| (r.key.as_deref(), r.value.as_deref())).collect();
        assert_eq!(written, [(key.map(str::as_bytes), Some(value.as_bytes()))], "{max}");
        assert_eq!(topic.written[0].timestamp_ms, Some(9));
    };
    check(13, Some("key"), "0123456789");
    check(12, Some("key"), "01234");
    check(3, Some("key"), "");
    check(2, None, "");
}

#[test]
fn a_letter_that_waits_for_room_is_not_safe() {
    let (topic, mut grave) = grave(100);
    topic.borrow_mut().room = false;
    grave.bury(record("a", "x"), "out", false).expect("taken");
    grave.bury(record("b", "y"), "out", false).expect("taken");
    grave.serve().expect("no fatal");
    assert!(grave.is_full() && grave.safe() == 0);
    topic.borrow_mut().room = true;
    grave.serve().expect("no fatal");
    assert!(!grave.is_full() && grave.safe() == 2);
}

#[test]
fn without_dead_letters_a_refused_record_stops_the_run() {
    let mut grave = Grave::new(Place::Stop, "app".into(), RunClock::Fixed(0));
    let fatal = grave.bury(record("a", "xyz"), "out", false).expect_err("it stops");
    assert_eq!(fatal.message, "topic out refused a record of 3 bytes: too large");
}

#[test]
fn passed_over_it_is_told() {
    let mut grave = Grave::new(Place::Log(PassedOver::default()), "app".into(), RunClock::Fixed(0));
    grave.bury(record("a", "xyz"), "out", false).expect("passed over");
    grave.serve().expect("no fatal");
    assert_eq!(grave.safe(), 1);
    let said = "passed over a bad record: topic out refused a record of 3 bytes: too large";
    assert_eq!(grave.notices(false), [said]);
}
