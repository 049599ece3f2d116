//! Backend on plain threads: pinned, spinning for a while when idle, then parked until the bell unparks them.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use velostream_types::Fatal;

use super::{ExecutorSpec, Pace, Worker};
use crate::topology;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Steps one worker to its end on the calling thread.
pub fn run(spec: ExecutorSpec<'_>) -> Result<(), Fatal> {
    if let Some(cpu) = spec.cpu {
        topology::pin_current_thread(cpu)?;
    }
    let Some(mut worker) = (spec.make)() else { return Ok(()) };
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match worker.step() {
            Pace::Busy => {}
            Pace::Finished => return Ok(()),
            Pace::Idle(limit) => {
                if !spin(&mut *worker, spec.spin) {
                    park(&mut *worker, &waker, limit);
                }
            }
        }
    }
}

/// Looks for work until `spin` passed. TRUE when it found some.
#[expect(clippy::disallowed_methods, reason = "spinning ends by the clock; nothing below the ports sees it")]
fn spin(worker: &mut dyn Worker, spin: Duration) -> bool {
    if spin.is_zero() {
        return false;
    }
    let start = Instant::now();
    loop {
        for _ in 0..32 {
            if worker.has_news() {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() >= spin {
            return false;
        }
    }
}

/// Sleeps until the bell rings or `limit` passed, unless there is work after all.
fn park(worker: &mut dyn Worker, waker: &Waker, limit: Option<Duration>) {
    worker.bell().fall_asleep(waker);
    if !worker.has_news() {
        match limit {
            Some(limit) => std::thread::park_timeout(limit),
            None => std::thread::park(),
        }
    }
    worker.bell().awake();
}
