//! What docker is asked to do, in which order, and what people are told: against a program that answers as docker does,
//! and against a real engine where there is one.
//!
//! The port is chosen by what is tested, so the tests learn it from docker's words and serve it with an embedded broker.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use tempfile::TempDir;
use velostream_broker::{Broker, BrokerConfig};

use super::*;

const KAFKA: &str = "confluentinc/cp-kafka:7.5.0";
const VERSION: &str = "version --format {{.Server.Version}}";
const FIND: &str = "ps --filter label=velostream.test.reusable=true --filter ancestor=confluentinc/cp-kafka:7.5.0 \
                    --filter status=running --format {{.Names}}";
const HAS_IMAGE: &str = "image inspect --format {{.Id}} confluentinc/cp-kafka:7.5.0";
const PULL: &str = "pull confluentinc/cp-kafka:7.5.0";
/// Longer than any of these tests takes.
const LONG: Duration = Duration::from_secs(30);

/// A folder with a `docker`, and what is around a run.
struct World {
    dir: TempDir,
    environment: Vec<(&'static str, String)>,
    told: Arc<Mutex<Vec<String>>>,
    stop: StopHandle,
}

/// What became of a run and can be looked at while it lasts.
type Started = Result<Option<Container>, String>;

impl World {
    /// With answers of docker in place of the usual ones: the command and the lines of a shell.
    fn with(answers: &[(&str, &str)]) -> World {
        let dir = TempDir::new().expect("a folder");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/container/fake_docker.sh");
        std::os::unix::fs::symlink(script, dir.path().join("docker")).expect("a link");
        for (command, lines) in answers {
            std::fs::write(dir.path().join(format!("{command}.sh")), lines).expect("written");
        }
        let environment = vec![("PATH", dir.path().to_str().expect("a name").to_owned())];
        World { dir, environment, told: Arc::default(), stop: StopHandle::new() }
    }

    fn set(mut self, name: &'static str, value: &str) -> World {
        self.environment.insert(0, (name, value.to_owned()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, flags: [bool; 3], ready_within: Duration) -> Started {
        let [use_testcontainers, reuse_containers, keep_containers] = flags;
        let args = ContainerArgs { use_testcontainers, reuse_containers, keep_containers };
        let told = Arc::clone(&self.told);
        let tell: Tell = Arc::new(move |line| told.lock().expect("whole").push(line.to_owned()));
        let env = |name: &str| self.environment.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
        start_on(&Terms { ready_within, tell }, &args, &env, &self.stop)
    }

    /// The same with a broker on the port that docker is told, from the moment it is.
    fn start_served(&self, flags: [bool; 3]) -> (Started, Broker) {
        thread::scope(|scope| {
            let engine = scope.spawn(|| serve(self.port_told()));
            let started = self.start(flags, LONG);
            (started, engine.join().expect("a broker"))
        })
    }

    /// Waits until docker was told a port.
    fn port_told(&self) -> u16 {
        let port = |call: &String| call.split_once("--publish 127.0.0.1:")?.1.split(':').next()?.parse().ok();
        self.until(|| self.calls().iter().find_map(port))
    }

    fn until<T>(&self, mut found: impl FnMut() -> Option<T>) -> T {
        let begun = monotonic();
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(begun.elapsed() < LONG, "it does not come; docker was asked {:?}", self.calls());
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// What docker was asked so far.
    fn calls(&self) -> Vec<String> {
        match std::fs::read_to_string(self.path("calls")) {
            Ok(calls) => calls.lines().map(str::to_owned).collect(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => panic!("{error}"),
        }
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().expect("whole").clone()
    }
}

fn serve(port: u16) -> Broker {
    Broker::start(BrokerConfig { port, ..BrokerConfig::default() }).expect("the port is free")
}

fn running(started: Started) -> Container {
    started.unwrap_or_else(|why| panic!("{why}")).expect("it was asked for")
}

fn refused(started: Started) -> String {
    match started {
        Ok(_) => panic!("nothing was wrong"),
        Err(why) => why,
    }
}

/// The name in the words of `docker run`.
fn name_in(call: &str) -> String {
    let name = call.split_once("--name ").and_then(|(_, rest)| rest.split(' ').next());
    name.expect("containers have names").to_owned()
}

const USE: [bool; 3] = [true, false, false];
const REUSE: [bool; 3] = [true, true, false];
const KEEP: [bool; 3] = [true, false, true];

#[test]
fn nothing_is_asked_of_docker_unasked() {
    let world = World::with(&[]).set("VELOSTREAM_TEST_CONTAINER", "rabbit");
    assert!(world.start([false; 3], LONG).is_ok_and(|container| container.is_none()));
    assert!(world.calls().is_empty());
    let unasked = start(&ContainerArgs::default(), &|name| panic!("{name} is of no interest"), &world.stop);
    assert!(unasked.is_ok_and(|container| container.is_none()));
}

#[test]
fn a_container_lasts_as_long_as_the_run() {
    let world = World::with(&[]);
    let (started, broker) = world.start_served(USE);
    let container = running(started);
    assert_eq!(container.bootstrap(), broker.bootstrap());
    let port = broker.addresses()[0].rsplit_once(':').expect("host and port").1.to_owned();

    let calls = world.calls();
    assert_eq!(calls[..2], [VERSION, HAS_IMAGE]);
    let name = name_in(&calls[2]);
    let (at, of) = name.strip_prefix("velo-test-").and_then(|rest| rest.split_once('-')).expect("time and port");
    assert_eq!(of, port);
    let start = Start {
        name: &name,
        port: port.parse().expect("a number"),
        is_kept: false,
        at: Duration::from_secs(at.parse().expect("a number")),
    };
    assert_eq!(calls[2], Image::Kafka.run_words(start).join(" "));
    assert!(
        calls[3..]
            .iter()
            .all(|call| *call == format!("inspect --type container --format {{{{.State.Status}}}} {name}"))
    );
    let told = world.told();
    assert_eq!(told[0], format!("starting {KAFKA} on port {port} …"));
    assert!(told[1].starts_with(&format!("broker at 127.0.0.1:{port} after ")) && told.len() == 2, "{told:?}");

    let before = calls.len();
    drop(container);
    assert_eq!(world.calls()[before..], [format!("rm --force --volumes {name}")]);
    assert_eq!(world.told().len(), 2, "nothing to tell of it");
}

#[test]
fn redpanda_is_started_if_it_is_asked_for() {
    let world = World::with(&[]).set("VELOSTREAM_TEST_CONTAINER", "redpanda");
    let (started, _broker) = world.start_served(USE);
    running(started);
    assert!(world.calls()[2].contains(" redpandadata/redpanda:v23.2.14 redpanda start --mode dev-container "));
    assert!(world.told()[0].starts_with("starting redpandadata/redpanda:v23.2.14 on port "));
}

#[test]
fn a_container_that_is_to_be_kept_stays() {
    let world = World::with(&[]);
    let (started, broker) = world.start_served(KEEP);
    drop(running(started));
    let calls = world.calls();
    assert!(calls[2].contains("--label velostream.test.reusable=true"), "others may take it: {}", calls[2]);
    assert!(!calls.iter().any(|call| call.starts_with("rm") || call.starts_with("ps")), "{calls:?}");
    let name = name_in(&calls[2]);
    let kept = format!(
        "the container {name} is kept: broker at {}; docker rm --force --volumes {name} removes it",
        broker.bootstrap()
    );
    assert_eq!(world.told().last(), Some(&kept));
}

#[test]
fn a_container_of_an_earlier_run_is_taken() {
    let broker = serve(0);
    let ports = format!("echo '40001/tcp -> {}'", broker.bootstrap());
    let world = World::with(&[("ps", "echo velo-test-8\necho velo-test-7\n"), ("port", &ports)]);
    let container = running(world.start(REUSE, LONG));
    assert_eq!(container.bootstrap(), broker.bootstrap());
    drop(container);
    assert_eq!(world.calls(), [VERSION, FIND, "port velo-test-8"], "the youngest, and it stays");
    assert_eq!(world.told(), [format!("using the container velo-test-8: broker at {}", broker.bootstrap())]);
}

#[test]
fn without_one_it_is_started_for_the_runs_to_come() {
    let world = World::with(&[]);
    let (started, _broker) = world.start_served(REUSE);
    drop(running(started));
    let calls = world.calls();
    assert_eq!(calls[..3], [VERSION, FIND, HAS_IMAGE]);
    assert!(calls[3].contains("--label velostream.test.reusable=true"), "{}", calls[3]);
    assert!(!calls.iter().any(|call| call.starts_with("rm")), "{calls:?}");
    assert!(world.told().last().is_some_and(|told| told.contains(" is kept: broker at 127.0.0.1:")));
}

#[test]
fn a_container_that_does_not_answer_is_told_and_stays() {
    let free = free_port().expect("a free port");
    let ports = format!("echo '40001/tcp -> 127.0.0.1:{free}'");
    let world = World::with(&[("ps", "echo velo-test-8"), ("port", &ports)]);
    let why = refused(world.start(REUSE, Duration::from_millis(100)));
    let told =
        format!("the container velo-test-8 of {KAFKA} has no broker at 127.0.0.1:{free} after 0.1 s; its log is empty");
    assert!(why.starts_with(&told), "{why}");
    assert!(why.contains("remove it (docker rm --force --volumes velo-test-8) and run again"), "{why}");
    assert!(!world.calls().iter().any(|call| call.starts_with("rm")));

    let world = World::with(&[("ps", "echo velo-test-8")]);
    let why = refused(world.start(REUSE, LONG));
    assert!(why.starts_with("the container velo-test-8 has no port on this machine (docker port says \"\")"), "{why}");
}

#[test]
fn docker_is_missing() {
    let world = World::with(&[]).set("PATH", "");
    let expect = "--use-testcontainers needs docker, which is not on PATH: install Docker, or name a running broker by \
                  --kafka HOST:PORT, or leave --use-testcontainers out: the embedded broker needs nothing";
    assert_eq!(refused(world.start(USE, LONG)), expect);
}

#[test]
fn the_engine_is_missing() {
    let version = "echo 'Cannot connect to the Docker daemon. Is the docker daemon running?' >&2; exit 1";
    let world = World::with(&[("version", version)]);
    let expect = "Docker's engine does not answer (Cannot connect to the Docker daemon. Is the docker daemon running?): \
                  start Docker, or name a running broker by --kafka HOST:PORT, or leave --use-testcontainers out: the \
                  embedded broker needs nothing";
    assert_eq!(refused(world.start(USE, LONG)), expect);
    assert_eq!(world.calls(), [VERSION]);
}

#[test]
fn a_broker_that_is_not_known() {
    let world = World::with(&[]).set("VELOSTREAM_TEST_CONTAINER", "rabbit");
    let why = refused(world.start(USE, LONG));
    assert!(why.contains("\"rabbit\"") && why.contains("kafka or redpanda"), "{why}");
    assert!(world.calls().is_empty());
}

#[test]
fn an_image_is_pulled_if_it_is_not_there() {
    let world = World::with(&[("image", "exit 1")]);
    let (started, _broker) = world.start_served(USE);
    running(started);
    assert_eq!(world.calls()[1..3], [HAS_IMAGE, PULL]);
    assert_eq!(world.told()[0], format!("pulling {KAFKA}; this is done once and may take minutes …"));

    let pull = "echo 'Using default tag'\necho 'no route to host' >&2\nexit 1";
    let world = World::with(&[("image", "exit 1"), ("pull", pull)]);
    let why = refused(world.start(USE, LONG));
    assert!(why.starts_with(&format!("docker cannot pull {KAFKA} (no route to host): make the registry ")), "{why}");
    assert_eq!(world.calls(), [VERSION, HAS_IMAGE, PULL], "nothing was started");
}

#[test]
fn a_container_that_cannot_be_started_is_removed() {
    let run = "echo 'docker: port is already allocated.' >&2\nexit 125";
    let world = World::with(&[("run", run)]);
    let why = refused(world.start(USE, LONG));
    assert!(why.starts_with(&format!("docker cannot start {KAFKA}: docker: port is already allocated.; ")), "{why}");
    let calls = world.calls();
    let name = name_in(&calls[2]);
    assert_eq!(calls[3..], [format!("rm --force --volumes {name}")], "docker makes it before it takes the port");
}

#[test]
fn a_broker_that_does_not_come_up_is_told_with_its_log() {
    let logs = "echo 'one line'\necho 'no space left' >&2";
    for flags in [USE, KEEP, REUSE] {
        let world = World::with(&[("logs", logs)]);
        let why = refused(world.start(flags, Duration::from_millis(100)));
        let calls = world.calls();
        let name = name_in(calls.iter().find(|call| call.starts_with("run ")).expect("it was started"));
        let port = world.port_told();
        let expect = format!(
            "the container {name} of {KAFKA} has no broker at 127.0.0.1:{port} after 0.1 s; the last lines of its log:\n  \
             one line\n  no space left\nsee to what the log says and run again, {INSTEAD}"
        );
        assert_eq!(why, expect);
        assert_eq!(
            calls[calls.len() - 2..],
            [format!("logs --tail 20 {name}"), format!("rm --force --volumes {name}")]
        );
    }
}

#[test]
fn an_engine_elsewhere_is_a_reason() {
    let start = |host: &str| refused(World::with(&[]).set("DOCKER_HOST", host).start(USE, Duration::from_millis(50)));
    let why = start("ssh://build@ci");
    assert!(why.contains("DOCKER_HOST is ssh://build@ci: where that is another machine"), "{why}");
    assert!(!start("unix:///run/docker.sock").contains("DOCKER_HOST"));
}

#[test]
fn a_container_that_ends_is_not_waited_for() {
    let world = World::with(&[("inspect", "echo exited"), ("logs", "echo 'CLUSTER_ID is required.'")]);
    let begun = monotonic();
    let why = refused(world.start(USE, LONG));
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    assert!(
        why.contains(" ended before its broker answered (exited); the last lines of its log:\n  CLUSTER_ID"),
        "{why}"
    );
    assert!(world.calls().last().is_some_and(|call| call.starts_with("rm --force --volumes velo-test-")));
}

#[test]
fn a_stopped_run_leaves_nothing() {
    let world = World::with(&[]);
    let why = thread::scope(|scope| {
        scope.spawn(|| {
            world.port_told();
            world.stop.request();
        });
        refused(world.start(KEEP, LONG))
    });
    assert_eq!(why, "interrupted before the broker was ready");
    assert!(world.calls().last().is_some_and(|call| call.starts_with("rm --force --volumes velo-test-")));
}

#[test]
fn a_stopped_run_waits_for_no_pull() {
    let world = World::with(&[("image", "exit 1"), ("pull", "exec sleep 60")]);
    let begun = monotonic();
    let why = thread::scope(|scope| {
        scope.spawn(|| {
            world.until(|| world.calls().contains(&PULL.to_owned()).then_some(()));
            world.stop.request();
        });
        refused(world.start(USE, LONG))
    });
    assert!(why.contains("(interrupted)") && begun.elapsed() < LONG, "{why}");
    assert_eq!(world.calls(), [VERSION, HAS_IMAGE, PULL]);
}

#[test]
fn a_container_that_is_not_removed_is_told() {
    let world = World::with(&[("rm", "echo 'the engine is gone' >&2; exit 1")]);
    let (started, _broker) = world.start_served(USE);
    drop(running(started));
    let name = name_in(&world.calls()[2]);
    let told = format!(
        "the container {name} may still be there (the engine is gone); docker rm --force --volumes {name} removes it"
    );
    assert_eq!(world.told().last(), Some(&told));
}

/// Ctrl-C reaches the group of the process that a terminal runs; one that starts or removes a container is not in it.
#[cfg(target_os = "linux")]
#[test]
fn commands_have_groups_of_their_own() {
    let note = "echo $$ >\"$dir/process\"\ncut -d ' ' -f 5 /proc/$$/stat >\"$dir/group\"";
    let world = World::with(&[("rm", note)]);
    let (started, _broker) = world.start_served(USE);
    drop(running(started));
    let read = |name: &str| std::fs::read_to_string(world.path(name)).expect("it was noted");
    assert_eq!(read("process"), read("group"));
}

#[test]
fn ports_of_the_host() {
    assert_eq!(host_port("40001/tcp -> 127.0.0.1:40002\n"), Some(40_002));
    assert_eq!(host_port("9092/tcp -> 0.0.0.0:49153\n9092/tcp -> [::]:49153\n"), Some(49_153));
    assert_eq!(host_port("9092/tcp -> [::]:49153"), Some(49_153));
    assert_eq!(host_port(""), None);
}

/// Starts what this machine has the image of, takes it again, and removes it. Nothing is pulled for a test.
#[test]
fn a_real_engine() {
    let path = std::env::var("PATH").unwrap_or_default();
    let Some(docker) = Docker::find(&path).filter(|docker| docker.ask(&["info"], None).is_ok()) else {
        println!("skipped: no Docker engine");
        return;
    };
    for (word, image) in [("kafka", Image::Kafka), ("redpanda", Image::Redpanda)] {
        let reference = image.reference();
        if docker.ask(&["image", "inspect", reference], None).is_err() {
            println!("skipped: this machine has no image {reference}; docker pull {reference} brings it");
            continue;
        }
        let mut world = World::with(&[]).set("VELOSTREAM_TEST_CONTAINER", word).set("PATH", &path);
        world.environment.extend(std::env::var("DOCKER_HOST").ok().map(|host| ("DOCKER_HOST", host)));
        let container = running(world.start(KEEP, 4 * LONG));
        let name = container.name.clone();
        let own = Removed(&docker, &name);
        drop(container);
        let bootstrap = running(world.start(REUSE, LONG)).bootstrap().to_owned();
        assert!(answers(&bootstrap, LONG), "{reference} stays");
        drop(own);
        let words = ["ps", "--all", "--filter", &format!("name={name}"), "--format", "{{.Names}}"];
        assert_eq!(docker.ask(&words, None).as_deref(), Ok(""));
    }
}

/// Removes a container that was to be kept, however the test ends.
struct Removed<'a>(&'a Docker, &'a str);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let _ = self.0.ask(&["rm", "--force", "--volumes", self.1], None);
    }
}
