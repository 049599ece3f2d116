//! Random typed expressions and batches for comparing the engine's kernels with the oracle.
//!
//! Everything follows from one seed, so a failing case is named by the numbers proptest prints.

pub mod batches;
pub mod calls;
mod draw;
pub mod exprs;

pub use draw::Draw;

/// What a case is about. The two do not mix: a column that stores more digits than its type says has fewer left in front
/// of the point, so at 38 digits its batch would decide what overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// Numbers up to the limits of their types, stored with at most the digits their types say.
    Extreme,
    /// Small numbers, stored with more digits than the types fixed at deploy say.
    Widened,
}
