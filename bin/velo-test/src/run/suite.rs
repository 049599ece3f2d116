//! Several apps in one report: some at a time, those alone whose assertions measure the machine.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use velostream_runtime::clock::monotonic;
use velostream_spec::assertion::AssertionKind;
use velostream_spec::report::{AppResult, Suite};
use velostream_spec::spec::{QueryTest, Spec};

use super::SharedArgs;
use super::load::{self, AppFiles};
use super::log::Log;
use super::one::{Options, Session, millis, now_text};

/// An app to run.
struct App {
    name: String,
    files: Result<AppFiles, String>,
}

/// Runs the tests of each app; specs that are not given are found beside the SQL file. A signal ends it with the apps it
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
    let loaded = |(sql, spec): (PathBuf, Option<PathBuf>)| {
        let name = sql.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        App { name, files: load::load(&sql, spec.as_deref(), shared.schemas.as_deref()) }
    };
    let apps: Vec<App> = apps.into_iter().map(loaded).collect();
    let measures = |app: &App| app.files.as_ref().is_ok_and(|files| measures_the_machine(&files.spec));
    let (alone, together): (Vec<usize>, Vec<usize>) = (0..apps.len()).partition(|at| measures(&apps[*at]));
    let results = Mutex::new((0..apps.len()).map(|_| None).collect::<Vec<Option<AppResult>>>());
    let work = |order: &[usize], next: &AtomicUsize| {
        while let Some(at) = order.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !session.is_stopped()) {
            let result = one(session, &apps[*at], options);
            results.lock().unwrap_or_else(PoisonError::into_inner)[*at] = Some(result);
        }
    };
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..shared.jobs().min(together.len()) {
            scope.spawn(|| work(&together, &next));
        }
    });
    work(&alone, &AtomicUsize::new(0));
    session.done();
    suite.apps = results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect();
    suite.end_time = now_text();
    suite.duration_ms = millis(begun.elapsed());
    suite
}

fn one(session: &Session, app: &App, options: &Options) -> AppResult {
    let began = monotonic();
    let mut result = AppResult { name: app.name.clone(), ..AppResult::default() };
    match &app.files {
        Ok(files) => result.report = Some(session.run(files, options, &mut Log::of(options, &app.name))),
        Err(error) => result.error = Some(error.clone()),
    }
    result.duration_ms = millis(began.elapsed());
    result
}

/// Some assertion is about time or memory: nothing else should run meanwhile.
fn measures_the_machine(spec: &Spec) -> bool {
    let is_measure = |kind: &AssertionKind| {
        matches!(
            kind,
            AssertionKind::MemoryUsage { .. }
                | AssertionKind::Throughput { .. }
                | AssertionKind::Latency { .. }
                | AssertionKind::ExecutionTime { .. }
        )
    };
    let has_measure = |query: &QueryTest| {
        let of_outputs = query.outputs.iter().flat_map(|output| &output.assertions);
        query.assertions.iter().chain(of_outputs).any(|assertion| is_measure(&assertion.kind))
    };
    spec.queries.iter().any(has_measure)
}
