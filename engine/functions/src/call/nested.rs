//! Nested values in and out of a call: columns of any type from canonical JSON, and arguments of any type as canonical
//! JSON. Cost: one pass over the tokens that are asked for; numbers, truth values and text are made without a scalar in
//! between.

use velostream_types::{Column, DataType, Value, decimal};

use super::{Arg, Args, Call, Fail, Outcome, Texts, shortened};
use crate::json::{self, Kind, Misfit, Strictness};

impl Fail {
    /// A nested value with a part that is not of its type.
    #[cold]
    pub fn misfit(misfit: &Misfit) -> Fail {
        let Misfit { path, expected, found } = misfit;
        let at = if path.is_empty() { String::new() } else { format!(" at {path}") };
        Fail::cast(format!("{found}{at} is no {expected}"))
    }
}

impl<'a> Call<'a> {
    /// A column of the call's type: `f` answers canonical JSON of that type, and `null` is NULL.
    pub fn from_json(&mut self, mut f: impl FnMut(usize) -> Outcome<&'a str>) -> Column {
        let mut token = |row: usize| Ok(f(row)?.filter(|raw| json::kind(raw) != Kind::Null));
        let result = self.result;
        let scalar = |raw: &str| json::scalar(raw, result);
        match result {
            DataType::Boolean => self.bools(|row| Ok(token(row)?.map(|raw| raw == "true"))),
            DataType::Integer | DataType::Decimal { .. } => self.numbers(token),
            DataType::Float => self.floats(|row| Ok(token(row)?.and_then(|raw| raw.parse().ok()))),
            DataType::String => self.texts(|row, out| {
                let raw = token(row)?;
                raw.into_iter().for_each(|raw| json::push_text(raw, out));
                Ok(raw.is_some())
            }),
            DataType::Bytes => self.binaries(|row, out| match token(row)?.map(scalar) {
                Some(Value::Bytes(bytes)) => {
                    out.extend_from_slice(&bytes);
                    Ok(true)
                }
                _ => Ok(false),
            }),
            DataType::Date => self.dates(|row| match token(row)?.map(scalar) {
                Some(Value::Date(days)) => Ok(Some(days)),
                _ => Ok(None),
            }),
            DataType::Timestamp => self.timestamps(|row| match token(row)?.map(scalar) {
                Some(Value::Timestamp(ns)) => Ok(Some(ns)),
                _ => Ok(None),
            }),
            DataType::Time | DataType::Interval => self.ints(|row| match token(row)?.map(scalar) {
                Some(Value::Time(ns) | Value::Interval(ns)) => Ok(Some(ns)),
                _ => Ok(None),
            }),
            DataType::Null => {
                self.lanes::<i64>(|row| Ok(token(row)?.map(|_| 0)));
                Column::Null(self.rows)
            }
            DataType::Json | DataType::Array(_) | DataType::Map(_) | DataType::Struct(_) => self.texts(|row, out| {
                let raw = token(row)?;
                out.push_str(raw.unwrap_or_default());
                Ok(raw.is_some())
            }),
        }
    }

    /// Exact numbers; those of an inferred type may have more digits than it says.
    fn numbers(&mut self, mut token: impl FnMut(usize) -> Outcome<&'a str>) -> Column {
        let least = self.result.exact_scale().unwrap_or(0);
        let mut most = least;
        let (parsed, nulls) = self.lanes(|row| {
            let Some(raw) = token(row)? else { return Ok(None) };
            let number = json::exact(raw).ok_or_else(|| Fail::cast(format!("{} is no number", shortened(raw))))?;
            most = most.max(number.1);
            Ok(Some(number))
        });
        let whole = |(mantissa, _): &(i128, u8)| i64::try_from(*mantissa).ok();
        if *self.result == DataType::Integer
            && most == 0
            && let Some(values) = parsed.iter().map(whole).collect::<Option<Vec<i64>>>()
        {
            return Column::ints(values, nulls);
        }
        let valid = |row: usize| nulls.as_ref().is_none_or(|n| n.is_valid(row));
        self.decimals(most, |row| {
            let (mantissa, scale) = parsed[row];
            let fixed = decimal::rescale(mantissa, scale, most).filter(|m| decimal::fits(*m));
            let fixed = fixed.ok_or_else(|| Fail::overflow("the number has more than 38 digits"));
            if valid(row) { fixed.map(Some) } else { Ok(None) }
        })
    }
}

impl<'a> Args<'a> {
    /// Appends the row's value of argument number `i` as canonical JSON of type `to`, which its own type goes into.
    pub fn push_json(self, i: usize, row: usize, to: &DataType, out: &mut String) -> Result<(), Fail> {
        let from = self.list[i].1;
        if self.is_null(i, row) {
            out.push_str("null");
            return Ok(());
        }
        if let (true, Some(text)) = (from.is_nested(), self.text_at(i, row)) {
            if from == to {
                out.push_str(text);
                return Ok(());
            }
            return recast(text, to, out);
        }
        match (from, to) {
            (DataType::String, DataType::String | DataType::Json) => {
                json::quote(self.text_at(i, row).unwrap_or_default(), out);
                Ok(())
            }
            (DataType::Integer | DataType::Decimal { .. }, DataType::Integer | DataType::Decimal { .. })
            | (DataType::Integer | DataType::Decimal { .. } | DataType::Boolean, DataType::Json) => {
                json::push_value(&self.value(i, row), to, out);
                Ok(())
            }
            _ => {
                let value = self.typed(i, row);
                if from == to {
                    json::push_value(&value, to, out);
                    return Ok(());
                }
                let mut own = String::new();
                json::push_value(&value, from, &mut own);
                recast(&own, to, out)
            }
        }
    }

    /// Value of argument number `i` in its logical type: for rules over any type, too slow for a hot loop.
    pub fn typed(self, i: usize, row: usize) -> Value {
        match (self.value(i, row), self.list[i].1) {
            (Value::Int(ns), DataType::Interval) => Value::Interval(ns),
            (Value::Int(ns), DataType::Time) => Value::Time(ns),
            (Value::Str(text), nested) if nested.is_nested() => Value::Json(text),
            (value, _) => value,
        }
    }

    fn text_at(self, i: usize, row: usize) -> Option<&'a str> {
        match self.list[i].0 {
            Arg::Column(column) => column.str_at(row),
            Arg::Const(Value::Str(text) | Value::Json(text)) => Some(text),
            Arg::Const(_) => None,
        }
    }

    /// Canonical text lanes of argument number `i`, if its type is nested; a NULL reads as `null`.
    pub fn nested(self, i: usize) -> Texts<'a> {
        match self.text(i) {
            Texts::One("") => Texts::One("null"),
            texts => texts,
        }
    }
}

/// Appends canonical text as canonical text of another type.
pub(crate) fn recast(raw: &str, to: &DataType, out: &mut String) -> Result<(), Fail> {
    json::canonical(raw, to, Strictness::Inferred, out).map_err(|misfit| Fail::misfit(&misfit))
}
