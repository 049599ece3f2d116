//! Arrays from arrays: with elements added, removed, reordered, and as sets. Equality is structural and NULL equals NULL;
//! what is kept stands in the order in which it came. Arrays with different element types are brought to their common one.
//!
//! Cost: one pass over the elements; those of sets are sorted by their text too.

use velostream_types::{Column, DataType, Value};

use crate::array::{Comparer, comparable, has_order};
use crate::call::{Args, Call, Fail, recast};
use crate::collection::{common_of, element};
use crate::function::{ArgType, BadConstant, Function, Group, Param, Prepared, Returns};
use crate::json;

const ARRAY: &[Param] = &[Param::Array];
const ARRAYS: &[Param] = &[Param::Array, Param::Array];

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("ARRAY_APPEND", Group::Collection, &[Param::Array, Param::Any], Returns::By(with_last), append)
        .sees_nulls()
        .fails()
        .doc(
            "ARRAY_APPEND(array, value)",
            "The array with the value behind its elements.",
            &[("ARRAY_APPEND(ARRAY(1), 2.5)", "[1.0,2.5]"), ("ARRAY_APPEND(ARRAY('a'), NULL)", "[\"a\",null]")],
        ),
    Function::new("ARRAY_PREPEND", Group::Collection, &[Param::Array, Param::Any], Returns::By(with_last), prepend)
        .sees_nulls()
        .fails()
        .doc(
            "ARRAY_PREPEND(array, value)",
            "The array with the value in front of its elements.",
            &[("ARRAY_PREPEND(ARRAY(1, 2), 0)", "[0,1,2]"), ("ARRAY_PREPEND(NULL, 0)", "NULL")],
        ),
    Function::new("ARRAY_REMOVE", Group::Collection, &[Param::Array, Param::Any], Returns::By(without), remove)
        .sees_nulls()
        .fails()
        .doc(
            "ARRAY_REMOVE(array, value)",
            "The array without the elements that equal the value; NULL equals NULL.",
            &[
                ("ARRAY_REMOVE(ARRAY(1, 2, 1, NULL), 1)", "[2,null]"),
                ("ARRAY_REMOVE(ARRAY(1, NULL), NULL)", "[1]"),
                ("ARRAY_REMOVE(ARRAY(1, 2), 2.0)", "[1]"),
            ],
        ),
    Function::new("ARRAY_CONCAT", Group::Collection, ARRAYS, Returns::By(merged), concat).variadic().fails().doc(
        "ARRAY_CONCAT(array, array, …)",
        "The elements of the arrays, one array after the other.",
        &[("ARRAY_CONCAT(ARRAY(1), ARRAY(2.5), ARRAY(1))", "[1.0,2.5,1.0]"), ("ARRAY_CONCAT(ARRAY(1), NULL)", "NULL")],
    ),
    Function::new("ARRAY_DISTINCT", Group::Collection, ARRAY, Returns::SameAs(0), distinct).fails().doc(
        "ARRAY_DISTINCT(array)",
        "The different elements, each where it stood first.",
        &[
            ("ARRAY_DISTINCT(ARRAY(2, 1, 2, NULL, NULL))", "[2,1,null]"),
            ("ARRAY_DISTINCT(ARRAY('a', 'A'))", "[\"a\",\"A\"]"),
        ],
    ),
    Function::new("ARRAY_UNION", Group::Collection, ARRAYS, Returns::By(merged), union).fails().doc(
        "ARRAY_UNION(array, array)",
        "The different elements of both arrays.",
        &[("ARRAY_UNION(ARRAY(1, 2, 1), ARRAY(2.0, 3))", "[1.0,2.0,3.0]")],
    ),
    Function::new("ARRAY_INTERSECT", Group::Collection, ARRAYS, Returns::By(merged), intersect).fails().doc(
        "ARRAY_INTERSECT(array, array)",
        "The different elements of the first array that are in the second too.",
        &[("ARRAY_INTERSECT(ARRAY(3, 1, 3, NULL), ARRAY(NULL, 3))", "[3,null]")],
    ),
    Function::new("ARRAY_EXCEPT", Group::Collection, ARRAYS, Returns::By(merged), except).fails().doc(
        "ARRAY_EXCEPT(array, array)",
        "The different elements of the first array that are not in the second.",
        &[("ARRAY_EXCEPT(ARRAY(3, 1, 3, 2), ARRAY(2))", "[3,1]")],
    ),
    Function::new("ARRAY_SORT", Group::Collection, &[Param::Array, Param::Text], Returns::By(sorted), sort)
        .optional(1)
        .prepare(direction)
        .fails()
        .doc(
            "ARRAY_SORT(array[, 'ASC' | 'DESC'])",
            "The elements in order: NULLs first ascending, last descending.",
            &[
                ("ARRAY_SORT(ARRAY(10, 9, NULL))", "[null,9,10]"),
                ("ARRAY_SORT(ARRAY('b', 'a', 'c'), 'DESC')", "[\"c\",\"b\",\"a\"]"),
                ("ARRAY_SORT(ARRAY(ARRAY(2), ARRAY(1, 5)))", "[[1,5],[2]]"),
            ],
        ),
    Function::new("ARRAY_REVERSE", Group::Collection, ARRAY, Returns::SameAs(0), reverse).fails().doc(
        "ARRAY_REVERSE(array)",
        "The elements from the last to the first.",
        &[("ARRAY_REVERSE(ARRAY(1, 2, NULL))", "[null,2,1]"), ("ARRAY_REVERSE(ARRAY())", "[]")],
    ),
    Function::new(
        "SLICE",
        Group::Collection,
        &[Param::Array, Param::Integer, Param::Integer],
        Returns::SameAs(0),
        slice,
    )
    .fails()
    .doc(
        "SLICE(array, from, to)",
        "The elements from one number to another, from 1 and both included, as far as there are any.",
        &[
            ("SLICE(ARRAY('a', 'b', 'c', 'd'), 2, 3)", "[\"b\",\"c\"]"),
            ("SLICE(ARRAY(1, 2), 2, 9)", "[2]"),
            ("SLICE(ARRAY(1, 2), 3, 2)", "[]"),
            ("SLICE(ARRAY(1, 2), -5, 1)", "[1]"),
        ],
    ),
];

fn with_last(args: &[ArgType<'_>]) -> Result<DataType, String> {
    comparable(args).map(DataType::array)
}

fn without(args: &[ArgType<'_>]) -> Result<DataType, String> {
    comparable(args)?;
    Ok(args.first().map_or(DataType::Null, |a| a.data_type.clone()))
}

fn merged(args: &[ArgType<'_>]) -> Result<DataType, String> {
    let elements: Vec<DataType> = args.iter().map(|a| element(a.data_type)).collect();
    common_of(&elements).map(DataType::array)
}

fn sorted(args: &[ArgType<'_>]) -> Result<DataType, String> {
    let array = args.first().map_or(&DataType::Null, |a| a.data_type);
    if has_order(array) { Ok(array.clone()) } else { Err(format!("elements of {array} have no order")) }
}

fn direction(constants: &[Option<&Value>]) -> Result<Option<Prepared>, BadConstant> {
    match constants.get(1).copied().flatten() {
        Some(Value::Str(text)) => match descends(text) {
            Ok(_) => Ok(None),
            Err(fail) => Err(BadConstant { argument: 1, message: fail.message }),
        },
        _ => Ok(None),
    }
}

fn descends(text: &str) -> Result<bool, Fail> {
    match text {
        _ if text.eq_ignore_ascii_case("ASC") => Ok(false),
        _ if text.eq_ignore_ascii_case("DESC") => Ok(true),
        _ => Err(Fail::domain(format!("the direction is 'ASC' or 'DESC', not '{}'", crate::call::shortened(text)))),
    }
}

/// Writes arrays one element at a time, each brought to the element type of the result.
struct Writer {
    of: DataType,
}

impl Writer {
    fn new(call: &Call<'_>) -> Writer {
        Writer { of: element(call.result) }
    }

    /// Separates what is appended next from what stands there.
    fn next(out: &mut String) {
        if out.len() > 1 {
            out.push(',');
        }
    }

    /// Appends an element of argument number `i`.
    fn push(&self, args: Args<'_>, i: usize, raw: &str, out: &mut String) -> Result<(), Fail> {
        Writer::next(out);
        self.convert(args, i, raw, out)
    }

    fn convert(&self, args: Args<'_>, i: usize, raw: &str, out: &mut String) -> Result<(), Fail> {
        match args.data_type(i) {
            DataType::Array(own) if **own != self.of => recast(raw, &self.of, out),
            _ => {
                out.push_str(raw);
                Ok(())
            }
        }
    }
}

fn append(call: &mut Call<'_>) -> Column {
    extended(call, false)
}

fn prepend(call: &mut Call<'_>) -> Column {
    extended(call, true)
}

fn extended(call: &mut Call<'_>, in_front: bool) -> Column {
    let (args, array, writer) = (call.args, call.args.nested(0), Writer::new(call));
    call.texts(|row, out| {
        if args.is_null(0, row) {
            return Ok(false);
        }
        out.push('[');
        if in_front {
            args.push_json(1, row, &writer.of, out)?;
        }
        for raw in json::elements(array.at(row)) {
            writer.push(args, 0, raw, out)?;
        }
        if !in_front {
            Writer::next(out);
            args.push_json(1, row, &writer.of, out)?;
        }
        out.push(']');
        Ok(true)
    })
}

fn remove(call: &mut Call<'_>) -> Column {
    let (args, array, writer) = (call.args, call.args.nested(0), Writer::new(call));
    let mut comparer = Comparer::new(args);
    call.texts(|row, out| {
        if args.is_null(0, row) {
            return Ok(false);
        }
        comparer.set(args, row)?;
        out.push('[');
        for raw in json::elements(array.at(row)) {
            if !comparer.equals(raw)? {
                writer.push(args, 0, raw, out)?;
            }
        }
        out.push(']');
        Ok(true)
    })
}

fn concat(call: &mut Call<'_>) -> Column {
    let (args, writer) = (call.args, Writer::new(call));
    let arrays: Vec<_> = (0..args.len()).map(|i| args.nested(i)).collect();
    call.texts(|row, out| {
        out.push('[');
        for (i, array) in arrays.iter().enumerate() {
            for raw in json::elements(array.at(row)) {
                writer.push(args, i, raw, out)?;
            }
        }
        out.push(']');
        Ok(true)
    })
}

/// Texts in a buffer that all rows share.
#[derive(Default)]
struct Pieces {
    buffer: String,
    places: Vec<(usize, usize)>,
}

impl Pieces {
    fn clear(&mut self) {
        self.buffer.clear();
        self.places.clear();
    }

    /// Takes what was appended to the buffer since the last one.
    fn take(&mut self) {
        let start = self.places.last().map_or(0, |last| last.1);
        self.places.push((start, self.buffer.len()));
    }

    fn text(&self, place: (usize, usize)) -> &str {
        &self.buffer[place.0..place.1]
    }

    /// Sorts the places by their text, equal ones as they came.
    fn sort(&mut self) {
        let Pieces { buffer, places } = self;
        let text = |place: &(usize, usize)| &buffer[place.0..place.1];
        places.sort_unstable_by(|a, b| text(a).cmp(text(b)).then(a.cmp(b)));
    }

    /// TRUE when a text is among the sorted ones.
    fn has(&self, text: &str) -> bool {
        self.places.binary_search_by(|place| self.text(*place).cmp(text)).is_ok()
    }
}

fn distinct(call: &mut Call<'_>) -> Column {
    set(call, 1, |_| true)
}

fn union(call: &mut Call<'_>) -> Column {
    set(call, 2, |_| true)
}

fn intersect(call: &mut Call<'_>) -> Column {
    set(call, 1, |in_second| in_second)
}

fn except(call: &mut Call<'_>) -> Column {
    set(call, 1, |in_second| !in_second)
}

/// The different elements of the first `from` arrays that `keep` wants, told whether the last array has them.
fn set(call: &mut Call<'_>, from: usize, keep: fn(bool) -> bool) -> Column {
    let (args, writer) = (call.args, Writer::new(call));
    let arrays: Vec<_> = (0..args.len()).map(|i| args.nested(i)).collect();
    let (mut firsts, mut others) = (Pieces::default(), Pieces::default());
    call.texts(|row, out| {
        let sides = [(&mut firsts, 0..from), (&mut others, from..arrays.len())];
        for (pieces, which) in sides {
            pieces.clear();
            for i in which {
                for raw in json::elements(arrays[i].at(row)) {
                    writer.convert(args, i, raw, &mut pieces.buffer)?;
                    pieces.take();
                }
            }
            pieces.sort();
        }
        let mut kept = std::mem::take(&mut firsts.places);
        let text = |place: &(usize, usize)| firsts.text(*place);
        kept.dedup_by(|next, first| text(next) == text(first));
        kept.retain(|place| keep(others.has(text(place))));
        kept.sort_unstable();
        push_all(kept.iter().map(text), out);
        firsts.places = kept;
        Ok(true)
    })
}

fn sort(call: &mut Call<'_>) -> Column {
    let (args, of) = (call.args, element(call.result));
    let array = args.nested(0);
    let direction = (args.len() > 1).then(|| args.text(1));
    let mut all: Vec<&str> = Vec::new();
    call.texts(|row, out| {
        let descending = direction.map_or(Ok(false), |text| descends(text.at(row)))?;
        all.clear();
        all.extend(json::elements(array.at(row)));
        let order = |a: &&str, b: &&str| match descending {
            true => json::compare(b, a, &of),
            false => json::compare(a, b, &of),
        };
        all.sort_unstable_by(order);
        push_all(all.iter().copied(), out);
        Ok(true)
    })
}

fn push_all<'a>(elements: impl Iterator<Item = &'a str>, out: &mut String) {
    out.push('[');
    for raw in elements {
        Writer::next(out);
        out.push_str(raw);
    }
    out.push(']');
}

fn reverse(call: &mut Call<'_>) -> Column {
    let array = call.args.nested(0);
    let mut all: Vec<&str> = Vec::new();
    call.texts(|row, out| {
        all.clear();
        all.extend(json::elements(array.at(row)));
        push_all(all.iter().rev().copied(), out);
        Ok(true)
    })
}

fn slice(call: &mut Call<'_>) -> Column {
    let (array, from, to) = (call.args.nested(0), call.args.int(1), call.args.int(2));
    call.texts(|row, out| {
        let skip = usize::try_from(from.at(row).saturating_sub(1)).unwrap_or(0);
        let end = usize::try_from(to.at(row)).unwrap_or(0);
        push_all(json::elements(array.at(row)).skip(skip).take(end.saturating_sub(skip)), out);
        Ok(true)
    })
}
