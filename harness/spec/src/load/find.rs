//! Where specs, schemas and data of an SQL file are looked for, as functions over "is there such a path".
//!
//! The first path that is there wins. A spec that is not called like the SQL file (`test_spec.yaml`) is that of several
//! files perhaps, so it is taken only where it is about this one.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::assertion::AssertionKind;
use crate::spec::{Endpoint, QueryTest, Spec};

/// Nothing was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// What was looked for: `spec`.
    pub what: &'static str,
    /// For which file.
    pub sql: PathBuf,
    /// All paths that were tried, in their order.
    pub searched: Vec<PathBuf>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no {} for {}; searched:", self.what, self.sql.display())?;
        self.searched.iter().try_for_each(|path| write!(f, "\n  {}", path.display()))
    }
}

impl std::error::Error for NotFound {}

/// A path where a spec may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecPath {
    /// The path.
    pub path: PathBuf,
    /// Its name says nothing of the SQL file.
    pub is_generic: bool,
}

/// Where the spec of an SQL file may be, the best place first.
pub fn spec_paths(sql: &Path) -> Vec<SpecPath> {
    let (folder, parent) = folders(sql);
    let stem = sql.file_stem().unwrap_or_default().to_string_lossy();
    let named = |folder: &Path, end: &str| SpecPath { path: folder.join(format!("{stem}{end}")), is_generic: false };
    let generic = |folder: &Path, name: &str| SpecPath { path: folder.join(name), is_generic: true };
    let tests = parent.join("tests");
    vec![
        named(&folder, ".test.yaml"),
        named(&folder, ".spec.yaml"),
        named(&tests, ".test.yaml"),
        named(&tests, ".spec.yaml"),
        named(&parent, "_spec.yaml"),
        generic(&folder, "test_spec.yaml"),
        generic(&folder, "test_spec.yml"),
        generic(&parent, "test_spec.yaml"),
    ]
}

/// The spec of an SQL file. `fits` is asked about specs with a generic name; see [`is_about`].
pub fn spec(sql: &Path, exists: &dyn Fn(&Path) -> bool, fits: &dyn Fn(&Path) -> bool) -> Result<PathBuf, NotFound> {
    let paths = spec_paths(sql);
    let is_it = |at: &&SpecPath| exists(&at.path) && (!at.is_generic || fits(&at.path));
    match paths.iter().find(is_it) {
        Some(found) => Ok(found.path.clone()),
        None => {
            let searched = paths.into_iter().map(|at| at.path).collect();
            Err(NotFound { what: "spec", sql: sql.to_path_buf(), searched })
        }
    }
}

/// The folder with the data schemas of an SQL file.
pub fn schema_folder(sql: &Path, exists: &dyn Fn(&Path) -> bool) -> Result<PathBuf, NotFound> {
    let (folder, parent) = folders(sql);
    first("schema folder", sql, vec![folder.join("schemas"), folder.join("schema"), parent.join("schemas")], exists)
}

/// The folder with the data files of an SQL file.
pub fn data_folder(sql: &Path, exists: &dyn Fn(&Path) -> bool) -> Result<PathBuf, NotFound> {
    let (folder, parent) = folders(sql);
    first("data folder", sql, vec![folder.join("data"), parent.join("data")], exists)
}

/// The SQL file that an argument names; `.sql` may be left out.
pub fn sql_file(given: &Path, exists: &dyn Fn(&Path) -> bool) -> Result<PathBuf, NotFound> {
    let mut paths = vec![given.to_path_buf()];
    if given.extension().is_none() {
        paths.push(given.with_extension("sql"));
    }
    first("file", given, paths, exists)
}

fn first(
    what: &'static str,
    sql: &Path,
    paths: Vec<PathBuf>,
    exists: &dyn Fn(&Path) -> bool,
) -> Result<PathBuf, NotFound> {
    match paths.iter().find(|path| exists(path)) {
        Some(path) => Ok(path.clone()),
        None => Err(NotFound { what, sql: sql.to_path_buf(), searched: paths }),
    }
}

/// The folder of a file and the one above that.
fn folders(sql: &Path) -> (PathBuf, PathBuf) {
    let folder = sql.parent().unwrap_or(Path::new("")).to_path_buf();
    let parent = match folder.components().next_back() {
        Some(Component::Normal(_)) => folder.parent().unwrap_or(Path::new("")).to_path_buf(),
        Some(Component::RootDir | Component::Prefix(_)) => folder.clone(),
        Some(Component::CurDir | Component::ParentDir) | None => folder.join(".."),
    };
    (folder, parent)
}

/// What a spec with a generic name is compared with.
#[derive(Clone, Debug)]
pub struct App<'a> {
    /// Name that the SQL gives the app.
    pub name: Option<&'a str>,
    /// Name of the file without its extension.
    pub stem: &'a str,
    /// Its statements, and the file each writes, if it does.
    pub statements: &'a [(&'a str, Option<&'a Path>)],
}

/// Whether a spec is about an app: it names the app, or one of its queries, and does not look for that one's output
/// in another file.
pub fn is_about(spec: &Spec, app: &App<'_>) -> bool {
    let names_app = spec.application == app.stem || Some(&*spec.application) == app.name;
    names_app
        || spec.queries.iter().any(|query| {
            let statement = app.statements.iter().find(|(name, _)| *name == query.name);
            statement.is_some_and(|(_, file)| file.is_none_or(|file| reads(query, file)))
        })
}

/// Whether a query's output may be this file; one that names no file may be any.
fn reads(query: &QueryTest, file: &Path) -> bool {
    let mut named: Vec<&Path> = query.outputs.iter().map(|output| Path::new(&output.sink)).collect();
    named.retain(|sink| sink.extension().is_some() || sink.components().count() > 1);
    if let Some(Endpoint::File { path, .. }) = &query.output {
        named.push(path);
    }
    let of_sinks = query.outputs.iter().flat_map(|output| &output.assertions);
    named.extend(query.assertions.iter().chain(of_sinks).filter_map(|assertion| match &assertion.kind {
        AssertionKind::FileExists { path, .. }
        | AssertionKind::FileRowCount { path, .. }
        | AssertionKind::FileContains { path, .. } => Some(path.as_path()),
        AssertionKind::FileMatches { actual_path, .. } => Some(actual_path.as_path()),
        _ => None,
    }));
    named.is_empty() || named.iter().any(|path| path.file_name() == file.file_name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    fn texts(paths: &[PathBuf]) -> Vec<String> {
        paths.iter().map(|path| path.to_string_lossy().into_owned()).collect()
    }

    fn searched(sql: &str) -> Vec<String> {
        texts(&spec_paths(Path::new(sql)).into_iter().map(|at| at.path).collect::<Vec<_>>())
    }

    #[test]
    fn specs_in_their_order() {
        let expect = [
            "demo/apps/risk.test.yaml",
            "demo/apps/risk.spec.yaml",
            "demo/tests/risk.test.yaml",
            "demo/tests/risk.spec.yaml",
            "demo/risk_spec.yaml",
            "demo/apps/test_spec.yaml",
            "demo/apps/test_spec.yml",
            "demo/test_spec.yaml",
        ];
        assert_eq!(searched("demo/apps/risk.sql"), expect);
        assert_eq!(searched("apps/risk.sql")[2], "tests/risk.test.yaml");
        assert_eq!(searched("risk.sql")[2], "../tests/risk.test.yaml");
        assert_eq!(searched("../risk.sql")[2], "../../tests/risk.test.yaml");
        assert_eq!(searched("/risk.sql")[2], "/tests/risk.test.yaml");
    }

    #[test]
    fn the_first_that_is_there_and_fits() {
        let sql = Path::new("apps/risk.sql");
        let exists = |path: &Path| path.ends_with("risk.spec.yaml") || path.ends_with("test_spec.yaml");
        let found = spec(sql, &exists, &|_| false).expect("a spec");
        assert_eq!(found, Path::new("apps/risk.spec.yaml"));

        let exists = |path: &Path| path.ends_with("test_spec.yaml");
        let found = spec(sql, &exists, &|path| path == Path::new("test_spec.yaml")).expect("a spec");
        assert_eq!(found, Path::new("test_spec.yaml"), "the one beside the SQL file is about another app");
        let missing = spec(sql, &exists, &|_| false).expect_err("no spec");
        assert_eq!(missing.searched.len(), 8);
    }

    #[test]
    fn folders_and_files() {
        let sql = Path::new("apps/risk.sql");
        assert_eq!(schema_folder(sql, &|path| path == Path::new("schemas")), Ok(PathBuf::from("schemas")));
        assert_eq!(schema_folder(sql, &|_| true), Ok(PathBuf::from("apps/schemas")));
        assert_eq!(data_folder(sql, &|path| path == Path::new("data")), Ok(PathBuf::from("data")));
        let missing = schema_folder(sql, &|_| false).expect_err("no folder").to_string();
        let expect = "there is no schema folder for apps/risk.sql; searched:\n  apps/schemas\n  apps/schema\n  schemas";
        assert_eq!(missing, expect);
        let is_sql = |path: &Path| path == Path::new("risk.sql");
        assert_eq!(sql_file(Path::new("risk"), &is_sql), Ok(PathBuf::from("risk.sql")));
        assert_eq!(texts(&sql_file(Path::new("a.txt"), &is_sql).expect_err("no file").searched), ["a.txt"]);
    }

    #[test]
    fn a_generic_spec_is_about_some_apps() {
        let text = "application: shop\nqueries:\n  - name: totals\n    inputs: []\n    assertions:\n      \
                    - type: file_exists\n        path: ./out/totals.csv\n";
        let spec = load::spec("test_spec.yaml", text, Path::new("")).value.expect("a spec");
        let about = |name, stem, statements: &[(&str, Option<&Path>)]| is_about(&spec, &App { name, stem, statements });
        assert!(about(None, "shop", &[]), "the file is called like the app");
        assert!(about(Some("shop"), "x", &[]), "the SQL gives the app's name");
        assert!(!about(Some("other"), "x", &[("orders", None)]), "no query is the same");
        assert!(about(None, "x", &[("totals", None)]));
        assert!(about(None, "x", &[("totals", Some(Path::new("elsewhere/totals.csv")))]));
        assert!(!about(None, "x", &[("totals", Some(Path::new("out/other.csv")))]), "it writes another file");
    }
}
