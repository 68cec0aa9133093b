//! Levels of ids, and the groups that are levels of their own.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::NodeId;
use crate::source::Span;
use crate::spec::document::Block;
use crate::spec::env::Env;
use crate::value::{Key, Located};

/// A level of ids: the network, a block, a branch, a named group.
#[derive(Debug)]
pub(super) struct Frame {
    /// Full id of the level; empty at the root.
    pub(super) prefix: String,
    /// The number of layers of each kind so far.
    pub(super) counters: HashMap<String, u64>,
    /// The meaning of `input` and of the block's named inputs here.
    pub(super) inputs: Vec<(String, NodeId)>,
    /// Variables.
    pub(super) env: Arc<Env>,
    /// The file whose defaults apply.
    pub(super) file: usize,
    /// The uses of blocks that contain this level, innermost first.
    pub(super) used_at: Arc<[(String, Span)]>,
    /// The group whose weights this one shares, by full id.
    pub(super) shares: Option<String>,
}

/// A named group or block.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// The state of its expansion.
    pub(super) state: State,
    /// How to expand it again; none if it could not be expanded.
    pub(super) recipe: Option<Recipe<'a>>,
}

/// The state of the expansion of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its layers are being expanded.
    Open,
    /// Its output; `None` if it is empty and has no input.
    Closed(Option<NodeId>),
}

/// The definition of a group.
#[derive(Debug, Clone)]
pub(super) enum What<'a> {
    /// A block and its arguments as written.
    Block(&'a Block, Option<&'a Located>),
    /// A construct with an id.
    Construct(Key, Option<&'a Located>),
    /// A path of a construct, or a round of a repetition.
    Layers(&'a Located),
}

/// How a group was expanded, so that it can be expanded again.
#[derive(Debug, Clone)]
pub(super) struct Recipe<'a> {
    pub(super) what: What<'a>,
    /// The variables: for a block those around its use, for any other group those inside.
    pub(super) env: Arc<Env>,
    /// Index of the file whose defaults apply.
    pub(super) file: usize,
    /// The nodes that `input` and the names of inputs refer to.
    pub(super) inputs: Vec<(String, NodeId)>,
}

impl<'a> Recipe<'a> {
    /// Returns the recipe of a group whose level is `frame`.
    pub(super) fn of(what: What<'a>, frame: &Frame) -> Self {
        Self { what, env: Arc::clone(&frame.env), file: frame.file, inputs: frame.inputs.clone() }
    }
}

impl Frame {
    pub(super) fn root(env: Arc<Env>) -> Self {
        Self {
            prefix: String::new(),
            counters: HashMap::new(),
            inputs: vec![],
            env,
            file: 0,
            used_at: Arc::default(),
            shares: None,
        }
    }

    /// Returns a level inside this one.
    pub(super) fn inner(&self, prefix: String) -> Self {
        Self {
            prefix,
            counters: HashMap::new(),
            inputs: vec![],
            env: Arc::clone(&self.env),
            file: self.file,
            used_at: Arc::clone(&self.used_at),
            shares: None,
        }
    }

    pub(super) fn join(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}
