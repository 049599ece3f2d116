//! Functions over one array: length, order, positions, sums, text. Elements are slices of the array's canonical text, so
//! equality is equality of text; NULL elements equal NULL. Cost: one walk over the array's text a row.

use std::cmp::Ordering;

use velostream_types::{Column, DataType, decimal};

use crate::call::{Args, Call, Fail, recast, shortened};
use crate::collection::{common, element};
use crate::function::{ArgType, Function, Group, Param, Returns};
use crate::json::{self, Kind};
use crate::string::grow;

const ARRAY: &[Param] = &[Param::Array];
const ARRAY_VALUE: &[Param] = &[Param::Array, Param::Any];

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("CARDINALITY", Group::Collection, &[Param::Nested], Returns::Integer, cardinality)
        .or(&["ARRAY_LENGTH"])
        .fails()
        .doc(
            "CARDINALITY(array)",
            "Number of elements of an array, or of keys of a map or struct.",
            &[
                ("CARDINALITY(ARRAY(1, NULL, 1))", "3"),
                ("CARDINALITY(MAP('a', 1, 'b', 2))", "2"),
                ("ARRAY_LENGTH(ARRAY())", "0"),
                ("CARDINALITY('[1, 2]')", "2"),
                ("CARDINALITY(TO_JSON(5))", "error: 5 is neither an array nor a map"),
            ],
        ),
    Function::new("ARRAY_CONTAINS", Group::Collection, ARRAY_VALUE, Returns::By(test), contains)
        .sees_nulls()
        .fails()
        .doc(
            "ARRAY_CONTAINS(array, value)",
            "TRUE when an element equals the value; NULL equals NULL.",
            &[
                ("ARRAY_CONTAINS(ARRAY(1, 2), 2.0)", "true"),
                ("ARRAY_CONTAINS(ARRAY('a'), 'b')", "false"),
                ("ARRAY_CONTAINS(ARRAY(1, NULL), NULL)", "true"),
                ("ARRAY_CONTAINS(ARRAY(ARRAY(1.5)), ARRAY(1.50))", "true"),
                ("ARRAY_CONTAINS(NULL, 1)", "NULL"),
            ],
        ),
    Function::new("ARRAY_POSITION", Group::Collection, ARRAY_VALUE, Returns::By(place), position)
        .sees_nulls()
        .fails()
        .doc(
            "ARRAY_POSITION(array, value)",
            "Number of the first element that equals the value, from 1; 0 if there is none. NULL equals NULL.",
            &[
                ("ARRAY_POSITION(ARRAY('a', 'b', 'b'), 'b')", "2"),
                ("ARRAY_POSITION(ARRAY(1, 2), 3)", "0"),
                ("ARRAY_POSITION(ARRAY(1, NULL), NULL)", "2"),
            ],
        ),
    Function::new("ARRAY_MIN", Group::Collection, ARRAY, Returns::By(ordered_element), minimum).doc(
        "ARRAY_MIN(array)",
        "The smallest element; NULLs are skipped.",
        &[
            ("ARRAY_MIN(ARRAY(3, 1.5, NULL))", "1.5"),
            ("ARRAY_MIN(ARRAY('b', 'a'))", "a"),
            ("ARRAY_MIN(ARRAY())", "NULL"),
            ("ARRAY_MIN(ARRAY(10, 9)) + 1", "10"),
        ],
    ),
    Function::new("ARRAY_MAX", Group::Collection, ARRAY, Returns::By(ordered_element), maximum).doc(
        "ARRAY_MAX(array)",
        "The greatest element; NULLs are skipped.",
        &[
            ("ARRAY_MAX(ARRAY(9, 10, NULL))", "10"),
            ("ARRAY_MAX(ARRAY(DATE '2024-02-29', DATE '2023-12-31'))", "2024-02-29"),
            ("ARRAY_MAX(ARRAY(ARRAY(1, 2), ARRAY(1, 10)))", "[1,10]"),
        ],
    ),
    Function::new("ARRAY_SUM", Group::Collection, ARRAY, Returns::By(summed), sum).fails().doc(
        "ARRAY_SUM(array)",
        "The sum of the elements, exact for integers and decimals; NULLs are skipped, and without a number it is NULL.",
        &[
            ("ARRAY_SUM(ARRAY(0.1, 0.2, NULL))", "0.3"),
            ("ARRAY_SUM(ARRAY(1, 2))", "3"),
            ("ARRAY_SUM(ARRAY(1.5e0, 2))", "3.5"),
            ("ARRAY_SUM(ARRAY())", "NULL"),
            ("ARRAY_SUM(ARRAY(9223372036854775807, 1))", "error: 9223372036854775808 is beyond the range of INTEGER"),
        ],
    ),
    Function::new("ARRAY_JOIN", Group::Collection, &[Param::Array, Param::Text, Param::Text], Returns::Text, join)
        .or(&["ARRAY_TO_STRING"])
        .optional(1)
        .fails()
        .doc(
            "ARRAY_JOIN(array, separator[, null])",
            "The elements as text with the separator between them; NULLs are skipped, or stand as the third text.",
            &[
                ("ARRAY_JOIN(ARRAY('a', NULL, 'b'), ', ')", "a, b"),
                ("ARRAY_JOIN(ARRAY(1, NULL, 2.50), '-', '?')", "1.00-?-2.50"),
                ("ARRAY_TO_STRING(ARRAY(), ',')", ""),
                ("ARRAY_JOIN('[1.50, \"a\", [2]]', ' ')", "1.5 a [2]"),
            ],
        ),
    Function::new("STRING_TO_ARRAY", Group::String, &[Param::Text, Param::Text], Returns::By(texts), split).doc(
        "STRING_TO_ARRAY(text, delimiter)",
        "An array of the parts of the text between the delimiters; an empty text has none, and an empty delimiter cuts \
         nothing.",
        &[
            ("STRING_TO_ARRAY('a,b,,c', ',')", "[\"a\",\"b\",\"\",\"c\"]"),
            ("STRING_TO_ARRAY('a\"b', '')", "[\"a\\\"b\"]"),
            ("STRING_TO_ARRAY('', ',')", "[]"),
            ("ELEMENT_AT(STRING_TO_ARRAY('a::b', '::'), 2)", "b"),
        ],
    ),
];

/// An array and a value that its elements can be compared with: their common type.
pub(crate) fn comparable(args: &[ArgType<'_>]) -> Result<DataType, String> {
    let [array, value] = args else { return Ok(DataType::Null) };
    let of = element(array.data_type);
    common(&of, value.data_type).ok_or_else(|| format!("elements are {of}, the value is {}", value.data_type))
}

fn test(args: &[ArgType<'_>]) -> Result<DataType, String> {
    comparable(args).map(|_| DataType::Boolean)
}

fn place(args: &[ArgType<'_>]) -> Result<DataType, String> {
    comparable(args).map(|_| DataType::Integer)
}

fn texts(_: &[ArgType<'_>]) -> Result<DataType, String> {
    Ok(DataType::array(DataType::String))
}

/// FALSE for types of which no value is less than another.
pub fn has_order(data_type: &DataType) -> bool {
    match data_type {
        DataType::Json | DataType::Map(_) => false,
        DataType::Array(of) => has_order(of),
        DataType::Struct(fields) => fields.iter().all(|f| has_order(&f.data_type)),
        _ => true,
    }
}

fn ordered_element(args: &[ArgType<'_>]) -> Result<DataType, String> {
    let of = args.first().map_or(DataType::Null, |a| element(a.data_type));
    if has_order(&of) { Ok(of) } else { Err(format!("elements of type {of} have no order")) }
}

fn summed(args: &[ArgType<'_>]) -> Result<DataType, String> {
    match args.first().map_or(DataType::Null, |a| element(a.data_type)) {
        DataType::Decimal { scale, .. } => Ok(DataType::decimal(scale)),
        of @ (DataType::Integer | DataType::Float | DataType::Null) => Ok(of),
        of => Err(format!("elements are {of}, not numbers")),
    }
}

fn cardinality(call: &mut Call<'_>) -> Column {
    let of = call.args.nested(0);
    call.ints(|row| {
        let raw = of.at(row);
        match json::kind(raw) {
            Kind::Array => Ok(Some(json::elements(raw).count() as i64)),
            Kind::Object => Ok(Some(json::members(raw).count() as i64)),
            _ => Err(Fail::cast(format!("{} is neither an array nor a map", shortened(raw)))),
        }
    })
}

/// The elements of argument 0 and the value of argument 1 in one type. What is compared stands in buffers that all rows
/// share; elements that are in the common type already are read where they stand.
pub(crate) struct Comparer {
    to: DataType,
    same: bool,
    value: String,
    other: String,
}

impl Comparer {
    pub(crate) fn new(args: Args<'_>) -> Comparer {
        let of = element(args.data_type(0));
        let to = common(&of, args.data_type(1)).unwrap_or(DataType::Json);
        Comparer { same: of == to, to, value: String::new(), other: String::new() }
    }

    /// Reads the row's value.
    pub(crate) fn set(&mut self, args: Args<'_>, row: usize) -> Result<(), Fail> {
        self.value.clear();
        args.push_json(1, row, &self.to, &mut self.value)
    }

    /// TRUE when an element equals the value.
    pub(crate) fn equals(&mut self, raw: &str) -> Result<bool, Fail> {
        if self.same {
            return Ok(raw == self.value);
        }
        self.other.clear();
        recast(raw, &self.to, &mut self.other)?;
        Ok(self.other == self.value)
    }
}

/// Where the value stands among the elements, from 0.
fn found(comparer: &mut Comparer, args: Args<'_>, array: &str, row: usize) -> Result<Option<usize>, Fail> {
    comparer.set(args, row)?;
    for (i, raw) in json::elements(array).enumerate() {
        if comparer.equals(raw)? {
            return Ok(Some(i));
        }
    }
    Ok(None)
}

fn contains(call: &mut Call<'_>) -> Column {
    let (args, array) = (call.args, call.args.nested(0));
    let mut comparer = Comparer::new(args);
    call.bools(|row| match args.is_null(0, row) {
        true => Ok(None),
        false => Ok(Some(found(&mut comparer, args, array.at(row), row)?.is_some())),
    })
}

fn position(call: &mut Call<'_>) -> Column {
    let (args, array) = (call.args, call.args.nested(0));
    let mut comparer = Comparer::new(args);
    call.ints(|row| match args.is_null(0, row) {
        true => Ok(None),
        false => Ok(Some(found(&mut comparer, args, array.at(row), row)?.map_or(0, |i| i as i64 + 1))),
    })
}

fn minimum(call: &mut Call<'_>) -> Column {
    extreme(call, Ordering::Less)
}

fn maximum(call: &mut Call<'_>) -> Column {
    extreme(call, Ordering::Greater)
}

fn extreme(call: &mut Call<'_>, want: Ordering) -> Column {
    let (array, of) = (call.args.nested(0), element(call.args.data_type(0)));
    call.from_json(|row| {
        let values = json::elements(array.at(row)).filter(|raw| json::kind(raw) != Kind::Null);
        Ok(values.reduce(|best, raw| if json::compare(raw, best, &of) == want { raw } else { best }))
    })
}

fn sum(call: &mut Call<'_>) -> Column {
    let array = call.args.nested(0);
    let numbers = |row: usize| json::elements(array.at(row)).filter(|raw| json::kind(raw) == Kind::Number);
    if *call.result == DataType::Float {
        return call.floats(|row| {
            let floats = numbers(row).filter_map(|raw| raw.parse::<f64>().ok());
            Ok(floats.fold(None, |sum, x| Some(sum.unwrap_or(0.0) + x)))
        });
    }
    // Elements of an inferred type may have more digits than it says.
    let live: Vec<usize> = (0..call.rows).filter(|row| call.is_live(*row)).collect();
    let least = call.result.exact_scale().unwrap_or(0);
    let scales = live.iter().flat_map(|row| numbers(*row)).filter_map(json::exact).map(|(_, scale)| scale);
    let scale = scales.fold(least, u8::max);
    let too_long = || Fail::overflow("the sum has more than 38 digits");
    call.exacts(scale, |row| {
        let mut sum = None;
        for raw in numbers(row) {
            let (mantissa, own) = json::exact(raw).ok_or_else(too_long)?;
            let mantissa = decimal::rescale(mantissa, own, scale).ok_or_else(too_long)?;
            sum = Some(sum.unwrap_or(0i128).checked_add(mantissa).ok_or_else(too_long)?);
        }
        Ok(sum)
    })
}

fn join(call: &mut Call<'_>) -> Column {
    let (array, separator) = (call.args.nested(0), call.args.text(1));
    let null = (call.args.len() > 2).then(|| call.args.text(2));
    call.texts(|row, out| {
        let mut first = true;
        for raw in json::elements(array.at(row)) {
            let kind = json::kind(raw);
            let piece = match (kind, &null) {
                (Kind::Null, None) => continue,
                (Kind::Null, Some(null)) => null.at(row),
                _ => raw,
            };
            if !std::mem::take(&mut first) {
                grow(out, separator.at(row))?;
            }
            match kind {
                Kind::Text => json::push_text(piece, out),
                _ => out.push_str(piece),
            }
        }
        Ok(true)
    })
}

fn split(call: &mut Call<'_>) -> Column {
    let (text, delimiter) = (call.args.text(0), call.args.text(1));
    call.texts(|row, out| {
        let (text, delimiter) = (text.at(row), delimiter.at(row));
        out.push('[');
        let mut push = |part: &str| {
            if out.len() > 1 {
                out.push(',');
            }
            json::quote(part, out);
        };
        match (text, delimiter) {
            ("", _) => {}
            (text, "") => push(text),
            (text, delimiter) => text.split(delimiter).for_each(&mut push),
        }
        out.push(']');
        Ok(true)
    })
}
