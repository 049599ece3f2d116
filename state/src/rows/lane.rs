//! One column of stored rows: values of one physical kind by slot, and which are NULL.

use arrow_array::{Array, BooleanArray, Date32Array};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use velostream_types::{Column, DataType, StrBuilder, Value, decimal};

use super::NONE;
use super::arena::Arenas;
use crate::block::{BlockPool, Blocks, Pooled};
use crate::build::ColumnBuilder;

/// Values by slot.
#[derive(Debug)]
enum Data {
    /// Only NULLs so far.
    Unset,
    Int(Blocks<i64>),
    Dec64(Blocks<i64>, u8),
    Dec128(Blocks<i128>, u8),
    Float(Blocks<f64>),
    Bool(Blocks<u32>),
    Timestamp(Blocks<i64>),
    Date(Blocks<u32>),
    Str(Arenas<String>),
    Bytes(Arenas<Vec<u8>>),
    /// Values of kinds that no widening brings together.
    Any(Vec<Value>),
}

/// A physical kind; of decimals with the scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unset,
    Int,
    Dec64(u8),
    Dec128(u8),
    Float,
    Bool,
    Timestamp,
    Date,
    Str,
    Bytes,
    Any,
}

impl Kind {
    /// The kind that holds values of both.
    fn with(self, other: Kind) -> Kind {
        match (self, other) {
            (a, b) if a == b => a,
            (Kind::Unset, kind) | (kind, Kind::Unset) => kind,
            (Kind::Int, dec @ (Kind::Dec64(_) | Kind::Dec128(_))) => dec,
            (dec @ (Kind::Dec64(_) | Kind::Dec128(_)), Kind::Int) => dec,
            (Kind::Dec64(a), Kind::Dec64(b)) => Kind::Dec64(a.max(b)),
            (Kind::Dec64(a) | Kind::Dec128(a), Kind::Dec64(b) | Kind::Dec128(b)) => Kind::Dec128(a.max(b)),
            _ => Kind::Any,
        }
    }
}

/// One column of all rows.
#[derive(Debug)]
pub(super) struct Lane {
    data_type: DataType,
    data: Data,
    /// A bit per slot: the value is not NULL.
    valid: Vec<u64>,
    /// Some value was NULL.
    nullable: bool,
}

fn scale_of(scale: i8) -> u8 {
    scale.max(0) as u8
}

fn kind_of(column: &Column) -> Kind {
    match column {
        Column::Null(_) => Kind::Unset,
        Column::Bool(_) => Kind::Bool,
        Column::Int(_) => Kind::Int,
        Column::Float(_) => Kind::Float,
        Column::Dec64(a) => Kind::Dec64(scale_of(a.scale())),
        Column::Dec128(a) => Kind::Dec128(scale_of(a.scale())),
        Column::Str(_) => Kind::Str,
        Column::Bytes(_) => Kind::Bytes,
        Column::Timestamp(_) => Kind::Timestamp,
        Column::Date(_) => Kind::Date,
    }
}

fn kind_of_value(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Unset,
        Value::Bool(_) => Kind::Bool,
        Value::Int(_) | Value::Time(_) | Value::Interval(_) => Kind::Int,
        Value::Float(_) => Kind::Float,
        Value::Decimal { mantissa, scale } if *scale <= 18 && i64::try_from(*mantissa).is_ok() => Kind::Dec64(*scale),
        Value::Decimal { scale, .. } => Kind::Dec128(*scale),
        Value::Str(_) | Value::Json(_) => Kind::Str,
        Value::Bytes(_) => Kind::Bytes,
        Value::Date(_) => Kind::Date,
        Value::Timestamp(_) => Kind::Timestamp,
    }
}

impl Data {
    fn empty(kind: Kind, high: usize, pool: &mut BlockPool) -> Data {
        let mut data = match kind {
            Kind::Unset => Data::Unset,
            Kind::Int => Data::Int(Blocks::new()),
            Kind::Dec64(scale) => Data::Dec64(Blocks::new(), scale),
            Kind::Dec128(scale) => Data::Dec128(Blocks::new(), scale),
            Kind::Float => Data::Float(Blocks::new()),
            Kind::Bool => Data::Bool(Blocks::new()),
            Kind::Timestamp => Data::Timestamp(Blocks::new()),
            Kind::Date => Data::Date(Blocks::new()),
            Kind::Str => Data::Str(Arenas::default()),
            Kind::Bytes => Data::Bytes(Arenas::default()),
            Kind::Any => Data::Any(Vec::new()),
        };
        data.grow(high, pool);
        data
    }

    fn kind(&self) -> Kind {
        match self {
            Data::Unset => Kind::Unset,
            Data::Int(_) => Kind::Int,
            Data::Dec64(_, scale) => Kind::Dec64(*scale),
            Data::Dec128(_, scale) => Kind::Dec128(*scale),
            Data::Float(_) => Kind::Float,
            Data::Bool(_) => Kind::Bool,
            Data::Timestamp(_) => Kind::Timestamp,
            Data::Date(_) => Kind::Date,
            Data::Str(_) => Kind::Str,
            Data::Bytes(_) => Kind::Bytes,
            Data::Any(_) => Kind::Any,
        }
    }

    fn grow(&mut self, high: usize, pool: &mut BlockPool) {
        match self {
            Data::Unset => {}
            Data::Int(b) | Data::Dec64(b, _) | Data::Timestamp(b) => b.grow(high, 0, pool),
            Data::Dec128(b, _) => b.grow(high, 0, pool),
            Data::Float(b) => b.grow(high, 0.0, pool),
            Data::Bool(b) | Data::Date(b) => b.grow(high, 0, pool),
            Data::Str(a) => a.grow(high, pool),
            Data::Bytes(a) => a.grow(high, pool),
            Data::Any(values) => values.resize(high.max(values.len()), Value::Null),
        }
    }

    fn release(&mut self, pool: &mut BlockPool) {
        match self {
            Data::Int(b) | Data::Dec64(b, _) | Data::Timestamp(b) => b.release(pool),
            Data::Dec128(b, _) => b.release(pool),
            Data::Float(b) => b.release(pool),
            Data::Bool(b) | Data::Date(b) => b.release(pool),
            Data::Unset | Data::Str(_) | Data::Bytes(_) | Data::Any(_) => {}
        }
    }

    /// Puts a value that is not NULL; FALSE when this kind has no room for it.
    fn put(&mut self, slot: u32, value: &Value) -> bool {
        match (self, value) {
            (Data::Int(b), Value::Int(x) | Value::Time(x) | Value::Interval(x)) => *b.at(slot) = *x,
            (Data::Timestamp(b), Value::Timestamp(x)) => *b.at(slot) = *x,
            (Data::Dec64(b, scale), value) => match exact(value, *scale).and_then(|m| i64::try_from(m).ok()) {
                Some(mantissa) => *b.at(slot) = mantissa,
                None => return false,
            },
            (Data::Dec128(b, scale), value) => match exact(value, *scale) {
                Some(mantissa) => *b.at(slot) = mantissa,
                None => return false,
            },
            (Data::Float(b), Value::Float(x)) => *b.at(slot) = *x,
            (Data::Bool(b), Value::Bool(x)) => *b.at(slot) = u32::from(*x),
            (Data::Date(b), Value::Date(x)) => *b.at(slot) = x.cast_unsigned(),
            (Data::Str(a), Value::Str(x) | Value::Json(x)) => a.put(slot, x),
            (Data::Bytes(a), Value::Bytes(x)) => a.put(slot, x),
            (Data::Any(values), value) => values[slot as usize] = value.clone(),
            _ => return false,
        }
        true
    }

    fn value(&self, slot: u32) -> Value {
        match self {
            Data::Unset => Value::Null,
            Data::Int(b) => Value::Int(b.get(slot)),
            Data::Dec64(b, scale) => Value::Decimal { mantissa: i128::from(b.get(slot)), scale: *scale },
            Data::Dec128(b, scale) => Value::Decimal { mantissa: b.get(slot), scale: *scale },
            Data::Float(b) => Value::Float(b.get(slot)),
            Data::Bool(b) => Value::Bool(b.get(slot) != 0),
            Data::Timestamp(b) => Value::Timestamp(b.get(slot)),
            Data::Date(b) => Value::Date(b.get(slot).cast_signed()),
            Data::Str(a) => Value::Str(a.get(slot).into()),
            Data::Bytes(a) => Value::Bytes(a.get(slot).into()),
            Data::Any(values) => values[slot as usize].clone(),
        }
    }
}

/// The mantissa of an exact number at this scale.
fn exact(value: &Value, scale: u8) -> Option<i128> {
    match value {
        Value::Int(x) => decimal::rescale(i128::from(*x), 0, scale),
        Value::Decimal { mantissa, scale: from } if *from <= scale => decimal::rescale(*mantissa, *from, scale),
        _ => None,
    }
}

/// Values that `=` calls equal, or both NULL.
fn same(a: &Value, b: &Value) -> bool {
    let exact = |value: &Value| match value {
        Value::Int(x) => Some(decimal::strip(i128::from(*x), 0, 0)),
        Value::Decimal { mantissa, scale } => Some(decimal::strip(*mantissa, *scale, 0)),
        _ => None,
    };
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a == b || a.is_nan() && b.is_nan(),
        (Value::Str(a) | Value::Json(a), Value::Str(b) | Value::Json(b)) => a == b,
        (Value::Int(a) | Value::Time(a) | Value::Interval(a), Value::Int(b) | Value::Time(b) | Value::Interval(b)) => {
            a == b
        }
        _ => match (exact(a), exact(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}

impl Lane {
    pub(super) fn new(data_type: &DataType) -> Lane {
        Lane { data_type: data_type.clone(), data: Data::Unset, valid: Vec::new(), nullable: false }
    }

    fn is_valid(&self, slot: u32) -> bool {
        self.valid[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    fn set_valid(&mut self, slot: u32, valid: bool) {
        let (word, bit) = (slot as usize / 64, slot % 64);
        self.valid[word] = self.valid[word] & !(1 << bit) | u64::from(valid) << bit;
        self.nullable |= !valid;
    }

    /// Makes the lane one that holds this kind, too; values of before are brought along.
    fn widen(&mut self, kind: Kind, high: usize, pool: &mut BlockPool) {
        let wanted = self.data.kind().with(kind);
        if wanted != self.data.kind() {
            self.convert(wanted, high, pool);
        }
        self.data.grow(high, pool);
        self.valid.resize(high.div_ceil(64), 0);
    }

    fn convert(&mut self, wanted: Kind, high: usize, pool: &mut BlockPool) {
        // A mantissa may not fit at the new scale: then at twice the width, then as what it is.
        let wider = match wanted {
            Kind::Dec64(scale) => [Kind::Dec64(scale), Kind::Dec128(scale), Kind::Any],
            other => [other, Kind::Any, Kind::Any],
        };
        let known = self.valid.len() * 64;
        for kind in wider {
            let mut data = Data::empty(kind, high, pool);
            let slots = (0..high.min(known) as u32).filter(|slot| self.is_valid(*slot));
            if slots.into_iter().all(|slot| data.put(slot, &self.data.value(slot))) {
                std::mem::replace(&mut self.data, data).release(pool);
                return;
            }
            data.release(pool);
        }
    }

    pub(super) fn put_all(&mut self, column: &Column, rows: &[u32], slots: &[u32], high: usize, pool: &mut BlockPool) {
        self.widen(kind_of(column), high, pool);
        let whole = match (&mut self.data, column) {
            (Data::Int(b), Column::Int(a)) => put_plain(b, a.values(), rows, slots),
            (Data::Timestamp(b), Column::Timestamp(a)) => put_plain(b, a.values(), rows, slots),
            (Data::Float(b), Column::Float(a)) => put_plain(b, a.values(), rows, slots),
            (Data::Dec64(b, scale), Column::Dec64(a)) if scale_of(a.scale()) == *scale => {
                put_plain(b, a.values(), rows, slots)
            }
            (Data::Dec128(b, scale), Column::Dec128(a)) if scale_of(a.scale()) == *scale => {
                put_plain(b, a.values(), rows, slots)
            }
            (Data::Str(arenas), Column::Str(a)) => {
                let set = rows.iter().zip(slots).filter(|(row, _)| a.is_valid(**row as usize));
                set.for_each(|(row, slot)| arenas.put(*slot, a.value(*row as usize)));
                true
            }
            (_, Column::Null(_)) => true,
            _ => false,
        };
        for (row, slot) in rows.iter().zip(slots) {
            let row = *row as usize;
            if whole {
                self.set_valid(*slot, !column.is_null(row));
            } else {
                self.put_value(&column.value(row), *slot, high, pool);
            }
        }
    }

    /// The same over slots that may hold rows; these go.
    pub(super) fn replace_all(
        &mut self,
        column: &Column,
        rows: &[u32],
        slots: &[u32],
        high: usize,
        pool: &mut BlockPool,
    ) {
        self.widen(kind_of(column), high, pool);
        if !matches!(self.data, Data::Str(_) | Data::Bytes(_)) {
            return self.put_all(column, rows, slots, high, pool);
        }
        // A piece that is left behind is counted where its slot is cleared, also when it came in the same batch.
        for (row, slot) in rows.iter().zip(slots) {
            self.clear(*slot);
            self.put_all(column, std::slice::from_ref(row), std::slice::from_ref(slot), high, pool);
        }
    }

    /// Forgets the value of a slot, if it has one.
    pub(super) fn clear(&mut self, slot: u32) {
        self.forget(slot);
        if let Some(word) = self.valid.get_mut(slot as usize / 64) {
            *word &= !(1 << (slot % 64));
        }
    }

    pub(super) fn put_value(&mut self, value: &Value, slot: u32, high: usize, pool: &mut BlockPool) {
        self.widen(kind_of_value(value), high, pool);
        self.set_valid(slot, !value.is_null());
        if value.is_null() || self.data.put(slot, value) {
            return;
        }
        let wider = match self.data.kind() {
            Kind::Dec64(scale) => Kind::Dec128(scale),
            _ => Kind::Any,
        };
        self.set_valid(slot, false);
        self.convert(wider, high, pool);
        if !self.data.put(slot, value) {
            self.convert(Kind::Any, high, pool);
            self.data.put(slot, value);
        }
        self.set_valid(slot, true);
    }

    pub(super) fn forget(&mut self, slot: u32) {
        if !self.is_valid(slot) {
            return;
        }
        match &mut self.data {
            Data::Str(a) => a.forget(slot),
            Data::Bytes(a) => a.forget(slot),
            Data::Any(values) => values[slot as usize] = Value::Null,
            _ => {}
        }
    }

    pub(super) fn value(&self, slot: u32) -> Value {
        match self.data.value(slot) {
            _ if !self.is_valid(slot) => Value::Null,
            Value::Int(x) if self.data_type == DataType::Time => Value::Time(x),
            Value::Int(x) if self.data_type == DataType::Interval => Value::Interval(x),
            other => other,
        }
    }

    pub(super) fn equals(&self, slot: u32, column: &Column, row: usize) -> bool {
        let valid = self.is_valid(slot);
        if column.is_null(row) || !valid {
            return column.is_null(row) && !valid;
        }
        match (&self.data, column) {
            (Data::Int(b), Column::Int(a)) => b.get(slot) == a.value(row),
            (Data::Timestamp(b), Column::Timestamp(a)) => b.get(slot) == a.value(row),
            (Data::Str(s), Column::Str(a)) => s.get(slot) == a.value(row),
            _ => same(&self.data.value(slot), &column.value(row)),
        }
    }

    /// Which of these rows are not NULL; `None`: all.
    fn nulls(&self, slots: &[u32]) -> Option<NullBuffer> {
        if !self.nullable && !slots.contains(&NONE) {
            return None;
        }
        let mut bits = BooleanBufferBuilder::new(slots.len());
        slots.iter().for_each(|slot| bits.append(*slot != NONE && self.is_valid(*slot)));
        let nulls = NullBuffer::new(bits.finish());
        (nulls.null_count() > 0).then_some(nulls)
    }

    pub(super) fn gather(&self, slots: &[u32]) -> Column {
        let nulls = self.nulls(slots);
        match &self.data {
            Data::Int(b) => Column::ints(plain(b, slots), nulls),
            Data::Timestamp(b) => Column::timestamps(plain(b, slots), nulls),
            Data::Float(b) => Column::floats(plain(b, slots), nulls),
            Data::Dec64(b, scale) => Column::dec64(plain(b, slots), *scale, nulls),
            Data::Dec128(b, scale) => Column::dec128(plain(b, slots), *scale, nulls),
            Data::Bool(b) => {
                let bits: Vec<bool> = plain(b, slots).into_iter().map(|x: u32| x != 0).collect();
                Column::Bool(BooleanArray::new(bits.into(), nulls))
            }
            Data::Date(b) => {
                let days: Vec<i32> = plain(b, slots).into_iter().map(u32::cast_signed).collect();
                Column::Date(Date32Array::new(days.into(), nulls))
            }
            Data::Str(arenas) => {
                let mut text = StrBuilder::with_capacity(slots.len());
                for (i, slot) in slots.iter().enumerate() {
                    match nulls.as_ref().is_none_or(|n| n.is_valid(i)) {
                        true => text.push_str(arenas.get(*slot)),
                        false => text.push_null(),
                    }
                }
                Column::Str(text.finish())
            }
            Data::Bytes(arenas) => {
                let valid = |i: usize| nulls.as_ref().is_none_or(|n| n.is_valid(i));
                Column::Bytes(slots.iter().enumerate().map(|(i, s)| valid(i).then(|| arenas.get(*s))).collect())
            }
            Data::Unset | Data::Any(_) => {
                let mut built = ColumnBuilder::new(&self.data_type);
                for slot in slots {
                    let value = if *slot == NONE { Value::Null } else { self.value(*slot) };
                    built.push_value(&value);
                }
                built.finish()
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let data = match &self.data {
            Data::Unset => 0,
            Data::Int(b) | Data::Dec64(b, _) | Data::Timestamp(b) => b.bytes(),
            Data::Dec128(b, _) => b.bytes(),
            Data::Float(b) => b.bytes(),
            Data::Bool(b) | Data::Date(b) => b.bytes(),
            Data::Str(a) => a.bytes(),
            Data::Bytes(a) => a.bytes(),
            Data::Any(values) => {
                let heap = |value: &Value| match value {
                    Value::Str(text) | Value::Json(text) => text.len(),
                    Value::Bytes(bytes) => bytes.len(),
                    _ => 0,
                };
                values.capacity() * size_of::<Value>() + values.iter().map(heap).sum::<usize>()
            }
        };
        data + self.valid.capacity() * size_of::<u64>()
    }
}

fn put_plain<T: Pooled>(into: &mut Blocks<T>, values: &[T], rows: &[u32], slots: &[u32]) -> bool {
    rows.iter().zip(slots).for_each(|(row, slot)| *into.at(*slot) = values[*row as usize]);
    true
}

fn plain<T: Pooled>(from: &Blocks<T>, slots: &[u32]) -> Vec<T> {
    slots.iter().map(|slot| if *slot == NONE { T::default() } else { from.get(*slot) }).collect()
}
