//! `cnnkit check`: findings with their positions, each self-contained, and their counts.

pub use crate::item::{Change, Item, Spot};

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use schemars::JsonSchema;
use serde::Serialize;

use crate::summary::Summary;
use crate::{Block, Page};
use cnnkit_findings::{Checked, Meta, Severity, fingerprints, is_project_file};

/// What `cnnkit check` finds.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Findings {
    /// The findings, by spec, then by position.
    #[serde(rename = "findings")]
    pub items: Vec<Item>,
    /// Findings that a comment suppresses.
    pub suppressed: Vec<Item>,
    /// Rules that could not be applied to a spec.
    pub skipped: Vec<Skipped>,
    /// Every rule by id, also those that found nothing: SARIF lists them.
    #[serde(skip)]
    pub rules: Vec<&'static Meta>,
    /// The specs that were checked.
    #[serde(skip)]
    pub specs: Vec<String>,
    /// Numbers of specs and findings.
    pub summary: Counts,
    /// Whether every finding is less severe than `--fail-on`.
    pub ok: bool,
}

/// A rule that could not be applied to a spec.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Skipped {
    /// The spec, as the call named it.
    pub spec: String,
    /// The rule; in JSON its id.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub rule: &'static Meta,
    /// The reason.
    pub reason: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn id<S: serde::Serializer>(rule: &&'static Meta, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(rule.id)
}

/// Numbers of specs and findings of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// Specs that were checked.
    pub specs: usize,
    /// Specs with at least one finding.
    pub flawed: usize,
    /// Findings of severity `error`.
    pub errors: usize,
    /// Findings of severity `warning`.
    pub warnings: usize,
    /// Findings of severity `note`.
    pub notes: usize,
    /// Findings with a safe fix.
    pub fixable: usize,
    /// Findings that a comment suppresses.
    pub suppressed: usize,
    /// Findings that the baseline accepts.
    pub accepted: usize,
    /// Rules that could not be applied to a spec.
    pub skipped: usize,
    /// Findings in the baseline that no longer occur.
    pub stale: usize,
    /// Findings that `--fix` or `--update` fixed.
    pub fixed: usize,
}

impl Findings {
    /// Returns the findings of `checked`; the same flaw of an included file appears once, with all specs that
    /// have it. `rules` are all rules by id, found or not.
    pub fn of(checked: &[Checked], rules: impl IntoIterator<Item = &'static Meta>) -> Self {
        // A finding about the project's own file belongs to no spec.
        let project = |spec: &&Checked| is_project_file(&spec.path);
        let specs = || checked.iter().filter(|spec| !project(spec));
        let mut all = Self {
            rules: rules.into_iter().collect(),
            specs: specs().map(|spec| spec.path.clone()).collect(),
            ..Self::default()
        };
        let mut known = HashMap::new();
        for spec in checked {
            let outcome = &spec.outcome;
            let prints = fingerprints(spec, &outcome.findings);
            for (finding, print) in outcome.findings.iter().zip(prints) {
                all.add(Item::new(spec, finding, print), &mut known);
            }
            let prints = fingerprints(spec, &outcome.suppressed);
            let hidden = outcome.suppressed.iter().zip(prints);
            all.suppressed.extend(hidden.map(|(finding, print)| Item::new(spec, finding, print)));
            all.summary.flawed += usize::from(!outcome.findings.is_empty());
            all.summary.accepted += outcome.accepted;
            let why = outcome.skipped.iter().map(|skipped| Skipped {
                spec: spec.path.clone(),
                rule: skipped.rule,
                reason: skipped.problem.message.clone(),
            });
            all.skipped.extend(why);
        }
        all.summary.specs = specs().count();
        all.summary.suppressed = all.suppressed.len();
        all.summary.skipped = all.skipped.len();
        all.count();
        all
    }

    /// Adds a finding; `known` are those of included files, by rule and position.
    fn add(&mut self, item: Item, known: &mut HashMap<(&'static str, String, usize, usize), usize>) {
        let Some(spot) = item.spot.as_ref().filter(|spot| spot.file != item.spec) else {
            return self.items.push(item);
        };
        match known.entry((item.rule.id, spot.file.clone(), spot.start, spot.end)) {
            Entry::Occupied(first) if self.items[*first.get()].spec != item.spec => {
                self.items[*first.get()].specs.push(item.spec);
            }
            Entry::Occupied(_) => self.items.push(item),
            Entry::Vacant(place) => {
                place.insert(self.items.len());
                self.items.push(item);
            }
        }
    }

    fn count(&mut self) {
        let of = |severity| self.items.iter().filter(|item| item.severity == severity).count();
        (self.summary.errors, self.summary.warnings, self.summary.notes) =
            (of(Severity::Error), of(Severity::Warning), of(Severity::Note));
        let safe = |item: &&Item| item.fix.as_ref().is_some_and(|fix| fix.safe);
        self.summary.fixable = self.items.iter().filter(safe).count();
    }

    /// Returns the same findings with the verdict that all are less severe than `limit`.
    #[must_use]
    pub fn judged(mut self, limit: Severity) -> Self {
        self.ok = self.items.iter().all(|item| item.severity < limit);
        self
    }

    /// Returns the last line:
    /// `checked 20 specs: 3 errors, 1 warning in 3 of them; 2 can be fixed with `--fix``.
    pub fn sentence(&self) -> String {
        let Counts {
            specs,
            flawed,
            errors,
            warnings,
            notes,
            fixable,
            suppressed,
            accepted,
            skipped,
            stale,
            fixed,
        } = self.summary;
        let counts: Vec<String> = [(errors, "error"), (warnings, "warning"), (notes, "note")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| counted(count, word))
            .collect();
        let mut text = format!("checked {}: ", counted(specs, "spec"));
        match counts.as_slice() {
            [] => text += "no findings",
            counts if specs > 1 => text += &format!("{} in {flawed} of them", counts.join(", ")),
            counts => text += &counts.join(", "),
        }
        for (count, what) in [
            (fixed, "fixed"),
            (fixable, "can be fixed with `--fix`"),
            (suppressed, "suppressed"),
            (accepted, "accepted by the baseline"),
            (skipped, "could not be judged"),
            (stale, "in the baseline only: `--update-baseline` drops them"),
        ] {
            if count > 0 {
                text += &format!("; {count} {what}");
            }
        }
        text
    }
}

impl Summary for Findings {
    const COMMAND: &'static str = "check";

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.push(Block::Findings(self.clone()));
        page
    }

    fn passed(&self) -> bool {
        self.ok
    }
}

/// Formats `1 spec`, `2 specs`.
pub fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
