//! The seam between the driver and what runs it: one pinned executor per core, glommio or plain threads.
//!
//! A backend starts one thread per executor, pins it, lets it make its worker there (nothing in a worker needs to be
//! `Send`), and then steps the worker: at once again while it is busy, after spinning and parking when it is idle.
//! Wakes come through the worker's [`Bell`]. Both backends run the same worker and the same mesh.

use std::time::Duration;

use velostream_types::Fatal;

use crate::wake::Bell;

#[cfg(target_os = "linux")]
mod glommio;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(test)]
mod tests;
mod threads;

/// What one executor does, step by step.
pub trait Worker {
    /// Does one round of work.
    fn step(&mut self) -> Pace;
    /// TRUE when a step would find something to do.
    fn has_news(&mut self) -> bool;
    /// Where others wake this executor.
    fn bell(&self) -> &Bell;
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Step again at once.
    Busy,
    /// Nothing to do until the bell rings or this much time passed.
    Idle(Option<Duration>),
    /// The worker is done for good.
    Finished,
}

/// Makes a worker on its executor's thread; `None` when there is nothing to run.
pub type MakeWorker<'a> = Box<dyn FnOnce() -> Option<Box<dyn Worker>> + Send + 'a>;

/// One executor to start.
pub struct ExecutorSpec<'a> {
    /// CPU to be pinned to; `None` leaves it to the system.
    pub cpu: Option<usize>,
    /// How long an idle executor looks for work before it parks.
    pub spin: Duration,
    /// Makes the work.
    pub make: MakeWorker<'a>,
}

/// Which backend runs the executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// io_uring executors.
    Glommio,
    /// Pinned threads with park and unpark.
    Threads,
}

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// glommio where the system allows it, threads elsewhere.
    #[default]
    Auto,
    /// glommio or nothing.
    Glommio,
    /// Threads.
    Threads,
}

impl BackendChoice {
    /// `auto`, `glommio` or `threads`.
    pub fn parse(text: &str) -> Option<BackendChoice> {
        match text {
            "auto" => Some(BackendChoice::Auto),
            "glommio" => Some(BackendChoice::Glommio),
            "threads" => Some(BackendChoice::Threads),
            _ => None,
        }
    }
}

impl Backend {
    /// Name as on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Glommio => "glommio",
            Backend::Threads => "threads",
        }
    }

    /// Decides, and says why. glommio panics where the kernel refuses it, so the system is asked first.
    pub fn choose(choice: BackendChoice) -> Result<(Backend, String), Fatal> {
        decide(choice, glommio_support())
    }
}

/// Why glommio cannot run here, with what to do about it.
struct Refusal {
    reason: String,
    remedy: &'static str,
}

fn decide(choice: BackendChoice, support: Result<(), Refusal>) -> Result<(Backend, String), Fatal> {
    match (choice, support) {
        (BackendChoice::Threads, _) => Ok((Backend::Threads, "asked for".into())),
        (BackendChoice::Glommio, Ok(())) => Ok((Backend::Glommio, "asked for".into())),
        (BackendChoice::Auto, Ok(())) => Ok((Backend::Glommio, "io_uring is available".into())),
        (BackendChoice::Auto, Err(refusal)) => Ok((Backend::Threads, refusal.reason)),
        (BackendChoice::Glommio, Err(Refusal { reason, remedy })) => {
            Err(Fatal::new(format!("--runtime glommio cannot run here: {reason}; {remedy}")))
        }
    }
}

#[cfg(target_os = "linux")]
fn glommio_support() -> Result<(), Refusal> {
    probe::glommio_support()
}

#[cfg(not(target_os = "linux"))]
fn glommio_support() -> Result<(), Refusal> {
    Err(Refusal { reason: "this system has no io_uring".into(), remedy: "use --runtime threads" })
}

/// Runs all executors to their end; `meanwhile` runs on the calling thread until it returns, which it must not do
/// before the workers finish. `failed` is told about executors that could not start or died.
pub fn run(
    backend: Backend,
    executors: Vec<ExecutorSpec<'_>>,
    failed: &(dyn Fn(Fatal) + Sync),
    meanwhile: impl FnOnce(),
) {
    std::thread::scope(|scope| {
        for (i, spec) in executors.into_iter().enumerate() {
            let body = move || {
                let outcome = match backend {
                    #[cfg(target_os = "linux")]
                    Backend::Glommio => glommio::run(i, spec),
                    #[cfg(not(target_os = "linux"))]
                    Backend::Glommio => Err(Fatal::new("glommio is not available on this system")),
                    Backend::Threads => threads::run(spec),
                };
                if let Err(fatal) = outcome {
                    failed(fatal);
                }
            };
            let guarded = move || {
                if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
                    failed(Fatal::new(format!("executor {i} panicked: {}", panic_text(&*panic))));
                }
            };
            if let Err(error) = std::thread::Builder::new().name(format!("velo-{i}")).spawn_scoped(scope, guarded) {
                failed(Fatal::new(format!("cannot start executor {i}: {error}")));
            }
        }
        meanwhile();
    });
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
