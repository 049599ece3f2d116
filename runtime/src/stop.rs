//! How a run is asked to stop: by INT or TERM, by the caller, or because nobody reads its output any more.
//!
//! A signal handler may only store a number; the thread that runs the job looks at it every few milliseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};

/// Nothing asked for.
const NONE: usize = 0;
/// The caller asked; above every signal number.
const CALLER: usize = 1000;
/// The reader of standard output is gone.
const OUTPUT_CLOSED: usize = 1001;

/// Why a run was stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// A signal with this number.
    Signal(i32),
    /// The caller of the run.
    Caller,
    /// Whoever read standard output went away; not an error.
    OutputClosed,
}

/// Shared by whoever may stop a run and the run itself.
#[derive(Clone, Debug, Default)]
pub struct StopHandle {
    reason: Arc<AtomicUsize>,
}

impl StopHandle {
    /// A handle nobody used yet.
    pub fn new() -> StopHandle {
        StopHandle::default()
    }

    /// Makes INT and TERM stop the run, and a file-size limit an error instead of the end of the process. A second
    /// INT or TERM ends the process at once.
    pub fn install_signals(&self) -> std::io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            let again = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
            signal_hook::flag::register(signal, again)?;
            signal_hook::flag::register_usize(signal, Arc::clone(&self.reason), signal as usize)?;
        }
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        Ok(())
    }

    /// Stops the run.
    pub fn request(&self) {
        self.set(CALLER);
    }

    /// Stops the run because its output has no reader.
    pub fn output_closed(&self) {
        self.set(OUTPUT_CLOSED);
    }

    fn set(&self, reason: usize) {
        // The first reason stays; when a signal is faster, that is the reason.
        let _ = self.reason.compare_exchange(NONE, reason, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Why the run is to stop, if it is.
    pub fn reason(&self) -> Option<StopReason> {
        match self.reason.load(Ordering::Acquire) {
            NONE => None,
            CALLER => Some(StopReason::Caller),
            OUTPUT_CLOSED => Some(StopReason::OutputClosed),
            signal => Some(StopReason::Signal(signal as i32)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let stop = StopHandle::new();
        assert_eq!(stop.reason(), None);
        stop.clone().output_closed();
        stop.request();
        assert_eq!(stop.reason(), Some(StopReason::OutputClosed));
    }
}
