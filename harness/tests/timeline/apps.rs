//! Random apps: every kind of window, emission, late strategy and watermark, alone and in chains.

use super::draw::Draw;
use super::model::{
    Aggregate, App, Condition, Emit, Late, MS, Op, Place, SECOND, Second, Select, Shape, Source, Stage, Top, Watermark,
    Window,
};
use super::overs;
use super::value::{Column, Kind};

/// What a case may use; a part that the engine does not run yet is switched off here and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    Session,
    Zone,
    UpdatePrevious,
    IncludeInNext,
    EveryOverHopping,
    Over,
    /// Rows of one FINAL result reach the next operator by window end and first row.
    OrderOfChains,
    /// `AS _event_time` beside aggregates of a window.
    RestampedGroups,
    /// A partition that gives nothing before all others have been read.
    Joiners,
    /// Two sources behind a UNION ALL.
    Union,
}

pub const RUNS: [(Feature, bool); 10] = [
    (Feature::Session, true),
    (Feature::Zone, true),
    (Feature::UpdatePrevious, true),
    (Feature::IncludeInNext, true),
    (Feature::EveryOverHopping, true),
    (Feature::Over, true),
    (Feature::OrderOfChains, true),
    (Feature::RestampedGroups, true),
    (Feature::Joiners, true),
    (Feature::Union, true),
];

/// TRUE for what is drawn.
pub fn runs(feature: Feature) -> bool {
    RUNS.iter().any(|(f, on)| *f == feature && *on)
}

/// Chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    Window,
    WindowOfWindow,
    FilterBetween,
    GroupOfWindow,
    Over,
    OverOfWindow,
    WindowOfOver,
    Restamped,
    RestampedGroups,
}

const CHAINS: [Chain; 16] = [
    Chain::Window,
    Chain::WindowOfWindow,
    Chain::Window,
    Chain::Over,
    Chain::Window,
    Chain::FilterBetween,
    Chain::Window,
    Chain::OverOfWindow,
    Chain::Window,
    Chain::GroupOfWindow,
    Chain::Window,
    Chain::WindowOfOver,
    Chain::Window,
    Chain::Restamped,
    Chain::Window,
    Chain::RestampedGroups,
];

/// Zones with and without summer time, with midnights that do not exist, half hours, and a day that was left out.
const ZONES: [&str; 8] = [
    "America/New_York",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "Asia/Kolkata",
    "America/Havana",
    "+05:30",
];

/// Position of the time among the source's columns.
pub const TS: usize = 4;
const DAY: i64 = 86_400 * SECOND;

/// An app, and what its feed has to fit.
pub struct Drawn {
    pub app: App,
    pub chain: Chain,
    /// Typical size of its windows, ns.
    pub unit: i64,
    pub zone: Option<String>,
}

pub struct Writer<'d> {
    pub draw: &'d mut Draw,
    unit: i64,
    zone: Option<String>,
    partitions: usize,
    /// Partitions of the first of two sources.
    split: Option<usize>,
    file: bool,
}

/// The app of a case.
pub fn app(draw: &mut Draw, seed: u64) -> Drawn {
    let mut chain = CHAINS[(seed % CHAINS.len() as u64) as usize];
    if matches!(chain, Chain::Over | Chain::OverOfWindow | Chain::WindowOfOver) && !runs(Feature::Over) {
        chain = Chain::Window;
    }
    if chain == Chain::RestampedGroups && !runs(Feature::RestampedGroups) {
        chain = Chain::Restamped;
    }
    let zone = (runs(Feature::Zone) && draw.once_in(7)).then(|| (*draw.pick(&ZONES)).to_owned());
    let unit = if zone.is_some() { DAY } else { *draw.pick(&[1, 4, 5, 10, 60]) * SECOND };
    let one = matches!(chain, Chain::Over | Chain::WindowOfOver) || draw.once_in(2);
    let partitions = if one { 1 } else { 2 + draw.below(3) as usize };
    let file = chain == Chain::GroupOfWindow || draw.once_in(3);
    let union = runs(Feature::Union) && partitions > 1 && draw.once_in(3);
    let split = union.then(|| 1 + draw.below(partitions as u64 - 1) as usize);
    let mut writer = Writer { draw, unit, zone: zone.clone(), partitions, split, file };
    let app = writer.app(chain);
    Drawn { app, chain, unit, zone }
}

impl Writer<'_> {
    fn app(&mut self, chain: Chain) -> App {
        let source = self.source();
        let mut app = App { source, stages: Vec::new() };
        match chain {
            Chain::Window => self.window(&mut app, true),
            Chain::WindowOfWindow => {
                self.window(&mut app, false);
                if self.draw.once_in(3) {
                    self.window(&mut app, false);
                }
                self.window(&mut app, true);
            }
            Chain::FilterBetween => {
                self.window(&mut app, false);
                self.selection(&mut app, false);
                self.window(&mut app, true);
            }
            Chain::GroupOfWindow => {
                self.window(&mut app, false);
                self.group(&mut app);
            }
            Chain::Over => overs::over(self, &mut app),
            Chain::OverOfWindow => {
                self.window(&mut app, false);
                let live = !self.file;
                if let Some(Stage { op: Op::Window(window), .. }) = app.stages.last_mut() {
                    // Nothing says in which order the groups of one tick come, nor, while the input goes on, the rows of
                    // groups that meet again behind it.
                    let unsaid = match window.emit {
                        Emit::Every(_) => true,
                        Emit::Changes => live && window.keys.len() > 1,
                        Emit::Unsaid | Emit::Final => false,
                    };
                    window.emit = if unsaid { Emit::Final } else { window.emit };
                }
                overs::over(self, &mut app);
            }
            Chain::WindowOfOver => {
                overs::over(self, &mut app);
                self.window(&mut app, true);
            }
            Chain::Restamped => {
                self.selection(&mut app, true);
                self.window(&mut app, true);
            }
            Chain::RestampedGroups => {
                self.window(&mut app, false);
                self.restamp(&mut app);
                self.window(&mut app, true);
            }
        }
        self.properties(&mut app, chain);
        let last = app.stages.len();
        for (i, stage) in app.stages.iter_mut().enumerate() {
            stage.name = if i + 1 == last { "out".to_owned() } else { format!("s{}", i + 1) };
        }
        app
    }

    fn watermark(&mut self) -> Watermark {
        let bound = *self.draw.pick(&[self.unit / 4, self.unit, 500 * MS]);
        match self.draw.below(8) {
            0 => Watermark::Unsaid,
            1 | 2 => Watermark::None,
            3 | 4 => Watermark::Ascending,
            5 => Watermark::Bounded(bound),
            6 => Watermark::BoundAlone(bound),
            _ if self.draw.once_in(3) => Watermark::BoundUnsaid,
            _ => Watermark::Bounded(bound),
        }
    }

    fn source(&mut self) -> Source {
        let watermark = self.watermark();
        let second = self.split.map(|from| Second { from, watermark: self.watermark() });
        let columns = vec![
            Column::new("k", Kind::Text),
            Column::new("g", Kind::Int),
            Column::new("v", Kind::Int),
            Column::new("d", Kind::Dec),
            Column::new("ts", Kind::Int),
        ];
        let (file, partitions) = (self.file, self.partitions);
        Source { file, partitions, second, watermark, names_time: true, late: None, lateness: None, columns }
    }

    /// Moves what a lone window says to the source, and the time column to the window.
    fn properties(&mut self, app: &mut App, chain: Chain) {
        let draw = &mut *self.draw;
        let [Stage { op: Op::Window(window), .. }] = app.stages.as_mut_slice() else { return };
        if chain != Chain::Window || app.source.second.is_some() {
            return;
        }
        if let Some((late, _)) = window.late.filter(|_| draw.once_in(2)) {
            (window.late, app.source.late) = (None, Some(late));
        }
        if let Some((lateness, _)) = window.lateness.filter(|_| draw.once_in(3)) {
            (window.lateness, app.source.lateness) = (None, Some(lateness));
        }
        if draw.once_in(4) {
            window.names_time = true;
            app.source.names_time = draw.once_in(3);
        }
    }

    /// TRUE when the rows of the last stage may differ with the order in which keys or partitions came.
    pub fn is_loose(&self, app: &App) -> bool {
        let corrects = |window: &Window| {
            matches!(window.emit, Emit::Changes | Emit::Every(_)) || app.late_of(window) == Late::UpdatePrevious
        };
        app.stages.iter().any(|s| match &s.op {
            Op::Window(window) => corrects(window) || !runs(Feature::OrderOfChains),
            Op::Over(over) => !over.partition.is_empty(),
            _ => false,
        })
    }

    /// A windowed statement over the last one; `last`: nothing reads it.
    fn window(&mut self, app: &mut App, last: bool) {
        let first = app.stages.is_empty();
        let input = app.input(app.stages.len()).to_vec();
        let loose = self.is_loose(app);
        let shape = self.shape(first);
        let names = |name: &str| input.iter().position(|c| c.name == name);
        let found: Vec<usize> = ["k", "g"].into_iter().filter_map(names).collect();
        let keys: Vec<usize> = match self.draw.below(5) {
            0 => Vec::new(),
            1 => found.clone(),
            _ => found.iter().take(1).copied().collect(),
        };
        let (late, mut emit) = self.emission(first, last, loose, &shape);
        let several = self.partitions > 1;
        // What arrives in any order passes through any rows on the way to the same last one.
        let several = several || app.stages.iter().any(|stage| matches!(stage.op, Op::Window(_)));
        if !last && several && emit == Emit::Changes {
            emit = Emit::Final;
        }
        let corrects = emit == Emit::Changes || late.is_some_and(|(l, _)| l == Late::UpdatePrevious);
        let aggregates = self.aggregates(&input, loose);
        let mut columns: Vec<Column> = keys.iter().map(|k| input[*k].clone()).collect();
        let stage = app.stages.len() + 1;
        columns
            .extend(aggregates.iter().enumerate().map(|(i, a)| Column::new(format!("a{stage}{i}"), kind(*a, &input))));
        let numbers: Vec<usize> = (keys.len()..columns.len()).filter(|c| columns[*c].is_number()).collect();
        columns.extend([Column::new(format!("ws{stage}"), Kind::Int), Column::new(format!("we{stage}"), Kind::Int)]);
        let having = (!(several && corrects) && self.draw.once_in(5) && !numbers.is_empty())
            .then(|| Condition::Above(*self.draw.pick(&numbers), self.draw.below(5) as i64));
        let finals = matches!(emit, Emit::Unsaid | Emit::Final) && !corrects;
        let top = (finals && !loose && self.draw.once_in(5)).then(|| self.top(keys.len()..columns.len() - 2));
        let lateness = self.lateness(&shape);
        let filter = self.draw.once_in(5).then(|| self.condition(&input));
        let window =
            Window { shape, keys, aggregates, having, top, emit, lateness, late, names_time: false, restamp: None };
        app.stages.push(Stage { name: String::new(), filter, op: Op::Window(window), columns });
    }

    fn emission(&mut self, first: bool, last: bool, loose: bool, shape: &Shape) -> (Option<(Late, Place)>, Emit) {
        let mut every = !matches!(shape, Shape::Hopping { .. }) || runs(Feature::EveryOverHopping);
        every &= !matches!(shape, Shape::Days { .. }) || runs(Feature::EveryOverHopping);
        let mut emit = match self.draw.below(9) {
            0 | 1 => Emit::Unsaid,
            2 | 3 => Emit::Final,
            4 | 5 => Emit::Changes,
            _ if every => Emit::Every(*self.draw.pick(&[self.unit / 2, self.unit, self.unit * 3 / 2, 700 * MS])),
            _ => Emit::Changes,
        };
        if loose && emit != Emit::Unsaid {
            emit = Emit::Final;
        }
        let late = match self.draw.below(6) {
            0 => None,
            1 => Some(Late::Drop),
            2 | 3 => Some(Late::DeadLetter),
            4 if runs(Feature::UpdatePrevious) => Some(Late::UpdatePrevious),
            5 if runs(Feature::IncludeInNext) => Some(Late::IncludeInNext),
            _ => Some(Late::DeadLetter),
        };
        let unwanted = |late: &Late| match late {
            // What comes out before the end is read by nobody who would see its order.
            Late::UpdatePrevious => loose || !last && self.partitions > 1 || !first && self.partitions > 1,
            _ => false,
        };
        (late.filter(|l| !unwanted(l)).map(|l| (l, Place::Statement)), emit)
    }

    fn shape(&mut self, first: bool) -> Shape {
        if let Some(zone) = self.zone.clone() {
            let size = 1 + self.draw.below(3) as i64;
            let slide = if self.draw.once_in(3) { 1 + self.draw.below(size as u64) as i64 } else { size };
            return Shape::Days { size, slide, zone };
        }
        let size = if first {
            self.unit
        } else {
            self.unit * *self.draw.pick(&[1, 1, 2, 3, 10]) / *self.draw.pick(&[1, 1, 2])
        };
        match self.draw.below(if runs(Feature::Session) { 3 } else { 2 }) {
            0 => Shape::Tumbling(size),
            1 => {
                let slide = match self.draw.below(4) {
                    0 => size,
                    1 => size / 2,
                    2 => size / 4,
                    _ => (size / MS * 3 / 8).max(1) * MS,
                };
                Shape::Hopping { size, slide }
            }
            _ => Shape::Session(*self.draw.pick(&[size / 4, size / 2, size])),
        }
    }

    fn lateness(&mut self, shape: &Shape) -> Option<(i64, Place)> {
        let unit = if matches!(shape, Shape::Days { .. }) { 6 * 3_600 * SECOND } else { self.unit };
        let place = *self.draw.pick(&[Place::Window, Place::Statement]);
        match self.draw.below(6) {
            0 | 1 => None,
            2 | 3 => Some((0, place)),
            4 => Some((unit / 4, place)),
            _ => Some((unit, place)),
        }
    }

    fn top(&mut self, columns: std::ops::Range<usize>) -> Top {
        let columns: Vec<usize> = columns.collect();
        let mut order = Vec::new();
        for _ in 0..self.draw.below(3) {
            order.push((*self.draw.pick(&columns), self.draw.once_in(2)));
        }
        let limit = (order.is_empty() || self.draw.once_in(2)).then(|| 1 + self.draw.below(3) as usize);
        Top { order, limit }
    }

    /// One to three; `loose`: only those for which the order of rows does not matter.
    pub fn aggregates(&mut self, input: &[Column], loose: bool) -> Vec<Aggregate> {
        (0..1 + self.draw.below(3)).map(|_| self.aggregate(input, loose)).collect()
    }

    fn aggregate(&mut self, input: &[Column], loose: bool) -> Aggregate {
        let numbers: Vec<usize> =
            (0..input.len()).filter(|c| input[*c].is_number() && input[*c].name != "ts").collect();
        let texts: Vec<usize> = (0..input.len()).filter(|c| input[*c].kind == Kind::Text).collect();
        let decimals: Vec<usize> = (0..input.len()).filter(|c| input[*c].name == "d").collect();
        let number = *self.draw.pick(&numbers);
        match self.draw.below(12) {
            0 | 1 => Aggregate::Rows,
            2 => Aggregate::Count(number),
            3 => Aggregate::Distinct(number),
            4 => Aggregate::Min(*self.draw.pick(&numbers)),
            5 if !texts.is_empty() => Aggregate::Max(*self.draw.pick(&texts)),
            6 => Aggregate::Delta(number),
            7 if !loose => Aggregate::First(number),
            8 if !loose => Aggregate::Last(number),
            9 if !loose && !texts.is_empty() => Aggregate::Joined(*self.draw.pick(&texts)),
            10 if !decimals.is_empty() => Aggregate::Average(decimals[0]),
            _ => Aggregate::Sum(number),
        }
    }

    pub fn condition(&mut self, input: &[Column]) -> Condition {
        let numbers: Vec<usize> = (0..input.len()).filter(|c| input[*c].kind == Kind::Int).collect();
        let column = *self.draw.pick(&numbers);
        match self.draw.below(4) {
            0 => Condition::Above(column, self.draw.below(4) as i64 - 2),
            1 => Condition::NotEqual(column, self.draw.below(4) as i64),
            2 => Condition::Remainder(column, 2),
            _ => Condition::Present(self.draw.below(input.len() as u64) as usize),
        }
    }

    /// A projection of all columns; `restamp`: with a time of its own.
    fn selection(&mut self, app: &mut App, restamp: bool) {
        let input = app.input(app.stages.len()).to_vec();
        let filter = (!restamp || self.draw.once_in(2)).then(|| self.condition(&input));
        let shift = *self.draw.pick(&[0, 1, self.unit / MS, -1, -self.unit / MS / 8]);
        let restamp = restamp.then_some((TS, shift));
        let items = (0..input.len()).collect();
        app.stages.push(Stage {
            name: String::new(),
            filter,
            op: Op::Select(Select { items, restamp }),
            columns: input,
        });
    }

    fn group(&mut self, app: &mut App) {
        let input = app.input(app.stages.len()).to_vec();
        let loose = self.is_loose(app);
        let found = input.iter().position(|c| c.name == "k" || c.name == "g");
        let keys: Vec<usize> = found.into_iter().filter(|_| !self.draw.once_in(4)).collect();
        let aggregates = self.aggregates(&input, loose);
        let mut columns: Vec<Column> = keys.iter().map(|k| input[*k].clone()).collect();
        columns.extend(aggregates.iter().enumerate().map(|(i, a)| Column::new(format!("b{i}"), kind(*a, &input))));
        let at_end = loose || self.partitions > 1 || self.draw.once_in(2);
        app.stages.push(Stage {
            name: String::new(),
            filter: None,
            op: Op::Group { keys, aggregates, at_end },
            columns,
        });
    }

    /// Gives the rows of the last window the time of their first row.
    fn restamp(&mut self, app: &mut App) {
        if let Some(Stage { op: Op::Window(window), .. }) = app.stages.last_mut() {
            let next = window.late.is_some_and(|(late, _)| late == Late::IncludeInNext);
            window.restamp = (!next && !matches!(window.shape, Shape::Session(_))).then_some(TS);
        }
    }
}

/// What an aggregate gives.
pub fn kind(aggregate: Aggregate, input: &[Column]) -> Kind {
    match aggregate {
        Aggregate::Rows | Aggregate::Count(_) | Aggregate::Distinct(_) => Kind::Int,
        Aggregate::Joined(_) => Kind::Text,
        Aggregate::Average(_) => Kind::Fraction,
        Aggregate::Sum(c)
        | Aggregate::Min(c)
        | Aggregate::Max(c)
        | Aggregate::Delta(c)
        | Aggregate::First(c)
        | Aggregate::Last(c) => input[c].kind,
    }
}
