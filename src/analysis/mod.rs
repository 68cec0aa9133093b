//! Pure functions from a graph (or a list of rates) to facts.

pub mod memory;
pub mod sizes;
pub mod totals;
mod bits;
pub mod design;
pub mod front;
pub mod gridding;
pub mod hdc;
pub mod multiplicity;
pub mod offsets;
pub mod proposal;
pub mod survey;
