//! Asks the kernel whether glommio can run, before glommio is touched: it panics where io_uring is refused, and a
//! panic inside its lazy statics poisons them for the whole process.
//!
//! One of the few files with `unsafe`: a raw system call. There is no checked way to ask, hence no twin; the
//! tests compare the answer with what `/proc` says.
#![allow(unsafe_code)]

use rustix::io_uring::{io_uring_params, io_uring_setup};
use rustix::process::{Resource, getrlimit};

use super::Refusal;

/// Locked memory glommio needs per process at least, bytes.
const MEMLOCK_MIN: u64 = 512 << 10;

/// Nothing when glommio can run here.
pub fn glommio_support() -> Result<(), Refusal> {
    if let Some(limit) = getrlimit(Resource::Memlock).current
        && limit < MEMLOCK_MIN
    {
        return Err(Refusal {
            reason: format!("RLIMIT_MEMLOCK is {} KiB, glommio needs {} KiB", limit >> 10, MEMLOCK_MIN >> 10),
            remedy: "raise it (`ulimit -l 8192`, or `--ulimit memlock=8388608` for a container), or use --runtime threads",
        });
    }
    let mut params = io_uring_params::default();
    // SAFETY: `params` is a valid, zeroed structure that the kernel fills for the duration of the call; no flag asks
    // it to keep the pointer. The returned descriptor is owned and closed on drop; its rings are never mapped.
    match unsafe { io_uring_setup(2, &mut params) } {
        Ok(_ring) => Ok(()),
        Err(error) => Err(Refusal {
            reason: format!("the kernel refuses io_uring ({error})"),
            remedy: "allow io_uring_setup (a seccomp profile of the container often blocks it), or use --runtime threads",
        }),
    }
}
