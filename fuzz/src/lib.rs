//! What is fuzzed. A target takes any bytes and returns; a panic, a figure that execution contradicts, and more time or
//! memory than `.ci/fuzz` allows are findings.
//!
//! `tests/formats/fuzzed.rs` includes this file, so that the seeds and all that was ever found run in `cargo test`, without
//! nightly Rust.

mod draw;
mod everything;

pub mod expression;
pub mod model;
pub mod network;
pub mod project;
pub mod rates;
pub mod spec;
pub mod tensors;

/// A target: its name, which is also that of its folders of inputs, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 7] = [
    ("expression", expression::run),
    ("model", model::run),
    ("network", network::run),
    ("project", project::run),
    ("rates", rates::run),
    ("spec", spec::run),
    ("tensors", tensors::run),
];
