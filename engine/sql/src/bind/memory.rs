//! `max.memory.mb`: how much state an app may hold. It speaks of the whole run wherever it is written; the lowest counts.

use super::Binder;
use crate::diag::Diagnostic;
use crate::endpoint::WithEntry;

impl Binder<'_> {
    /// Takes the limit from entries that give one.
    pub(super) fn limit_memory(&mut self, entries: &[WithEntry]) {
        for entry in entries.iter().filter(|entry| entry.key.eq_ignore_ascii_case("max.memory.mb")) {
            match entry.value.trim().parse::<u64>().ok().filter(|mb| *mb > 0).and_then(|mb| mb.checked_mul(1 << 20)) {
                Some(bytes) => self.memory_limit = Some(self.memory_limit.map_or(bytes, |known| known.min(bytes))),
                None => {
                    let message = format!("max.memory.mb = '{}' is no whole number above 0", entry.value);
                    let hint = "write for example max.memory.mb = '512'";
                    self.report(Diagnostic::error("E0513", entry.value_span, message).hint(hint));
                }
            }
        }
    }
}
