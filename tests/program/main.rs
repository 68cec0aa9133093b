//! The program as people and scripts use it: calls, messages, files, pages, hostile input.

mod check;
mod cli;
mod csv;
mod destinations;
mod figures;
mod git;
mod gridding;
mod invalid;
mod load;
mod memory;
mod mutations;
mod names;
mod narrow;
mod output;
mod readme;
mod report;
mod schema;
mod standalone;
#[path = "../support/mod.rs"]
mod support;
mod trust;
