//! Windows over event time as the plan has them. Times are nanoseconds.

/// A window over event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSpec {
    /// Its kind and size.
    pub kind: WindowKind,
    /// Windows of whole days begin at midnight of this zone; `None`: UTC.
    pub zone: Option<ZoneName>,
    /// Allowed lateness, ns.
    pub lateness_ns: i64,
    /// What happens to late rows.
    pub late: LateStrategy,
}

impl WindowSpec {
    /// TRUE when rows may be folded into partial groups in front of the exchange: not into sessions, whose rows must be
    /// seen one by one, nor where a row that comes behind its window's end leaves as a correction.
    pub fn combines(self) -> bool {
        !self.is_session() && self.late != LateStrategy::UpdatePrevious
    }

    /// TRUE for sessions, whose places in time follow from their rows.
    pub fn is_session(&self) -> bool {
        matches!(self.kind, WindowKind::Session { .. })
    }
}

/// Kind of window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// `[k·size, (k+1)·size)`.
    Tumbling {
        /// Size, ns, above 0.
        size_ns: i64,
    },
    /// `[k·slide, k·slide + size)` for every k: a row is in each that holds its time.
    Hopping {
        /// Size, ns, above 0.
        size_ns: i64,
        /// From one start to the next, ns, above 0 and at most the size, which it need not divide.
        slide_ns: i64,
    },
    /// The rows of a group that are connected by gaps of at most `gap_ns`; it ends that long behind its last row.
    Session {
        /// Gap, ns, above 0.
        gap_ns: i64,
    },
}

impl WindowKind {
    /// How long a window is; of a session, how long it is at least.
    pub const fn size_ns(self) -> i64 {
        match self {
            WindowKind::Tumbling { size_ns } | WindowKind::Hopping { size_ns, .. } => size_ns,
            WindowKind::Session { gap_ns } => gap_ns,
        }
    }
}

/// What happens to a row that comes after its window was closed. Late rows are counted whatever is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateStrategy {
    /// Dropped and counted.
    Drop,
    /// To the statement's dead letters.
    DeadLetter,
    /// Within the lateness: the window, which fired at its end, is corrected and comes out again. Beyond it: dropped.
    UpdatePrevious,
    /// Added to the earliest window that is still open; lateness has no part in it.
    IncludeInNext,
}

/// Name of a time zone that was looked up: at most 47 bytes, so that a window stays a plain value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ZoneName {
    length: u8,
    bytes: [u8; 47],
}

impl ZoneName {
    /// The name; `None` when it is longer than any zone's.
    pub fn new(name: &str) -> Option<ZoneName> {
        let mut bytes = [0; 47];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(ZoneName { length: name.len() as u8, bytes })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        // Made of whole texts only, so they are UTF-8.
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl std::fmt::Debug for ZoneName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
