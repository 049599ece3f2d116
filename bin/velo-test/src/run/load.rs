//! From a path to what is run: the SQL file, its spec, its data schemas, each found beside it or named.

use std::path::{Path, PathBuf};

use velostream_harness::app::deploy::App;
use velostream_harness::app::publish::LoadedSchema;
use velostream_spec::load::{self, find};
use velostream_spec::schema::DataSchema;
use velostream_spec::spec::Spec;
use velostream_sql::diag::{Diagnostic, Severity, render};
use velostream_sql::outline::outline;

use super::sources;

/// A test of one app, ready to run.
#[derive(Debug)]
pub struct AppFiles {
    /// The app.
    pub app: App,
    /// Its spec.
    pub spec: Spec,
    /// File of the spec, as shown.
    pub spec_shown: String,
    /// Text of the spec: part of the run's id.
    pub spec_text: String,
    /// Its data schemas.
    pub schemas: Vec<LoadedSchema>,
    /// What was found and is no error, as it is shown.
    pub warnings: Vec<String>,
}

impl AppFiles {
    /// The spec has a test of this name.
    pub fn has_query(&self, name: &str) -> bool {
        self.spec.queries.iter().any(|query| query.name == name)
    }
}

/// Reads an app with its spec and schemas; the error is what to tell.
pub fn load(sql: &Path, spec: Option<&Path>, schemas: Option<&Path>) -> Result<AppFiles, String> {
    let exists = |path: &Path| path.exists();
    let sql = find::sql_file(sql, &exists).map_err(|missing| missing.to_string())?;
    let text = read(&sql)?;
    let app = App {
        shown: sql.display().to_string(),
        base_dir: sql.parent().map(Path::to_path_buf).unwrap_or_default(),
        name: sql.file_stem().map_or_else(|| "app".to_owned(), |stem| stem.to_string_lossy().into_owned()),
        text,
    };
    let fits = |path: &Path| read(path).is_ok_and(|text| is_about(path, &text, &app));
    let spec_path = match spec {
        Some(spec) => spec.to_path_buf(),
        None => find::spec(&sql, &exists, &fits).map_err(|missing| missing.to_string())?,
    };
    let spec_text = read(&spec_path)?;
    let mut warnings = Vec::new();
    let folder = spec_path.parent().map(Path::to_path_buf).unwrap_or_default();
    let loaded = load::spec(&spec_path.display().to_string(), &spec_text, &folder);
    let shown = |finding: &Diagnostic| render(finding, &app.shown, &app.text, false).trim_end().to_owned();
    let spec = taken(loaded.value, &loaded.findings, &shown, &mut warnings)?;
    let folder = match schemas {
        Some(folder) => Some(folder.to_path_buf()),
        None => find::schema_folder(&sql, &exists).ok(),
    };
    let mut schemas = hinted(&app, &mut warnings)?;
    let (named, missing) = sources::schema_files(&app);
    warnings.extend(missing);
    for path in named {
        let (loaded, more) = schema(&path)?;
        warnings.extend(more);
        schemas.push(loaded);
    }
    for path in folder.iter().flat_map(|folder| schema_files(folder)) {
        // One that cannot be read may be nobody's; who needs it is told that it is not there.
        match schema(&path) {
            Ok((schema, more)) => {
                warnings.extend(more);
                schemas.push(schema);
            }
            Err(error) => warnings.push(error),
        }
    }
    for (name, path) in &spec.schemas {
        let (mut loaded, more) = schema(&spec.folder.join(path))?;
        warnings.extend(more);
        loaded.schema.name.clone_from(name);
        schemas.push(loaded);
    }
    Ok(AppFiles { app, spec, spec_shown: spec_path.display().to_string(), spec_text, schemas, warnings })
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// A spec whose file is called like no app is that of this one when it says so.
fn is_about(path: &Path, text: &str, app: &App) -> bool {
    let loaded = load::spec(&path.display().to_string(), text, Path::new(""));
    let Some(spec) = loaded.value else { return true };
    let outlines = outline(&app.text);
    let statements: Vec<(&str, Option<&Path>)> = outlines
        .iter()
        .filter(|o| o.is_query())
        .filter_map(|o| {
            let name = o.name.as_deref()?;
            let own = format!("{name}.path");
            let file = o.with.iter().find(|entry| entry.key == own).map(|entry| Path::new(entry.value.as_str()));
            Some((name, file))
        })
        .collect();
    find::is_about(&spec, &find::App { name: None, stem: &app.name, statements: &statements })
}

/// The value, its warnings kept; or all that is wrong.
fn taken<T>(
    value: Option<T>,
    findings: &[Diagnostic],
    shown: &dyn Fn(&Diagnostic) -> String,
    warnings: &mut Vec<String>,
) -> Result<T, String> {
    let of = |severity| findings.iter().filter(move |d| d.severity == severity).map(shown);
    warnings.extend(of(Severity::Warning));
    value.ok_or_else(|| of(Severity::Error).collect::<Vec<_>>().join("\n\n"))
}

/// Schemas that the SQL file's own comments give.
fn hinted(app: &App, warnings: &mut Vec<String>) -> Result<Vec<LoadedSchema>, String> {
    let loaded = load::hints(&app.text);
    let shown = |finding: &Diagnostic| render(finding, &app.shown, &app.text, false).trim_end().to_owned();
    let schemas = taken(loaded.value, &loaded.findings, &shown, warnings)?;
    let of = |schema: DataSchema| LoadedSchema { schema, shown: app.shown.clone(), text: app.text.clone() };
    Ok(schemas.into_iter().map(of).collect())
}

/// The YAML files of a folder, by name.
fn schema_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_yaml).collect();
    paths.sort();
    paths
}

fn schema(path: &Path) -> Result<(LoadedSchema, Vec<String>), String> {
    let text = read(path)?;
    let shown = path.display().to_string();
    let loaded = load::data_schema(&shown, &text);
    let mut warnings = Vec::new();
    let render = |finding: &Diagnostic| render(finding, &shown, &text, false).trim_end().to_owned();
    let schema = taken(loaded.value, &loaded.findings, &render, &mut warnings)?;
    let found = velostream_spec::generate::check(&schema, 0);
    taken((!found.iter().any(|d| d.severity == Severity::Error)).then_some(()), &found, &render, &mut warnings)?;
    Ok((LoadedSchema { schema, shown: shown.clone(), text: text.clone() }, warnings))
}

/// What a directory holds: specs with the SQL file beside each, those of the folders in it behind its own. Hidden folders
/// and links are passed over.
pub fn in_folder(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| path.is_file()) {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let sql = name.strip_suffix(".test.yaml").map(|base| folder.join(format!("{base}.sql")));
        found.extend(sql.filter(|sql| sql.is_file() && !is_annotated(sql)).map(|sql| (sql, path.clone())));
    }
    if found.is_empty() {
        found.extend(by_generic_spec(folder, &paths));
    }
    let is_below = |path: &&PathBuf| {
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        !is_hidden && path.symlink_metadata().is_ok_and(|what| what.is_dir())
    };
    found.extend(paths.iter().filter(is_below).flat_map(|below| in_folder(below)));
    found
}

fn is_annotated(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".annotated.sql")
}

/// `test_spec.yaml` with the SQL file of its application, else with the first there is.
fn by_generic_spec(folder: &Path, paths: &[PathBuf]) -> Option<(PathBuf, PathBuf)> {
    let spec = folder.join("test_spec.yaml");
    let text = read(&spec).ok()?;
    let loaded = load::spec(&spec.display().to_string(), &text, folder);
    let is_sql = |path: &&PathBuf| path.extension().is_some_and(|e| e == "sql") && !is_annotated(path);
    let named = loaded.value.map(|loaded| folder.join(format!("{}.sql", loaded.application)));
    let sql = named.filter(|path| path.is_file()).or_else(|| paths.iter().find(is_sql).cloned())?;
    Some((sql, spec))
}
