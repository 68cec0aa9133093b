//! Pure functions from a graph (or a list of rates) to facts.

mod bits;
pub mod channels;
pub mod convention;
pub mod design;
pub mod dilated;
pub mod field;
pub mod pareto;
pub mod gradient;
pub mod gridding;
pub mod hdc;
pub mod memory;
pub mod multiplicity;
pub mod offsets;
pub mod paths;
mod parallel;
pub mod proposal;
pub mod savings;
pub mod sizes;
pub mod support;
pub mod survey;
pub mod totals;
pub mod unread_positions;
pub mod dead_weights;
pub mod known_zeros;
