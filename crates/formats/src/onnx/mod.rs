//! ONNX models: the import of a file as a graph, and the file format.
//!
//! ```text
//! file -> read (messages, weights left in the file) -> inline (functions inlined, in order)
//!      -> lower (operators to layers, constants folded) -> patterns (composites recognised)
//!      -> import (ids, shared weights) -> graph
//! ```
//!
//! - [`proto`] has the messages of the format; [`read`] reads them without the weights.
//! - [`weights`] reads the weights when the network is run.
//! - [`import`] runs all stages; [`bind`] determines open sizes.
//!
//! An operator without a layer in the vocabulary becomes an opaque layer: it is counted as far as possible, and every
//! figure that it would affect is marked as partial.

pub mod archived;
pub mod bind;
pub mod blocks;
mod channels_last;
pub(crate) mod constant;
mod copies;
mod counting;
pub mod declared;
pub mod file_output;
mod idle;
pub mod import;
pub(crate) mod inline;
mod ir;
mod joined;
pub mod lower;
pub(crate) mod names;
mod patterns;
pub mod proto;
mod provenance;
pub mod quantisation;
pub mod read;
pub mod source;
pub mod weights;
