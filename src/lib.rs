//! cnnkit: the truth about a convolutional network.
//!
//! The flow goes one way:
//!
//! ```text
//! text (YAML) -> spec -> graph (typed, shapes inferred) -> analysis (facts) -> report (model) -> render (bytes)
//! ```

pub mod analysis;
pub mod cli;
pub mod diagnostic;
pub mod exec;
pub mod graph;
pub mod layers;
pub mod render;
pub mod report;
pub mod shape;
pub mod source;
pub mod spec;
pub mod value;
