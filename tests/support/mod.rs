//! Code that the integration tests share: each binary includes this module with
//! `#[path = "../support/mod.rs"] mod support;`.

#![allow(dead_code, reason = "no binary needs all of it")]

pub mod convolutional;
pub mod network;
pub mod program;
