//! What `cnnkit check` says: findings at their places, each complete in itself, and a summary.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value as Json, json};

use cnnkit_check::rules::{Edit, Meta, Severity};
use cnnkit_check::{Checked, Located, fingerprints};
use cnnkit_core::source::{Sources, Span};

/// The findings of one call.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// By spec, then by place.
    pub items: Vec<Item>,
    /// Findings that a comment suppresses.
    pub suppressed: Vec<Item>,
    /// Rules that could not judge a spec: the spec, the rule, the reason.
    pub skipped: Vec<(String, &'static Meta, String)>,
    /// The specs that were checked.
    pub specs: Vec<String>,
    /// Numbers for the last line.
    pub summary: Summary,
}

/// One finding.
#[derive(Debug, Clone)]
pub struct Item {
    /// The rule.
    pub rule: &'static Meta,
    /// How bad it is.
    pub severity: Severity,
    /// The flaw with its numbers.
    pub message: String,
    /// The spec in which it was found, as the call named it.
    pub spec: String,
    /// Where it is.
    pub spot: Option<Spot>,
    /// The id of the layer.
    pub node: Option<String>,
    /// Other layers written at the same place with the same flaw.
    pub also: Vec<String>,
    /// Other specs that have it from the same file.
    pub specs: Vec<String>,
    /// Other places that matter.
    pub related: Vec<(Spot, String)>,
    /// Remedies.
    pub help: Vec<String>,
    /// How to mend it.
    pub fix: Option<Change>,
    /// Stays the same when lines are added elsewhere.
    pub fingerprint: String,
}

/// A place in a text.
#[derive(Debug, Clone)]
pub struct Spot {
    /// The file as the user named it.
    pub file: String,
    /// Its text.
    pub text: Arc<str>,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Line and column of the first character, from 1.
    pub from: (usize, usize),
    /// Line and column behind the last character.
    pub to: (usize, usize),
}

/// A fix at its places.
#[derive(Debug, Clone)]
pub struct Change {
    /// What it does.
    pub title: String,
    /// Whether it may be applied unseen.
    pub safe: bool,
    /// What is replaced by what.
    pub edits: Vec<(Spot, String)>,
}

/// Numbers of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Specs that were checked.
    pub specs: usize,
    /// Specs with at least one finding.
    pub flawed: usize,
    /// Findings by severity.
    pub errors: usize,
    /// See `errors`.
    pub warnings: usize,
    /// See `errors`.
    pub notes: usize,
    /// Findings with a safe fix.
    pub fixable: usize,
    /// Findings that a comment suppresses.
    pub suppressed: usize,
    /// Findings that the baseline accepts.
    pub accepted: usize,
    /// Rules that could not judge a spec.
    pub skipped: usize,
    /// Findings that the baseline accepts and that are no longer there.
    pub stale: usize,
    /// Findings that `--fix` or `--update` has mended.
    pub fixed: usize,
}

impl Spot {
    /// `span` of `sources`.
    pub fn new(sources: &Sources, span: Span) -> Self {
        let source = sources.get(span.source);
        // A place that ends inside a character takes all of it.
        let boundary = |at: &usize| source.text.is_char_boundary(*at);
        let end = (span.end.min(source.text.len())..=source.text.len()).find(boundary).unwrap_or(span.start);
        Self {
            file: source.name.clone(),
            text: Arc::clone(&source.text),
            start: span.start,
            end,
            from: sources.line_column(span.source, span.start),
            to: sources.line_column(span.source, span.end),
        }
    }
}

impl Findings {
    /// The findings of `checked`; the same flaw of an included file is told once, with the specs that have it.
    pub fn of(checked: &[Checked]) -> Self {
        let mut all =
            Self { specs: checked.iter().map(|spec| spec.path.clone()).collect(), ..Self::default() };
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
            let why = outcome
                .skipped
                .iter()
                .map(|skipped| (spec.path.clone(), skipped.rule, skipped.problem.message.clone()));
            all.skipped.extend(why);
        }
        all.summary.specs = checked.len();
        all.summary.suppressed = all.suppressed.len();
        all.summary.skipped = all.skipped.len();
        all.count();
        all
    }

    /// Adds a finding; `known` are those of files that specs include, by rule and place.
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

    /// Whether nothing is as bad as `limit` or worse.
    pub fn pass(&self, limit: Severity) -> bool {
        self.items.iter().all(|item| item.severity < limit)
    }

    /// The last line: `checked 20 specs: 3 errors, 1 warning in 3 of them; 2 can be fixed with `--fix``.
    pub fn sentence(&self) -> String {
        let Summary {
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

    /// The keys of the JSON, as in the contract and more.
    pub fn json(&self, ok: bool) -> Json {
        json!({
            "findings": self.items.iter().map(Item::json).collect::<Vec<_>>(),
            "suppressed": self.suppressed.iter().map(Item::json).collect::<Vec<_>>(),
            "skipped": self.skipped.iter().map(|(spec, rule, reason)| json!({
                "spec": spec, "rule": rule.id, "reason": reason,
            })).collect::<Vec<_>>(),
            "summary": self.summary,
            "ok": ok,
        })
    }
}

/// `1 spec`, `2 specs`.
pub fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

impl Item {
    fn new(spec: &Checked, finding: &Located, fingerprint: String) -> Self {
        let spot = |span: Span| Spot::new(&spec.sources, span);
        let edit = |edit: &Edit| (spot(edit.span), edit.text.clone());
        Self {
            rule: finding.rule,
            severity: finding.severity,
            message: finding.message.clone(),
            spec: spec.path.clone(),
            spot: finding.span.map(spot),
            node: finding.node.clone(),
            also: finding.also.clone(),
            specs: vec![],
            related: finding.related.iter().map(|(span, remark)| (spot(*span), remark.clone())).collect(),
            help: finding.help.clone(),
            fix: finding.fix.as_ref().map(|fix| Change {
                title: fix.title.clone(),
                safe: fix.safe,
                edits: fix.edits.iter().map(edit).collect(),
            }),
            fingerprint,
        }
    }

    /// The file that it is about.
    pub fn file(&self) -> &str {
        self.spot.as_ref().map_or(&self.spec, |spot| &spot.file)
    }

    /// Line and column, from 1; the start of the file if there is no place.
    pub fn start(&self) -> (usize, usize) {
        self.spot.as_ref().map_or((1, 1), |spot| spot.from)
    }

    /// Line and column behind it.
    pub fn end(&self) -> (usize, usize) {
        self.spot.as_ref().map_or((1, 1), |spot| spot.to)
    }

    /// Which layers of which specs have the flaw as well: `the same in 15 more layers: a, b, ...`.
    pub fn others(&self) -> Option<String> {
        const SHOWN: usize = 3;
        let list = |names: &[String]| {
            let more = if names.len() > SHOWN { ", ..." } else { "" };
            let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
            format!("{}{more}", shown.join(", "))
        };
        let parts: Vec<String> = [(&self.also, "layer"), (&self.specs, "spec")]
            .into_iter()
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, word)| {
                format!(
                    "{} more {word}{} ({})",
                    names.len(),
                    if names.len() == 1 { "" } else { "s" },
                    list(names)
                )
            })
            .collect();
        (!parts.is_empty()).then(|| format!("the same in {}", parts.join(" and in ")))
    }

    /// The finding for programs.
    pub fn json(&self) -> Json {
        let spot = |spot: &Spot| {
            json!({
                "file": spot.file, "line": spot.from.0, "column": spot.from.1,
                "end_line": spot.to.0, "end_column": spot.to.1,
            })
        };
        let place = self.spot.as_ref();
        json!({
            "rule": self.rule.id,
            "name": self.rule.name,
            "family": self.rule.family.name(),
            "severity": self.severity.name(),
            "message": self.message,
            "spec": self.spec,
            "file": self.file(),
            "line": place.map(|spot| spot.from.0),
            "column": place.map(|spot| spot.from.1),
            "end_line": place.map(|spot| spot.to.0),
            "end_column": place.map(|spot| spot.to.1),
            "node": self.node,
            "also": self.also,
            "specs": self.specs,
            "help": if self.help.is_empty() { None } else { Some(self.help.join("\n")) },
            "related": self.related.iter().map(|(place, remark)| {
                let mut object = spot(place);
                object["message"] = remark.as_str().into();
                object
            }).collect::<Vec<_>>(),
            "fix": self.fix.as_ref().map(|fix| json!({
                "title": fix.title,
                "safe": fix.safe,
                "edits": fix.edits.iter().map(|(place, text)| {
                    let mut object = spot(place);
                    object["text"] = text.as_str().into();
                    object
                }).collect::<Vec<_>>(),
            })),
            "fingerprint": self.fingerprint,
        })
    }
}
