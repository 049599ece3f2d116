//! A broker in a process of its own, so that it can be killed with nothing said and started again on the same port over
//! the same folder, and told to go wrong.
//!
//! The process is this test binary once more: with the variables below set, its one test is to be the broker. No other
//! binary has to be built first. It ends with its standard input, so none is left over when a test panics.

use std::io::{BufRead, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use velostream_broker::{Broker, BrokerConfig, Fault};

use super::world::wait;

const DIR: &str = "VELO_TEST_BROKER_DIR";
const PORT: &str = "VELO_TEST_BROKER_PORT";
/// Ports tried are below the range from which outgoing connections get theirs: there, a client that keeps connecting to
/// a broker that is away can take the broker's port, or even reach itself.
const PORTS: std::ops::Range<u16> = 21_000..29_000;
/// Distance of the ports at which two brokers of a process begin to look.
const APART: u32 = 1_000;

/// A broker that can be away.
pub struct Process {
    dir: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Process {
    /// Over this folder, on a port nobody uses; not started yet.
    pub fn new(dir: &Path) -> Process {
        // A broker that is away holds no port: each begins to look where no other one of this process does.
        static BROKERS: AtomicU32 = AtomicU32::new(0);
        let nth = std::process::id() + BROKERS.fetch_add(1, Ordering::Relaxed) * APART;
        let first = (nth % PORTS.len() as u32) as u16;
        let free = |p: &u16| TcpListener::bind(("127.0.0.1", *p)).is_ok();
        let mut ports = (0..PORTS.len() as u16).map(|n| PORTS.start + (first + n) % PORTS.len() as u16);
        Process { dir: dir.to_owned(), port: ports.find(free).expect("a free port"), child: None }
    }

    /// What clients call bootstrap.servers.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns when clients can connect.
    pub fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.dir.join("log")).expect("a log");
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command.args(["away::is_the_broker", "--exact", "--nocapture", "--test-threads=1"]);
        command.env(DIR, self.dir.join("data")).env(PORT, self.port.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let child = self.child.insert(command.spawn().expect("this binary starts"));
        wait("the broker", || {
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "the broker ended: {ended:?}, see {}", self.dir.join("log").display());
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// Waits, in the broker's place, until somebody asks for it, and turns them away.
    pub fn miss(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).expect("the broker is away");
        listener.set_nonblocking(true).expect("a listener");
        wait("a client that misses the broker", || listener.accept().is_ok());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it lives");
            child.wait().expect("it is gone");
        }
    }

    /// Sets a fault; not by a request, which would meet the fault itself.
    pub fn inject(&mut self, key: &str, value: &str) {
        let input = self.child.as_mut().and_then(|child| child.stdin.as_mut()).expect("it was started");
        writeln!(input, "velo.fault.{key} {value}").expect("it lives");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may be gone already.
            child.kill().and_then(|()| child.wait()).ok();
        }
    }
}

#[test]
fn is_the_broker() {
    let (Ok(dir), Ok(port)) = (std::env::var(DIR), std::env::var(PORT)) else { return };
    let config = BrokerConfig {
        dir: Some(dir.into()),
        port: port.parse().expect("a port"),
        log: Arc::new(|line| eprintln!("{line}")),
        maintain_every_ms: 86_400_000,
        ..BrokerConfig::default()
    };
    let broker = Broker::start(config).expect("the broker starts");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        let (key, value) = line.split_once(' ').expect("a key and a value");
        broker.inject(&Fault::parse(key, value).expect("a fault")).expect("it can be set");
    }
}
