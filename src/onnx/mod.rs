//! ONNX models: the file format.
//!
//! - [`proto`] has the messages of the format.
//! - [`read`] reads a model without its weights: large tensor data stay in the file.

pub mod proto;
pub mod read;
