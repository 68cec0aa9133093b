//! Analyses: pure functions from a graph (or a list of rates) to facts.

mod bits;
mod channel_sets;
pub mod channels;
pub mod convention;
pub mod dead_weights;
pub mod design;
pub mod dilated;
pub mod field;
pub mod gradient;
pub mod gridding;
pub mod hdc;
pub mod known_zeros;
pub mod memory;
pub mod multiplicity;
pub mod offsets;
mod parallel;
pub mod pareto;
pub mod paths;
pub mod proposal;
pub mod relation;
pub mod savings;
pub mod sizes;
pub mod support;
pub mod survey;
pub mod taps;
pub mod totals;
pub mod unread_positions;
