//! Backend on glommio: one `LocalExecutor` per core, the worker as its main task.
//!
//! The executor is made on a thread of ours, so that refusing to start is an error and not a panic of a foreign
//! thread. Parking is a future that waits for the bell's waker: glommio wakers may be called from other threads.
//! glommio's own cross-core channels are not used: they spin while connecting. Idle executors look for work
//! themselves (bounded by the latency profile), then let glommio spin as long before it waits in the ring.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use glommio::{LocalExecutorBuilder, Placement};
use velostream_types::Fatal;

use super::{ExecutorSpec, Pace, Worker};

/// Registered I/O memory per executor, bytes: the least glommio takes; files are read through the page cache.
const IO_MEMORY: usize = 64 << 10;

/// Longest spin before parking: longer ones burn the core without helping latency.
const SPIN_MAX: Duration = Duration::from_micros(50);

/// Steps one worker to its end on the calling thread.
pub fn run(index: usize, spec: ExecutorSpec<'_>) -> Result<(), Fatal> {
    let placement = spec.cpu.map_or(Placement::Unbound, Placement::Fixed);
    let spin = spec.spin.min(SPIN_MAX);
    let executor = LocalExecutorBuilder::new(placement)
        .name(&format!("velo-{index}"))
        .io_memory(IO_MEMORY)
        .spin_before_park(spin)
        .make()
        .map_err(|error| {
            Fatal::new(format!("glommio executor {index}: {error}; --runtime threads needs no io_uring"))
        })?;
    executor.run(async move {
        let Some(mut worker) = (spec.make)() else { return };
        loop {
            match worker.step() {
                Pace::Busy => glommio::executor().yield_if_needed().await,
                Pace::Finished => return,
                Pace::Idle(limit) => park(&mut *worker, limit).await,
            }
        }
    });
    Ok(())
}

/// Waits until the bell rings or `limit` passed, unless there is work after all.
async fn park(worker: &mut dyn Worker, limit: Option<Duration>) {
    let mut timer = limit.map(|limit| Box::pin(glommio::timer::sleep(limit)));
    let mut asleep = false;
    let sleep = poll_fn(|cx| {
        if asleep && !worker.bell().is_asleep() {
            return Poll::Ready(());
        }
        worker.bell().fall_asleep(cx.waker());
        asleep = true;
        if worker.has_news() {
            return Poll::Ready(());
        }
        match timer.as_mut() {
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    });
    pin!(sleep).await;
    worker.bell().awake();
}
