//! The ring against its checked twin, alone and on two threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::checked::checked_ring;
use super::ring;

/// One step of either side.
#[derive(Clone, Copy, Debug)]
enum Step {
    Push(u8),
    Publish,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![4 => any::<u8>().prop_map(Step::Push), 1 => Just(Step::Publish), 1 => Just(Step::Drain)]
}

proptest! {
    #[test]
    fn behaves_like_the_ring_over_a_lock(capacity in 1usize..9, steps in prop::collection::vec(step(), 0..200)) {
        let (mut fast_in, mut fast_out) = ring::<Box<u8>>(capacity);
        let (mut slow_in, mut slow_out) = checked_ring::<Box<u8>>(capacity);
        for step in steps {
            match step {
                Step::Push(n) => prop_assert_eq!(fast_in.push(Box::new(n)), slow_in.push(Box::new(n))),
                Step::Publish => prop_assert_eq!(fast_in.publish(), slow_in.publish()),
                Step::Drain => {
                    let (mut fast, mut slow) = (Vec::new(), Vec::new());
                    prop_assert_eq!(fast_out.is_empty(), slow_out.is_empty());
                    prop_assert_eq!(fast_out.drain(|x| fast.push(x)), slow_out.drain(|x| slow.push(x)));
                    prop_assert_eq!(fast, slow);
                }
            }
        }
    }
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_item_is_dropped_once() {
    for (pushed, published, drained) in [(5, 5, 0), (5, 0, 0), (8, 8, 8), (3, 3, 3), (0, 0, 0)] {
        let drops = Arc::new(AtomicUsize::new(0));
        let (mut producer, mut consumer) = ring(8);
        for i in 0..pushed {
            assert!(producer.push(Counted(Arc::clone(&drops))).is_ok());
            if i + 1 == published {
                producer.publish();
            }
        }
        if drained > 0 {
            assert_eq!(consumer.drain(drop), drained);
        }
        drop((producer, consumer));
        assert_eq!(drops.load(Ordering::Relaxed), pushed);
    }
}

#[test]
fn an_item_whose_taker_panics_is_not_taken_twice() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (mut producer, mut consumer) = ring(4);
    for _ in 0..3 {
        assert!(producer.push(Counted(Arc::clone(&drops))).is_ok());
    }
    producer.publish();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        consumer.drain(|item| {
            drop(item);
            panic!("the taker's own fault");
        })
    }));
    assert!(caught.is_err());
    drop((producer, consumer));
    assert_eq!(drops.load(Ordering::Relaxed), 3);
}

#[test]
fn two_threads_see_every_item_in_order() {
    const ITEMS: u64 = 200_000;
    for capacity in [1, 2, 64] {
        let (mut producer, mut consumer) = ring::<Box<u64>>(capacity);
        let sender = std::thread::spawn(move || {
            for i in 0..ITEMS {
                let mut item = Box::new(i);
                while let Err(back) = producer.push(item) {
                    producer.publish();
                    std::thread::yield_now();
                    item = back;
                }
                if i % 7 == 0 {
                    producer.publish();
                }
            }
        });
        let mut next = 0;
        while next < ITEMS {
            let taken = consumer.drain(|item| {
                assert_eq!(*item, next);
                next += 1;
            });
            if taken == 0 {
                std::thread::yield_now();
            }
        }
        sender.join().unwrap();
    }
}
