//! Memory of the process, for assertions about it.

use velostream_runtime::memory::resident_bytes;

/// Lets the highest resident memory count from now: what an earlier test of this process needed is not this one's. Where
/// the system does not allow it, it goes on counting from the start of the process.
pub fn reset_peak() {
    // Linux: writing 5 resets VmHWM to what is resident.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Resident memory now, bytes.
pub fn now() -> Option<u64> {
    resident_bytes()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn peak_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("the process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("with its peak");
        line.trim_end_matches("kB").trim().parse().expect("a number")
    }

    #[test]
    fn a_peak_counts_from_its_reset() {
        const KIB: usize = 128 << 10;
        // Large enough to be given back to the system at once.
        drop(std::hint::black_box(vec![1_u8; KIB << 10]));
        let before = peak_kib();
        assert!(before >= KIB as u64, "{before} KiB");
        reset_peak();
        assert!(peak_kib() < before - KIB as u64 / 2, "{} KiB, {before} before", peak_kib());
    }
}
