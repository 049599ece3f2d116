//! A folder of files and the binary run in it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// A folder that is removed at the end.
pub struct World {
    dir: TempDir,
}

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    fn of(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).expect("what is printed is text");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Standard output of a run that must have gone well.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self.out
    }

    /// The summary for programs.
    pub fn summary(&self) -> Value {
        let text = if self.out.trim_start().starts_with("{\"status\"") { &self.out } else { &self.err };
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }
}

impl World {
    pub fn new() -> World {
        World { dir: TempDir::new().expect("a temporary folder can be made") }
    }

    /// A world with these files.
    pub fn with(files: &[(&str, &str)]) -> World {
        let world = World::new();
        files.iter().for_each(|(name, text)| world.put(name, text));
        world
    }

    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("files can be written");
    }

    pub fn append(&self, name: &str, content: &str) {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.path(name)).expect("the file is there");
        file.write_all(content.as_bytes()).expect("files can be written");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Names of the files, ascending.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).expect("the folder is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The binary, about to run in the folder.
    pub fn velo(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_velo-sql"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.velo(args).output().expect("the binary starts"))
    }

    /// Runs it with something on standard input.
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        let mut child = self.start_with(args, Stdio::piped());
        let written = child.stdin.take().expect("piped").write_all(input.as_bytes());
        // A run that finds a mistake may end before it has read anything.
        let ran = Ran::of(child.wait_with_output().expect("it ends"));
        assert!(written.is_ok() || ran.code != Some(0), "{written:?}: {ran:?}");
        ran
    }

    /// Starts it.
    pub fn start(&self, args: &[&str]) -> Child {
        self.start_with(args, Stdio::null())
    }

    fn start_with(&self, args: &[&str], stdin: Stdio) -> Child {
        let mut command = self.velo(args);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the binary starts")
    }
}

/// Sends a signal and waits for the end.
pub fn end(child: Child, signal: &str) -> Ran {
    send(&child, signal);
    Ran::of(child.wait_with_output().expect("it ends"))
}

pub fn send(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill is there");
    assert!(status.success(), "the process was gone");
}

/// Waits until something holds, for a minute at most.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..30_000 {
        if holds() {
            return;
        }
        thread::park_timeout(Duration::from_millis(2));
    }
    panic!("waited in vain until {what}");
}

/// Size of a file; 0 when it is not there.
pub fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |meta| meta.len())
}
