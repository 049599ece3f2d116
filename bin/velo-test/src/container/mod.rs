//! `--use-testcontainers`: a broker in a container for a run. It is started, waited for until it answers, and removed at
//! the end, unless it is to be kept; `--reuse-containers` takes one that an earlier run left.
//!
//! A container exists from the moment `docker run` is called, whatever that says, and [`Container`] is there before: so
//! every way out removes it.

mod docker;
mod image;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Args;
use velostream_kafka::admin::Admin;
use velostream_runtime::clock::{RunClock, monotonic};
use velostream_runtime::stop::StopHandle;
use velostream_types::Clock;
use velostream_types::topic::Client;

use docker::{Docker, INTERRUPTED};
use image::{Image, REUSABLE, Start};

/// Kafka takes five seconds or so, on a busy build server several times that.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long one attempt to reach the broker takes, and so about how long a signal waits.
const ATTEMPT: Duration = Duration::from_millis(500);
/// Pause after an attempt that failed at once.
const PAUSE: Duration = Duration::from_millis(50);

/// What works without this.
const INSTEAD: &str = "or name a running broker by --kafka HOST:PORT, or leave --use-testcontainers out: the embedded \
                       broker needs nothing";

/// Whether and which container.
#[derive(Clone, Debug, Default, Args)]
pub struct ContainerArgs {
    /// Run the tests at a broker in a container, which Docker starts and removes again
    #[arg(long)]
    use_testcontainers: bool,
    /// Take the container that an earlier run kept, else start one, and keep it for the next run
    #[arg(long, requires = "use_testcontainers")]
    reuse_containers: bool,
    /// Leave the container running at the end
    #[arg(long, requires = "use_testcontainers")]
    keep_containers: bool,
}

/// A running broker in a container; dropping it removes the container, unless it is to be kept.
pub struct Container {
    docker: Docker,
    name: String,
    bootstrap: String,
    fate: Fate,
    tell: Tell,
}

impl Container {
    /// Where clients reach the broker.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }
}

/// What becomes of a container at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It goes.
    Removed,
    /// It stays, and its address is told.
    Kept,
    /// It was there before and stays.
    Others,
}

/// Takes a line for people.
type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// What tests choose and commands do not.
struct Terms {
    ready_within: Duration,
    tell: Tell,
}

/// The container that these flags ask for; `None` unless one is. `stop` ends the waiting with an error: whoever stopped
/// the run knows why.
pub fn start(
    args: &ContainerArgs,
    env: &dyn Fn(&str) -> Option<String>,
    stop: &StopHandle,
) -> Result<Option<Container>, String> {
    let terms = Terms { ready_within: READY_WITHIN, tell: Arc::new(|line| eprintln!("{line}")) };
    start_on(&terms, args, env, stop)
}

fn start_on(
    terms: &Terms,
    args: &ContainerArgs,
    env: &dyn Fn(&str) -> Option<String>,
    stop: &StopHandle,
) -> Result<Option<Container>, String> {
    if !args.use_testcontainers {
        return Ok(None);
    }
    let image = Image::named(env(image::VARIABLE).as_deref())?;
    let docker = Docker::find(&env("PATH").unwrap_or_default())
        .ok_or_else(|| format!("--use-testcontainers needs docker, which is not on PATH: install Docker, {INSTEAD}"))?;
    docker
        .ask(&["version", "--format", "{{.Server.Version}}"], Some(stop))
        .map_err(|why| format!("Docker's engine does not answer ({why}): start Docker, {INSTEAD}"))?;
    let setup = Setup { terms, docker, image, host: env("DOCKER_HOST"), stop };
    if args.reuse_containers
        && let Some(container) = setup.attach()?
    {
        return Ok(Some(container));
    }
    let is_kept = args.reuse_containers || args.keep_containers;
    setup.launch(is_kept).map(Some)
}

/// What it takes to get a container.
struct Setup<'a> {
    terms: &'a Terms,
    docker: Docker,
    image: Image,
    /// The engine's address, where it is not the usual one.
    host: Option<String>,
    stop: &'a StopHandle,
}

impl Setup<'_> {
    /// The container of an earlier run, if there is one.
    fn attach(&self) -> Result<Option<Container>, String> {
        let (label, ancestor) = (format!("label={REUSABLE}=true"), format!("ancestor={}", self.image.reference()));
        let filters = ["--filter", &label, "--filter", &ancestor, "--filter", "status=running"];
        let words: Vec<&str> = ["ps"].into_iter().chain(filters).chain(["--format", "{{.Names}}"]).collect();
        let found = self.ask(&words)?;
        // The youngest stands first.
        let Some(name) = found.lines().next() else { return Ok(None) };
        let ports = self.ask(&["port", name])?;
        let port = host_port(&ports).ok_or_else(|| {
            format!(
                "the container {name} has no port on this machine (docker port says \"{}\"), so its broker cannot be \
                 reached: remove it (docker rm --force --volumes {name}), and the next run starts another",
                ports.trim()
            )
        })?;
        let container = self.container(name.to_owned(), port, Fate::Others);
        self.wait_for(&container)?;
        (self.terms.tell)(&format!("using the container {name}: broker at {}", container.bootstrap));
        Ok(Some(container))
    }

    /// A container of this run.
    fn launch(&self, is_kept: bool) -> Result<Container, String> {
        let reference = self.image.reference();
        self.provide(reference)?;
        let port = free_port()?;
        let at = Duration::from_nanos(u64::try_from(RunClock::System.now_ns()).unwrap_or(0));
        let name = format!("velo-test-{}-{port}", at.as_secs());
        let begun = monotonic();
        (self.terms.tell)(&format!("starting {reference} on port {port} …"));
        let mut container = self.container(name, port, Fate::Removed);
        let words = self.image.run_words(Start { name: &container.name, port, is_kept, at });
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.docker
            .ask(&words, None)
            .map_err(|why| format!("docker cannot start {reference}: {why}; see to that and run again, {INSTEAD}"))?;
        self.wait_for(&container)?;
        (self.terms.tell)(&format!("broker at {} after {:.1} s", container.bootstrap, begun.elapsed().as_secs_f32()));
        if is_kept {
            container.fate = Fate::Kept;
        }
        Ok(container)
    }

    /// Sees to it that the image is on this machine.
    fn provide(&self, reference: &str) -> Result<(), String> {
        let words = ["image", "inspect", "--format", "{{.Id}}", reference];
        if self.docker.ask(&words, Some(self.stop)).is_ok() {
            return Ok(());
        }
        self.not_stopped()?;
        (self.terms.tell)(&format!("pulling {reference}; this is done once and may take minutes …"));
        self.docker.pull(reference, self.stop).map_err(|why| {
            format!(
                "docker cannot pull {reference} ({why}): make the registry reachable or bring the image here (docker \
                 load), {INSTEAD}"
            )
        })
    }

    fn container(&self, name: String, port: u16, fate: Fate) -> Container {
        let bootstrap = format!("{}:{port}", Ipv4Addr::LOCALHOST);
        Container { docker: self.docker.clone(), name, bootstrap, fate, tell: Arc::clone(&self.terms.tell) }
    }

    fn ask(&self, words: &[&str]) -> Result<String, String> {
        self.docker.ask(words, Some(self.stop)).map_err(|why| format!("docker {} failed: {why}", words.join(" ")))
    }

    fn not_stopped(&self) -> Result<(), String> {
        match self.stop.reason() {
            Some(_) => Err(format!("{INTERRUPTED} before the broker was ready")),
            None => Ok(()),
        }
    }

    /// Waits until the broker answers, or its container has ended, or the time is over.
    fn wait_for(&self, container: &Container) -> Result<(), String> {
        let begun = monotonic();
        let within = self.terms.ready_within;
        while !answers(&container.bootstrap, within.saturating_sub(begun.elapsed()).min(ATTEMPT)) {
            self.not_stopped()?;
            let words = ["inspect", "--type", "container", "--format", "{{.State.Status}}", &container.name];
            let status = self.docker.ask(&words, None).unwrap_or_else(|why| why);
            if !["created", "running", "restarting"].contains(&status.as_str()) {
                return Err(self.explained(container, &format!("ended before its broker answered ({status})")));
            }
            if begun.elapsed() >= within {
                let waited = format!("has no broker at {} after {:.1} s", container.bootstrap, within.as_secs_f32());
                return Err(self.explained(container, &waited));
            }
            thread::park_timeout(PAUSE);
        }
        // What was asked for may come too late to be of use.
        self.not_stopped()
    }

    /// What is wrong with a container, what its log says, and what can be done.
    fn explained(&self, container: &Container, what: &str) -> String {
        let log = match self.docker.log(&container.name) {
            Ok(log) if log.is_empty() => "; its log is empty".to_owned(),
            Ok(log) => format!("; the last lines of its log:\n  {}", log.replace('\n', "\n  ")),
            Err(why) => format!("; its log cannot be read: {why}"),
        };
        let mut todo = Vec::new();
        if let Some(host) = self.host.as_ref().filter(|host| host.starts_with("tcp://") || host.starts_with("ssh://")) {
            todo.push(format!(
                "DOCKER_HOST is {host}: where that is another machine, its ports are not those of this one"
            ));
        }
        todo.push(match container.fate {
            Fate::Others => format!("remove it (docker rm --force --volumes {}) and run again", container.name),
            Fate::Removed | Fate::Kept => "see to what the log says and run again".to_owned(),
        });
        format!(
            "the container {} of {} {what}{log}\n{}, {INSTEAD}",
            container.name,
            self.image.reference(),
            todo.join("; ")
        )
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let Container { docker, name, bootstrap, fate, tell } = self;
        let by_hand = format!("docker rm --force --volumes {name}");
        match fate {
            Fate::Others => {}
            Fate::Kept => tell(&format!("the container {name} is kept: broker at {bootstrap}; {by_hand} removes it")),
            Fate::Removed => {
                // The volume is the broker's log, which has no name and no other user.
                if let Err(why) = docker.ask(&["rm", "--force", "--volumes", name], None) {
                    tell(&format!("the container {name} may still be there ({why}); {by_hand} removes it"));
                }
            }
        }
    }
}

/// A port that is free now. Docker takes it a moment later; whoever takes it between makes the start fail with a reason.
fn free_port() -> Result<u16, String> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|error| format!("there is no free port on 127.0.0.1: {error}"))
}

/// The port of the host in what `docker port` says (`40001/tcp -> 127.0.0.1:40001`).
fn host_port(ports: &str) -> Option<u16> {
    ports.lines().find_map(|line| line.split_once(" -> ")?.1.trim().rsplit_once(':')?.1.parse().ok())
}

/// A broker is ready when it answers a request for metadata. The client is a new one each time: an old one waits longer
/// and longer before it connects again.
fn answers(bootstrap: &str, patience: Duration) -> bool {
    let settings = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    let client = Client { settings, origins: BTreeMap::new() };
    Admin::open(&client, patience).and_then(|admin| admin.topics()).is_ok()
}
