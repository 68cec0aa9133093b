//! Pure functions from a graph (or a list of rates) to facts.

pub mod memory;
pub mod sizes;
pub mod totals;
