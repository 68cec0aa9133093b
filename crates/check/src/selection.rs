//! The rules that run, and the severity of their findings.

use crate::rules::{Family, RULES, Rule, Severity};
use cnnkit_core::diagnostic::{Code, Problem, did_you_mean};

/// The rules of one run.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The rules, in the order of their ids.
    pub rules: Vec<Active>,
}

/// A rule that runs.
#[derive(Clone)]
pub struct Active {
    /// The rule.
    pub rule: &'static dyn Rule,
    /// The severity of its findings.
    pub severity: Severity,
    /// Its settings as configured.
    pub settings: Vec<(String, f64)>,
}

impl std::fmt::Debug for Active {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.rule.meta().id, self.severity.name())
    }
}

impl Active {
    /// Returns `rule` with its declared severity and settings.
    pub fn new(rule: &'static dyn Rule) -> Self {
        Self { rule, severity: rule.meta().severity, settings: vec![] }
    }
}

impl Default for Selection {
    /// Selects the rules whose findings are nearly always mistakes.
    fn default() -> Self {
        Self::of(|rule| rule.meta().default)
    }
}

impl Selection {
    /// Selects the rules that `wanted` accepts, as declared.
    pub fn of(wanted: impl Fn(&dyn Rule) -> bool) -> Self {
        Self { rules: RULES.iter().copied().filter(|rule| wanted(*rule)).map(Active::new).collect() }
    }

    /// Selects only the rule with this id.
    pub fn only(id: &str) -> Self {
        Self::of(|rule| rule.meta().id == id)
    }

    /// Returns whether the rule with this id runs.
    pub fn runs(&self, id: &str) -> bool {
        self.rules.iter().any(|active| active.rule.meta().id == id)
    }

    /// Enables the rule and returns it.
    pub fn enable(&mut self, rule: &'static dyn Rule) -> &mut Active {
        let id = rule.meta().id;
        let place = self.rules.partition_point(|active| active.rule.meta().id < id);
        if self.rules.get(place).is_none_or(|active| active.rule.meta().id != id) {
            self.rules.insert(place, Active::new(rule));
        }
        &mut self.rules[place]
    }

    /// Disables the rule with this id.
    pub fn disable(&mut self, id: &str) {
        self.rules.retain(|active| active.rule.meta().id != id);
    }
}

/// A group of rules as written: `CK301`, `common-divisor`, `CK3`, `gridding`, `default`, `all`.
#[derive(Debug, Clone)]
pub struct Selector {
    rules: Vec<&'static str>,
}

impl Selector {
    /// Parses the name of a rule or of a group of rules.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let ids = |wanted: &dyn Fn(&dyn Rule) -> bool| -> Vec<&'static str> {
            RULES.iter().filter(|rule| wanted(**rule)).map(|rule| rule.meta().id).collect()
        };
        let upper = text.to_uppercase();
        let rules = match text {
            "all" => ids(&|_| true),
            "default" => ids(&|rule| rule.meta().default),
            _ if Family::ALL.iter().any(|family| family.name() == text) => {
                ids(&|rule| rule.meta().family.name() == text)
            }
            _ if upper.starts_with("CK") => ids(&|rule| rule.meta().id.starts_with(&upper)),
            _ => ids(&|rule| rule.meta().name == text),
        };
        if !rules.is_empty() {
            return Ok(Self { rules });
        }
        if let Some(meta) = crate::rules::find(text) {
            let message = format!("`{}` ({}) cannot be configured", meta.id, meta.name);
            return Err(Problem::new(Code::InvalidValue, message).help("it is always on"));
        }
        let known: Vec<&str> = RULES.iter().flat_map(|rule| [rule.meta().id, rule.meta().name]).collect();
        let families = Family::ALL.iter().map(|family| family.name());
        let known: Vec<&str> = known.into_iter().chain(families).chain(["all", "default"]).collect();
        let help = did_you_mean(text, &known).filter(|help| help.starts_with("did"));
        Err(Problem::new(Code::UnknownName, format!("there is no rule or family `{text}`"))
            .help(help.unwrap_or("`cnnkit rules` lists them".into())))
    }

    /// Returns whether the rule with this id is one of them.
    pub fn includes(&self, id: &str) -> bool {
        self.rules.contains(&id)
    }

    /// Returns whether it selects a single rule.
    pub fn is_single(&self) -> bool {
        self.rules.len() == 1
    }
}
