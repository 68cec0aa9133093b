//! Text to graph: the spec language. Knows YAML, knows no layer arithmetic.

pub mod expr;
pub mod yaml;
