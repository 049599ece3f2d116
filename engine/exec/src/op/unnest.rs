//! UNNEST: takes the collection in the first column of each row apart and gives a row per element, the row's other columns
//! beside it. Stateless; runs where its input is.
//!
//! Rows keep the metadata of the row they are of; what tells them apart is their number among the rows made of it, in the
//! last bits of the tie, so as-if order goes by place in the collection and another UNNEST behind this one goes on with it.
//! The rows of a retraction pair are taken apart one after the other. A row of a million elements leaves in many
//! batches: the walk over its text is resumed where the last batch ended. Cost: one walk over the collection's text, one
//! gather of the other columns per batch.

use std::sync::Arc;

use velostream_functions::json::{self, Elements, Kind, Members};
use velostream_functions::shortened;
use velostream_sql::plan::UnnestSpec;
use velostream_state::build::ColumnBuilder;
use velostream_types::{
    Batch, Column, DataType, DlqId, ErrorCode, Fatal, NTH_BITS, NTH_MASK, RecordError, RowMeta, RowOrder, Stage, Within,
};

use super::filter::bury;
use crate::expr::RowError;
use crate::operator::{Msg, OpCx, Operator};

/// The operator.
pub struct Unnest {
    spec: UnnestSpec,
    /// Types of the columns that an element gives.
    types: Vec<DataType>,
    names: Arc<[Arc<str>]>,
    dlq: DlqId,
    input: Option<Batch>,
    /// Row of the input that is under way.
    row: usize,
    /// Where the walk over its collection stands, once it was begun.
    place: Option<usize>,
    /// Elements of the row given so far.
    given: i64,
    /// The order of the row taken apart last, without its number; the number of the next row made of it.
    numbered: Option<(i64, Within, u64)>,
    number: u64,
    behind: Option<Msg>,
}

/// The rows of one output batch.
struct Made {
    elements: Vec<ColumnBuilder>,
    numbers: Vec<Option<i64>>,
    /// Rows of the input they are of.
    rows: Vec<u32>,
    ties: Vec<u64>,
}

/// A walk over a collection.
enum Walk<'a> {
    Elements(Elements<'a>),
    Members(Members<'a>),
}

impl Unnest {
    /// An operator; `names` are the sources' names by source number, for dead letters.
    pub fn new(spec: &UnnestSpec, names: Arc<[Arc<str>]>, dlq: DlqId) -> Unnest {
        let types = spec.elements();
        Unnest {
            spec: spec.clone(),
            types,
            names,
            dlq,
            input: None,
            row: 0,
            place: None,
            given: 0,
            numbered: None,
            number: 0,
            behind: None,
        }
    }

    /// The collection of a row as a walk from where it stands; what is wrong with it.
    fn walk<'a>(&self, text: Option<&'a str>) -> Result<Option<Walk<'a>>, RecordError> {
        let Some(text) = text else { return Ok(None) };
        let is_map = matches!(self.spec.of, DataType::Map(_));
        let walk = match (json::kind(text), is_map) {
            (Kind::Object, true) => Walk::Members(json::members(text)),
            (Kind::Array, false) => Walk::Elements(json::elements(text)),
            (Kind::Null, _) => return Ok(None),
            _ => {
                let wanted = if is_map { "object" } else { "array" };
                let message = format!("UNNEST of {}: {} is no {wanted}", self.spec.of, shortened(text));
                let (code, span) = (ErrorCode::Cast, Some(self.spec.span));
                return Err(RecordError { code, stage: Stage::Process, message: message.into(), span });
            }
        };
        Ok(Some(match (walk, self.place) {
            (walk, None) => walk,
            (Walk::Elements(elements), Some(place)) => Walk::Elements(elements.resumed(place)),
            (Walk::Members(members), Some(place)) => Walk::Members(members.resumed(place)),
        }))
    }

    /// Rows made of one input row follow each other in the order of their numbers.
    fn begin(&mut self, meta: &RowMeta) {
        let (major, minor, tie) = meta.order_at(self.row);
        let order = (major, minor, tie >> NTH_BITS);
        if self.numbered != Some(order) {
            (self.numbered, self.number) = (Some(order), 0);
        }
    }

    fn make(&mut self, values: Option<[&str; 2]>, made: &mut Made) {
        let own = self.types.len();
        for (at, (builder, data_type)) in made.elements.iter_mut().zip(&self.types).enumerate() {
            match values {
                // Of an element that is alone, the value; of a member the key, then the value.
                Some(values) => push_json(builder, data_type, values[at + 2 - own]),
                None => builder.push_null(),
            }
        }
        self.given += 1;
        made.numbers.push(values.is_some().then_some(self.given));
        made.rows.push(self.row as u32);
        let order = self.numbered.map_or(0, |(_, _, order)| order);
        made.ties.push(order << NTH_BITS | self.number.min(NTH_MASK));
        self.number += 1;
    }

    /// Takes the current row apart until it ends (TRUE) or `most` rows were made.
    fn take_apart(&mut self, text: Option<&str>, most: usize, made: &mut Made) -> Result<bool, RecordError> {
        let mut walk = self.walk(text)?;
        while made.rows.len() < most {
            let next = match &mut walk {
                Some(Walk::Elements(elements)) => elements.next().map(|value| ["", value]),
                Some(Walk::Members(members)) => members.next().map(|(key, value)| [key, value]),
                None => None,
            };
            if next.is_none() {
                if self.given == 0 && self.spec.keeps_empty {
                    self.make(None, made);
                }
                return Ok(true);
            }
            self.make(next, made);
        }
        self.place = walk.as_ref().map(|walk| match walk {
            Walk::Elements(elements) => elements.place(),
            Walk::Members(members) => members.place(),
        });
        Ok(false)
    }

    fn batch(&mut self, batch: &Batch, cx: &mut OpCx<'_>) -> Option<Batch> {
        let mut made = Made {
            elements: self.types.iter().map(ColumnBuilder::new).collect(),
            numbers: Vec::new(),
            rows: Vec::new(),
            ties: Vec::new(),
        };
        let mut errors = Vec::new();
        let most = cx.batch_rows.max(1);
        while self.row < batch.rows && made.rows.len() < most {
            if self.place.is_none() && self.given == 0 {
                self.begin(&batch.meta);
            }
            match self.take_apart(batch.columns[0].str_at(self.row), most, &mut made) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(error) => errors.push(RowError { row: self.row as u32, error }),
            }
            self.row += 1;
            (self.place, self.given) = (None, 0);
        }
        bury(errors, batch, &self.names, self.dlq, cx);
        (!made.rows.is_empty()).then(|| self.finish(made, batch))
    }

    fn finish(&self, made: Made, batch: &Batch) -> Batch {
        let rows = made.rows.len();
        let mut columns: Vec<Column> = made.elements.into_iter().map(ColumnBuilder::finish).collect();
        if self.spec.numbered {
            let mut numbers = ColumnBuilder::new(&DataType::Integer);
            made.numbers.iter().for_each(|number| match number {
                Some(number) => numbers.push_int(*number),
                None => numbers.push_null(),
            });
            columns.push(numbers.finish());
        }
        columns.extend(batch.columns[1..].iter().map(|column| column.take(&made.rows)));
        let mut meta = batch.meta.take(&made.rows);
        let ties = made.ties.into();
        meta.order = match meta.order {
            RowOrder::Source | RowOrder::Nth(_) => RowOrder::Nth(ties),
            RowOrder::Derived { major, minor, .. } => RowOrder::Derived { major, minor, tie: ties },
        };
        Batch::new(columns, rows, meta)
    }
}

/// Appends the value that canonical text of this type stands for.
fn push_json(builder: &mut ColumnBuilder, data_type: &DataType, raw: &str) {
    match data_type {
        _ if json::kind(raw) == Kind::Null => builder.push_null(),
        DataType::String => builder.push_str(&json::text_of(raw)),
        nested if nested.is_nested() => builder.push_str(raw),
        other => builder.push_value(&json::scalar(raw, other)),
    }
}

impl Operator for Unnest {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        match msg {
            Msg::Batch(batch) => {
                cx.counters.rows_in += batch.rows as u64;
                (self.row, self.place, self.given) = (0, None, 0);
                self.input = Some(batch);
            }
            other => self.behind = Some(other),
        }
        Ok(())
    }

    fn hands_back_on(&self) -> bool {
        true
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        if let Some(input) = self.input.take() {
            let made = self.batch(&input, cx);
            if self.row < input.rows {
                self.input = Some(input);
            }
            if let Some(batch) = made {
                cx.counters.rows_out += batch.rows as u64;
                return Ok(Some(Msg::Batch(batch)));
            }
        }
        Ok(self.behind.take())
    }
}

#[cfg(test)]
mod tests;
