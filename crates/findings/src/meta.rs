//! The metadata of a rule: id, name, family, level and documentation. `cnnkit explain`, `cnnkit rules`, SARIF, the
//! documentation and the tests all read it from here.

use serde::Serialize;

/// The severity of a finding; ordered, so that `--fail-on warning` includes errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Advice: the design may be intended.
    Note,
    /// Nearly always a mistake.
    Warning,
    /// The network violates an expectation, or cannot be built.
    Error,
}

impl Severity {
    /// Returns its name: `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Families of rules; the first digit of an id is its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// CK0xx: the spec cannot be built.
    Spec,
    /// CK1xx: the way a spec is written.
    Style,
    /// CK2xx: receptive fields.
    ReceptiveField,
    /// CK3xx: holes between the taps of dilated convolutions.
    Gridding,
    /// CK4xx: layers without effect.
    Redundancy,
    /// CK5xx: parameters and MACs that could be saved.
    Cost,
    /// CK6xx: expectations and budgets.
    Expectation,
}

impl Family {
    /// All families, in the order of their digits.
    pub const ALL: [Self; 7] = [
        Self::Spec,
        Self::Style,
        Self::ReceptiveField,
        Self::Gridding,
        Self::Redundancy,
        Self::Cost,
        Self::Expectation,
    ];

    /// Returns its name on the command line: `receptive-field`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::Style => "style",
            Self::ReceptiveField => "receptive-field",
            Self::Gridding => "gridding",
            Self::Redundancy => "redundancy",
            Self::Cost => "cost",
            Self::Expectation => "expectation",
        }
    }

    /// Returns its subject in one line.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Spec => "the spec cannot be built",
            Self::Style => "the way a spec is written",
            Self::ReceptiveField => "the receptive fields of the network's units",
            Self::Gridding => "holes between the taps of dilated convolutions",
            Self::Redundancy => "layers and weights without effect",
            Self::Cost => "parameters and MACs that could be saved",
            Self::Expectation => "expectations and budgets that are not met",
        }
    }

    /// Returns the prefix of its ids: `CK3`.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Spec => "CK0",
            Self::Style => "CK1",
            Self::ReceptiveField => "CK2",
            Self::Gridding => "CK3",
            Self::Redundancy => "CK4",
            Self::Cost => "CK5",
            Self::Expectation => "CK6",
        }
    }
}

/// A rule's metadata.
#[derive(Debug)]
pub struct Meta {
    /// `CK301`; never reused for another rule.
    pub id: &'static str,
    /// The flaw in a few words, so that "allow NAME" reads well: `common-divisor`.
    pub name: &'static str,
    /// Its family.
    pub family: Family,
    /// The severity of a finding, unless the configuration overrides it.
    pub severity: Severity,
    /// Whether it runs by default: only if a finding is nearly always a mistake.
    pub default: bool,
    /// The flaw, in one line: lower case, no full stop.
    pub summary: &'static str,
    /// What the rule examines, and what counts as a flaw.
    pub what: &'static str,
    /// Why it is bad.
    pub why: &'static str,
    /// What to do instead.
    pub instead: &'static str,
    /// The paper or other source of the statement.
    pub source: &'static str,
    /// A complete spec in which it fires.
    pub bad: &'static str,
    /// The same spec without the flaw.
    pub good: &'static str,
    /// Numbers that a project can set in `cnnkit.toml`.
    pub settings: &'static [Setting],
    /// Whether its findings come with a fix, where one is safe.
    pub fixes: bool,
}

/// A number that a project can set.
#[derive(Debug)]
pub struct Setting {
    /// Its key in `cnnkit.toml`.
    pub name: &'static str,
    /// Its default value.
    pub value: f64,
    /// What it means, with its unit.
    pub doc: &'static str,
}
