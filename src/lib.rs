//! cnnkit: the truth about a convolutional network.

pub mod disk;
pub mod revision;
pub mod zoo;

pub use cnnkit_check as check;
pub use cnnkit_check::rules;
pub use cnnkit_core::{analysis, diagnostic, graph, layers, number, shape, source, spec, value};
pub use cnnkit_exec as exec;
pub use cnnkit_formats as formats;
pub use cnnkit_formats::{export, onnx};
pub use cnnkit_report as report;
pub use cnnkit_report::render;
pub use cnnkit_verify as verify;
