//! Pure functions from a graph (or a list of rates) to facts.

mod bits;
pub mod design;
pub mod front;
pub mod gridding;
pub mod hdc;
pub mod memory;
pub mod multiplicity;
pub mod offsets;
pub mod proposal;
pub mod sizes;
pub mod survey;
pub mod totals;
