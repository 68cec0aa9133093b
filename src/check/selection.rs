//! Which rules run, and how bad their findings are.

use crate::rules::{RULES, Rule, Severity};

/// The rules of one run.
#[derive(Debug)]
pub struct Selection {
    /// In the order of their ids.
    pub rules: Vec<Active>,
}

/// A rule that runs.
pub struct Active {
    /// The rule.
    pub rule: &'static dyn Rule,
    /// How bad its findings are.
    pub severity: Severity,
    /// Its numbers as configured.
    pub settings: Vec<(String, f64)>,
}

impl std::fmt::Debug for Active {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.rule.meta().id, self.severity.name())
    }
}

impl Active {
    /// `rule` as it is declared.
    pub fn new(rule: &'static dyn Rule) -> Self {
        Self { rule, severity: rule.meta().severity, settings: vec![] }
    }
}

impl Default for Selection {
    /// The rules whose findings are nearly always mistakes.
    fn default() -> Self {
        let rules = RULES.iter().copied().filter(|rule| rule.meta().default);
        Self { rules: rules.map(Active::new).collect() }
    }
}

impl Selection {
    /// The rule with this id alone.
    pub fn only(id: &str) -> Self {
        let rules = RULES.iter().copied().filter(|rule| rule.meta().id == id);
        Self { rules: rules.map(Active::new).collect() }
    }
}
