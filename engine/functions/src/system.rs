//! Types, identity, randomness. What is random is a function of the run's seed and the row's place (partition, offset)
//! and of the place of the call in the app, so that a run can be repeated and does not depend on batches or shards.

use std::fmt::Write;

use velostream_types::{Column, NTH_MASK};

use crate::call::{Call, RowContext};
use crate::function::{Function, Group, Param, Returns};

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("TYPEOF", Group::System, &[Param::Any], Returns::Text, type_of).sees_nulls().doc(
        "TYPEOF(x)",
        "Name of the expression's type, which is the same for every row.",
        &[
            ("TYPEOF(1)", "INTEGER"),
            ("TYPEOF(1.50)", "DECIMAL(38,2)"),
            ("TYPEOF('a')", "STRING"),
            ("TYPEOF(1 / 2)", "FLOAT"),
            ("TYPEOF(NULL)", "NULL"),
        ],
    ),
    Function::new("RANDOM", Group::System, &[], Returns::Float, random).or(&["RAND"]).volatile().doc(
        "RANDOM()",
        "A number from 0 up to 1, without 1: another one for every row and every place it is written at.",
        &[("RANDOM() >= 0 AND RANDOM() < 1", "true"), ("RANDOM() = RANDOM()", "false")],
    ),
    Function::new("UUID", Group::System, &[], Returns::Text, uuid).or(&["GEN_RANDOM_UUID"]).volatile().doc(
        "UUID()",
        "A random identifier of 36 characters (version 4): another one for every row and every place it is written at.",
        &[
            ("UUID() ~ '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'", "true"),
            ("UUID() = UUID()", "false"),
        ],
    ),
];

fn type_of(call: &mut Call<'_>) -> Column {
    let name = call.args.data_type(0).to_string();
    call.texts(|_, out| {
        out.push_str(&name);
        Ok(true)
    })
}

/// One step of SplitMix64: every bit of the result depends on every bit of the argument.
fn mixed(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// Number `n` of the row's random words.
fn word(context: &RowContext<'_>, row: usize, n: u64) -> u64 {
    let meta = &context.batch.meta;
    // Rows that were made of one record each have their own.
    let nth = meta.order_at(row).2 & NTH_MASK;
    [context.site, u64::from(meta.partition), meta.offsets.at(row) as u64, nth << 8 | n]
        .into_iter()
        .fold(mixed(context.seed), |state, part| mixed(state ^ part))
}

fn random(call: &mut Call<'_>) -> Column {
    let context = call.context;
    // The upper 53 bits, which is what a float holds.
    call.floats(|row| Ok(Some((word(&context, row, 0) >> 11) as f64 / (1u64 << 53) as f64)))
}

fn uuid(call: &mut Call<'_>) -> Column {
    let context = call.context;
    call.texts(|row, out| {
        let (high, low) = (word(&context, row, 0), word(&context, row, 1));
        // Version 4, variant 1.
        let (high, low) = (high & !0xf000 | 0x4000, low & !(0b11 << 62) | 0b10 << 62);
        let (node, clock) = (low & 0xffff_ffff_ffff, low >> 48);
        let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
        // Writing to a `String` cannot fail.
        let _ = write!(out, "{a:08x}-{b:04x}-{c:04x}-{clock:04x}-{node:012x}");
        Ok(true)
    })
}
