//! cnnkit: the truth about a convolutional network.
//!
//! The flow goes one way:
//!
//! ```text
//! text (YAML) -> spec -+-> graph (typed, shapes inferred) -> analysis (facts) -> rules (judgements) -> report -> render
//! model (ONNX) -> onnx +        |                                  ^
//!                               +-> exec (numbers, by running it) -> verify (facts against numbers)
//! ```
//!
//! - [`spec`] reads text and expands it into nodes. It knows YAML and the language, and no layer arithmetic.
//! - [`onnx`] reads models into the same graph, and leaves their weights in the file until something runs; [`export`] writes
//!   graphs as ONNX, PyTorch or a spec.
//! - [`layers`] is the vocabulary: one layer, one file, with everything that is to be known of it. A parameter count is a
//!   sum over the weights that a layer declares, a receptive field follows from its declared reach; nothing is said twice.
//! - [`graph`] wires layers and infers shapes. It knows neither YAML nor any other format: a front end builds it.
//! - [`analysis`] computes facts from a graph, or from a list of dilation rates. Pure functions, exact integers.
//! - [`exec`] runs a graph: every layer's definition in plain loops, and fast kernels beside it; [`verify`] holds what the
//!   analysis predicts against what running measures.
//! - [`rules`] judge facts, one rule a file; [`check`] runs them over specs and brings their findings to places in the text.
//! - [`report`] is what a command has to say, as data; [`render`] is the only code that formats it.
//! - [`cli`] turns arguments into a report and a report into an exit status.
//!
//! Invariants. A count that leaves 64 bits is an error that names the layer, never a wrapped number. A layer that cannot be
//! analysed is an error, or in a model an explicit opaque node that makes the figures partial; never a zero. A flaw found where no place is known is a [`diagnostic::Problem`]; whoever knows the
//! place makes it a [`diagnostic::Diagnostic`]. All flaws of a spec are reported, not the first. Nothing panics on any input.
//!
//! ```
//! use cnnkit::spec::{self, Overrides, files::Text};
//!
//! let yaml = "{input: [256, 56, 56], layers: [conv: {out_channels: 256, kernel: 3, padding: 1, bias: false}]}";
//! let files = Text { name: "example".into(), bytes: yaml.into() };
//! let network = spec::load(&files, "example", &Overrides::default()).expect("a valid spec");
//! assert_eq!(cnnkit::analysis::totals::of_graph(&network.graph).params, 256 * 3 * 3 * 256);
//! ```

pub mod analysis;
pub mod check;
pub mod cli;
pub mod diagnostic;
pub mod exec;
pub mod export;
pub mod graph;
pub mod layers;
pub mod onnx;
pub mod render;
pub mod report;
pub mod rules;
pub mod shape;
pub mod source;
pub mod spec;
pub mod value;
pub mod verify;
