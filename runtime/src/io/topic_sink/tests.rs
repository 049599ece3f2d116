//! Barriers of sinks that share a producer.

use velostream_types::topic::Rejected;

use super::*;
use crate::clock::RunClock;
use crate::io::refused::Place;

/// Takes `room` rows, acknowledges marks up to `acknowledged`.
struct Fake {
    room: usize,
    acknowledged: u64,
    sent: usize,
    marked_at: Vec<(u64, usize)>,
}

struct Handle(Rc<RefCell<Fake>>);

impl Produce for Handle {
    fn send(&mut self, _: usize, rows: &Chunk, from: usize) -> Result<usize, Fatal> {
        let mut fake = self.0.borrow_mut();
        let taken = (rows.rows() - from).min(fake.room);
        fake.sent += taken;
        fake.room -= taken;
        Ok(taken)
    }
    fn poll(&mut self) -> Result<(), Fatal> {
        Ok(())
    }
    fn mark(&mut self, n: u64) {
        let mut fake = self.0.borrow_mut();
        let sent = fake.sent;
        fake.marked_at.push((n, sent));
    }
    fn acknowledged(&self) -> u64 {
        self.0.borrow().acknowledged
    }
    fn outstanding(&self) -> usize {
        self.0.borrow().sent
    }
    fn flush(&mut self, _: Duration) -> Result<bool, Fatal> {
        Ok(self.0.borrow().room > 0)
    }
    fn take_rejected(&mut self) -> Vec<Rejected> {
        Vec::new()
    }
    fn buried(&mut self, _: usize) {}
    fn notices(&mut self) -> Vec<String> {
        Vec::new()
    }
}

fn rows(n: usize) -> Chunk {
    let mut chunk = Chunk::default();
    for _ in 0..n {
        chunk.bytes.extend_from_slice(b"x\n");
        chunk.end_row();
    }
    chunk
}

#[test]
fn a_barrier_of_one_sink_is_safe_with_its_own_mark_only() {
    let fake = Rc::new(RefCell::new(Fake { room: 5, acknowledged: 0, sent: 0, marked_at: Vec::new() }));
    let topic = |name: &str| TopicGrave { topic: name.into(), grave: 0, is_letters: false };
    let (topics, brokers) = (vec![topic("a"), topic("b")], "localhost:9092".into());
    let grave = Grave::new(Place::Stop, "app".into(), RunClock::Fixed(0));
    let producer = Producer::shared(Box::new(Handle(Rc::clone(&fake))), brokers, topics, vec![grave]);
    let mut a = TopicSink::new(Rc::clone(&producer), 0, "a".into());
    let mut b = TopicSink::new(producer, 1, "b".into());
    assert_eq!(a.offer(&rows(3), 0), Ok(3));
    a.mark(1).expect("no fatal");
    // Rows of b behind a's mark and before b's.
    assert_eq!(b.offer(&rows(3), 0), Ok(2), "there is room for five");
    b.mark(1).expect("no fatal");
    assert_eq!(fake.borrow().marked_at, [(1, 3), (2, 5)]);
    fake.borrow_mut().acknowledged = 1;
    assert_eq!((a.safe(1), b.safe(1)), (Ok(1), Ok(0)));
    fake.borrow_mut().acknowledged = 2;
    assert_eq!(b.safe(1), Ok(1));
    let missing = a.finish().expect_err("the queue is still full");
    assert!(missing.message.contains("5 records"), "{}", missing.message);
}
