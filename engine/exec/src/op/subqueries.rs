//! Subqueries: gives each row one value per subquery, from the rows that these keep at that moment.
//!
//! Stands behind an exchange of every input by the keys, so that rows and what is kept for them meet on one shard. Input 0
//! brings the rows, each other input what one subquery keeps. A row leaves as it came with the values in front of its
//! columns; it fails, with its own bytes, where a value cannot be computed. The watermark is that of input 0, and so are
//! time, order and place of the rows. Past rows are not looked at again when a subquery's rows change.
//!
//! What a subquery keeps is as little as its value needs: counts of keys for EXISTS, counts of values for IN, the rows
//! otherwise. Cost: a probe a row and subquery, and a pass over the rows of its key where they have to be looked at; a
//! piece of output is cut where the rows at hand would meet more than [`PAIRS`] others.

mod counted;
mod fold;
mod given;
mod kept;
mod keys;
mod pairs;
mod search;
mod verdict;

use std::ops::Range;
use std::sync::Arc;

use velostream_sql::plan::{SubqueryKind, SubquerySpec, SubqueryState};
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{Batch, Column, DataType, DlqId, Fatal, SchemaRef};

use super::filter::bury;
use super::inputs::{Input, Inputs};
use crate::expr::{EvalContext, RowError};
use crate::operator::{Msg, OpCx, Operator};
use counted::{Counted, Listed};
use given::Given;
use keys::{Keys, without_nulls};
use pairs::{Failures, Work};
use search::Search;
use verdict::Answers;

/// Pairs of rows that are looked at for one piece of output, if it has more than one row.
const PAIRS: usize = 65_536;

/// A relation that a subquery or the query around it reads.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows may be taken back.
    pub changes: bool,
}

/// What one subquery keeps.
enum Store {
    Counted(Box<Counted>),
    Listed(Box<Listed>),
    Search(Box<Search>),
}

struct Subquery {
    /// Columns of its input that equal those of the outer rows.
    key: Vec<usize>,
    store: Store,
}

/// Rows on their way out.
struct Open {
    batch: Batch,
    /// The first that is not out.
    at: usize,
    /// By subquery that looks at rows: the group of each row.
    groups: Vec<Vec<u32>>,
}

/// The operator.
pub struct Subqueries {
    inputs: Inputs,
    keys: Keys,
    list: Vec<Subquery>,
    /// Types of the values.
    types: Vec<DataType>,
    /// Where the rows of input 0 may be taken back.
    given: Option<Given>,
    open: Option<Open>,
    /// Of input 0.
    watermark: i64,
    ctx: EvalContext,
    names: Arc<[Arc<str>]>,
    dlq: DlqId,
}

impl Subquery {
    fn new(spec: &SubquerySpec, input: &Relation, outer: &SchemaRef) -> Subquery {
        let key: Vec<usize> = spec.keys.iter().map(|(_, kept)| *kept).collect();
        let store = match (spec.state(outer, &input.schema), &spec.kind) {
            (SubqueryState::Counts, _) => Store::Counted(Box::new(Counted::new(key.clone()))),
            (SubqueryState::Values(column), SubqueryKind::Compare { operand, all, .. }) => {
                Store::Listed(Box::new(Listed::new(key.clone(), column, *operand, *all)))
            }
            _ => Store::Search(Box::new(Search::new(spec, &input.schema, input.changes, outer))),
        };
        Subquery { key, store }
    }

    fn take(&mut self, batch: Batch, watermark: i64) {
        match &mut self.store {
            Store::Search(search) => search.take(batch, watermark),
            Store::Counted(counted) => counted.take(&without_nulls(batch, &self.key)),
            Store::Listed(listed) => listed.take(&without_nulls(batch, &self.key)),
        }
    }

    /// No outer row below this watermark will come, late ones excepted; none at all behind the end.
    fn expire(&mut self, watermark: i64) {
        match &mut self.store {
            Store::Search(search) => search.expire(watermark),
            Store::Counted(counted) if watermark == WM_END => **counted = Counted::new(self.key.clone()),
            Store::Listed(listed) if watermark == WM_END => **listed = listed.emptied(),
            Store::Counted(_) | Store::Listed(_) => {}
        }
    }

    /// Groups and bytes held.
    fn size(&self) -> (usize, usize) {
        match &self.store {
            Store::Counted(counted) => counted.size(),
            Store::Listed(listed) => listed.size(),
            Store::Search(search) => search.size(),
        }
    }
}

impl Subqueries {
    /// Subqueries of the rows of `outer`, each with its input; `names` are the sources' names, for dead letters.
    pub fn new(
        specs: &[SubquerySpec],
        outer: &Relation,
        inputs: &[Relation],
        ctx: EvalContext,
        names: Arc<[Arc<str>]>,
        dlq: DlqId,
    ) -> Subqueries {
        let types: Vec<DataType> = specs.iter().map(|spec| spec.result.clone()).collect();
        let key = specs.first().map_or_else(Vec::new, |spec| spec.keys.iter().map(|(outer, _)| *outer).collect());
        Subqueries {
            inputs: Inputs::new(1 + specs.len()),
            keys: Keys::new(key),
            list: specs.iter().zip(inputs).map(|(spec, input)| Subquery::new(spec, input, &outer.schema)).collect(),
            given: outer.changes.then(|| Given::new(&types)),
            types,
            open: None,
            watermark: WM_NONE,
            ctx,
            names,
            dlq,
        }
    }

    fn begin(&mut self, batch: Batch, cx: &mut OpCx<'_>) {
        cx.counters.rows_in += batch.rows as u64;
        self.keys.encode(&batch);
        let groups = |subquery: &Subquery| match &subquery.store {
            Store::Search(search) => {
                let mut groups = search.groups(&self.keys, batch.rows);
                // Who is taken back has its values already.
                let taken_back = (0..batch.rows).filter(|row| batch.meta.weight_at(*row) < 0);
                taken_back.for_each(|row| groups[row] = velostream_state::rows::NONE);
                groups
            }
            Store::Counted(_) | Store::Listed(_) => Vec::new(),
        };
        let groups = self.list.iter().map(groups).collect();
        self.open = Some(Open { batch, at: 0, groups });
    }

    /// The rows of the next piece: a row that is taken back and the one that takes its place stay together.
    fn piece(&self, open: &Open, batch_rows: usize) -> Range<usize> {
        let cost = |row: usize| -> usize {
            let of = |(subquery, groups): (&Subquery, &Vec<u32>)| match &subquery.store {
                Store::Search(search) => search.cost(groups[row]),
                Store::Counted(_) | Store::Listed(_) => 0,
            };
            self.list.iter().zip(&open.groups).map(of).sum()
        };
        let (from, rows) = (open.at, open.batch.rows);
        let most = rows.min(from.saturating_add(batch_rows.max(1)));
        let (mut to, mut pairs) = (from, 0);
        while to < most && (to == from || pairs < PAIRS) {
            pairs += cost(to);
            to += 1;
        }
        let weight = |row: usize| open.batch.meta.weight_at(row);
        if to < rows && weight(to - 1) < 0 && weight(to) > 0 {
            to += 1;
        }
        from..to
    }

    /// Values for a piece.
    fn answer(&mut self, open: &Open, piece: &Range<usize>, cx: &mut OpCx<'_>) -> Result<Option<Batch>, Fatal> {
        let whole = piece.len() == open.batch.rows;
        let outer = if whole { open.batch.clone() } else { open.batch.slice(piece.start, piece.len()) };
        let mut failed = Failures::default();
        let mut values: Vec<Column> = Vec::with_capacity(self.list.len() + outer.columns.len());
        let mut work = Work {
            ctx: EvalContext { now_ns: cx.now_ns, ..self.ctx },
            batch_rows: cx.batch_rows,
            counters: cx.counters,
        };
        for (subquery, groups) in self.list.iter_mut().zip(&open.groups) {
            values.push(match &mut subquery.store {
                Store::Counted(counted) => counted.values(&self.keys, piece.clone()),
                Store::Listed(listed) => listed.values(&self.keys, &open.batch, piece.clone()),
                Store::Search(search) => {
                    let answers = search.values(&outer, &groups[piece.clone()], &mut work)?;
                    let Answers { column, failed: fresh } = answers;
                    // The first subquery that fails says why.
                    for (row, error) in fresh.by_row {
                        failed.by_row.entry(row).or_insert(error);
                    }
                    column
                }
            });
        }
        let mut rows: Option<Vec<u32>> = None;
        if let Some(given) = &mut self.given {
            let (columns, kept) = given.settle(&outer, &values, (&self.keys, piece.start), &mut failed.by_row);
            values = columns;
            rows = Some(kept);
        } else if !failed.by_row.is_empty() {
            let kept: Vec<u32> = (0..outer.rows as u32).filter(|row| !failed.by_row.contains_key(row)).collect();
            values = values.iter().map(|column| column.take(&kept)).collect();
            rows = Some(kept);
        }
        let errors: Vec<RowError> = failed.by_row.into_iter().map(|(row, error)| RowError { row, error }).collect();
        bury(errors, &outer, &self.names, self.dlq, cx);
        let Batch { columns, rows, meta } = match rows {
            Some(rows) if rows.len() < outer.rows => outer.take(&rows),
            _ => outer,
        };
        values.extend(columns);
        cx.counters.rows_out += rows as u64;
        Ok((rows > 0).then(|| Batch::new(values, rows, meta)))
    }

    /// What an input brings; a message that goes on at once.
    fn act(&mut self, input: Input, cx: &mut OpCx<'_>) -> Option<Msg> {
        match input {
            Input::Rows(0, batch) => self.begin(batch, cx),
            Input::Rows(port, batch) => {
                cx.counters.rows_in += batch.rows as u64;
                // Behind the last outer row nothing has to be kept.
                if self.watermark < WM_END {
                    self.list[port - 1].take(batch, self.watermark);
                }
            }
            Input::Watermark(0, watermark) if watermark > self.watermark => {
                self.watermark = watermark;
                self.list.iter_mut().for_each(|subquery| subquery.expire(watermark));
                return Some(Msg::Watermark(watermark));
            }
            Input::Passed(0, record) => return Some(Msg::Passed(record)),
            Input::Idle(0) => return Some(Msg::Idle),
            Input::Barrier(id) => return Some(Msg::Barrier(id)),
            Input::Watermark(..) | Input::Passed(..) | Input::Idle(_) => {}
        }
        None
    }

    fn gauge(&self, cx: &mut OpCx<'_>) {
        let (mut groups, mut bytes) = (0, self.given.as_ref().map_or(0, Given::bytes));
        for (more, held) in self.list.iter().map(Subquery::size) {
            groups += more;
            bytes += held;
        }
        (cx.counters.groups, cx.counters.state_bytes) = (groups as u64, bytes as u64);
    }
}

impl Operator for Subqueries {
    fn push(&mut self, port: usize, msg: Msg, _cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        self.inputs.push(port, msg);
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        loop {
            if let Some(mut open) = self.open.take() {
                let piece = self.piece(&open, cx.batch_rows);
                let given = self.answer(&open, &piece, cx)?;
                open.at = piece.end;
                if open.at < open.batch.rows {
                    self.open = Some(open);
                }
                if let Some(batch) = given {
                    return Ok(Some(Msg::Batch(batch)));
                }
                continue;
            }
            let Some(input) = self.inputs.take() else {
                self.gauge(cx);
                return Ok(None);
            };
            if let Some(msg) = self.act(input, cx) {
                return Ok(Some(msg));
            }
        }
    }

    fn frontier(&self, _at_end: bool) -> Option<i64> {
        // What is kept may be of any age: a restart without a snapshot reads it again.
        Some(WM_NONE)
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        for (at, subquery) in self.list.iter().enumerate() {
            let name = format!("subquery {at}");
            match &subquery.store {
                Store::Counted(counted) => out.tables.push(counted.save(name)),
                Store::Listed(listed) => out.tables.extend(listed.save(&name)),
                Store::Search(search) => out.tables.push(search.save(name)),
            }
        }
        if let Some(given) = &self.given {
            out.tables.push(given.save("given", self.types.len()));
        }
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        for (at, subquery) in self.list.iter_mut().enumerate() {
            let name = format!("subquery {at}");
            let own =
                |table: &str| table == name || table.strip_prefix(&name).is_some_and(|rest| rest.starts_with(' '));
            for table in from.tables.iter().filter(|table| own(&table.name)) {
                match &mut subquery.store {
                    Store::Counted(counted) => counted.load(table, owns)?,
                    Store::Listed(listed) => listed.load(table, owns)?,
                    Store::Search(search) => search.load(table, owns)?,
                }
            }
        }
        if let Some(given) = &mut self.given {
            for table in from.tables.iter().filter(|table| table.name == "given") {
                given.load(table, self.types.len(), owns)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
