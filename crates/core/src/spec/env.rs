//! Variables in scope, innermost first.

use std::rc::Rc;

use crate::spec::expr::Variables;
use crate::value::Value;

/// A scope of variables and the scope around it.
#[derive(Debug, Default)]
pub struct Env {
    variables: Vec<(String, Value)>,
    /// Variables whose value could not be computed, which was reported.
    failed: Vec<String>,
    parent: Option<Rc<Env>>,
}

impl Env {
    /// A scope inside `parent`.
    pub fn inside(parent: &Rc<Self>, variables: Vec<(String, Value)>) -> Rc<Self> {
        Rc::new(Self { variables, failed: vec![], parent: Some(Rc::clone(parent)) })
    }

    /// An outermost scope; uses of what `failed` are not reported again.
    pub fn outermost(variables: Vec<(String, Value)>, failed: Vec<String>) -> Rc<Self> {
        Rc::new(Self { variables, failed, parent: None })
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

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.chain().flat_map(|env| env.variables.iter().map(|(name, _)| name.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
