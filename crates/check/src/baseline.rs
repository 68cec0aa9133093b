//! The baseline: a committed file of accepted findings, and of figures that may only improve.
//!
//! Findings are identified by their fingerprint, so that adding lines around them does not matter; a finding
//! that is not in the file is new. The file is sorted, so that its diffs show only what changed.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::rules::{Family, WORSE_THAN_BASELINE};
use crate::{Checked, Figures, Located, fingerprints, in_project};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::value::{Number, parse_decimal, show_number};

/// Accepted findings and figures; paths are relative to the project's folder.
#[derive(Debug, Default)]
pub struct Baseline {
    /// The accepted findings by spec.
    pub findings: BTreeMap<String, Vec<Accepted>>,
    /// Figures by spec.
    pub figures: BTreeMap<String, Figures>,
}

/// An accepted finding.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accepted {
    /// The rule's id, for readers.
    pub rule: String,
    /// What identifies it.
    pub fingerprint: String,
    /// Its message, for readers.
    pub message: String,
}

const VERSION: u64 = 1;

impl Baseline {
    /// Parses the baseline in `text`.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problem> {
        let wrong = |why: String| {
            Problem::new(Code::Syntax, format!("`{name}` is not a baseline: {why}"))
                .help("`cnnkit check --baseline FILE --update-baseline` writes one")
        };
        let root: Json = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        match root["cnnkit_baseline"].as_u64() {
            Some(VERSION) => {}
            Some(other) => return Err(wrong(format!("version {other}, this program supports {VERSION}"))),
            None => return Err(wrong("it has no `cnnkit_baseline`".into())),
        }
        let findings = serde_json::from_value(root["findings"].clone())
            .map_err(|error| wrong(format!("`findings`: {error}")))?;
        let mut baseline = Self { findings, ..Self::default() };
        for (path, figures) in root["figures"].as_object().into_iter().flatten() {
            let mut known = Figures::new();
            for (name, value) in figures.as_object().into_iter().flatten() {
                let numbers = match value {
                    Json::Array(list) => list.iter().map(number).collect(),
                    one => number(one).map(|number| vec![number]),
                };
                let numbers =
                    numbers.ok_or_else(|| wrong(format!("`{name}` of `{path}` is not a number")))?;
                known.insert(name.clone(), numbers);
            }
            baseline.figures.insert(path.clone(), known);
        }
        Ok(baseline)
    }

    /// Removes the accepted findings from `checked`; returns how many accepted ones no longer occur.
    pub fn accept(&self, checked: &mut [Checked]) -> usize {
        let mut stale = 0;
        for spec in checked {
            let Some(known) = self.findings.get(&in_project(&spec.path)) else { continue };
            let known: HashSet<&str> = known.iter().map(|finding| finding.fingerprint.as_str()).collect();
            let mut prints = fingerprints(spec, &spec.outcome.findings).into_iter();
            let before = spec.outcome.findings.len();
            spec.outcome.findings.retain(|finding| {
                let print = prints.next();
                !acceptable(finding) || !print.is_some_and(|print| known.contains(print.as_str()))
            });
            let accepted = before - spec.outcome.findings.len();
            spec.outcome.accepted += accepted;
            stale += known.len() - accepted;
        }
        stale
    }

    /// Returns the baseline that accepts everything in `checked`, and keeps this one's entries for specs that were
    /// not checked.
    pub fn updated(&self, checked: &[Checked]) -> Self {
        let mut new = Self { findings: self.findings.clone(), figures: self.figures.clone() };
        for spec in checked {
            let path = in_project(&spec.path);
            let accept = |(finding, fingerprint): (&Located, String)| Accepted {
                rule: finding.rule.id.to_owned(),
                fingerprint,
                message: finding.message.clone(),
            };
            let outcome = &spec.outcome;
            // Findings about the baseline itself are not accepted: the new figures resolve them.
            let lasting = outcome.findings.iter().zip(fingerprints(spec, &outcome.findings));
            let lasting = lasting
                .filter(|(finding, _)| finding.rule.id != WORSE_THAN_BASELINE.id && acceptable(finding));
            let list: Vec<Accepted> = lasting.map(accept).collect();
            if list.is_empty() {
                new.findings.remove(&path);
            } else {
                new.findings.insert(path.clone(), list);
            }
            if outcome.figures.is_empty() {
                new.figures.remove(&path);
            } else {
                new.figures.insert(path, outcome.figures.clone());
            }
        }
        new
    }

    /// Returns the file's text.
    pub fn text(&self) -> String {
        let figures: BTreeMap<&String, Json> = self
            .figures
            .iter()
            .map(|(path, figures)| {
                let of: Map<String, Json> =
                    figures.iter().map(|(name, list)| (name.clone(), all(list))).collect();
                (path, of.into())
            })
            .collect();
        let root = json!({"cnnkit_baseline": VERSION, "findings": self.findings, "figures": figures});
        serde_json::to_string_pretty(&root).unwrap_or_default() + "\n"
    }
}

/// Returns whether a baseline may accept a finding. A network that cannot be built is never accepted: no
/// other flaw could be found in it.
fn acceptable(finding: &Located) -> bool {
    finding.rule.family != Family::Spec
}

fn all(numbers: &[Number]) -> Json {
    match numbers {
        [only] => written(only),
        several => several.iter().map(written).collect(),
    }
}

fn written(number: &Number) -> Json {
    let text = show_number(number);
    // Fractions without a short decimal stay text.
    text.parse::<serde_json::Number>().map_or_else(|_| Json::String(text), Json::Number)
}

fn number(value: &Json) -> Option<Number> {
    match value {
        Json::Number(number) => parse_decimal(&number.to_string()),
        Json::String(text) => match text.split_once('/') {
            Some((numer, denom)) => {
                let denom: i128 = denom.parse().ok().filter(|denom| *denom > 0)?;
                Some(Number::new(numer.parse().ok()?, denom))
            }
            None => parse_decimal(text),
        },
        _ => None,
    }
}
