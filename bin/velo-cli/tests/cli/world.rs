//! The binary run in a folder of its own.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub struct World {
    pub dir: TempDir,
    brokers: Option<String>,
}

#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Standard output of a run that must have gone well.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// Its document.
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// A failure that says all of these.
    pub fn fails(self, parts: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {:?}", self.err);
        }
    }
}

impl World {
    pub fn new() -> World {
        World { dir: TempDir::new().expect("a temporary folder can be made"), brokers: None }
    }

    pub fn at(brokers: &str) -> World {
        World { brokers: Some(brokers.to_owned()), ..World::new() }
    }

    pub fn put(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).expect("files can be written");
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.feed(args, b"")
    }

    /// Runs it with something on standard input.
    pub fn feed(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_velo-cli"));
        command.current_dir(self.dir.path()).args(args).env_remove("VELOSTREAM_KAFKA_BROKERS");
        if let Some(brokers) = &self.brokers {
            command.env("VELOSTREAM_KAFKA_BROKERS", brokers);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        // It may end on a mistake before it reads.
        let _ = child.stdin.take().expect("piped").write_all(input);
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("what is printed is text");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}
