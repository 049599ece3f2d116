//! The choice of a backend, and both of them running a worker that sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn refused() -> Result<(), Refusal> {
    Err(Refusal { reason: "the kernel refuses io_uring".into(), remedy: "use --runtime threads" })
}

#[test]
fn the_choice_and_its_reason() {
    let choose = |choice, support| decide(choice, support).map(|(backend, reason)| (backend.name(), reason));
    assert_eq!(choose(BackendChoice::Auto, Ok(())), Ok(("glommio", "io_uring is available".into())));
    assert_eq!(choose(BackendChoice::Auto, refused()), Ok(("threads", "the kernel refuses io_uring".into())));
    assert_eq!(choose(BackendChoice::Threads, Ok(())), Ok(("threads", "asked for".into())));
    let error = choose(BackendChoice::Glommio, refused()).unwrap_err();
    assert!(error.message.contains("refuses io_uring") && error.message.contains("--runtime threads"), "{error}");
    assert_eq!(BackendChoice::parse("auto"), Some(BackendChoice::Auto));
    assert_eq!(BackendChoice::parse("tokio"), None);
}

/// Sleeps until it was rung `rings` times; every other sleep has a time limit.
struct Sleeper {
    bell: Arc<Bell>,
    rings: usize,
    heard: Arc<AtomicUsize>,
    timed_out: bool,
}

impl Worker for Sleeper {
    fn step(&mut self) -> Pace {
        if self.bell.take_news() {
            self.heard.fetch_add(1, Ordering::AcqRel);
        }
        if self.heard.load(Ordering::Acquire) == self.rings {
            return Pace::Finished;
        }
        self.timed_out = !self.timed_out;
        Pace::Idle(self.timed_out.then_some(Duration::from_micros(100)))
    }

    fn has_news(&mut self) -> bool {
        self.bell.has_news()
    }

    fn bell(&self) -> &Bell {
        &self.bell
    }
}

#[test]
fn sleepers_hear_every_ring() {
    let (auto, _) = Backend::choose(BackendChoice::Auto).unwrap();
    for backend in [Backend::Threads, auto] {
        for spin in [Duration::ZERO, Duration::from_micros(20)] {
            let (bell, heard) = (Arc::new(Bell::default()), Arc::new(AtomicUsize::new(0)));
            let (worker_bell, worker_heard) = (Arc::clone(&bell), Arc::clone(&heard));
            let make: MakeWorker<'_> = Box::new(move || {
                Some(Box::new(Sleeper { bell: worker_bell, rings: 50, heard: worker_heard, timed_out: false }))
            });
            let failed = |fatal: Fatal| panic!("{fatal}");
            run(backend, vec![ExecutorSpec { cpu: None, spin, make }], &failed, || {
                for n in 0..50 {
                    bell.ring();
                    while heard.load(Ordering::Acquire) == n {
                        std::thread::yield_now();
                    }
                }
            });
            assert_eq!(heard.load(Ordering::Acquire), 50);
        }
    }
}

#[test]
fn executors_are_pinned() {
    let Some(cpu) = crate::topology::choose_cores(None).unwrap().last().copied() else { return };
    let (auto, _) = Backend::choose(BackendChoice::Auto).unwrap();
    for backend in [Backend::Threads, auto] {
        let seen = AtomicUsize::new(usize::MAX);
        let make: MakeWorker<'_> = Box::new(|| {
            let allowed = crate::topology::choose_cores(None).unwrap();
            seen.store(if allowed.len() == 1 { allowed[0] } else { usize::MAX }, Ordering::Release);
            None
        });
        let failed = |fatal: Fatal| panic!("{fatal}");
        run(backend, vec![ExecutorSpec { cpu: Some(cpu), spin: Duration::ZERO, make }], &failed, || {});
        assert_eq!(seen.load(Ordering::Acquire), cpu, "{}", backend.name());
    }
}

#[test]
fn a_panic_while_making_a_worker_is_told() {
    let told = std::sync::Mutex::new(String::new());
    let make: MakeWorker<'_> = Box::new(|| panic!("no worker today"));
    let failed = |fatal: Fatal| *told.lock().unwrap() = fatal.message;
    run(Backend::Threads, vec![ExecutorSpec { cpu: None, spin: Duration::ZERO, make }], &failed, || {});
    assert!(told.into_inner().unwrap().contains("no worker today"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_is_asked_and_not_guessed() {
    let support = super::probe::glommio_support();
    let setting = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    assert!(setting.trim() != "2" || support.is_err(), "io_uring is switched off, the probe says it is there");
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let memlock = limits.lines().find(|line| line.starts_with("Max locked memory")).unwrap();
    let soft = memlock.split_whitespace().nth(3).unwrap().parse::<u64>().unwrap_or(u64::MAX);
    assert!(soft >= 512 << 10 || support.is_err(), "{memlock}");
    if let Err(Refusal { reason, remedy }) = support {
        assert!(reason.contains("io_uring") || reason.contains("MEMLOCK"), "{reason}");
        assert!(remedy.contains("--runtime threads"), "{remedy}");
    }
}
