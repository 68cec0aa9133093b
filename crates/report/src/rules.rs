//! `cnnkit rules` and `cnnkit explain`: the rules of `cnnkit check`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::summary::Summary;
use crate::{Block, Cell, Column, Page, Row, StyledText, Table, Tone};
use cnnkit_findings::{Family, Meta};

/// The list of `cnnkit rules`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RulesSummary {
    /// The rules, by id.
    pub rules: Vec<RuleEntry>,
}

/// The documentation that `cnnkit explain` prints.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ExplainSummary {
    /// The rules, in the order of the call.
    pub rules: Vec<RuleEntry>,
}

/// A rule and its documentation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RuleEntry {
    /// Its id: `CK301`.
    pub id: String,
    /// Its name: `common-divisor`.
    pub name: String,
    /// Its family.
    pub family: String,
    /// The severity of its findings, unless cnnkit.toml sets another: `error`, `warning` or `note`.
    pub severity: String,
    /// Whether it runs by default.
    pub default: bool,
    /// Whether some of its findings have a fix.
    pub fixes: bool,
    /// The flaw, in one line.
    pub summary: String,
    /// What the rule examines, and what counts as a flaw.
    pub what: String,
    /// Why the flaw is bad.
    pub why: String,
    /// What to do instead.
    pub instead: String,
    /// The paper or other source of the statement.
    pub source: String,
    /// The smallest spec in which it fires; empty if there is none.
    pub bad: String,
    /// The same spec without the flaw.
    pub good: String,
    /// Its settings in cnnkit.toml.
    pub settings: Vec<SettingEntry>,
}

/// A setting of a rule.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SettingEntry {
    /// Its name.
    pub name: String,
    /// Its default value.
    pub value: f64,
    /// What it means.
    pub doc: String,
}

impl From<&Meta> for RuleEntry {
    fn from(meta: &Meta) -> Self {
        let settings = meta.settings.iter().map(|setting| SettingEntry {
            name: setting.name.into(),
            value: setting.value,
            doc: setting.doc.into(),
        });
        Self {
            id: meta.id.into(),
            name: meta.name.into(),
            family: meta.family.name().into(),
            severity: meta.severity.name().into(),
            default: meta.default,
            fixes: meta.fixes,
            summary: meta.summary.into(),
            what: meta.what.into(),
            why: meta.why.into(),
            instead: meta.instead.into(),
            source: meta.source.into(),
            bad: meta.bad.into(),
            good: meta.good.into(),
            settings: settings.collect(),
        }
    }
}

impl RulesSummary {
    /// Returns the list of `metas`.
    pub fn of(metas: &[&Meta]) -> Self {
        Self { rules: metas.iter().map(|&meta| RuleEntry::from(meta)).collect() }
    }
}

impl Summary for RulesSummary {
    const COMMAND: &'static str = "rules";

    fn page(&self) -> Page {
        let mut page = Page::default();
        for family in Family::ALL {
            let rules = self.rules.iter().filter(|rule| rule.family == family.name());
            let rows: Vec<Row> = rules.map(row).collect();
            if rows.is_empty() {
                continue;
            }
            page.title_with(family.name(), family.summary());
            let columns = vec![
                Column::text("id"),
                Column::text("name"),
                Column::text("level").optional(1),
                Column::text("default").optional(2),
                Column::text("fix").optional(3),
                Column::text("flaw"),
            ];
            page.table(Table { name: "rules", columns, rows });
        }
        page.note(
            "`cnnkit explain ID` explains a rule. On: runs unless ignored; the others are advice, for `--select` or \
             `--extend-select`, by id, name, family or `all`. Levels and numbers are set in cnnkit.toml.",
        );
        page
    }
}

fn row(rule: &RuleEntry) -> Row {
    Row::new(vec![
        Cell::toned(&rule.id, Tone::Name),
        Cell::text(&rule.name),
        Cell::text(&rule.severity),
        Cell::text(if rule.default { "on" } else { "" }),
        Cell::text(if rule.fixes { "fix" } else { "" }),
        Cell::text(&rule.summary),
    ])
}

impl ExplainSummary {
    /// Returns the documentation of `metas`.
    pub fn of(metas: &[&Meta]) -> Self {
        Self { rules: metas.iter().map(|&meta| RuleEntry::from(meta)).collect() }
    }
}

impl Summary for ExplainSummary {
    const COMMAND: &'static str = "explain";

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.push(Block::Data(documentation(&self.rules)));
        self.rules.iter().for_each(|rule| describe(rule, &mut page));
        page
    }
}

/// The documentation, for programs.
fn documentation(rules: &[RuleEntry]) -> Table {
    let names =
        ["id", "name", "family", "level", "default", "fix", "flaw", "what", "why", "instead", "source"];
    let row = |rule: &RuleEntry| {
        let (default, fix) = (rule.default.to_string(), rule.fixes.to_string());
        let texts = [&rule.id, &rule.name, &rule.family, &rule.severity, &default, &fix, &rule.summary];
        let more = [&rule.what, &rule.why, &rule.instead, &rule.source];
        Row::new(texts.into_iter().chain(more).map(Cell::text).collect())
    };
    Table { name: "rules", columns: names.map(Column::text).to_vec(), rows: rules.iter().map(row).collect() }
}

fn describe(rule: &RuleEntry, page: &mut Page) {
    let on = if rule.default { "on by default" } else { "off unless it is asked for" };
    let fixes = if rule.fixes { ", with fixes" } else { "" };
    page.title_with(format!("{} {}", rule.id, rule.name), &rule.summary);
    page.text(format!("{}, {}, {on}{fixes}.", rule.family, rule.severity));
    let mut part = |title: &str, text: &str| {
        page.push(Block::Text(vec![
            StyledText::new(format!("{title}. "), Tone::Strong),
            StyledText::plain(text),
        ]));
    };
    part("What", &rule.what);
    part("Why", &rule.why);
    if !rule.bad.is_empty() {
        part("Flawed", "the smallest spec in which it fires:");
        page.source(&indented(&rule.bad));
        page.push(Block::Text(vec![StyledText::new("Better.", Tone::Strong)]));
        page.source(&indented(&rule.good));
    }
    let mut part = |title: &str, text: &str| {
        page.push(Block::Text(vec![
            StyledText::new(format!("{title}. "), Tone::Strong),
            StyledText::plain(text),
        ]));
    };
    part("Instead", &rule.instead);
    for setting in &rule.settings {
        let text = format!(
            "`{}` = {} in cnnkit.toml, under [rules.{}]: {}",
            setting.name, setting.value, rule.name, setting.doc
        );
        part("Setting", &text);
    }
    part("Source", &rule.source);
    if rule.family != Family::Spec.name() && !rule.id.starts_with("CK19") {
        let text = format!("# cnnkit: ignore[{}] the reason", rule.id);
        part("To accept a finding", &format!("write `{text}` behind the line, or above it."));
    }
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |out, line| out + "  " + line + "\n")
}
