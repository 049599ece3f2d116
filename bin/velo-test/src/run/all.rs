//! `velo-test run-all`: every app that a pattern names, in one process and one report.

use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use glob::{MatchOptions, Pattern};

use super::one::Options;
use super::{SharedArgs, in_session, refused, suite};
use crate::progress::Progress;

/// Apps of a suite share the machine with whatever else a build server does.
const TIMEOUT_MS: u64 = 90_000;

const NOTES: &str = "Patterns: `*` and `?` stand for characters of one name, `**` for any folders, `[ab]` for one of these \
characters. --skip is tried on the path below DIR and on the file's name; copies called NAME.annotated.sql are never run.

Each app is tested by the spec that `velo-test run` would find for it; an app without one fails.

Exit codes: 0 every app passed; 1 one did not, or nothing matches; 2 wrong usage; 130 interrupted.";

/// Command line of `run-all`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub struct RunAllArgs {
    /// Folder that the pattern counts from
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Which SQL files are run
    #[arg(long, value_name = "GLOB", default_value = "apps/*.sql")]
    pattern: String,
    /// Which of them are not; may be given several times
    #[arg(long, value_name = "GLOB", value_parser = Pattern::new)]
    skip: Vec<Pattern>,
    /// How long a query may take where neither its spec nor this says [default: 90000]
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    #[command(flatten)]
    shared: SharedArgs,
}

/// Runs the command.
pub fn run_all(args: &RunAllArgs, verbose: bool) -> Result<ExitCode> {
    let apps = matching(&args.dir, &args.pattern, &args.skip)?;
    if apps.is_empty() {
        let left = if args.skip.is_empty() { "" } else { " that is not skipped" };
        return refused(&format!("error: no file of {} matches {}{left}", args.dir.display(), args.pattern));
    }
    let options =
        Options { timeout_ms: args.timeout_ms, default_timeout_ms: Some(TIMEOUT_MS), ..args.shared.options(verbose) };
    let progress = if verbose { Progress::none() } else { Progress::on_terminal() };
    in_session(&args.shared, progress, |session| {
        let apps = apps.into_iter().map(|sql| (sql, None)).collect();
        let suite = suite::run(session, args.dir.display().to_string(), apps, &args.shared, &options);
        args.shared.output.show_suite(&suite)?;
        Ok(if suite.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// The files that the pattern names and none of the others does, by name.
fn matching(dir: &Path, pattern: &str, skip: &[Pattern]) -> Result<Vec<PathBuf>> {
    // The folder is a name, whatever characters it has.
    let whole = format!("{}/{pattern}", Pattern::escape(&dir.to_string_lossy()));
    let strict = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    let mut found = Vec::new();
    for path in glob::glob_with(&whole, strict).with_context(|| format!("the pattern {pattern} is malformed"))? {
        let path = path.context("cannot look for apps")?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let below = plain(path.strip_prefix(dir).unwrap_or(&path));
        let is_skipped =
            skip.iter().any(|skip| skip.matches_with(&name, strict) || skip.matches_path_with(&below, strict));
        if path.is_file() && !name.ends_with(".annotated.sql") && !is_skipped {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A path without `.`, as patterns are written.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("all [apps]");
        for name in ["apps/b.sql", "apps/a.sql", "apps/a.annotated.sql", "apps/notes.txt", "apps/deep/c.sql", "d.sql"] {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("folders can be made");
            std::fs::write(path, "").expect("files can be written");
        }
        let named = |pattern: &str, skip: &[&str]| -> Vec<String> {
            let skip: Vec<Pattern> = skip.iter().map(|skip| Pattern::new(skip).expect("a pattern")).collect();
            let found = matching(&root, pattern, &skip).expect("a pattern");
            let below = |path: &PathBuf| path.strip_prefix(&root).expect("below").display().to_string();
            found.iter().map(below).collect()
        };
        assert_eq!(named("apps/*.sql", &[]), ["apps/a.sql", "apps/b.sql"]);
        assert_eq!(named("**/*.sql", &[]), ["apps/a.sql", "apps/b.sql", "apps/deep/c.sql", "d.sql"]);
        assert_eq!(named("**/*.sql", &["a.sql", "apps/deep/*"]), ["apps/b.sql", "d.sql"], "by name and by path");
        assert_eq!(named("apps/*.SQL", &[]), Vec::<String>::new());
        assert!(matching(&root, "***", &[]).is_err());
    }
}
