//! Snapshots on a disk: one file each, complete or absent.
//!
//! A file is written under a hidden name, synced, renamed and its folder synced, so that a crash at any point leaves
//! the old state or the new one. Hidden names are never listed. The folder is locked while a store is open: two runs over
//! one state would undo each other's work.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use velostream_types::{Fatal, Store};

/// A folder of snapshots, in use by one process at a time.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
    /// Held for as long as the store is.
    _lock: File,
}

impl FileStore {
    /// A store in this folder, which is created if missing.
    pub fn open(folder: PathBuf) -> Result<FileStore, Fatal> {
        std::fs::create_dir_all(&folder).map_err(|error| fatal("cannot create", &folder, &error))?;
        let lock = folder.join(".lock");
        let opened = File::options().create(true).truncate(false).write(true).open(&lock);
        let file = opened.map_err(|error| fatal("cannot create", &lock, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(FileStore { folder, _lock: file }),
            Err(TryLockError::WouldBlock) => {
                let folder = folder.display();
                Err(Fatal::new(format!("{folder} is in use by another run: wait for its end or name another folder")))
            }
            Err(TryLockError::Error(error)) => Err(fatal("cannot lock", &lock, &error)),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, name: &str) -> Result<PathBuf, Fatal> {
        let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        if plain { Ok(self.folder.join(name)) } else { Err(Fatal::new(format!("\"{name}\" cannot name a snapshot"))) }
    }
}

fn fatal(what: &str, path: &Path, error: &std::io::Error) -> Fatal {
    Fatal::new(format!("{what} {}: {error}", path.display()))
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

impl Store for FileStore {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), Fatal> {
        let path = self.path(name)?;
        let temporary = self.folder.join(format!(".{name}.tmp"));
        write_synced(&temporary, bytes)
            .and_then(|()| std::fs::rename(&temporary, &path))
            .and_then(|()| File::open(&self.folder)?.sync_all())
            .map_err(|error| {
                // What could not be completed is of no use; that it cannot be removed either adds nothing.
                let _ = std::fs::remove_file(&temporary);
                fatal("cannot write", &path, &error)
            })
    }

    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, Fatal> {
        let path = self.path(name)?;
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fatal("cannot read", &path, &error)),
        }
    }

    fn list(&mut self) -> Result<Vec<String>, Fatal> {
        let fail = |error: std::io::Error| fatal("cannot list", &self.folder, &error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&mut self, name: &str) -> Result<(), Fatal> {
        let path = self.path(name)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(fatal("cannot remove", &path, &error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_complete_or_absent() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(dir.path().join("a/b")).unwrap();
        assert_eq!((store.get("2").unwrap(), store.list().unwrap()), (None, vec![]));
        store.put("2", b"two").unwrap();
        store.put("1", b"one").unwrap();
        store.put("2", b"two again").unwrap();
        // What a crash leaves behind is never seen.
        std::fs::write(dir.path().join("a/b/.3.tmp"), "half").unwrap();
        assert_eq!(store.list().unwrap(), ["1", "2"]);
        assert_eq!(store.get("2").unwrap(), Some(b"two again".to_vec()));
        store.remove("1").unwrap();
        store.remove("1").unwrap();
        assert_eq!(store.list().unwrap(), ["2"]);
        for name in ["", "../x", ".hidden", "a/b"] {
            assert!(store.put(name, b"").is_err(), "{name}");
        }
    }

    #[test]
    fn a_folder_has_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let first = FileStore::open(dir.path().into()).unwrap();
        let error = FileStore::open(dir.path().into()).unwrap_err().message;
        assert!(error.contains("in use by another run"), "{error}");
        drop(first);
        FileStore::open(dir.path().into()).unwrap();
    }

    #[test]
    fn a_full_disk_leaves_the_old_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(dir.path().into()).unwrap();
        store.put("1", b"old").unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join(".1.tmp")).unwrap();
        assert!(store.put("1", b"new").unwrap_err().message.contains("No space left"));
        assert_eq!(store.get("1").unwrap(), Some(b"old".to_vec()));
    }
}
