//! The JSON of one finding.

use schemars::JsonSchema;
use serde::Serialize;

use crate::item::{Change, Item, Spot};

/// A finding of `cnnkit check`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FindingEntry {
    /// Id of the rule: `CK301`.
    pub rule: String,
    /// Name of the rule: `common-divisor`.
    pub name: String,
    /// Family of the rule.
    pub family: String,
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// The flaw with its numbers.
    pub message: String,
    /// The spec in which it was found, as the call named it.
    pub spec: String,
    /// The file that it is about: the spec, or a file that the spec includes.
    pub file: String,
    /// Line of the first character, from 1; null if the finding is about the whole file.
    pub line: Option<usize>,
    /// Column of the first character, from 1.
    pub column: Option<usize>,
    /// Line behind the last character.
    pub end_line: Option<usize>,
    /// Column behind the last character.
    pub end_column: Option<usize>,
    /// Id of the layer; null if the finding is not about one.
    pub node: Option<String>,
    /// Other layers written at the same place with the same flaw.
    pub also: Vec<String>,
    /// Other specs that have it from the same file.
    pub specs: Vec<String>,
    /// Remedies, one per line; null if there is none.
    pub help: Option<String>,
    /// Other places that matter, each with a remark.
    pub related: Vec<Related>,
    /// The change that mends it; null if there is none.
    pub fix: Option<FixEntry>,
    /// Identifies the finding; stays the same when lines are added elsewhere.
    pub fingerprint: String,
}

/// Where something stands in a file; lines and columns count from 1.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Range {
    /// The file.
    pub file: String,
    /// Line of the first character.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
    /// Line behind the last character.
    pub end_line: usize,
    /// Column behind the last character.
    pub end_column: usize,
}

/// A place that matters for a finding.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Related {
    /// Where it is.
    #[serde(flatten)]
    pub range: Range,
    /// Why it matters.
    pub message: String,
}

/// A change that mends a finding.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FixEntry {
    /// What it does.
    pub title: String,
    /// Whether `--fix` applies it; the others need `--unsafe`.
    pub safe: bool,
    /// What is replaced by what.
    pub edits: Vec<EditEntry>,
}

/// A replacement in a file.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EditEntry {
    /// What is replaced.
    #[serde(flatten)]
    pub range: Range,
    /// The new text.
    pub text: String,
}

impl From<&Spot> for Range {
    fn from(spot: &Spot) -> Self {
        let ((line, column), (end_line, end_column)) = (spot.from, spot.to);
        Self { file: spot.file.clone(), line, column, end_line, end_column }
    }
}

impl From<&Change> for FixEntry {
    fn from(change: &Change) -> Self {
        let edit = |(spot, text): &(Spot, String)| EditEntry { range: Range::from(spot), text: text.clone() };
        Self {
            title: change.title.clone(),
            safe: change.safe,
            edits: change.edits.iter().map(edit).collect(),
        }
    }
}

impl From<&Item> for FindingEntry {
    fn from(item: &Item) -> Self {
        let spot = item.spot.as_ref();
        let related =
            |(spot, remark): &(Spot, String)| Related { range: Range::from(spot), message: remark.clone() };
        Self {
            rule: item.rule.id.into(),
            name: item.rule.name.into(),
            family: item.rule.family.name().into(),
            severity: item.severity.name().into(),
            message: item.message.clone(),
            spec: item.spec.clone(),
            file: item.file().to_owned(),
            line: spot.map(|spot| spot.from.0),
            column: spot.map(|spot| spot.from.1),
            end_line: spot.map(|spot| spot.to.0),
            end_column: spot.map(|spot| spot.to.1),
            node: item.node.clone(),
            also: item.also.clone(),
            specs: item.specs.clone(),
            help: if item.help.is_empty() { None } else { Some(item.help.join("\n")) },
            related: item.related.iter().map(related).collect(),
            fix: item.fix.as_ref().map(FixEntry::from),
            fingerprint: item.fingerprint.clone(),
        }
    }
}

impl Serialize for Item {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FindingEntry::from(self).serialize(serializer)
    }
}

impl JsonSchema for Item {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        FindingEntry::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        FindingEntry::json_schema(generator)
    }
}
