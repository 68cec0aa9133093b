//! The typed layer graph of a convolutional network, the language it is written in, and exact analyses of it.
//!
//! Nothing here reads a file, starts a thread, reads the clock or knows a command line.

pub mod analysis;
pub mod diagnostic;
pub mod graph;
pub mod layers;
pub mod number;
pub mod shape;
pub mod source;
pub mod spec;
pub mod value;
