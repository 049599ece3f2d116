//! `no_duplicates`: keys that come once. A key is kept as a 128-bit hash with the place it was first seen at.

use std::collections::BTreeMap;

use velostream_types::Value;

use crate::check::columns::Columns;
use crate::check::number::Number;
use crate::check::outcomes::{Case, counted, listed, percent_text};
use crate::check::rows::Offenders;
use crate::check::{Facts, Fold};
use crate::outcome::{Cell, Outcome};
use crate::record::{Record, Row};
use crate::record_text::{float_text, text};

/// FNV-1a over 128 bits. Keys of tests are no attack, and it needs no table.
#[derive(Clone, Copy)]
pub(crate) struct Hash(u128);

impl Hash {
    pub(crate) const fn new() -> Hash {
        Hash(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }

    /// A value by its text; a missing one is none of the texts. Numbers are taken without zeros behind the point, so
    /// that 5, 5.0 and 5.00 are one key.
    pub(crate) fn value(&mut self, value: Option<&Value>) {
        match value {
            None => self.bytes(&[0]),
            Some(Value::Null) => self.bytes(&[1]),
            Some(Value::Int(i)) => self.exact(i128::from(*i), 0),
            Some(Value::Decimal { mantissa, scale }) => {
                let (mantissa, scale) = velostream_types::decimal::strip(*mantissa, *scale, 0);
                self.exact(mantissa, scale);
            }
            Some(Value::Float(x)) => match Number::written(*x).shortest() {
                Number::Exact { mantissa, scale } => self.exact(mantissa, scale),
                Number::Float(x) => self.tagged(4, &x.to_bits().to_le_bytes()),
            },
            Some(other) => {
                let text = text(other);
                self.bytes(&[3]);
                // The length keeps ("a", "bc") apart from ("ab", "c").
                self.bytes(&(text.len() as u32).to_le_bytes());
                self.bytes(text.as_bytes());
            }
        }
    }

    fn exact(&mut self, mantissa: i128, scale: u8) {
        match i64::try_from(mantissa) {
            Ok(short) => self.tagged(2, &short.to_le_bytes()),
            Err(_) => self.tagged(5, &mantissa.to_le_bytes()),
        }
        self.bytes(&[scale]);
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.bytes(&[tag]);
        self.bytes(bytes);
    }

    pub(crate) const fn finish(self) -> u128 {
        self.0
    }
}

fn row_hash(row: &Row) -> u128 {
    let mut hash = Hash::new();
    for (name, value) in &row.fields {
        hash.tagged(6, name.as_bytes());
        hash.value(Some(value));
    }
    hash.finish()
}

/// `no_duplicates`
pub(crate) struct NoDuplicates {
    case: Case,
    key_fields: Vec<String>,
    /// The last row of each key: one with other values is an update.
    updates: Option<BTreeMap<u128, u128>>,
    max_percent: Option<f64>,
    first: BTreeMap<u128, (u32, i64)>,
    columns: Columns,
    records: u64,
    duplicates: Offenders,
}

impl NoDuplicates {
    pub(crate) fn new(
        case: Case,
        key_fields: Vec<String>,
        allow_updates: bool,
        max_percent: Option<f64>,
    ) -> NoDuplicates {
        NoDuplicates {
            case,
            key_fields,
            updates: allow_updates.then(BTreeMap::new),
            max_percent,
            first: BTreeMap::new(),
            columns: Columns::default(),
            records: 0,
            duplicates: Offenders::default(),
        }
    }
}

impl Fold for NoDuplicates {
    fn record(&mut self, record: &Record<'_>) {
        let Some(row) = record.row else { return };
        self.records += 1;
        self.columns.add(row);
        let mut hash = Hash::new();
        for field in &self.key_fields {
            hash.value(row.get(field));
        }
        let key = hash.finish();
        let first = *self.first.entry(key).or_insert((record.partition, record.offset));
        if first == (record.partition, record.offset) {
            if let Some(rows) = &mut self.updates {
                rows.insert(key, row_hash(row));
            }
            return;
        }
        if let Some(rows) = &mut self.updates {
            let now = row_hash(row);
            if rows.insert(key, now) != Some(now) {
                return;
            }
        }
        let fields = &self.key_fields;
        self.duplicates.add(record, || {
            let mut cells: Vec<Cell> = fields.iter().map(|field| Offenders::cell(row, field)).collect();
            if let Some(cell) = cells.first_mut() {
                cell.expected = Some(format!("not that of {}@{}", first.0, first.1));
            }
            cells
        });
    }

    fn finish(self: Box<Self>, _: &Facts<'_>) -> Outcome {
        let NoDuplicates { case, key_fields, max_percent, first, columns, records, duplicates, .. } = *self;
        let (sink, keys) = (&case.sink, listed(&key_fields));
        let broken = duplicates.count();
        let percent = if records == 0 { 0.0 } else { broken as f64 * 100.0 / records as f64 };
        let allowed = max_percent.unwrap_or(0.0);
        let absent: Vec<String> = (key_fields.iter())
            .filter(|field| records > 0 && !columns.has(field))
            .map(|field| format!("{field}{}", columns.near(field)))
            .collect();
        let warning = (!absent.is_empty()).then(|| format!("no record of {sink} has {}", listed(&absent)));
        let distinct = first.len() as u64;
        let outcome = if percent <= allowed {
            let more = if broken > 0 { format!(", {broken} of them again") } else { String::new() };
            case.passed(format!(
                "{} of {sink} have {}{more} by {keys}",
                counted(records, "record"),
                counted(distinct, "key")
            ))
        } else {
            let message =
                format!("{} in {} of {sink} by {keys}", counted(broken, "duplicate"), counted(records, "record"));
            let wanted = match max_percent {
                Some(percent) => format!("at most {} % duplicates", float_text(percent)),
                None => "no duplicates".to_owned(),
            };
            let share = max_percent.map_or_else(String::new, |_| percent_text(percent));
            let actual = format!("{share}{} in {}", counted(broken, "duplicate"), counted(records, "record"));
            case.failed(message, wanted, actual).with_rows(duplicates)
        };
        outcome.detail("distinct_keys", distinct).detail("duplicates", broken).warn_if(warning)
    }
}
