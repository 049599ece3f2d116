//! Demo apps with broken lines: whatever stands in a spec, a data schema or the SQL, a run ends with a report or an error,
//! in time, and says why.

use std::path::{Path, PathBuf};
use std::time::Duration;

use velostream_runtime::clock::monotonic;

use crate::world::World;

#[path = "../../../../harness/tests/support/share.rs"]
mod share;

/// Cases of a whole run.
const CASES: u64 = 3_000;
/// A broken app may be as slow as its queries' time-outs, and no slower.
const PATIENCE: Duration = Duration::from_secs(60);

const WORDS: [&str; 30] = [
    "null",
    "-1",
    "1e400",
    "99999999999999999999",
    "[]",
    "{}",
    "~",
    "\"",
    "'",
    "{{",
    "}}",
    "$",
    "é",
    "true",
    "n",
    "records",
    "type",
    "from_previous",
    "-5h",
    "2025-13-01",
    "(?",
    "*",
    "&a",
    "!!x",
    "%",
    "0",
    "sum(",
    "inputs.x.count / 0",
    "9223372036854775807",
    "\u{feff}",
];

/// Numbers that look random, the same from the same seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n.max(1)
    }

    fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }
}

/// A place inside a line, between two characters.
fn cut(line: &str, draw: &mut Draw) -> usize {
    let places: Vec<usize> = line.char_indices().map(|(at, _)| at).chain([line.len()]).collect();
    *draw.one(&places)
}

fn broken(text: &str, draw: &mut Draw) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..=draw.below(4) {
        let at = draw.below(lines.len());
        let Some(line) = lines.get(at).cloned() else { break };
        match draw.below(6) {
            0 => drop(lines.remove(at)),
            1 => {
                let other = draw.one(&lines).clone();
                lines.insert(at, other);
            }
            2 => {
                let mut words: Vec<&str> = line.split(' ').collect();
                let place = draw.below(words.len());
                words[place] = *draw.one(&WORDS);
                lines[at] = words.join(" ");
            }
            3 => lines[at] = format!("{}: {}", line.split(':').next().unwrap_or_default(), draw.one(&WORDS)),
            4 => {
                let place = cut(&line, draw);
                let word: &str = draw.one::<&str>(&WORDS);
                lines[at].insert_str(place, word);
            }
            _ => lines[at].truncate(cut(&line, draw)),
        }
    }
    lines.join("\n")
}

/// Files below a folder, by name, with their texts.
fn files(folder: &Path, below: &Path, found: &mut Vec<(PathBuf, String)>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        let name = below.join(path.file_name().expect("it has a name"));
        match path.is_dir() {
            true => files(&path, &name, found),
            false => found.extend(std::fs::read_to_string(&path).ok().map(|text| (name, text))),
        }
    }
}

#[test]
fn broken_apps_end_with_a_word() {
    let demos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/test_harness_examples");
    let folders = ["tier1_basic", "tier2_aggregations", "tier3_joins", "tier4_windows", "tier5_complex", "quickstart"];
    let mut apps = Vec::new();
    for folder in folders {
        let mut all = Vec::new();
        files(&demos.join(folder), Path::new(""), &mut all);
        apps.push(all);
    }
    let (seed, cases, begun) = (1, share::share_of(CASES, 50), monotonic());
    let mut draw = Draw(seed);
    for case in 0..cases {
        let mut app = draw.one(&apps).clone();
        let of = |extension: &str, app: &[(PathBuf, String)]| -> Vec<usize> {
            (0..app.len()).filter(|at| app[*at].0.to_string_lossy().ends_with(extension)).collect()
        };
        let spec = *draw.one(&of(".test.yaml", &app));
        let sql = app[spec].0.to_string_lossy().replace(".test.yaml", ".sql");
        let target = match draw.below(5) {
            0 => app.iter().position(|(name, _)| name.to_string_lossy() == sql).unwrap_or(spec),
            1 => *draw.one(&of(".yaml", &app)),
            _ => spec,
        };
        app[target].1 = broken(&app[target].1, &mut draw);
        let written: Vec<(&str, &str)> =
            app.iter().map(|(name, text)| (name.to_str().expect("a name"), text.as_str())).collect();
        let world = World::with(&written);
        let form = *draw.one(&["text", "json", "junit"]);
        let at = monotonic();
        let ran = world.run(&["run", &sql, "--seed", "1", "--timeout-ms", "5000", "-o", form]);
        let shown = || format!("case {case}, {}:\n{}\n{}{}", app[target].0.display(), app[target].1, ran.out, ran.err);
        assert!(matches!(ran.code, Some(0 | 1)), "exit code {:?} of {}", ran.code, shown());
        assert!(!ran.err.contains("panicked"), "{}", shown());
        assert!(!ran.out.is_empty() || !ran.err.is_empty(), "nothing is said of {}", shown());
        assert!(at.elapsed() < PATIENCE, "{:?} for {}", at.elapsed(), shown());
    }
    println!("suite velo_test_mutations cases {cases} seed {seed} seconds {:.1}", begun.elapsed().as_secs_f64());
}
