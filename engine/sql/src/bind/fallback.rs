//! What becomes of a stream's rows whose table is missing: `fallback.strategy` and `fallback.defaults`.
//!
//! Asked of the statement (bare or behind the table's name), else of the table's declaration, else of the whole script.
//! The defaults become values of the table's columns when all columns that somebody asks of it are known, which is when
//! the plan is made.

use serde_json::{Map, Value as Json};
use velostream_types::{DataType, Span, Value, decimal, time};

use super::joined::Level;
use super::{Binder, Object};
use crate::diag::Diagnostic;
use crate::endpoint::WithEntry;
use crate::parse::ast::Query;
use crate::plan::{Fallback, NodeKind, Side};
use crate::props::keys::FALLBACKS;
use crate::suggest;

/// Values that stand for the columns of a missing table.
pub(super) struct Defaults {
    join: usize,
    /// The Project of the table's side.
    project: usize,
    values: Map<String, Json>,
    span: Span,
}

impl Binder<'_> {
    /// What becomes of rows that come before `table` is loaded; `None` after a mistake.
    pub(super) fn fallback_of(&mut self, query: &Query, table: &str, side: Side, level: Level) -> Option<Fallback> {
        let Some(entry) = self.table_property(query, table, "fallback.strategy") else {
            return Some(Fallback::FailFast);
        };
        let known = FALLBACKS.iter().find(|(word, _)| word.eq_ignore_ascii_case(entry.value.trim()));
        let Some((_, meaning)) = known else {
            let message = format!("unknown value \"{}\" in \"{}\"", entry.value, entry.key);
            let names: Vec<&str> = FALLBACKS.iter().map(|(word, _)| *word).collect();
            let mut diagnostic = Diagnostic::error("E0513", entry.value_span, message)
                .detail(format!("known are {}", names[..names.len() / 2].join(", ")));
            diagnostic.hint = suggest::did_you_mean(&entry.value, names);
            self.report(diagnostic);
            return None;
        };
        match *meaning {
            "skip" => Some(Fallback::SkipRecord),
            "nulls" => Some(Fallback::EmitWithNulls),
            "retry" => Some(Fallback::WaitAndRetry),
            "defaults" => self.defaults_of(query, table, side, level, &entry),
            _ => Some(Fallback::FailFast),
        }
    }

    fn defaults_of(
        &mut self,
        query: &Query,
        table: &str,
        side: Side,
        level: Level,
        strategy: &WithEntry,
    ) -> Option<Fallback> {
        let hint = "write for example 'fallback.defaults' = '{\"name\": \"unknown\", \"level\": 0}'";
        let Some(entry) = self.table_property(query, table, "fallback.defaults") else {
            let message = "UseDefaults needs fallback.defaults: the values of the missing table's columns";
            self.report(Diagnostic::error("E0513", strategy.value_span, message).hint(hint));
            return None;
        };
        let Ok(Json::Object(values)) = serde_json::from_str(&entry.value) else {
            let message = "fallback.defaults is no JSON object";
            self.report(Diagnostic::error("E0513", entry.value_span, message).hint(hint));
            return None;
        };
        let project = if side == Side::Left { level.left } else { level.right };
        self.defaults.push(Defaults { join: level.join, project, values, span: entry.value_span });
        Some(Fallback::UseDefaults)
    }

    /// A property of a table in a statement that asks it.
    fn table_property(&self, query: &Query, table: &str, key: &str) -> Option<WithEntry> {
        let prefixed = format!("{table}.{key}");
        let declared = match self.objects.get(table) {
            Some(Object::Declared(declare)) => declare.with.as_slice(),
            _ => &[],
        };
        let find = |entries: &[WithEntry], key: &str| {
            entries.iter().rev().find(|entry| entry.key.eq_ignore_ascii_case(key)).cloned()
        };
        find(&query.with, &prefixed)
            .or_else(|| find(&query.with, key))
            .or_else(|| find(declared, &prefixed))
            .or_else(|| find(declared, key))
            .or_else(|| find(&self.settings, key))
    }

    /// Gives the joins the values that stand for their tables' columns.
    pub(super) fn place_defaults(&mut self) {
        for Defaults { join, project, values, span } in std::mem::take(&mut self.defaults) {
            let mut columns = Vec::new();
            for field in &self.graph.nodes[project].schema.fields.clone() {
                let value = values.get(&field.name).map_or(Some(Value::Null), |json| typed(json, &field.data_type));
                columns.push(value.unwrap_or_else(|| {
                    let message = format!("the default of column \"{}\" is no {}", field.name, field.data_type);
                    let hint = "give it a value of that type in fallback.defaults, or leave it out for NULL";
                    self.report(Diagnostic::error("E0513", span, message).hint(hint));
                    Value::Null
                }));
            }
            if let NodeKind::Join(spec) = &mut self.graph.nodes[join].kind {
                spec.defaults = columns;
            }
        }
    }
}

/// A JSON value as one of this type.
fn typed(json: &Json, data_type: &DataType) -> Option<Value> {
    Some(match (json, data_type) {
        (Json::Null, _) => Value::Null,
        (Json::Bool(value), DataType::Boolean) => Value::Bool(*value),
        (Json::Number(number), DataType::Integer) => Value::Int(number.as_i64()?),
        (Json::Number(number), DataType::Float) => Value::Float(number.as_f64()?),
        (Json::Number(number), DataType::Decimal { .. }) => exact(&number.to_string(), data_type)?,
        (Json::String(text), DataType::Decimal { .. }) => exact(text, data_type)?,
        (Json::String(text), DataType::String) => Value::Str(text.as_str().into()),
        (Json::String(text), DataType::Timestamp) => Value::Timestamp(time::parse_timestamp(text)?),
        (Json::String(text), DataType::Date) => Value::Date(time::parse_date(text)?),
        (other, nested) if nested.is_nested() => Value::Json(other.to_string().into()),
        _ => return None,
    })
}

/// Digits at the scale of a decimal type, which has to hold them.
fn exact(text: &str, data_type: &DataType) -> Option<Value> {
    let DataType::Decimal { scale: wanted, .. } = data_type else { return None };
    let (mantissa, scale) = decimal::from_text(text)?;
    let missing = u32::from(wanted.checked_sub(scale)?);
    let mantissa = mantissa.checked_mul(10i128.checked_pow(missing)?)?;
    Some(Value::Decimal { mantissa, scale: *wanted })
}
