//! Pure functions from a graph (or a list of rates) to facts.

pub mod channels;
pub mod dilated;
pub mod field;
pub mod paths;
pub mod support;
