//! The `docker` command: found on PATH, asked, and waited for. It talks to the engine, so this process needs neither the
//! engine's protocol nor its socket.
//!
//! What a command prints goes to temporary files instead of pipes: nothing has to read while it runs, and a command
//! whose own children outlive it holds nobody up. No command is waited for without a limit or a stop handle.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use velostream_runtime::clock::monotonic;
use velostream_runtime::stop::StopHandle;

/// How often the end of a command is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Every answer but a pull comes within a second or two; an engine that hangs must not hang the tests.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// So much of a container's log explains why it did not come up.
const LOG_LINES: &str = "20";

/// The program.
#[derive(Clone, Debug)]
pub struct Docker {
    program: PathBuf,
}

impl Docker {
    /// The first `docker` of these folders.
    pub fn find(path: &str) -> Option<Docker> {
        let programs = std::env::split_paths(path).filter(|dir| dir.is_absolute()).map(|dir| dir.join("docker"));
        programs.into_iter().find(|program| is_executable(program)).map(|program| Docker { program })
    }

    /// What a command prints, or why it failed in the engine's own words. `stop` ends the waiting and the command; one
    /// that makes or removes a container is given none, because what became of it would not be known.
    pub fn ask(&self, words: &[&str], stop: Option<&StopHandle>) -> Result<String, String> {
        let (mut out, mut err) = (file()?, file()?);
        let child = self.command(words).stdout(same(&out)?).stderr(same(&err)?).spawn();
        let status = self.wait(child, stop, Some(ANSWER_WITHIN))?;
        match status.success() {
            true => Ok(text(&mut out).trim_end().to_owned()),
            false => Err(reason(&text(&mut err), words, status)),
        }
    }

    /// Fetches an image. Its progress is shown where somebody sees it.
    pub fn pull(&self, image: &str, stop: &StopHandle) -> Result<(), String> {
        let words = ["pull", image];
        let mut err = file()?;
        let progress = if io::stderr().is_terminal() { Stdio::from(io::stderr()) } else { Stdio::null() };
        let child = self.command(&words).stdout(progress).stderr(same(&err)?).spawn();
        let status = self.wait(child, Some(stop), None)?;
        if status.success() { Ok(()) } else { Err(reason(&text(&mut err), &words, status)) }
    }

    /// The last lines of a container's log, both streams in the order they came.
    pub fn log(&self, container: &str) -> Result<String, String> {
        let mut both = file()?;
        let words = ["logs", "--tail", LOG_LINES, container];
        let child = self.command(&words).stdout(same(&both)?).stderr(same(&both)?).spawn();
        self.wait(child, None, Some(ANSWER_WITHIN))?;
        Ok(text(&mut both).trim_end().to_owned())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // A group of its own: Ctrl-C on a terminal goes to all of a group, and must not end the command that is just
        // removing the container.
        command.args(words).stdin(Stdio::null()).process_group(0);
        command
    }

    fn wait(
        &self,
        child: io::Result<Child>,
        stop: Option<&StopHandle>,
        limit: Option<Duration>,
    ) -> Result<ExitStatus, String> {
        let broken = |error: io::Error| format!("{} cannot be run: {error}", self.program.display());
        let mut child = child.map_err(broken)?;
        let begun = monotonic();
        loop {
            if let Some(status) = child.try_wait().map_err(broken)? {
                return Ok(status);
            }
            let is_stopped = stop.is_some_and(|stop| stop.reason().is_some());
            let late = limit.filter(|limit| begun.elapsed() >= *limit);
            if is_stopped || late.is_some() {
                // Either fails only where the command has just ended.
                let _ = child.kill();
                let _ = child.wait();
                return Err(match late {
                    Some(limit) => format!("no answer within {} s", limit.as_secs()),
                    None => INTERRUPTED.to_owned(),
                });
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }
}

/// What a wait says that a stop handle ended.
pub const INTERRUPTED: &str = "interrupted";

fn is_executable(program: &Path) -> bool {
    program.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn file() -> Result<File, String> {
    tempfile::tempfile().map_err(|error| format!("no temporary file can be made for what docker prints: {error}"))
}

fn same(file: &File) -> Result<File, String> {
    file.try_clone().map_err(|error| format!("what docker prints cannot be kept: {error}"))
}

/// What a command wrote; the part that can be read where not all can.
fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last line that says what is wrong; behind it docker puts where its help is.
fn reason(err: &str, words: &[&str], status: ExitStatus) -> String {
    let is_hint = |line: &str| (line.starts_with("Run '") || line.starts_with("See '")) && line.contains("--help");
    let told = err.lines().map(str::trim).rfind(|line| !line.is_empty() && !is_hint(line));
    told.map_or_else(|| format!("docker {} ended with {status}", words.join(" ")), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_line_that_tells_one() {
        let status = ExitStatus::default();
        let err =
            "docker: Error response from daemon: no space left.\n\nRun 'docker run --help' for more information\n";
        assert_eq!(reason(err, &["run"], status), "docker: Error response from daemon: no space left.");
        assert_eq!(reason("first\nsecond\nSee 'docker run --help'.\n", &["run"], status), "second");
        assert_eq!(reason("\n", &["rm", "a"], status), format!("docker rm a ended with {status}"));
    }

    #[test]
    fn only_programs_count() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().to_str().expect("a name");
        assert!(Docker::find("").is_none() && Docker::find(path).is_none());
        std::fs::write(dir.path().join("docker"), "notes").expect("written");
        assert!(Docker::find(path).is_none(), "a file that cannot be run");
    }
}
