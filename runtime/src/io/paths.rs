//! Patterns to files: a path, a folder or a glob becomes the files it means, sorted by name; each is a partition.
//!
//! Hidden files and unfinished outputs (`*.partial`) are never meant by a folder or a glob.

use std::path::{Path, PathBuf};

use velostream_sql::endpoint::CatalogError;

/// Look-alikes named at most.
const SIMILAR_MAX: usize = 5;

/// The files `pattern` means, sorted; at least one.
pub fn expand(pattern: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    match std::fs::metadata(pattern) {
        Ok(meta) if meta.is_dir() => folder(pattern),
        Ok(_) => Ok(vec![pattern.to_path_buf()]),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => globbed(pattern),
        Err(error) if is_glob(pattern) && error.kind() != std::io::ErrorKind::PermissionDenied => globbed(pattern),
        Err(error) => Err(unreadable(pattern, &error)),
    }
}

fn is_glob(pattern: &Path) -> bool {
    pattern.as_os_str().as_encoded_bytes().iter().any(|b| b"*?[".contains(b))
}

fn unreadable(path: &Path, error: &std::io::Error) -> CatalogError {
    CatalogError::Unreadable { path: path.display().to_string(), reason: error.to_string() }
}

fn missing(pattern: &Path) -> CatalogError {
    CatalogError::Missing { searched: pattern.display().to_string(), similar: similar(pattern) }
}

fn is_data(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.as_encoded_bytes()).unwrap_or_default();
    !name.starts_with(b".") && !name.ends_with(b".partial") && path.is_file()
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let file = entry.map_err(|error| unreadable(path, &error))?.path();
        if is_data(&file) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(missing(path)) } else { Ok(files) }
}

fn globbed(pattern: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    let Some(text) = pattern.to_str().filter(|_| is_glob(pattern)) else { return Err(missing(pattern)) };
    let malformed = |reason: &str| CatalogError::Unreadable { path: text.into(), reason: reason.into() };
    let mut files = Vec::new();
    for found in glob::glob(text).map_err(|error| malformed(error.msg))? {
        let file = found.map_err(|error| unreadable(error.path(), error.error()))?;
        if is_data(&file) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(missing(pattern)) } else { Ok(files) }
}

/// Names in the pattern's folder that look like what was meant, nearest first.
fn similar(pattern: &Path) -> Vec<String> {
    let Some(wanted) = pattern.file_name().map(|name| name.to_string_lossy().to_lowercase()) else { return Vec::new() };
    let folder = pattern.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let stem = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let mut near: Vec<(usize, String)> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name.len() <= 255)
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let distance = if stem(&lower) == stem(&wanted) { 1 } else { edit_distance(&lower, &wanted) };
            (distance <= 1 + wanted.len() / 4).then_some((distance, name))
        })
        .collect();
    near.sort();
    near.into_iter().take(SIMILAR_MAX).map(|(_, name)| name).collect()
}

/// Insertions, deletions and replacements between two names.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        dir
    }

    fn check(dir: &tempfile::TempDir, pattern: &str, expect: &[&str]) {
        let found = expand(&dir.path().join(pattern)).unwrap();
        let names: Vec<_> = found.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, expect, "{pattern}");
    }

    #[test]
    fn paths_folders_and_globs() {
        let dir = folder_of(&["b.csv", "a.csv", "c.json", ".a.csv.tmp-1", "a.csv.partial", "odd[1].csv"]);
        std::fs::create_dir(dir.path().join("sub.csv")).unwrap();
        check(&dir, "a.csv", &["a.csv"]);
        check(&dir, "*.csv", &["a.csv", "b.csv", "odd[1].csv"]);
        check(&dir, "?.*", &["a.csv", "b.csv", "c.json"]);
        check(&dir, "", &["a.csv", "b.csv", "c.json", "odd[1].csv"]);
        check(&dir, "odd[1].csv", &["odd[1].csv"]);
    }

    #[test]
    fn missing_files_name_look_alikes() {
        let dir = folder_of(&["trades.csv", "orders.csv", "trades.jsonl"]);
        for (pattern, expect) in
            [("trade.csv", vec!["trades.csv"]), ("Trades.json", vec!["trades.csv", "trades.jsonl"])]
        {
            match expand(&dir.path().join(pattern)) {
                Err(CatalogError::Missing { similar, .. }) => assert_eq!(similar, expect, "{pattern}"),
                other => panic!("{pattern}: {other:?}"),
            }
        }
        for pattern in ["*.parquet", "[", "no/such/folder.csv"] {
            let result = expand(&dir.path().join(pattern));
            assert!(result.is_err(), "{pattern}: {result:?}");
        }
    }
}
