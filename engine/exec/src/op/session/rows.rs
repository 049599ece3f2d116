//! Output rows of sessions under construction: keys, results, the session's bounds, headers.

use velostream_state::build::ColumnBuilder;
use velostream_state::key::decode;
use velostream_types::time::ns_to_ms;
use velostream_types::{Batch, Column, DataType, Fatal, Offsets, RowMeta, RowOrder, Value, within};

use super::store::Sessions;
use crate::op::aggregate::Triple;

/// What a session told: its bounds, then keys and results.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub window: (i64, i64),
    pub values: Box<[Value]>,
}

/// Rows under construction.
pub(super) struct Rows {
    columns: Vec<ColumnBuilder>,
    windows: Vec<(i64, i64)>,
    weights: Vec<i8>,
    orders: Vec<Triple>,
    /// Input row of each output row.
    causes: Vec<u32>,
}

/// A builder per key and result.
fn builders(store: &Sessions) -> Vec<ColumnBuilder> {
    let type_of = |key: &usize| store.spec.input.fields.get(*key).map_or(&DataType::Null, |field| &field.data_type);
    let keys = store.spec.keys.iter().map(|key| ColumnBuilder::new(type_of(key)));
    keys.chain(store.layout.builders()).collect()
}

/// Appends a session's keys and results; what it keeps is in order.
fn emit(store: &Sessions, session: u32, out: &mut [ColumnBuilder]) -> Result<(), Fatal> {
    let (keys, results) = out.split_at_mut(store.spec.keys.len());
    if decode(store.key(session), keys).is_none() {
        return Err(Fatal::new("state is corrupt: a session's key bytes do not decode"));
    }
    store.states().emit(&store.layout, session, results);
    Ok(())
}

/// What a session tells; `None` when its result left the range of its type.
pub(super) fn told(store: &mut Sessions, session: u32) -> Result<Option<Told>, Fatal> {
    if !store.can_emit(session) {
        return Ok(None);
    }
    let mut columns = builders(store);
    emit(store, session, &mut columns)?;
    let values = columns.into_iter().map(|column| column.finish().value(0)).collect();
    Ok(Some(Told { window: store.window(session), values }))
}

impl Rows {
    pub fn new(store: &Sessions) -> Rows {
        let columns = builders(store);
        Rows { columns, windows: Vec::new(), weights: Vec::new(), orders: Vec::new(), causes: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Adds a session as it is; its end orders it, then first sight.
    pub fn add(&mut self, store: &Sessions, session: u32, weight: i8, cause: usize) -> Result<(), Fatal> {
        let (seen, end) = (store.first_seen(session), store.window(session).1);
        self.add_at(store, session, weight, (end, within::inside(seen.0, seen.1), seen.2))?;
        if let Some(last) = self.causes.last_mut() {
            *last = cause as u32;
        }
        Ok(())
    }

    /// Adds a session as it is, at this place in the order.
    pub fn add_at(&mut self, store: &Sessions, session: u32, weight: i8, order: Triple) -> Result<(), Fatal> {
        emit(store, session, &mut self.columns)?;
        self.note(store.window(session), weight, order);
        Ok(())
    }

    /// Takes back what a session told.
    pub fn take_back(&mut self, told: &Told, order: Triple) {
        self.columns.iter_mut().zip(&told.values).for_each(|(out, value)| out.push_value(value));
        self.note(told.window, -1, order);
    }

    fn note(&mut self, window: (i64, i64), weight: i8, order: Triple) {
        self.windows.push(window);
        self.weights.push(weight);
        self.orders.push(order);
        self.causes.push(0);
    }

    fn columns(&mut self, store: &Sessions) -> Vec<Column> {
        let mut columns: Vec<Column> =
            std::mem::take(&mut self.columns).into_iter().map(ColumnBuilder::finish).collect();
        let headers = columns.pop_if(|_| store.spec.headers.is_some());
        columns.push(Column::ints(self.windows.iter().map(|window| ns_to_ms(window.0)).collect(), None));
        columns.push(Column::ints(self.windows.iter().map(|window| ns_to_ms(window.1)).collect(), None));
        columns.extend(headers);
        columns
    }

    fn times(&self) -> Vec<i64> {
        self.windows.iter().map(|window| window.1.saturating_sub(1)).collect()
    }

    /// Rows of one logical partition, whose watermark was `forwarded`.
    pub fn finish(mut self, store: &Sessions, forwarded: i64) -> Batch {
        let (rows, times) = (self.len(), self.times());
        let columns = self.columns(store);
        let meta = RowMeta {
            source: store.place.source(),
            partition: 0,
            offsets: Offsets::From(0),
            order: RowOrder::Derived {
                major: self.orders.iter().map(|order| order.0).collect::<Vec<_>>().into(),
                minor: self.orders.iter().map(|order| order.1).collect::<Vec<_>>().into(),
                tie: self.orders.iter().map(|order| order.2).collect::<Vec<_>>().into(),
            },
            timestamp: Some(times.iter().map(|time| ns_to_ms(*time)).collect::<Vec<_>>().into()),
            event_time: Some(times.into()),
            wm_own: Some(vec![forwarded; rows].into()),
            raw: None,
            records: None,
            weight: store.spec.retract.then(|| self.weights.into()),
        };
        Batch::new(columns, rows, meta)
    }

    /// Rows that input rows caused, each of its cause's partition and place.
    pub fn finish_changes(mut self, batch: &Batch, store: &Sessions) -> Batch {
        let (rows, times) = (self.len(), self.times());
        let columns = self.columns(store);
        let mut meta = RowMeta { raw: None, records: None, ..batch.meta.take(&self.causes) };
        meta.weight = store.spec.retract.then(|| self.weights.into());
        meta.timestamp = Some(times.iter().map(|time| ns_to_ms(*time)).collect::<Vec<_>>().into());
        meta.event_time = Some(times.into());
        // What the row's own partition allows behind it, so that lateness downstream stays a function of content.
        let own = meta.wm_own.map(|own| own.iter().map(|wm| wm.saturating_sub(store.lateness)).collect::<Vec<_>>());
        meta.wm_own = own.map(Into::into);
        Batch::new(columns, rows, meta)
    }
}
