//! Runs every file under `scenarios/`. Arguments: `--bless` rewrites the expected blocks, any other word is a filter on
//! the path. Exits 1 on any difference.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use velostream_harness::scenario::run_file;

fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|e| e == "slt") {
            into.push(path);
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let bless = args.iter().any(|a| a == "--bless");
    let filters: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut paths = Vec::new();
    files(&root, &mut paths);
    paths.sort();
    let (mut passed, mut failed, mut cases) = (0, 0, 0);
    for path in &paths {
        let name = path.strip_prefix(&root).unwrap_or(path).display().to_string();
        if !filters.is_empty() && !filters.iter().any(|f| name.contains(f.as_str())) {
            continue;
        }
        let result =
            std::fs::read_to_string(path).map_err(|e| e.to_string()).and_then(|text| run_file(path, &text, bless));
        match result {
            Ok(outcome) if outcome.failures.is_empty() => {
                passed += 1;
                cases += outcome.cases;
                if let Some(text) = outcome.blessed
                    && let Err(e) = std::fs::write(path, text)
                {
                    println!("{name}: cannot write: {e}");
                }
            }
            Ok(outcome) => {
                failed += 1;
                cases += outcome.cases;
                println!("FAILED {name}");
                outcome.failures.iter().take(3).for_each(|f| println!("{f}"));
            }
            Err(error) => {
                failed += 1;
                println!("FAILED {name}\n{error}\n");
            }
        }
    }
    println!("scenario files, {cases} cases");
    println!("scenarios: {passed} passed, {failed} failed");
    if failed > 0 || passed == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
