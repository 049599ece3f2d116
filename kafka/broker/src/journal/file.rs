//! The journal's file: eight bytes of magic, then frames of length, CRC32C and payload (`u32` little endian each).
//!
//! Appending is one write(2) at the end; if it fails, the file is cut back to its last whole frame, and if even that
//! fails no more is written, because a frame after a torn one would not be found again. When the file is larger than
//! 1 MiB and four times what its live entries need, it is rewritten beside itself, synced, and renamed over the old one.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Image, JournalEntry, codec};

const MAGIC: &[u8; 8] = b"velojnl1";
/// Length and CRC before each payload.
const FRAME_BYTES: usize = 8;
/// A file below this is never rewritten.
const REWRITE_BYTES_MIN: u64 = 1 << 20;
/// A file this many times its live size is rewritten.
const REWRITE_TIMES: u64 = 4;

/// The journal file; with no path it remembers nothing.
#[derive(Debug)]
pub struct Journal {
    disk: Option<Disk>,
    cut_bytes: u64,
}

#[derive(Debug)]
struct Disk {
    path: PathBuf,
    file: File,
    /// Whole frames end here.
    bytes: u64,
    /// Above this size the live size is looked at again.
    look_at_bytes: u64,
    image: Image,
    /// A torn frame could not be cut off.
    broken: bool,
}

impl Journal {
    /// Opens or creates the file and cuts a torn tail, which is kept beside it with the extension `cut`. The entries are the live ones: enough for the server's topics,
    /// `Groups::restore` and `Transactions::restore`. `None` keeps nothing.
    pub fn open(path: Option<&Path>) -> io::Result<(Journal, Vec<JournalEntry>)> {
        match path {
            None => Ok((Journal { disk: None, cut_bytes: 0 }, Vec::new())),
            Some(path) => Journal::open_file(path).map_err(|e| named(path, &e)),
        }
    }

    fn open_file(path: &Path) -> io::Result<(Journal, Vec<JournalEntry>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let bytes = std::fs::read(path)?;
        let (image, whole) = read(&bytes).map_err(|text| io::Error::new(ErrorKind::InvalidData, text))?;
        if whole < bytes.len() {
            // Should it be more than a torn write, somebody may want to look.
            std::fs::write(path.with_extension("cut"), &bytes[whole..])?;
            file.set_len(whole as u64)?;
        }
        if whole == 0 {
            file.set_len(0)?;
            file.write_all_at(MAGIC, 0)?;
            sync_folder(path)?;
        }
        let entries = image.entries();
        let length = whole.max(MAGIC.len()) as u64;
        let disk = Disk { path: path.into(), file, bytes: length, look_at_bytes: 0, image, broken: false };
        Ok((Journal { disk: Some(disk), cut_bytes: (bytes.len() - whole) as u64 }, entries))
    }

    /// How many bytes of a torn tail were cut when it was opened.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// Writes the entries (write(2)) before it returns; nothing of them is written if it fails. Call it under the lock
    /// the entries were made under, else their order is lost.
    pub fn append(&mut self, entries: &[JournalEntry]) -> io::Result<()> {
        match &mut self.disk {
            Some(disk) if !entries.is_empty() => disk.append(entries),
            _ => Ok(()),
        }
    }

    /// Syncs the file to the disk.
    pub fn flush(&mut self) -> io::Result<()> {
        self.disk.as_ref().map_or(Ok(()), |disk| disk.file.sync_data())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Who wants to know whether it worked calls `flush`; the bytes are with the operating system already.
        let _ = self.flush();
    }
}

impl Disk {
    fn append(&mut self, entries: &[JournalEntry]) -> io::Result<()> {
        if self.broken {
            let text = "an earlier write failed half-way and could not be undone; free space and restart";
            return Err(named(&self.path, &io::Error::other(text)));
        }
        let frames = frames(entries)?;
        if let Err(error) = self.file.write_all_at(&frames, self.bytes) {
            self.broken = self.file.set_len(self.bytes).is_err();
            return Err(named(&self.path, &error));
        }
        self.bytes += frames.len() as u64;
        entries.iter().for_each(|entry| self.image.apply(entry));
        if self.bytes > self.look_at_bytes.max(REWRITE_BYTES_MIN) {
            self.rewrite_if_stale()?;
        }
        Ok(())
    }

    fn rewrite_if_stale(&mut self) -> io::Result<()> {
        let live = frames(&self.image.entries())?;
        let live_bytes = (MAGIC.len() + live.len()) as u64;
        self.look_at_bytes = live_bytes.saturating_mul(REWRITE_TIMES);
        if self.bytes <= self.look_at_bytes {
            return Ok(());
        }
        // The entries are safe in the old file whatever happens here: a failure only puts the rewrite off.
        match rewrite(&self.path, &live) {
            Ok(file) => {
                self.file = file;
                self.bytes = live_bytes;
            }
            Err(_) => self.look_at_bytes = self.bytes.saturating_mul(2),
        }
        Ok(())
    }
}

/// Writes a new file beside the old one and renames it over. The folder is synced last and only for the sake of a power
/// cut: once renamed, the new file is the journal.
fn rewrite(path: &Path, frames: &[u8]) -> io::Result<File> {
    let beside = path.with_extension("new");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&beside)?;
    file.write_all_at(MAGIC, 0)?;
    file.write_all_at(frames, MAGIC.len() as u64)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    let _ = sync_folder(path);
    Ok(file)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("journal {}: {error}", path.display()))
}

pub(super) fn frames(entries: &[JournalEntry]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    for entry in entries {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME_BYTES]);
        codec::encode(entry, &mut out);
        let payload = &out[start + FRAME_BYTES..];
        let crc = crc32c::crc32c(payload);
        let length = u32::try_from(payload.len())
            .map_err(|_| io::Error::new(ErrorKind::InvalidInput, "a journal entry is above 4 GiB"))?;
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + FRAME_BYTES].copy_from_slice(&crc.to_le_bytes());
    }
    Ok(out)
}

/// What the whole frames say, and where they end; 0 if not even the magic is whole. Bytes with a right CRC that make no
/// entry are another version's: an error, not a torn tail.
pub(super) fn read(bytes: &[u8]) -> Result<(Image, usize), String> {
    let mut image = Image::default();
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return if MAGIC.starts_with(bytes) { Ok((image, 0)) } else { Err("not a journal of this version".into()) };
    };
    while let Some((payload, after)) = next_frame(rest) {
        let entry = codec::decode(payload).ok_or_else(|| {
            let at = bytes.len() - rest.len();
            format!("the entry at byte {at} is of a kind this version does not know")
        })?;
        image.apply(&entry);
        rest = after;
    }
    Ok((image, bytes.len() - rest.len()))
}

fn next_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (payload, rest) = rest.split_at_checked(length)?;
    // No entry is empty, but zeroes would make a right CRC of nothing.
    let whole = length > 0 && crc32c::crc32c(payload) == u32::from_le_bytes(*crc);
    whole.then_some((payload, rest))
}
