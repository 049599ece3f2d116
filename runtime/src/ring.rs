//! The ring between two shards: bounded, one producer, one consumer, items moved by value.
//!
//! Each side works on its own copy of its index and publishes it once per batch, so a batch of envelopes costs one
//! shared store and at most one shared load per side. The two shared indices stand on separate cache lines. Indices
//! count up forever and wrap; a slot is `index & mask`.
//!
//! Invariants: `head <= tail <= head + capacity` (as wrapping differences); slots in `head..tail` hold values, all
//! others do not. Only the producer writes `tail`, only the consumer writes `head`.
//!
//! This file is one of the few with `unsafe`: a slot is written by one thread and read by another without a lock.
//! `checked` holds the same ring over a lock; the tests run both against each other.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(test)]
mod checked;
#[cfg(test)]
mod tests;

/// A value alone on its cache lines (two of 64 bytes: processors fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Padded<T>(pub T);

struct Shared<T> {
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    /// Next slot the consumer takes.
    head: Padded<AtomicUsize>,
    /// Next slot the producer fills.
    tail: Padded<AtomicUsize>,
}

// SAFETY: a slot is reached by one side at a time. The producer writes only slots in `tail..head + capacity`, which
// it sees as free after an acquire load of `head` that the consumer stored with release after it moved the value
// out; the consumer reads only slots in `head..tail`, after an acquire load of `tail` stored with release after the
// write. Values cross threads, hence `T: Send`; they are never shared, hence no `T: Sync`.
unsafe impl<T: Send> Sync for Shared<T> {}
// SAFETY: owning the slots means owning the values in them; see above.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Shared<T> {
    fn mask(&self) -> usize {
        self.slots.len() - 1
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let (mut head, tail) = (*self.head.0.get_mut(), *self.tail.0.get_mut());
        while head != tail {
            let slot = self.slots[head & (self.slots.len() - 1)].get_mut();
            // SAFETY: both sides published their last index in their own `Drop` before their `Arc` was released, so
            // `head..tail` is exactly the set of slots that hold values, and `&mut self` proves nobody else is left.
            unsafe { slot.assume_init_drop() };
            head = head.wrapping_add(1);
        }
    }
}

/// The sending side.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// Own index, ahead of the published one by what was pushed since `publish`.
    tail: usize,
    published: usize,
    /// The consumer's index as last seen.
    head_seen: usize,
}

/// The receiving side.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    head: usize,
}

/// A ring with room for at least `capacity` items.
pub fn ring<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let size = capacity.max(1).next_power_of_two();
    let slots = (0..size).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let shared = Arc::new(Shared { slots, head: Padded::default(), tail: Padded::default() });
    let producer = Producer { shared: Arc::clone(&shared), tail: 0, published: 0, head_seen: 0 };
    (producer, Consumer { shared, head: 0 })
}

impl<T> Producer<T> {
    /// Puts one item behind the others; the consumer sees it after [`Producer::publish`]. Gives it back when full.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.tail.wrapping_sub(self.head_seen) == self.shared.slots.len() {
            self.head_seen = self.shared.head.0.load(Ordering::Acquire);
            if self.tail.wrapping_sub(self.head_seen) == self.shared.slots.len() {
                return Err(item);
            }
        }
        let slot = &self.shared.slots[self.tail & self.shared.mask()];
        // SAFETY: `tail - head < capacity`, so the slot lies outside `head..tail` and the consumer will not touch it
        // before `tail` is published; the acquire load of `head` orders this write after the consumer's read of the
        // slot one lap ago. `&mut self` makes this the only producer. What was in the slot has been moved out.
        unsafe { (*slot.get()).write(item) };
        self.tail = self.tail.wrapping_add(1);
        Ok(())
    }

    /// Makes everything pushed visible to the consumer. TRUE when there was something.
    pub fn publish(&mut self) -> bool {
        if self.tail == self.published {
            return false;
        }
        self.shared.tail.0.store(self.tail, Ordering::Release);
        self.published = self.tail;
        true
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.publish();
    }
}

impl<T> Consumer<T> {
    /// Takes everything published, in order, and says how many items that were.
    pub fn drain(&mut self, mut take: impl FnMut(T)) -> usize {
        let tail = self.shared.tail.0.load(Ordering::Acquire);
        let taken = tail.wrapping_sub(self.head);
        while self.head != tail {
            let slot = &self.shared.slots[self.head & self.shared.mask()];
            // SAFETY: `head..tail` holds values whose writes happened before the release store of `tail` that was
            // loaded above. The index moves on before `take` can panic, so no value is read twice.
            let item = unsafe { (*slot.get()).assume_init_read() };
            self.head = self.head.wrapping_add(1);
            take(item);
        }
        if taken > 0 {
            self.shared.head.0.store(self.head, Ordering::Release);
        }
        taken
    }

    /// TRUE when nothing is published that was not taken.
    pub fn is_empty(&self) -> bool {
        self.shared.tail.0.load(Ordering::Acquire) == self.head
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.shared.head.0.store(self.head, Ordering::Release);
    }
}
