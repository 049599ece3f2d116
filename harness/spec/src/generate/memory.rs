//! What outlives a source: where random walks stand, and values that fields of other schemas refer to.
//!
//! Both are bounded. Of referenced values a sample is kept: those with the smallest hashes, so that it depends on the set
//! of values alone, not on how often or in which order they came, and every value is as likely in it as any other.

use std::collections::BTreeMap;

use velostream_types::Value;

use super::random::hash;
use crate::record_text;
use crate::schema::{DataSchema, Reference};

/// Values kept of one field; about 4 MiB with texts of 20 characters.
pub const SAMPLE_MAX: usize = 65_536;
/// Groups whose walks are continued; about 6 MiB with names of 20 characters.
pub const WALK_GROUPS_MAX: usize = 65_536;

/// A sample of the distinct values of one field.
#[derive(Clone, Debug, Default)]
struct Sample {
    by_hash: BTreeMap<u64, Value>,
}

impl Sample {
    fn offer(&mut self, value: &Value) {
        let hash = hash(0, record_text::text(value).as_bytes());
        if self.by_hash.len() >= SAMPLE_MAX && self.by_hash.last_key_value().is_some_and(|(last, _)| hash > *last) {
            return;
        }
        self.by_hash.entry(hash).or_insert_with(|| value.clone());
        if self.by_hash.len() > SAMPLE_MAX {
            self.by_hash.pop_last();
        }
    }
}

/// Samples of the fields that some schema refers to.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    fields: Vec<(String, String, Sample)>,
}

impl Samples {
    /// For what these schemas refer to.
    pub fn of<'a>(schemas: impl IntoIterator<Item = &'a DataSchema>) -> Samples {
        let mut fields: Vec<(String, String, Sample)> = Vec::new();
        let references = schemas.into_iter().flat_map(|schema| &schema.fields);
        for Reference { schema, field, .. } in references.filter_map(|field| field.constraints.references.as_ref()) {
            if !fields.iter().any(|(s, f, _)| s == schema && f == field) {
                fields.push((schema.clone(), field.clone(), Sample::default()));
            }
        }
        Samples { fields }
    }

    /// Where the field's values are kept, if anything refers to it.
    pub fn position(&self, schema: &str, field: &str) -> Option<usize> {
        self.fields.iter().position(|(s, f, _)| s == schema && f == field)
    }

    /// The schema's fields whose values are kept.
    pub fn fields_of(&self, schema: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(of, ..)| of == schema).map(|(_, field, _)| field.as_str())
    }

    /// Takes note of a value; NULL is none.
    pub fn offer(&mut self, position: usize, value: &Value) {
        if let (Some((.., sample)), false) = (self.fields.get_mut(position), value.is_null()) {
            sample.offer(value);
        }
    }

    /// The values that are kept, in a fixed order.
    pub fn values(&self, schema: &str, field: &str) -> impl Iterator<Item = &Value> {
        self.position(schema, field).into_iter().flat_map(|at| self.fields[at].2.by_hash.values())
    }
}

/// Where one field's walks stand, by the text of their group.
#[derive(Clone, Debug, Default)]
pub(super) struct Walks {
    fields: Vec<(String, String, BTreeMap<Box<str>, f64>)>,
}

impl Walks {
    /// The walks of a field, new or continued.
    pub fn position(&mut self, schema: &str, field: &str) -> usize {
        if let Some(at) = self.fields.iter().position(|(s, f, _)| s == schema && f == field) {
            return at;
        }
        self.fields.push((schema.to_owned(), field.to_owned(), BTreeMap::new()));
        self.fields.len() - 1
    }

    /// Where the group's walk stands.
    pub fn last(&self, position: usize, group: &str) -> Option<f64> {
        self.fields.get(position)?.2.get(group).copied()
    }

    /// Moves the group's walk. A group beyond [`WALK_GROUPS_MAX`] is not kept: it starts anew each time.
    pub fn step(&mut self, position: usize, group: &str, to: f64) {
        let Some((.., groups)) = self.fields.get_mut(position) else { return };
        if let Some(stands) = groups.get_mut(group) {
            *stands = to;
        } else if groups.len() < WALK_GROUPS_MAX {
            groups.insert(group.into(), to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_depends_on_the_set_of_values_alone() {
        let (mut forwards, mut backwards) = (Sample::default(), Sample::default());
        for n in 0..100_000 {
            forwards.offer(&Value::Int(n));
            backwards.offer(&Value::Int(99_999 - n));
            backwards.offer(&Value::Int(7));
        }
        assert_eq!(forwards.by_hash.len(), SAMPLE_MAX);
        assert_eq!(forwards.by_hash, backwards.by_hash);
        let late = forwards.by_hash.values().filter(|v| matches!(v, Value::Int(n) if *n >= 50_000)).count();
        assert!((32_000..33_500).contains(&late), "{late} of the second half");
    }

    #[test]
    fn walks_are_kept_by_group_up_to_a_limit() {
        let mut walks = Walks::default();
        let at = walks.position("trades", "price");
        assert_eq!(walks.position("trades", "price"), at);
        for n in 0..=WALK_GROUPS_MAX {
            walks.step(at, &n.to_string(), n as f64);
        }
        assert_eq!(walks.last(at, "5"), Some(5.0));
        assert_eq!(walks.last(at, &WALK_GROUPS_MAX.to_string()), None);
    }
}
