//! Several apps, one after the other, in one report.

use std::path::PathBuf;

use velostream_runtime::clock::monotonic;
use velostream_spec::report::{AppResult, Suite};

use super::one::{Options, Session, millis, now_text};
use super::{SharedArgs, load};

/// Runs the tests of each app; specs that are not given are found beside the SQL file. A signal ends it with the app it
/// is at.
pub fn run(
    session: &Session,
    title: String,
    apps: Vec<(PathBuf, Option<PathBuf>)>,
    shared: &SharedArgs,
    options: &Options,
) -> Suite {
    let begun = monotonic();
    let mut suite = Suite { title, start_time: now_text(), ..Suite::default() };
    for (sql, spec) in apps {
        if session.is_stopped() {
            break;
        }
        let began = monotonic();
        let name = sql.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let mut result = AppResult { name, ..AppResult::default() };
        match load::load(&sql, spec.as_deref(), shared.schemas.as_deref()) {
            Ok(files) => result.report = Some(session.run(&files, options, &mut shared.output.progress())),
            Err(error) => result.error = Some(error),
        }
        result.duration_ms = millis(began.elapsed());
        suite.apps.push(result);
    }
    suite.end_time = now_text();
    suite.duration_ms = millis(begun.elapsed());
    suite
}
