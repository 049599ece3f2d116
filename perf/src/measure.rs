//! One child process: how long it took, how much CPU all its threads used, how much memory it held.
//!
//! CPU comes from the kernel's account of reaped children, in ticks of 10 ms: measure runs of a second and more. It is
//! exact only while one child runs at a time. Memory is sampled, so a peak of a few milliseconds may be missed.
#![allow(clippy::disallowed_methods, reason = "measuring is reading the clock; nothing here runs on a shard")]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// Linux accounts process times in hundredths of a second whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;
const SAMPLE_PERIOD: Duration = Duration::from_millis(4);

/// What one process used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// From start to exit, s.
    pub wall_s: f64,
    /// User and system time of all threads, s.
    pub cpu_s: f64,
    /// Highest resident set.
    pub rss_bytes_max: u64,
    /// Highest anonymous part of it: what the process itself allocated.
    pub anon_bytes_max: u64,
}

/// Runs a command to its end. Its standard output goes to `log` with the extension `out`, its errors to `err`; a
/// failure shows the end of the latter.
pub fn run(command: &mut Command, log: &Path) -> Result<Usage> {
    let name = command.get_program().to_string_lossy().into_owned();
    let errors = log.with_extension("err");
    command.stdin(Stdio::null()).stdout(File::create(log.with_extension("out"))?).stderr(File::create(&errors)?);
    let cpu_before = children_cpu_s()?;
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("start {name}"))?;
    let (status, mut usage) = watch(child)?;
    usage.wall_s = start.elapsed().as_secs_f64();
    usage.cpu_s = children_cpu_s()? - cpu_before;
    if !status.success() {
        let text = std::fs::read_to_string(&errors).unwrap_or_default();
        let tail: Vec<&str> = text.lines().rev().take(15).collect();
        bail!("{name} ended with {status}:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    Ok(usage)
}

/// Samples memory until the process is gone.
fn watch(mut child: Child) -> Result<(std::process::ExitStatus, Usage)> {
    let status_file = format!("/proc/{}/status", child.id());
    let (sender, ended) = mpsc::channel();
    let waiter = std::thread::spawn(move || sender.send(child.wait()));
    let mut usage = Usage::default();
    let status = loop {
        match ended.recv_timeout(SAMPLE_PERIOD) {
            Ok(status) => break status.context("wait for the child")?,
            Err(RecvTimeoutError::Disconnected) => bail!("the waiting thread died"),
            Err(RecvTimeoutError::Timeout) => {
                let Ok(text) = std::fs::read_to_string(&status_file) else { continue };
                usage.rss_bytes_max = usage.rss_bytes_max.max(status_bytes(&text, "VmHWM:"));
                usage.anon_bytes_max = usage.anon_bytes_max.max(status_bytes(&text, "RssAnon:"));
            }
        }
    };
    // The thread has sent its answer, so it is at its end.
    let _ = waiter.join();
    Ok((status, usage))
}

/// Bytes as megabytes.
pub fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The middle of some figures; NaN of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Anonymous memory of a process now; 0 when it is gone.
pub fn anon_bytes(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status_bytes(&text, "RssAnon:")
}

/// Bytes of a `Name:  123 kB` line; 0 when it is not there (a process at its very end).
fn status_bytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// CPU seconds of all children that were waited for.
fn children_cpu_s() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("measuring needs Linux's /proc")?;
    children_ticks(&stat).map(|ticks| ticks as f64 / TICKS_PER_SECOND).context("unknown form of /proc/self/stat")
}

/// Fields 16 and 17 of the line; the second field is a name in parentheses that may hold anything.
fn children_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_ascii_whitespace().skip(13);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Appends a result to a file of JSON lines.
pub fn append(path: &Path, line: &impl Serialize) -> Result<()> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    let mut file = file.with_context(|| format!("open {}", path.display()))?;
    writeln!(file, "{}", serde_json::to_string(line)?).with_context(|| format!("append to {}", path.display()))
}

/// The machine and the moment, for the record.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// UTC.
    pub date: String,
    /// Model name of the first CPU.
    pub cpu: String,
    /// CPUs this process may use.
    pub cpus: usize,
    /// Commit of the working tree, with `-dirty` when it has changes.
    pub commit: String,
}

impl Place {
    /// Here and now; what cannot be known is `unknown`.
    pub fn here() -> Place {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|l| l.strip_prefix("model name")).and_then(|l| l.split_once(':'));
        Place {
            date: answer("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
            cpu: model.map_or("unknown".to_owned(), |(_, name)| name.trim().to_owned()),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            commit: answer("git", &["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]),
        }
    }
}

fn answer(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok();
    let text = output.filter(|o| o.status.success()).map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    text.unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_lines_are_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 70 8 20 0 1 0 9 1 1";
        assert_eq!(children_ticks(stat), Some(78));
        assert_eq!(status_bytes("VmHWM:\t  12 kB\nRssAnon:\t 3 kB\n", "RssAnon:"), 3 * 1024);
        assert_eq!(status_bytes("", "VmHWM:"), 0);
    }

    #[test]
    fn a_failing_child_shows_its_errors() {
        let log = std::env::temp_dir().join(format!("velostream-perf-measure-{}", std::process::id()));
        let error = run(Command::new("sh").args(["-c", "echo because >&2; exit 3"]), &log).expect_err("fails");
        assert!(error.to_string().contains("because"), "{error}");
        for extension in ["out", "err"] {
            std::fs::remove_file(log.with_extension(extension)).expect("clean up");
        }
    }
}
