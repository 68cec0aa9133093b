//! The figures of a spec that a baseline keeps.

use std::collections::BTreeMap;

use cnnkit_core::value::Number;

/// Figures of one spec by name, as a baseline stores them: one number, or one per axis.
pub type Figures = BTreeMap<String, Vec<Number>>;
