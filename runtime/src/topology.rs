//! Which CPUs executors run on, and pinning to them.
//!
//! Default: the CPUs the process may use, one thread of each physical core first, minus one for the system when there
//! are four or more.

use std::collections::BTreeSet;

use velostream_types::Fatal;

/// Parses a CPU list such as `2-5,8`.
pub fn parse_cores(text: &str) -> Result<Vec<usize>, String> {
    let mut cores = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |s: &str| {
            s.trim().parse::<usize>().map_err(|_| format!("\"{part}\" is no core number or range such as 2-5"))
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= CPU_MAX {
            return Err(format!("\"{part}\" is no ascending range of core numbers below {CPU_MAX}"));
        }
        for core in first..=last {
            if cores.contains(&core) {
                return Err(format!("core {core} is listed twice"));
            }
            cores.push(core);
        }
    }
    Ok(cores)
}

/// Highest CPU number understood, exclusive.
const CPU_MAX: usize = 1024;

/// The CPUs to use: the asked ones if the process may use them all, or the default.
pub fn choose_cores(asked: Option<&[usize]>) -> Result<Vec<usize>, Fatal> {
    let allowed = allowed_cpus();
    if let Some(asked) = asked {
        if let Some(core) = asked.iter().find(|core| !allowed.is_empty() && !allowed.contains(core)) {
            return Err(Fatal::new(format!("--cores: core {core} is not available; this process may use {allowed:?}")));
        }
        return Ok(asked.to_vec());
    }
    Ok(default_cores(&allowed, &siblings))
}

/// Physical cores first, one left to the system when there are four or more.
fn default_cores(allowed: &[usize], siblings: &dyn Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let (mut physical, mut threads) = (Vec::new(), Vec::new());
    for &cpu in allowed {
        if seen.contains(&cpu) {
            threads.push(cpu);
        } else {
            physical.push(cpu);
            seen.extend(siblings(cpu));
        }
    }
    physical.append(&mut threads);
    if physical.len() >= 4 {
        // CPU 0 takes most interrupts: it is the one to leave.
        let housekeeping = physical.iter().position(|cpu| *cpu == 0).unwrap_or(physical.len() - 1);
        physical.remove(housekeeping);
    }
    physical
}

/// Hardware threads of the core that `cpu` belongs to.
fn siblings(cpu: usize) -> Vec<usize> {
    std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"))
        .ok()
        .and_then(|text| parse_cores(text.trim()).ok())
        .unwrap_or_else(|| vec![cpu])
}

/// CPUs the process may run on, ascending; empty where the system does not tell.
#[cfg(target_os = "linux")]
fn allowed_cpus() -> Vec<usize> {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => (0..CPU_MAX).filter(|cpu| set.is_set(*cpu)).collect(),
        Err(_) => Vec::new(),
    }
}

#[cfg(not(target_os = "linux"))]
fn allowed_cpus() -> Vec<usize> {
    Vec::new()
}

/// Number of executors when no core is named and the system does not tell which CPUs there are.
pub fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Keeps the calling thread on one CPU.
#[cfg(target_os = "linux")]
pub fn pin_current_thread(cpu: usize) -> Result<(), Fatal> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| Fatal::new(format!("cannot pin an executor to core {cpu}: {error}; choose with --cores")))
}

/// Pinning is not available here: the system schedules.
#[cfg(not(target_os = "linux"))]
pub fn pin_current_thread(_cpu: usize) -> Result<(), Fatal> {
    Ok(())
}

/// Runs `make` with the thread allowed on all of `cpus`, so that threads it starts are not bound to the
/// thread's own core, and binds the thread again as it was.
#[cfg(target_os = "linux")]
pub fn unbound<T>(cpus: &[usize], make: impl FnOnce() -> T) -> T {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let mut wide = CpuSet::new();
    cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU).for_each(|cpu| wide.set(*cpu));
    let own = sched_getaffinity(None);
    // A system that refuses leaves the threads where they are: slower, not wrong.
    let widened = !cpus.is_empty() && own.is_ok() && sched_setaffinity(None, &wide).is_ok();
    let made = make();
    if let (true, Ok(own)) = (widened, own) {
        let _ = sched_setaffinity(None, &own);
    }
    made
}

/// Runs `make`; this system binds no threads.
#[cfg(not(target_os = "linux"))]
pub fn unbound<T>(_cpus: &[usize], make: impl FnOnce() -> T) -> T {
    make()
}

/// CPUs for the threads of clients: those no executor is bound to where there are four or more, else all. Call it on a
/// thread that is not bound.
pub fn client_cpus(executors: &[Option<usize>]) -> Vec<usize> {
    let allowed = allowed_cpus();
    let free: Vec<usize> = allowed.iter().copied().filter(|cpu| !executors.contains(&Some(*cpu))).collect();
    if allowed.len() >= 4 && !free.is_empty() { free } else { allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&[usize], &str>) {
        match (parse_cores(text), expect) {
            (Ok(cores), Ok(expect)) => assert_eq!(cores, expect, "{text}"),
            (Err(message), Err(part)) => assert!(message.contains(part), "{text}: {message}"),
            (got, expect) => panic!("{text}: {got:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn core_lists() {
        check("2", Ok(&[2]));
        check("2-5,8", Ok(&[2, 3, 4, 5, 8]));
        check("8, 1", Ok(&[8, 1]));
        check("", Err("no core number"));
        check("a", Err("\"a\""));
        check("5-2", Err("ascending"));
        check("1,0-2", Err("twice"));
        check("0-99999999999", Err("below"));
    }

    #[test]
    fn physical_cores_come_first_and_one_is_left() {
        let pairs = |cpu: usize| vec![cpu % 4, cpu % 4 + 4];
        let alone = |cpu: usize| vec![cpu];
        assert_eq!(default_cores(&[0, 1], &alone), [0, 1]);
        assert_eq!(default_cores(&[0, 1, 2, 3], &alone), [1, 2, 3]);
        assert_eq!(default_cores(&[2, 3, 4, 5], &alone), [2, 3, 4]);
        assert_eq!(default_cores(&[0, 1, 2, 3, 4, 5, 6, 7], &pairs), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(default_cores(&[1, 2, 5, 6], &pairs), [1, 2, 5]);
    }

    #[test]
    fn unavailable_cores_are_refused() {
        if !allowed_cpus().is_empty() {
            assert!(choose_cores(Some(&[1023])).unwrap_err().message.contains("core 1023"));
        }
        assert!(!choose_cores(None).unwrap().is_empty());
    }
}
