//! Variables in scope, innermost first.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::spec::expr::{MAX_COPIED, Variables};
use crate::value::Value;

/// A scope of variables and the scope around it.
#[derive(Debug)]
pub struct Env {
    variables: HashMap<String, Value>,
    /// Variables whose value could not be computed; the error was reported.
    failed: HashSet<String>,
    /// Variables that are defined after the place in the text.
    later: HashSet<String>,
    parent: Option<Arc<Env>>,
    /// The number of elements that may still be copied; all scopes of a spec share it.
    room: Arc<AtomicU64>,
}

impl Default for Env {
    fn default() -> Self {
        Self {
            variables: HashMap::new(),
            failed: HashSet::new(),
            later: HashSet::new(),
            parent: None,
            room: Arc::new(AtomicU64::new(MAX_COPIED)),
        }
    }
}

impl Env {
    /// Returns a scope inside `parent`. The first of several variables of one name counts.
    pub fn inside(parent: &Arc<Self>, variables: Vec<(String, Value)>) -> Arc<Self> {
        let mut env = Self {
            parent: Some(Arc::clone(parent)),
            room: Arc::clone(&parent.room),
            variables: HashMap::with_capacity(variables.len()),
            failed: HashSet::new(),
            later: HashSet::new(),
        };
        for (name, value) in variables {
            env.variables.entry(name).or_insert(value);
        }
        Arc::new(env)
    }

    /// Returns an outermost scope whose variables, `names`, are still to be defined, in order.
    pub fn before(names: impl IntoIterator<Item = String>, room: &Arc<AtomicU64>) -> Self {
        Self { later: names.into_iter().collect(), room: Arc::clone(room), ..Self::default() }
    }

    /// Defines the variable `name`; a name that has a value keeps it.
    pub fn define(&mut self, name: &str, value: Value) {
        self.variables.entry(name.to_owned()).or_insert(value);
    }

    /// Gives the variable `name` another value.
    pub fn replace(&mut self, name: &str, value: Value) {
        self.variables.insert(name.to_owned(), value);
    }

    /// Records that `name` has no value because of an error that was reported; its uses are not reported again.
    pub fn fail(&mut self, name: &str) {
        self.failed.insert(name.to_owned());
    }

    /// Records that no variable is defined after this place.
    pub fn complete(&mut self) {
        self.later.clear();
    }

    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |env| env.parent.as_deref())
    }
}

impl Variables for Env {
    fn get(&self, name: &str) -> Option<&Value> {
        self.chain().find_map(|env| env.variables.get(name))
    }

    fn failed(&self, name: &str) -> bool {
        self.chain().any(|env| env.failed.contains(name))
    }

    fn later(&self, name: &str) -> bool {
        self.chain().any(|env| env.later.contains(name))
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.chain().flat_map(|env| env.variables.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn spend(&self, elements: u64) -> bool {
        let less = |room: u64| room.checked_sub(elements);
        elements == 0 || self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}
