//! Apps as the simulator knows them: a source and a chain of stages, each a statement over the one before it. `text`
//! writes them as SQL, `simulate` runs them. Times are nanoseconds; what SQL shows of them is milliseconds.

use super::value::Column;

pub const MS: i64 = 1_000_000;
pub const SECOND: i64 = 1_000 * MS;

/// Where a property was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As the last argument of the window; lateness only.
    Window,
    /// In WITH of the statement.
    Statement,
}

/// How far a partition's watermark stays behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watermark {
    Unsaid,
    None,
    Ascending,
    /// `bounded_out_of_orderness` of so much.
    Bounded(i64),
    /// The bound without the strategy's name.
    BoundAlone(i64),
    /// The strategy without a bound: 5 s.
    BoundUnsaid,
}

impl Watermark {
    pub fn bound(self) -> i64 {
        match self {
            Watermark::Unsaid | Watermark::None | Watermark::Ascending => 0,
            Watermark::Bounded(bound) | Watermark::BoundAlone(bound) => bound,
            Watermark::BoundUnsaid => 5 * SECOND,
        }
    }
}

/// What becomes of late rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Late {
    Drop,
    DeadLetter,
    UpdatePrevious,
    IncludeInNext,
}

impl Late {
    pub fn name(self) -> &'static str {
        match self {
            Late::Drop => "drop",
            Late::DeadLetter => "dead_letter",
            Late::UpdatePrevious => "update_previous",
            Late::IncludeInNext => "include_in_next",
        }
    }
}

/// The source `t`, or the UNION ALL of `t` and `u`.
#[derive(Clone, Debug)]
pub struct Source {
    /// TRUE: files, which end; FALSE: memory, which is live until it does.
    pub file: bool,
    /// Of both.
    pub partitions: usize,
    pub second: Option<Second>,
    pub watermark: Watermark,
    /// FALSE: the window of the first stage names the time column.
    pub names_time: bool,
    pub late: Option<Late>,
    pub lateness: Option<i64>,
    pub columns: Vec<Column>,
}

/// The source `u`.
#[derive(Clone, Copy, Debug)]
pub struct Second {
    /// Partitions in front of its own.
    pub from: usize,
    pub watermark: Watermark,
}

impl Source {
    /// Partitions by source.
    pub fn parts(&self) -> Vec<std::ops::Range<usize>> {
        let from = self.second.map_or(self.partitions, |second| second.from);
        std::iter::once(0..from).chain(self.second.map(|_| from..self.partitions)).collect()
    }

    /// How far the watermark of a partition stays behind.
    pub fn bound(&self, partition: usize) -> i64 {
        match self.second.filter(|second| partition >= second.from) {
            Some(second) => second.watermark.bound(),
            None => self.watermark.bound(),
        }
    }
}

/// One statement.
#[derive(Clone, Debug)]
pub struct Stage {
    pub name: String,
    /// Positions in the input that are selected first, under their names.
    pub filter: Option<Condition>,
    pub op: Op,
    pub columns: Vec<Column>,
}

/// What a statement does.
#[derive(Clone, Debug)]
pub enum Op {
    Select(Select),
    Window(Window),
    /// GROUP BY without a window: FINAL at the end of the input, or a row per row.
    Group {
        keys: Vec<usize>,
        aggregates: Vec<Aggregate>,
        at_end: bool,
    },
    Over(Over),
}

/// A projection of these input columns; `restamp` is `column + shift AS _event_time`, in ms.
#[derive(Clone, Debug)]
pub struct Select {
    pub items: Vec<usize>,
    pub restamp: Option<(usize, i64)>,
}

/// A condition over one column of the input, or of the output in HAVING; NULL is not TRUE.
#[derive(Clone, Debug)]
pub enum Condition {
    Above(usize, i64),
    NotEqual(usize, i64),
    Remainder(usize, i64),
    Present(usize),
}

/// Which rows are together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    Tumbling(i64),
    Hopping {
        size: i64,
        slide: i64,
    },
    Session(i64),
    /// Local days: so many, beginning every so many, in this zone.
    Days {
        size: i64,
        slide: i64,
        zone: String,
    },
}

/// When results come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// FINAL without being said.
    Unsaid,
    Final,
    Changes,
    Every(i64),
}

/// A windowed GROUP BY.
#[derive(Clone, Debug)]
pub struct Window {
    pub shape: Shape,
    pub keys: Vec<usize>,
    pub aggregates: Vec<Aggregate>,
    /// Over a position of the output.
    pub having: Option<Condition>,
    pub top: Option<Top>,
    pub emit: Emit,
    pub lateness: Option<(i64, Place)>,
    pub late: Option<(Late, Place)>,
    /// Names `ts` as its time column.
    pub names_time: bool,
    /// `MIN(ts) AS _event_time`, of this input column.
    pub restamp: Option<usize>,
}

/// ORDER BY and LIMIT of each emission, over positions of the output.
#[derive(Clone, Debug)]
pub struct Top {
    pub order: Vec<(usize, bool)>,
    pub limit: Option<usize>,
}

/// An aggregate over a column of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    Rows,
    Count(usize),
    Distinct(usize),
    Sum(usize),
    Min(usize),
    Max(usize),
    Delta(usize),
    First(usize),
    Last(usize),
    Joined(usize),
    /// Of a decimal of scale 2, with scale 6.
    Average(usize),
}

/// OVER: all calls of a statement share one clause.
#[derive(Clone, Debug)]
pub struct Over {
    pub items: Vec<usize>,
    pub partition: Vec<usize>,
    /// Column, and TRUE for DESC.
    pub order: Option<(usize, bool)>,
    pub buffer: Buffer,
    pub frame: Option<Frame>,
    pub on_full: bool,
    /// ns; `None`: what the form says.
    pub expire: Option<Expire>,
    pub calls: Vec<Call>,
}

/// What bounds the rows that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// ROWS WINDOW BUFFER n ROWS.
    Rows(usize),
    /// The standard form.
    Standard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expire {
    After(i64),
    Never,
}

/// Which rows of the buffer count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Rows before and behind; `None` for UNBOUNDED.
    Rows(Option<usize>, Bound),
    /// So much less of the ORDER BY value, in ms, up to so much more.
    Range(i64, i64),
}

/// The end of a frame of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Preceding(usize),
    Current,
    Following(usize),
    Unbounded,
}

/// A call with OVER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile(usize),
    /// Column, offset; TRUE: with the default -1.
    Lag(usize, usize, bool),
    Lead(usize, usize, bool),
    /// Column; TRUE: IGNORE NULLS.
    FirstValue(usize, bool),
    LastValue(usize, bool),
    NthValue(usize, usize),
    Of(Aggregate),
}

/// An app.
#[derive(Clone, Debug)]
pub struct App {
    pub source: Source,
    pub stages: Vec<Stage>,
}

impl App {
    /// Columns that stage `stage` reads.
    pub fn input(&self, stage: usize) -> &[Column] {
        match stage.checked_sub(1) {
            Some(before) => &self.stages[before].columns,
            None => &self.source.columns,
        }
    }

    /// Strategy of a window.
    pub fn late_of(&self, window: &Window) -> Late {
        window.late.map(|(late, _)| late).or(self.source.late).unwrap_or(Late::Drop)
    }

    /// Lateness of a window: what is said in the window, the statement, the source, else by emission, strategy and shape.
    pub fn lateness_of(&self, window: &Window) -> i64 {
        let late = self.late_of(window);
        if late == Late::IncludeInNext {
            return 0;
        }
        let corrects = matches!(window.emit, Emit::Changes | Emit::Every(_)) || late == Late::UpdatePrevious;
        let unsaid = match window.shape {
            _ if corrects => 60 * SECOND,
            Shape::Session(gap) => gap,
            _ => 0,
        };
        window.lateness.map(|(lateness, _)| lateness).or(self.source.lateness).unwrap_or(unsaid)
    }
}

/// One record of a feed.
#[derive(Clone, Debug)]
pub struct Record {
    /// In which of the chunks that are worked on one after the other it comes.
    pub chunk: usize,
    /// Event time in ms; `None`: it has none.
    pub ts: Option<i64>,
    pub values: Vec<super::value::Value>,
}

/// Records by partition.
pub type Feed = Vec<Vec<Record>>;
