//! The program as people and scripts use it: calls, messages, files, pages, hostile input.

mod check;
mod cli;
mod gridding;
mod invalid;
mod load;
mod mutations;
mod names;
mod output;
mod readme;
mod schema;
#[path = "../support/mod.rs"]
mod support;
mod trust;
