//! Buffers of reads from files, used again: a large one that is allocated anew costs more in page faults and zeroing than
//! the read into it.
//!
//! All logs of a broker share them. A buffer comes back when the last [`Bytes`] over it is gone, whatever thread that
//! happens on; hence the lock, held for a push or a pop. Cost: nothing is zeroed but what the allocator gives fresh.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Shorter ones come from the allocator's own lists, which is as fast.
const SHARED_MIN: usize = 64 << 10;
/// Longer ones are rare and not kept.
const SHARED_MAX: usize = 4 << 20;
/// What is kept in all: the fetches of a few busy clients.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// Buffers that wait for the next read. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    free: Vec<Vec<u8>>,
    bytes: usize,
}

/// A buffer in use; goes back when dropped.
struct Lent {
    buffer: Vec<u8>,
    /// Bytes of it that were asked for.
    used: usize,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.used]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.put(std::mem::take(&mut self.buffer));
    }
}

impl Buffers {
    /// `n` bytes that `fill` writes; what stood in them before means nothing.
    pub(super) fn filled(&self, n: usize, fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<Bytes> {
        if !(SHARED_MIN..=SHARED_MAX).contains(&n) {
            let mut buffer = vec![0; n];
            fill(&mut buffer)?;
            return Ok(Bytes::from(buffer));
        }
        let mut lent = Lent { buffer: self.take(n), used: n, home: self.clone() };
        fill(&mut lent.buffer[..n])?;
        Ok(Bytes::from_owner(lent))
    }

    fn take(&self, n: usize) -> Vec<u8> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = kept.free.iter().rposition(|buffer| buffer.len() >= n) else {
            drop(kept);
            return vec![0; n.next_power_of_two()];
        };
        let buffer = kept.free.swap_remove(at);
        kept.bytes -= buffer.len();
        buffer
    }

    fn put(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + buffer.len() <= KEPT_BYTES_MAX {
            kept.bytes += buffer.len();
            kept.free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(buffers: &Buffers, n: usize, byte: u8) -> Bytes {
        let fill = |to: &mut [u8]| {
            to.fill(byte);
            Ok(())
        };
        buffers.filled(n, fill).expect("filling cannot fail")
    }

    #[test]
    fn a_buffer_is_used_again_once_nobody_reads_it() {
        let buffers = Buffers::default();
        let first = filled(&buffers, 100_000, 1);
        let second = filled(&buffers, 100_000, 2);
        assert_ne!(first.as_ptr(), second.as_ptr());
        let (place, part) = (first.as_ptr(), first.slice(7..9));
        drop(first);
        assert_ne!(filled(&buffers, 100_000, 3).as_ptr(), place, "a part of it is still read");
        assert_eq!(part, [1u8, 1][..]);
        drop((part, second));
        let places: Vec<_> = [4, 5, 6].map(|byte| filled(&buffers, 70_000, byte)).iter().map(|b| b.as_ptr()).collect();
        assert!(places.contains(&place));
        let again = filled(&buffers, 70_000, 7);
        assert!(again.len() == 70_000 && again.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        let check = |lengths: &[usize], kept: usize| {
            let all: Vec<Bytes> = lengths.iter().map(|n| filled(&buffers, *n, 1)).collect();
            drop(all);
            assert_eq!(buffers.0.lock().expect("nobody panicked").bytes, kept, "after {lengths:?}");
        };
        check(&[SHARED_MIN - 1, SHARED_MAX + 1], 0);
        check(&[SHARED_MIN], SHARED_MIN);
        check(&[SHARED_MAX; 20], 28 << 20 | SHARED_MIN);
    }

    #[test]
    fn a_read_that_fails_loses_no_buffer() {
        let buffers = Buffers::default();
        let place = filled(&buffers, 100_000, 1).as_ptr();
        assert!(buffers.filled(100_000, |_| Err(io::ErrorKind::UnexpectedEof.into())).is_err());
        assert_eq!(filled(&buffers, 100_000, 1).as_ptr(), place);
    }
}
