//! ONNX models: from a file to a graph, and the file format.
//!
//! ```text
//! file -> read (messages, weights left in the file) -> flat (functions inlined, in order) -> lower (operators to layers,
//! constants folded) -> patterns (composites recognised) -> import (ids, shared weights) -> graph
//! ```
//!
//! - [`proto`] has the messages of the format; [`read`] reads them without the weights.
//! - [`weights`] reads the weights when the network is run.
//! - [`import`] is the whole way; [`bind`] gives open sizes their values.
//!
//! What the vocabulary does not know becomes an opaque layer: it is counted as far as it can be, and every figure that it
//! leaves out is said to be partial.

pub mod archived;
pub mod bind;
pub mod constant;
mod counting;
mod idle;
pub mod import;
pub mod inline;
pub mod ir;
pub mod lower;
pub mod names;
mod patterns;
pub mod proto;
pub mod read;
pub mod source;
pub mod weights;
