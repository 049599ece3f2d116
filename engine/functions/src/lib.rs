//! The functions of the dialect. Those over groups have their entries in `aggregate`; all else here is about the
//! scalar ones: each has one entry in the catalogue of its group, which carries its names, signature, type rule, NULL
//! rule, documentation, examples and kernel. The binder asks the catalogue what a call means, the expression engine
//! calls the kernel, and the reference page is written from the same entries.
//!
//! A kernel computes one column from columns ([`Call`]). Invariants: it looks at live rows only, a row that fails is
//! reported once and is NULL, and its result depends on the row's values and logical types alone, never on the physical
//! kind of a column. Cost: one loop per call and batch; nothing is allocated per row but what the result holds.

mod access;
mod aggregate;
mod analytic;
mod array;
mod array_build;
pub mod base64;
mod calendar;
mod call;
mod catalogue;
mod clock;
mod collection;
mod construct;
mod dates;
mod document;
mod encoding;
mod extreme;
mod function;
pub mod json;
mod like;
mod map;
mod math;
mod pattern;
pub mod read;
pub mod reference;
mod rounding;
mod search;
pub mod strftime;
mod string;
mod system;
mod zone;

pub use aggregate::{Aggregate, AggregateExample, AggregateFn, AggregateForm, aggregates, find_aggregate};
pub use analytic::{Analytic, OverFn, OverForm, analytics, find_analytic};
pub use array::has_order;
pub use call::{Arg, Args, Call, Exact, Fail, Failure, Floats, Ints, Outcome, RowContext, Texts, shortened};
pub use catalogue::{all, find};
pub use collection::common;
pub use function::{ArgType, BadConstant, Function, Group, Nulls, Param, Prepare, Prepared, Returns, Taken};
pub use zone::{LocalDays, zone_exists};
