//! Data schemas that sources name themselves, by the property `schema.file` in WITH or in their config file.

use std::path::{Path, PathBuf};

use velostream_harness::app::deploy::App;
use velostream_spec::load::config::{named_schemas, names_schema};
use velostream_sql::outline::outline;

/// The files that an app's statements name, and what is missing of them. Of other forms than YAML, and of names made of
/// variables, nothing is known here.
pub fn schema_files(app: &App) -> (Vec<PathBuf>, Vec<String>) {
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    let mut add = |name: &str, from: &Path| {
        let is_yaml = Path::new(name).extension().is_some_and(|e| e == "yaml" || e == "yml");
        if !is_yaml || name.contains("${") {
            return;
        }
        match found(name, &[Path::new(""), &app.base_dir, &app.base_dir.join(".."), from]) {
            Some(path) if !files.contains(&path) => files.push(path),
            Some(_) => {}
            None => missing.push(format!("the data schema {name} that {} names is not there", app.shown)),
        }
    };
    for entry in outline(&app.text).iter().flat_map(|statement| &statement.with) {
        if names_schema(&entry.key) {
            add(&entry.value, &app.base_dir);
        } else if entry.key == "config_file" || entry.key.ends_with(".config_file") {
            let path = app.base_dir.join(&entry.value);
            // One that cannot be read is the engine's to tell.
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let folder = path.parent().unwrap_or(&app.base_dir).to_path_buf();
            named_schemas(&text).iter().for_each(|name| add(name, &folder));
        }
    }
    (files, missing)
}

/// The first of these folders that has the file.
fn found(name: &str, folders: &[&Path]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}
