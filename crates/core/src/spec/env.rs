//! Variables in scope, innermost first.

use std::sync::Arc;

use crate::spec::expr::Variables;
use crate::value::Value;

/// A scope of variables and the scope around it.
#[derive(Debug, Default)]
pub struct Env {
    variables: Vec<(String, Value)>,
    /// Variables whose value could not be computed; the error was reported.
    failed: Vec<String>,
    /// Variables that are defined later in the text.
    later: Vec<String>,
    parent: Option<Arc<Env>>,
}

impl Env {
    /// Returns a scope inside `parent`.
    pub fn inside(parent: &Arc<Self>, variables: Vec<(String, Value)>) -> Arc<Self> {
        Arc::new(Self { variables, failed: vec![], later: vec![], parent: Some(Arc::clone(parent)) })
    }

    /// Returns an outermost scope; uses of the variables in `failed` are not reported again.
    pub fn outermost(variables: Vec<(String, Value)>, failed: Vec<String>) -> Arc<Self> {
        Arc::new(Self { variables, failed, later: vec![], parent: None })
    }

    /// Returns an outermost scope while its variables are being defined; `all` are their names, in order.
    pub fn partial(variables: Vec<(String, Value)>, failed: Vec<String>, all: Vec<String>) -> Arc<Self> {
        Arc::new(Self { variables, failed, later: all, parent: None })
    }

    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |env| env.parent.as_deref())
    }
}

impl Variables for Env {
    fn get(&self, name: &str) -> Option<&Value> {
        self.chain().find_map(|env| env.variables.iter().find(|(n, _)| n == name).map(|(_, value)| value))
    }

    fn failed(&self, name: &str) -> bool {
        self.chain().any(|env| env.failed.iter().any(|failed| failed == name))
    }

    fn later(&self, name: &str) -> bool {
        self.chain().any(|env| env.later.iter().any(|later| later == name))
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.chain().flat_map(|env| env.variables.iter().map(|(name, _)| name.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
