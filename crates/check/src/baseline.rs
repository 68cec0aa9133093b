//! Findings that were there before, and the figures that may only improve: a file that is committed.
//!
//! Findings are known by their fingerprint, so that lines may be added around them; a finding that is not in the file
//! is new. The file is sorted, so that a review shows what changed.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::rules::WORSE_THAN_BASELINE;
use crate::{Checked, Figures, Located, fingerprints, in_project};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::value::{Number, parse_decimal, show_number};

/// What is accepted; paths are from the project's folder.
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
    /// What was said of it, for readers.
    pub message: String,
}

const VERSION: u64 = 1;

impl Baseline {
    /// The baseline in `text`.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problem> {
        let wrong = |why: String| {
            Problem::new(Code::Syntax, format!("`{name}` is no baseline: {why}"))
                .help("`cnnkit check --baseline FILE --update-baseline` writes one")
        };
        let root: Json = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        match root["cnnkit_baseline"].as_u64() {
            Some(VERSION) => {}
            Some(other) => return Err(wrong(format!("version {other}, this program knows {VERSION}"))),
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
                let numbers = numbers.ok_or_else(|| wrong(format!("`{name}` of `{path}` is no number")))?;
                known.insert(name.clone(), numbers);
            }
            baseline.figures.insert(path.clone(), known);
        }
        Ok(baseline)
    }

    /// Takes the accepted findings out of `checked`; returns how many accepted ones are no longer there.
    pub fn accept(&self, checked: &mut [Checked]) -> usize {
        let mut stale = 0;
        for spec in checked {
            let Some(known) = self.findings.get(&in_project(&spec.path)) else { continue };
            let known: HashSet<&str> = known.iter().map(|finding| finding.fingerprint.as_str()).collect();
            let mut prints = fingerprints(spec, &spec.outcome.findings).into_iter();
            let before = spec.outcome.findings.len();
            spec.outcome
                .findings
                .retain(|_| !prints.next().is_some_and(|print| known.contains(print.as_str())));
            let accepted = before - spec.outcome.findings.len();
            spec.outcome.accepted += accepted;
            stale += known.len() - accepted;
        }
        stale
    }

    /// The baseline that accepts everything in `checked`, and of specs that were not checked what this one does.
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
            // What only the baseline itself found wrong is replaced by the new figures.
            let lasting = outcome.findings.iter().zip(fingerprints(spec, &outcome.findings));
            let lasting = lasting.filter(|(finding, _)| finding.rule.id != WORSE_THAN_BASELINE.id);
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

    /// The file's text.
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

fn all(numbers: &[Number]) -> Json {
    match numbers {
        [only] => written(only),
        several => several.iter().map(written).collect(),
    }
}

fn written(number: &Number) -> Json {
    let text = show_number(number);
    // Fractions that no decimal equals stay text.
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
