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
    /// The file that contains the flaw: the spec, or a file that the spec includes.
    pub file: String,
    /// Line of the first character, from 1; null if the finding is about the whole file.
    pub line: Option<usize>,
    /// Column of the first character, from 1.
    pub column: Option<usize>,
    /// Line after the last character.
    pub end_line: Option<usize>,
    /// Column after the last character.
    pub end_column: Option<usize>,
    /// Id of the layer; null if the finding is not about one.
    pub node: Option<String>,
    /// Other layers written at the same position with the same flaw.
    pub also: Vec<String>,
    /// Other specs with the same finding, from the same file.
    pub specs: Vec<String>,
    /// Remedies, one per line; null if there is none.
    pub help: Option<String>,
    /// Other relevant positions, each with a remark.
    pub related: Vec<Related>,
    /// The change that fixes it; null if there is none.
    pub fix: Option<FixEntry>,
    /// Identifies the finding; it does not change when lines are added elsewhere.
    pub fingerprint: String,
}

/// A range in a file; lines and columns count from 1.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Range {
    /// The file.
    pub file: String,
    /// Line of the first character.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
    /// Line after the last character.
    pub end_line: usize,
    /// Column after the last character.
    pub end_column: usize,
}

/// A position that is relevant to a finding.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Related {
    /// Its range.
    #[serde(flatten)]
    pub range: Range,
    /// The reason why it is relevant.
    pub message: String,
}

/// A change that fixes a finding.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FixEntry {
    /// What it does.
    pub title: String,
    /// Whether `--fix` applies it; the others need `--unsafe`.
    pub safe: bool,
    /// The replacements.
    pub edits: Vec<EditEntry>,
}

/// A replacement in a file.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EditEntry {
    /// The range that is replaced.
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
