//! Amend: UPDATE and DELETE of a TABLE.
//!
//! Rows pass as they come. Those that a statement may concern are kept; when the table is loaded, the statements are
//! applied to those that still live, one after the other, and what they change is given out: the row with −1, its new
//! version with +1, side by side. From then on only changed rows are known: when one is taken back, its new version
//! leaves instead, and a deleted one is gone already. So a result is a function of the rows that live when the table is
//! loaded, and of what comes later.
//!
//! A row for which a condition or a value errs is a dead letter and stays as it is. State: rows that a statement concerns.

use std::collections::VecDeque;
use std::sync::Arc;

use velostream_sql::plan::AmendSpec;
use velostream_state::block::BlockPool;
use velostream_state::build::ColumnBuilder;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_state::rows::{NONE, RowStore};
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::headers::HeaderBuilder;
use velostream_types::time::{NS_PER_MS, WM_END, WM_NONE};
use velostream_types::{Batch, Column, DataType, DlqId, Fatal, SchemaRef, Value, vnode};

use super::filter::bury;
use super::join::marks::{Mark, Marks, batches};
use super::join::saved::{MARK_COLUMNS, mark_columns, marks_in};
use crate::expr::{EvalContext, Evaluator, RowError};
use crate::operator::{Msg, OpCx, Operator};

const ROWS: &str = "amended rows";
const LOADED: &str = "loaded";
const VERSION: u16 = 1;

/// One statement.
struct Step {
    condition: Option<Evaluator>,
    set: Option<Vec<(usize, Evaluator)>>,
}

/// What is known of a key's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A statement may concern it: its slot holds it as it came.
    Waits,
    /// Its slot holds its new version.
    Updated,
    /// It was deleted.
    Deleted,
}

const STATES: [State; 3] = [State::Waits, State::Updated, State::Deleted];

/// The operator.
pub struct Amend {
    key: Vec<usize>,
    headers: Option<usize>,
    steps: Vec<Step>,
    types: Vec<DataType>,
    index: GroupIndex,
    pool: BlockPool,
    hasher: KeyHasher,
    keys: KeyEncoder,
    rows: RowStore,
    marks: Marks,
    /// By group of the index: slot and state; no slot where the key is not known.
    known: Vec<(u32, State)>,
    loaded: bool,
    /// The next group to apply the statements to.
    applying: Option<u32>,
    ready: VecDeque<Msg>,
    behind: Option<Msg>,
    ctx: EvalContext,
    names: Arc<[Arc<str>]>,
    dlq: DlqId,
}

/// Rows on their way out.
struct Out {
    columns: Vec<ColumnBuilder>,
    marks: Vec<Mark>,
    weights: Vec<i8>,
}

impl Out {
    fn new(types: &[DataType]) -> Out {
        Out { columns: types.iter().map(ColumnBuilder::new).collect(), marks: Vec::new(), weights: Vec::new() }
    }

    fn push(&mut self, values: &[Value], mark: Mark, weight: i8) {
        self.columns.iter_mut().zip(values).for_each(|(column, value)| column.push_value(value));
        self.marks.push(mark);
        self.weights.push(weight);
    }

    fn finish(self, cx: &mut OpCx<'_>) -> impl Iterator<Item = Msg> {
        cx.counters.rows_out += self.marks.len() as u64;
        let columns = self.columns.into_iter().map(ColumnBuilder::finish).collect();
        batches(columns, &self.marks, Some(self.weights)).into_iter().map(Msg::Batch)
    }
}

impl Amend {
    /// Amends rows of this schema; `names` are the sources' names by source number, for dead letters.
    pub fn new(spec: &AmendSpec, schema: &SchemaRef, ctx: EvalContext, names: Arc<[Arc<str>]>, dlq: DlqId) -> Amend {
        let types: Vec<DataType> = schema.fields.iter().map(|f| f.data_type.clone()).collect();
        let set = |set: &Vec<(usize, _)>| set.iter().map(|(column, expr)| (*column, Evaluator::new(expr))).collect();
        let step = |step: &velostream_sql::plan::AmendStep| Step {
            condition: step.condition.as_ref().map(Evaluator::new),
            set: step.set.as_ref().map(set),
        };
        Amend {
            key: spec.key.clone(),
            headers: spec.headers,
            steps: spec.steps.iter().map(step).collect(),
            rows: RowStore::new(&types),
            types,
            index: GroupIndex::new(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            keys: KeyEncoder::new(),
            marks: Marks::default(),
            known: Vec::new(),
            loaded: false,
            applying: None,
            ready: VecDeque::new(),
            behind: None,
            ctx,
            names,
            dlq,
        }
    }

    /// Which rows a statement may concern. What errs is told when the statements are applied.
    fn concerned(&mut self, batch: &Batch) -> Vec<bool> {
        let mut concerned = vec![false; batch.rows];
        for step in &mut self.steps {
            let Some(condition) = &mut step.condition else { return vec![true; batch.rows] };
            let found = condition.filter_mask(batch, &self.ctx);
            found.keep.values().set_indices().for_each(|row| concerned[row] = true);
            found.errors.iter().for_each(|failed| concerned[failed.row as usize] = true);
        }
        concerned
    }

    fn group(&mut self, row: usize) -> Option<u32> {
        let key = self.keys.keys().key(row);
        self.index.find(key, self.hasher.hash(key))
    }

    fn learn(&mut self, row: usize, slot: u32, state: State) {
        let key = self.keys.keys().key(row);
        let found = self.index.find_or_insert(key, self.hasher.hash(key), &mut self.pool);
        self.known.resize(self.index.high().max(self.known.len()), (NONE, State::Waits));
        let before = std::mem::replace(&mut self.known[found.group as usize], (slot, state));
        if !found.fresh {
            self.free(before.0);
        }
    }

    fn free(&mut self, slot: u32) {
        self.rows.free(slot);
        self.marks.free(slot);
    }

    fn forget(&mut self, group: u32) {
        let hash = self.hasher.hash(self.index.key(group));
        self.index.remove(group, hash);
        let (slot, _) = std::mem::replace(&mut self.known[group as usize], (NONE, State::Waits));
        self.free(slot);
    }

    /// Takes a batch; answers what leaves of it.
    fn take(&mut self, batch: Batch, cx: &mut OpCx<'_>) {
        self.ctx.now_ns = cx.now_ns;
        let key: Vec<&Column> = self.key.iter().map(|k| &batch.columns[*k]).collect();
        self.keys.encode(&key, batch.rows);
        let concerned = if self.loaded { vec![false; batch.rows] } else { self.concerned(&batch) };
        let mut replaced: Vec<(usize, Option<Vec<Value>>)> = Vec::new();
        for (row, concerned) in concerned.into_iter().enumerate() {
            if batch.meta.weight_at(row) > 0 {
                if concerned {
                    let mut slots = Vec::with_capacity(1);
                    self.rows.put_all(&batch.columns, &[row as u32], &mut slots);
                    self.marks.put(&slots, &[row as u32], &batch.meta);
                    self.learn(row, slots[0], State::Waits);
                }
                continue;
            }
            let Some(group) = self.group(row) else { continue };
            match self.known[group as usize] {
                (_, State::Waits) => {}
                (_, State::Deleted) => replaced.push((row, None)),
                (slot, State::Updated) => replaced.push((row, Some(self.values(slot)))),
            }
            self.forget(group);
        }
        if replaced.is_empty() {
            cx.counters.rows_out += batch.rows as u64;
            return self.ready.push_back(Msg::Batch(batch));
        }
        let mut replaced = replaced.into_iter().peekable();
        let mut out = Out::new(&self.types);
        for row in 0..batch.rows {
            let mark = Mark::of(&batch.meta, row);
            let own = || batch.columns.iter().map(|column| column.value(row)).collect::<Vec<Value>>();
            let values = match replaced.next_if(|(at, _)| *at == row) {
                Some((_, other)) => other,
                None => Some(own()),
            };
            values.iter().for_each(|values| out.push(values, mark.clone(), batch.meta.weight_at(row)));
        }
        let left = out.finish(cx);
        self.ready.extend(left);
    }

    fn values(&self, slot: u32) -> Vec<Value> {
        (0..self.types.len()).map(|lane| self.rows.value(lane, slot)).collect()
    }

    /// Applies the statements to the next rows, about as many as a batch has.
    fn apply(&mut self, cx: &mut OpCx<'_>) {
        let Some(mut next) = self.applying else { return };
        self.ctx.now_ns = cx.now_ns;
        let mut groups = Vec::new();
        let mut origin = None;
        while groups.len() * 2 < cx.batch_rows.max(2)
            && let Some((slot, state)) = self.known.get(next as usize).copied()
        {
            if slot != NONE && state == State::Waits {
                let mark = self.marks.at(slot);
                if origin.is_some_and(|origin| origin != mark.origin) {
                    break;
                }
                origin = Some(mark.origin);
                groups.push((next, slot, mark));
            }
            next += 1;
        }
        let is_done = next as usize >= self.known.len();
        self.applying = (!is_done).then_some(next);
        self.loaded |= is_done;
        self.amend(groups, cx);
    }

    /// Applies the statements to these rows of one partition.
    fn amend(&mut self, groups: Vec<(u32, u32, Mark)>, cx: &mut OpCx<'_>) {
        let slots: Vec<u32> = groups.iter().map(|(_, slot, _)| *slot).collect();
        let marks: Vec<Mark> = groups.iter().map(|(.., mark)| mark.clone()).collect();
        let columns: Vec<Column> = (0..self.types.len()).map(|lane| self.rows.gather(lane, &slots)).collect();
        let Some(mut batch) = batches(columns, &marks, None).pop() else { return };
        let mut states = vec![State::Waits; batch.rows];
        for at in 0..self.steps.len() {
            self.step(at, &mut batch, &mut states, cx);
        }
        let mut out = Out::new(&self.types);
        for (row, ((group, slot, mark), state)) in groups.into_iter().zip(states).enumerate() {
            if state == State::Waits {
                self.forget(group);
                continue;
            }
            let mut old = self.values(slot);
            if state == State::Deleted {
                self.note(&mut old, "DELETE");
                out.push(&old, mark, -1);
                self.known[group as usize].1 = state;
                continue;
            }
            let mut new: Vec<Value> = batch.columns.iter().map(|column| column.value(row)).collect();
            self.note(&mut new, "UPDATE");
            out.push(&old, mark.clone(), -1);
            out.push(&new, mark.clone(), 1);
            self.free(slot);
            let slot = self.rows.put_values(&new);
            self.marks.put_mark(slot, mark);
            self.known[group as usize] = (slot, state);
        }
        let left = out.finish(cx);
        self.ready.extend(left);
    }

    /// Applies one statement to rows that are not deleted.
    fn step(&mut self, at: usize, batch: &mut Batch, states: &mut [State], cx: &mut OpCx<'_>) {
        let Step { condition, set } = &mut self.steps[at];
        let mut errors: Vec<RowError> = Vec::new();
        let mut meant: Vec<bool> = states.iter().map(|state| *state != State::Deleted).collect();
        if let Some(condition) = condition {
            let found = condition.filter_mask(batch, &self.ctx);
            cx.counters.division_by_zero += found.division_by_zero;
            errors.extend(found.errors);
            meant.iter_mut().enumerate().for_each(|(row, meant)| *meant &= found.keep.value(row));
        }
        let mut values: Vec<(usize, Column)> = Vec::new();
        for (column, value) in set.iter_mut().flatten() {
            let selection = meant.iter().copied().collect();
            let found = value.eval_selected(batch, &self.ctx, Some(&selection));
            cx.counters.division_by_zero += found.division_by_zero;
            cx.counters.rounded += found.rounded;
            errors.extend(found.errors);
            values.push((*column, found.column));
        }
        errors.retain(|failed| states[failed.row as usize] != State::Deleted);
        errors.sort_by_key(|failed| failed.row);
        errors.dedup_by_key(|failed| failed.row);
        errors.iter().for_each(|failed| meant[failed.row as usize] = false);
        bury(errors, batch, &self.names, self.dlq, cx);
        let state = if set.is_some() { State::Updated } else { State::Deleted };
        states.iter_mut().zip(&meant).filter(|(_, meant)| **meant).for_each(|(known, _)| *known = state);
        for (column, value) in values {
            let old = &batch.columns[column];
            let mut new = ColumnBuilder::new(&self.types[column]);
            let chosen = |row| if meant[row] { value.value(row) } else { old.value(row) };
            (0..batch.rows).for_each(|row| new.push_value(&chosen(row)));
            batch.columns[column] = new.finish();
        }
    }

    /// Says in a row's headers what became of it, and when.
    fn note(&self, values: &mut [Value], operation: &str) {
        let Some(headers) = self.headers.and_then(|column| values.get_mut(column)) else { return };
        let mut noted = HeaderBuilder::default();
        if let Value::Bytes(known) = &*headers {
            noted.extend(known, |name| name != b"operation" && name != b"updated_at");
        }
        let at = self.ctx.now_ns.div_euclid(NS_PER_MS).to_string();
        noted.push(b"operation", Some(operation.as_bytes()));
        noted.push(b"updated_at", Some(at.as_bytes()));
        *headers = Value::Bytes(noted.finish().into());
    }

    fn count(&self, cx: &mut OpCx<'_>) {
        cx.counters.groups = self.index.len() as u64;
        let known = self.known.capacity() * size_of::<(u32, State)>();
        cx.counters.state_bytes = (self.rows.bytes() + self.marks.bytes() + self.index.bytes() + known) as u64;
    }
}

impl Operator for Amend {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        match msg {
            Msg::Batch(batch) => {
                cx.counters.rows_in += batch.rows as u64;
                self.take(batch, cx);
            }
            other => {
                if matches!(other, Msg::Watermark(WM_END)) {
                    self.applying = Some(0);
                }
                self.behind = Some(other);
            }
        }
        self.count(cx);
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        loop {
            if let Some(msg) = self.ready.pop_front() {
                return Ok(Some(msg));
            }
            if self.applying.is_none() {
                return Ok(self.behind.take());
            }
            self.apply(cx);
            self.count(cx);
        }
    }

    fn frontier(&self, _at_end: bool) -> Option<i64> {
        Some(WM_NONE)
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        let known = (0u32..).zip(&self.known).filter(|(_, (slot, _))| *slot != NONE);
        let vnode_of = |group: u32| vnode::of_key(self.index.key(group));
        let mut rows: Vec<(u16, u32, u32, State)> =
            known.map(|(group, (slot, state))| (vnode_of(group), group, *slot, *state)).collect();
        rows.sort_unstable_by_key(|row| (row.0, row.1));
        let slots: Vec<u32> = rows.iter().map(|row| row.2).collect();
        let marks: Vec<Mark> = slots.iter().map(|slot| self.marks.at(*slot)).collect();
        let mut columns = vec![
            Column::Bytes(rows.iter().map(|row| Some(self.index.key(row.1).to_vec())).collect()),
            Column::ints(rows.iter().map(|row| row.3 as i64).collect(), None),
        ];
        columns.extend(mark_columns(&marks));
        columns.extend((0..self.types.len()).map(|lane| self.rows.gather(lane, &slots)));
        let vnodes = Some(rows.iter().map(|row| row.0).collect());
        out.tables.push(StateTable { name: ROWS.to_owned(), version: VERSION, vnodes, columns });
        if self.loaded {
            let columns = vec![Column::ints(vec![1], None)];
            out.tables.push(StateTable { name: LOADED.to_owned(), version: VERSION, vnodes: None, columns });
        }
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let shape = || SnapshotError::Shape("the rows of an amended table have another shape".to_owned());
        for table in &from.tables {
            if table.name == LOADED {
                self.loaded = true;
                continue;
            }
            let (Some(vnodes), true) = (&table.vnodes, table.columns.len() == 2 + MARK_COLUMNS + self.types.len())
            else {
                return Err(shape());
            };
            let own: Vec<u32> = (0..vnodes.len() as u32).filter(|row| owns(vnodes[*row as usize])).collect();
            let columns: Vec<Column> = table.columns.iter().map(|column| column.take(&own)).collect();
            let (beside, lanes) = columns.split_at(2 + MARK_COLUMNS);
            let mut slots = Vec::with_capacity(own.len());
            self.rows.put_all(lanes, &(0..own.len() as u32).collect::<Vec<_>>(), &mut slots);
            let mut keys = Vec::with_capacity(own.len());
            for row in 0..own.len() {
                let Value::Bytes(key) = beside[0].value(row) else { return Err(shape()) };
                keys.push(key);
            }
            self.keys.load(keys.iter().map(|key| &**key));
            let marks = marks_in(&beside[2..]).ok_or_else(shape)?;
            for ((row, slot), mark) in slots.into_iter().enumerate().zip(marks) {
                let state = match beside[1].value(row) {
                    Value::Int(state) => STATES.get(usize::try_from(state).unwrap_or(usize::MAX)).copied(),
                    _ => None,
                };
                let state = state.ok_or_else(shape)?;
                self.marks.put_mark(slot, mark);
                self.learn(row, slot, state);
            }
        }
        Ok(())
    }
}
