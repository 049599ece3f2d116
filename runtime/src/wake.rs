//! How an executor falls asleep and is woken, the same for both backends.
//!
//! The race between "nothing to do, I sleep" and "here is something" is settled as in Dekker's algorithm. Sender:
//! publish, full fence, look at `sleeping`. Sleeper: set `sleeping`, full fence, look again for work. One of the two
//! sees the other. A sender pays for a wake only when the receiver sleeps; a busy mesh makes no system call.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// One executor's doorbell.
#[derive(Debug, Default)]
pub struct Bell {
    sleeping: AtomicBool,
    /// Something happened that the sleeper does not find by looking into its rings.
    news: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    /// Wakes the executor if it sleeps. For senders whose data the sleeper looks for itself.
    pub fn nudge(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel) {
            let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(waker) = waker.as_ref() {
                waker.wake_by_ref();
            }
        }
    }

    /// Leaves word that something happened, and wakes the executor if it sleeps.
    pub fn ring(&self) {
        self.news.store(true, Ordering::Release);
        self.nudge();
    }

    /// Takes the word left by [`Bell::ring`].
    pub fn take_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) && self.news.swap(false, Ordering::AcqRel)
    }

    /// TRUE when word was left.
    pub fn has_news(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }

    /// Announces sleep. The caller looks once more for work afterwards, and calls [`Bell::awake`] in any case.
    pub fn fall_asleep(&self, waker: &Waker) {
        {
            let mut slot = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
                *slot = Some(waker.clone());
            }
        }
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// TRUE from [`Bell::fall_asleep`] until somebody woke the executor.
    pub fn is_asleep(&self) -> bool {
        self.sleeping.load(Ordering::Acquire)
    }

    /// The executor works again.
    pub fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_a_sleeper_is_woken_and_only_once() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let bell = Bell::default();
        bell.nudge();
        bell.ring();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert!(bell.take_news() && !bell.take_news());
        bell.fall_asleep(&waker);
        bell.nudge();
        bell.nudge();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        bell.fall_asleep(&waker);
        bell.awake();
        bell.ring();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(bell.has_news());
    }
}
