//! The typed layer graph of a convolutional network, the language in which it is written, and exact analyses
//! of it.
//!
//! This crate does not read files, start threads, read the clock, or depend on the command line.

pub mod analysis;
pub mod diagnostic;
pub mod dtype;
pub mod graph;
pub mod layers;
pub mod number;
pub mod shape;
pub mod source;
pub mod spec;
pub mod value;
