//! A run that follows files while they grow: its memory, the lines it wrote, its summary. Used where a measure feeds the
//! engine itself.
#![allow(clippy::disallowed_methods, reason = "measuring is reading the clock; nothing here runs on a shard")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::measure::anon_bytes;

const SAMPLE: Duration = Duration::from_millis(5);
/// A run that writes nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A followed run and what was seen of it.
pub struct Followed {
    child: Child,
    output: PathBuf,
    peak: u64,
    /// Lines of the output counted so far, and bytes of it.
    lines: u64,
    seen: u64,
    moved: Instant,
}

impl Followed {
    /// Starts a command that follows its input and writes lines to `output`.
    pub fn start(command: &mut Command, output: &Path) -> Result<Followed> {
        let command = command.arg("--follow").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().context("start velo-sql")?;
        Ok(Followed { child, output: output.to_owned(), peak: 0, lines: 0, seen: 0, moved: Instant::now() })
    }

    /// The most anonymous memory that was seen.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// Looks at the memory; answers it.
    pub fn sample(&mut self) -> Result<u64> {
        if let Some(status) = self.child.try_wait().context("look at the child")? {
            bail!("velo-sql ended with {status}");
        }
        let now = anon_bytes(self.child.id());
        self.peak = self.peak.max(now);
        Ok(now)
    }

    /// Counts what was written since the last call.
    fn count(&mut self) -> Result<u64> {
        use std::io::{Read, Seek, SeekFrom};
        let Ok(mut file) = File::open(&self.output) else { return Ok(0) };
        file.seek(SeekFrom::Start(self.seen)).context("read the output")?;
        let mut block = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut block).context("read the output")?;
            if read == 0 {
                break;
            }
            self.moved = Instant::now();
            self.seen += read as u64;
            self.lines += memchr::memchr_iter(b'\n', &block[..read]).count() as u64;
        }
        if self.moved.elapsed() > PATIENCE {
            bail!("velo-sql wrote nothing for {} s; {} lines so far", PATIENCE.as_secs(), self.lines);
        }
        Ok(self.lines)
    }

    /// Samples until so many lines are written; answers the memory then.
    pub fn until(&mut self, lines: u64) -> Result<u64> {
        loop {
            let now = self.sample()?;
            if self.count()? >= lines {
                return Ok(now);
            }
            std::thread::park_timeout(SAMPLE);
        }
    }

    /// Samples for so long.
    pub fn during(&mut self, time: Duration) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < time {
            self.sample()?;
            std::thread::park_timeout(SAMPLE);
        }
        self.moved = Instant::now();
        Ok(())
    }

    /// Stops the run; answers its summary.
    pub fn stop(self) -> Result<Value> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().context("kill")?;
        if !status.success() {
            bail!("velo-sql was gone");
        }
        let output = self.child.wait_with_output().context("wait for velo-sql")?;
        serde_json::from_slice(&output.stdout).context("the summary is no JSON")
    }
}
