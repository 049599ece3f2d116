//! How much memory there is: that of the process's cgroup, else the machine's. Read once at the start of a run.

use std::path::Path;

/// Part of the memory that state may take, in hundredths; the rest is for what is under way, buffers and clients.
const SHARE: u64 = 75;

/// Bytes of state a run may hold when nobody says: 75 % of what there is; without a limit where that is unknown.
pub fn default_limit() -> u64 {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let machine = || total_of(&read(Path::new("/proc/meminfo"))?);
    let cgroup = cgroup_limit(&own, &read);
    let there = [cgroup, machine()].into_iter().flatten().min();
    there.map_or(u64::MAX, |bytes| bytes / 100 * SHARE)
}

/// The lowest limit of the cgroups the process is in, of either version.
fn cgroup_limit(own: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let mut limits = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            c if c.split(',').any(|c| c == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        // Inside a container the path may lie outside what is mounted; the root then is its own.
        let mut folder = Path::new(root).join(path.trim_start_matches('/'));
        while folder.starts_with(root) {
            limits.extend(read(&folder.join(file)).and_then(|text| text.trim().parse::<u64>().ok()));
            if !folder.pop() {
                break;
            }
        }
    }
    limits.into_iter().min()
}

/// `MemTotal` of /proc/meminfo.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Resident memory of this process now, bytes; `None` where the system does not tell.
#[cfg(target_os = "linux")]
pub fn resident_bytes() -> Option<u64> {
    procfs::process::Process::myself().ok()?.status().ok()?.vmrss.map(|kib| kib * 1024)
}

/// Resident memory of this process now, bytes; `None` where the system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn resident_bytes() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_on_the_way_to_the_root_counts() {
        let check = |own: &str, files: &[(&str, &str)], expect: Option<u64>| {
            let read =
                |path: &Path| files.iter().find(|(p, _)| Path::new(p) == path).map(|(_, text)| (*text).to_owned());
            assert_eq!(cgroup_limit(own, &read), expect, "{own} {files:?}");
        };
        check(
            "0::/a/b\n",
            &[("/sys/fs/cgroup/a/b/memory.max", "max\n"), ("/sys/fs/cgroup/a/memory.max", "400\n")],
            Some(400),
        );
        check("0::/gone\n", &[("/sys/fs/cgroup/memory.max", "700\n")], Some(700));
        check("9:cpu:/x\n4:memory,hugetlb:/x\n", &[("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "5\n")], Some(5));
        check("", &[], None);
        assert_eq!(total_of("MemTotal:       16 kB\nMemFree: 1 kB\n"), Some(16_384));
    }
}
