//! One value of one field: what was settled about the field, and the draw itself. Runs once per field and record, so it
//! decides by one match and allocates nothing but texts.

use std::sync::Arc;

use velostream_types::Value;
use velostream_types::time::NS_PER_MS;

use super::derive::Derived;
use super::memory::Walks;
use super::number::{Form, Numbers, Range, between_evenly};
use super::pattern::Pattern;
use super::random::Random;
use crate::record_text;

/// Values that stand for those of a schema nobody published are numbered up to this.
const INVENTED_MAX: u64 = 1_000;

/// A field that is ready to be drawn.
#[derive(Clone, Debug)]
pub(super) struct FieldPlan {
    pub name: Arc<str>,
    pub null_rate: f64,
    pub draw: Draw,
    /// Where its values are kept, because other schemas refer to them.
    pub sample: Option<usize>,
}

/// How values come about.
#[derive(Clone, Debug)]
pub(super) enum Draw {
    OneOf(Choice),
    /// `REF_SCHEMA_7`, or 7 where integers are wanted.
    Invented {
        prefix: String,
        as_integer: bool,
    },
    Derived(Derived),
    Numbers(Numbers),
    /// From the range's low end to its high one over the records.
    EvenNumbers(Form, Range),
    Walk(Walk),
    Boolean,
    Letters {
        least: usize,
        most: usize,
    },
    Pattern(Pattern),
    Uuid,
    /// A day between these, both included.
    Days(i32, i32),
    /// A ms between these, both included.
    Moments {
        from: i64,
        to: i64,
        evenly: bool,
        as_ms: bool,
    },
    /// The record's event time.
    EventTime {
        as_ms: bool,
    },
    /// The run's time.
    Now {
        as_ms: bool,
    },
}

/// Some values and how often each comes.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub values: Vec<Value>,
    /// Sum of the weights up to each value; none: all are equal.
    pub sums: Option<Vec<f64>>,
}

impl Choice {
    fn pick(&self, random: &mut Random) -> Value {
        let at = match self.sums.as_deref() {
            None => random.below(self.values.len().max(1) as u64) as usize,
            Some(sums) => {
                let point = random.unit() * sums.last().copied().unwrap_or(0.0);
                sums.partition_point(|sum| *sum <= point)
            }
        };
        self.values.get(at).or(self.values.last()).cloned().unwrap_or(Value::Null)
    }
}

/// A random walk: each value is the one before times `1 + drift + volatility * N(0, 1)`.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub form: Form,
    pub range: Range,
    pub start: f64,
    pub least: f64,
    pub most: f64,
    pub drift: f64,
    pub volatility: f64,
    /// Position of the field whose values have a walk each.
    pub group: Option<usize>,
    /// Where [`Walks`] keeps it.
    pub position: usize,
}

impl Walk {
    fn step(&self, fields: &[(Arc<str>, Value)], random: &mut Random, walks: &mut Walks) -> Value {
        let group = self.group.and_then(|at| fields.get(at)).map(|(_, value)| record_text::text(value));
        let group = group.as_deref().unwrap_or("");
        let at = match walks.last(self.position, group) {
            None => self.start,
            Some(last) => last * (1.0 + self.drift + self.volatility * random.normal()),
        };
        let at = at.clamp(self.least, self.most);
        walks.step(self.position, group, at);
        self.form.nearest(at, self.range)
    }
}

/// What a draw may look at beside its field.
pub(super) struct Around<'a> {
    pub random: &'a mut Random,
    pub walks: &'a mut Walks,
    /// Scratch memory for texts.
    pub text: &'a mut String,
    pub now_ms: i64,
    pub event_ms: i64,
    /// Number of the record, and of all records.
    pub nth: u64,
    pub count: u64,
}

impl Draw {
    /// The value of the next record, whose fields that come earlier are there.
    pub fn value(&self, fields: &[(Arc<str>, Value)], around: &mut Around<'_>) -> Value {
        let random = &mut *around.random;
        match self {
            Draw::OneOf(choice) => choice.pick(random),
            Draw::Invented { prefix, as_integer } => {
                let n = 1 + random.below(INVENTED_MAX);
                if *as_integer { Value::Int(n as i64) } else { Value::Str(format!("REF_{prefix}_{n}").into()) }
            }
            Draw::Derived(derived) => derived.value(fields, random),
            Draw::Numbers(numbers) => numbers.draw(random),
            Draw::EvenNumbers(form, range) => form.evenly(*range, around.nth, around.count),
            Draw::Walk(walk) => walk.step(fields, random, around.walks),
            Draw::Boolean => Value::Bool(random.bits() >> 63 == 1),
            Draw::Letters { least, most } => {
                const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
                around.text.clear();
                for _ in 0..random.between(*least as i128, *most as i128) {
                    around.text.push(char::from(LETTERS[random.below(62) as usize]));
                }
                Value::Str(around.text.as_str().into())
            }
            Draw::Pattern(pattern) => {
                around.text.clear();
                pattern.write(random, around.text);
                Value::Str(around.text.as_str().into())
            }
            Draw::Uuid => Value::Str(random.uuid().into()),
            Draw::Days(from, to) => Value::Date(random.between(i128::from(*from), i128::from(*to)) as i32),
            Draw::Moments { from, to, evenly, as_ms } => {
                let (from, to) = (i128::from(*from), i128::from(*to));
                let ms = if *evenly {
                    between_evenly(from, to, around.nth, around.count.saturating_sub(1))
                } else {
                    random.between(from, to)
                };
                moment(ms as i64, *as_ms)
            }
            Draw::EventTime { as_ms } => moment(around.event_ms, *as_ms),
            Draw::Now { as_ms } => moment(around.now_ms, *as_ms),
        }
    }
}

/// A time as integer ms or as a timestamp.
fn moment(ms: i64, as_ms: bool) -> Value {
    if as_ms { Value::Int(ms) } else { Value::Timestamp(ms.saturating_mul(NS_PER_MS)) }
}
