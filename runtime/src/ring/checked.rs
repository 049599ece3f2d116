//! The ring over a lock: slow, obviously right, same surface. Tests compare the two.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

pub struct CheckedProducer<T> {
    shared: Arc<Mutex<VecDeque<T>>>,
    unpublished: VecDeque<T>,
    size: usize,
}

pub struct CheckedConsumer<T> {
    shared: Arc<Mutex<VecDeque<T>>>,
}

pub fn checked_ring<T>(capacity: usize) -> (CheckedProducer<T>, CheckedConsumer<T>) {
    let size = capacity.max(1).next_power_of_two();
    let shared = Arc::new(Mutex::new(VecDeque::new()));
    (CheckedProducer { shared: Arc::clone(&shared), unpublished: VecDeque::new(), size }, CheckedConsumer { shared })
}

impl<T> CheckedProducer<T> {
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.shared.lock().unwrap().len() + self.unpublished.len() == self.size {
            return Err(item);
        }
        self.unpublished.push_back(item);
        Ok(())
    }

    pub fn publish(&mut self) -> bool {
        let some = !self.unpublished.is_empty();
        self.shared.lock().unwrap().append(&mut self.unpublished);
        some
    }
}

impl<T> CheckedConsumer<T> {
    pub fn drain(&mut self, take: impl FnMut(T)) -> usize {
        let items = std::mem::take(&mut *self.shared.lock().unwrap());
        let n = items.len();
        items.into_iter().for_each(take);
        n
    }

    pub fn is_empty(&self) -> bool {
        self.shared.lock().unwrap().is_empty()
    }
}
