//! A folder of files and the binary run in it, the small app that most tests are about, and what of a report is the same
//! in every run.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Orders from a topic, the large ones into another one.
pub const ORDERS: &str = "\
CREATE STREAM orders (id BIGINT NOT NULL, region STRING, amount DECIMAL(10,2))
WITH ('type' = 'kafka_source', 'topic' = 'orders', 'format' = 'json');

CREATE STREAM large_orders AS
SELECT id, region, amount FROM orders WHERE amount >= 100
WITH ('large_orders.type' = 'kafka_sink', 'large_orders.topic' = 'large', 'large_orders.format' = 'json');
";

/// What [`ORDERS`] reads.
pub const SCHEMA: &str = "\
name: orders
key_field: id
fields:
  - name: id
    type: integer
    constraints: {range: {min: 1, max: 1000000}}
  - name: region
    type: string
    constraints: {enum_values: {values: [north, south]}}
  - name: amount
    type: {decimal: {precision: 2}}
    constraints: {range: {min: 1, max: 200}}
";

/// A spec of [`ORDERS`] with one query, these records and these assertions, each a line of flow style.
pub fn spec(records: u32, assertions: &[&str]) -> String {
    let lines: String = assertions.iter().map(|assertion| format!("      - {{{assertion}}}\n")).collect();
    format!(
        "application: shop\nqueries:\n  - name: large_orders\n    inputs:\n      - {{source: orders, records: \
         {records}}}\n    assertions:\n{lines}"
    )
}

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
    /// The report for programs.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {}\n{}", self.out, self.err))
    }

    /// The report of a run that must have passed.
    pub fn passed(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self.report()
    }
}

impl World {
    /// A folder with these files.
    pub fn with(files: &[(&str, &str)]) -> World {
        let world = World { dir: TempDir::new().expect("a temporary folder can be made") };
        for (name, text) in files {
            let path = world.path(name);
            std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("folders can be made");
            std::fs::write(path, text).expect("files can be written");
        }
        world
    }

    /// [`ORDERS`] with its data schema and this spec.
    pub fn shop(spec: &str) -> World {
        World::with(&[("shop.sql", ORDERS), ("schemas/orders.yaml", SCHEMA), ("shop.test.yaml", spec)])
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("the file is there")
    }

    /// Runs `velo-test` with these words in the folder.
    pub fn run(&self, words: &[&str]) -> Ran {
        self.run_with_input(words, "")
    }

    /// The same with something on its standard input.
    pub fn run_with_input(&self, words: &[&str], input: &str) -> Ran {
        self.run_in(words, input, &[])
    }

    /// The same with environment variables.
    pub fn run_in(&self, words: &[&str], input: &str, env: &[(&str, &str)]) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_velo-test"))
            .args(words)
            .envs(env.iter().copied())
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut typed = child.stdin.take().expect("its input is piped");
        // Who needs no input may be gone already.
        let _ = typed.write_all(input.as_bytes());
        drop(typed);
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("what is printed is text");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A report for people without what was measured: times, figures, and the run's id.
pub fn settled(text: &str) -> String {
    let figures = |line: &str| {
        let names = line.split(", ").map(|figure| figure.split_once(' ').map_or(figure, |(name, _)| name));
        names.map(|name| format!("{name} N")).collect::<Vec<_>>().join(", ")
    };
    let line = |line: &str| match (line.strip_prefix("        measured "), line.strip_prefix("  run ")) {
        (Some(measured), _) => format!("        measured {}\n", figures(measured)),
        (None, Some(run)) => {
            let seed = run.split(", ").find(|part| part.starts_with("seed ")).unwrap_or_default();
            format!("  run ID, {seed}, N ms\n")
        }
        (None, None) => match line.rsplit_once(" (") {
            Some((query, time)) if !line.starts_with(' ') && time.ends_with(" ms)") => format!("{query} (N ms)\n"),
            _ => format!("{line}\n"),
        },
    };
    text.lines().map(line).collect()
}

/// A report for programs without what was measured.
pub fn comparable(mut report: Value) -> Value {
    fn strip(value: &mut Value) {
        if let Some(object) = value.as_object_mut() {
            object.remove("measured");
            object.values_mut().for_each(strip);
        }
        value.as_array_mut().into_iter().flatten().for_each(strip);
    }
    strip(&mut report);
    report
}
