//! Random OVER statements: buffers, frames, ranks, shifts, sums.

use super::apps::{Writer, kind};
use super::model::{App, Bound, Buffer, Call, Expire, Frame, MS, Op, Over, SECOND, Stage};
use super::value::{Column, Kind};

/// A statement with OVER over the last one.
pub fn over(writer: &mut Writer<'_>, app: &mut App) {
    let input = app.input(app.stages.len()).to_vec();
    let loose = writer.is_loose(app);
    let position = |name: &str| input.iter().position(|c| c.name == name);
    let mut items: Vec<usize> = ["k", "g"].into_iter().filter_map(position).collect();
    let partition: Vec<usize> = items.iter().take(1).copied().filter(|_| loose || !writer.draw.once_in(3)).collect();
    items.extend((0..input.len()).filter(|c| !matches!(input[*c].name.as_str(), "k" | "g")));
    let order = order(writer, &input);
    let buffer =
        if writer.draw.once_in(2) { Buffer::Rows(1 + writer.draw.below(6) as usize) } else { Buffer::Standard };
    let frame = frame(writer, order, &input);
    let on_full = matches!(buffer, Buffer::Rows(_)) && writer.draw.once_in(4);
    let expire = match (buffer, writer.draw.below(3)) {
        (Buffer::Standard, _) | (_, 0) => None,
        (_, 1) => Some(Expire::Never),
        _ => Some(Expire::After(*writer.draw.pick(&[100 * MS, SECOND, 5 * SECOND]))),
    };
    let calls: Vec<Call> = (0..1 + writer.draw.below(4)).map(|_| call(writer, &input, order.is_some())).collect();
    let stage = app.stages.len() + 1;
    let mut columns: Vec<Column> = items.iter().map(|i| input[*i].clone()).collect();
    columns.extend(calls.iter().enumerate().map(|(i, c)| Column::new(format!("o{stage}{i}"), of(*c, &input))));
    let filter = writer.draw.once_in(5).then(|| writer.condition(&input));
    let over = Over { items, partition, order, buffer, frame, on_full, expire, calls };
    app.stages.push(Stage { name: String::new(), filter, op: Op::Over(over), columns });
}

fn order(writer: &mut Writer<'_>, input: &[Column]) -> Option<(usize, bool)> {
    let numbers: Vec<usize> = (0..input.len()).filter(|c| input[*c].kind == Kind::Int).collect();
    let time = input.iter().position(|c| c.name == "ts" || c.name.starts_with("ws"));
    match writer.draw.below(5) {
        0 => None,
        1 => Some((*writer.draw.pick(&numbers), writer.draw.once_in(2))),
        2 => time.map(|c| (c, true)),
        _ => time.map(|c| (c, false)),
    }
}

fn frame(writer: &mut Writer<'_>, order: Option<(usize, bool)>, input: &[Column]) -> Option<Frame> {
    let times = order.is_some_and(|(c, desc)| !desc && (input[c].name == "ts" || input[c].name.starts_with("ws")));
    let before = 1 + writer.draw.below(4) as usize;
    match writer.draw.below(6) {
        0 | 1 => None,
        2 if times => {
            let ms = *writer.draw.pick(&[100, 1_000, 7_000]);
            Some(Frame::Range(ms, if writer.draw.once_in(3) { ms / 2 } else { 0 }))
        }
        3 => Some(Frame::Rows(None, *writer.draw.pick(&[Bound::Current, Bound::Unbounded, Bound::Preceding(1)]))),
        4 => Some(Frame::Rows(Some(before), Bound::Following(1 + writer.draw.below(2) as usize))),
        _ => Some(Frame::Rows(Some(before), Bound::Current)),
    }
}

fn call(writer: &mut Writer<'_>, input: &[Column], ordered: bool) -> Call {
    let integers: Vec<usize> = (0..input.len()).filter(|c| input[*c].kind == Kind::Int).collect();
    let (any, integer) = (writer.draw.below(input.len() as u64) as usize, *writer.draw.pick(&integers));
    let ignore = writer.draw.once_in(3);
    let by = writer.draw.below(3) as usize;
    match writer.draw.below(if ordered { 16 } else { 11 }) {
        0 => Call::Lag(integer, by, ignore),
        1 => Call::Lag(any, 1, false),
        2 => Call::Lead(integer, by, ignore),
        3 => Call::FirstValue(any, ignore),
        4 => Call::LastValue(any, ignore),
        5 => Call::NthValue(any, 1 + by),
        6 => Call::RowNumber,
        11 => Call::Rank,
        12 => Call::DenseRank,
        13 => Call::PercentRank,
        14 => Call::CumeDist,
        15 => Call::Ntile(1 + writer.draw.below(4) as usize),
        _ => Call::Of(writer.aggregates(input, true)[0]),
    }
}

fn of(call: Call, input: &[Column]) -> Kind {
    match call {
        Call::RowNumber | Call::Rank | Call::DenseRank | Call::Ntile(_) => Kind::Int,
        Call::PercentRank | Call::CumeDist => Kind::Fraction,
        Call::Lag(c, ..) | Call::Lead(c, ..) | Call::NthValue(c, _) => input[c].kind,
        Call::FirstValue(c, _) | Call::LastValue(c, _) => input[c].kind,
        Call::Of(of) => kind(of, input),
    }
}
