//! Comments that suppress findings: `# cnnkit: ignore[CK301] the reason`.
//!
//! A trailing comment applies to its line, a comment on its own line to the next line of code; `ignore-file[...]`
//! applies to the whole file. A line matches if the flaw is on it, or a use of the block that contains the flaw. The
//! reason is required. A suppression that suppresses nothing is a finding, and so is a malformed one: a silent typo
//! would either hide a flaw or suggest that it was accepted.

use std::cell::Cell;
use std::collections::HashMap;

use crate::rules::{self, Family, MALFORMED_SUPPRESSION, Meta, Severity, UNUSED_SUPPRESSION};
use crate::{Located, comments};
use cnnkit_core::diagnostic::did_you_mean;
use cnnkit_core::source::{SourceId, Sources, Span};

/// The suppressions of one text.
#[derive(Debug, Default)]
pub struct Suppressions {
    list: Vec<Suppression>,
    /// The text.
    source: Option<SourceId>,
    /// Indices of suppressions by rule and line; the line is 0 for the whole file.
    places: HashMap<(&'static str, usize), Vec<usize>>,
    /// Findings about malformed comments.
    pub malformed: Vec<Located>,
}

/// Maximum number of malformed comments that are reported for one text.
const MAX_MALFORMED: usize = 1000;

/// One rule, suppressed somewhere.
#[derive(Debug)]
struct Suppression {
    rule: &'static Meta,
    /// The rule's name in the comment.
    token: Span,
    /// The line, from 1; `None` for the whole file.
    line: Option<usize>,
    used: Cell<bool>,
}

/// Words that users of other tools would try.
const WORDS: [&str; 6] = ["ignore", "disable", "noqa", "allow", "suppress", "nolint"];
const FORM: &str = "write `# cnnkit: ignore[CK301] the reason`, or `ignore-file[...]` for the whole file";

impl Suppressions {
    /// Reads the suppressions in `source`.
    pub fn read(sources: &Sources, source: SourceId) -> Self {
        let text = &*sources.get(source).text;
        let mut found = Self { source: Some(source), ..Self::default() };
        // A fast path: nearly all specs have none.
        if !text.contains("cnnkit") && !WORDS.iter().any(|word| text.contains(word)) {
            return found;
        }
        let mut waiting = 0;
        let mut start = 0;
        let lines = comments::lines(&sources.get(source).name, text);
        for (index, (line, (code, comment))) in text.split_inclusive('\n').zip(lines).enumerate() {
            let blank = code.trim().is_empty();
            if !blank {
                for suppression in &mut found.list[waiting..] {
                    suppression.line = suppression.line.map(|_| index + 1);
                }
                waiting = found.list.len();
            }
            if let Some(comment) = comment {
                let at = start + code.len() + 1;
                found.comment(comment, Span::new(source, at, at + comment.len()), index + 1);
            }
            if !blank {
                waiting = found.list.len();
            }
            start += line.len();
        }
        for (index, suppression) in found.list.iter().enumerate() {
            let place = (suppression.rule.id, suppression.line.unwrap_or(0));
            found.places.entry(place).or_default().push(index);
        }
        found
    }

    /// Reads one comment, without its `#`.
    fn comment(&mut self, comment: &str, span: Span, line: usize) {
        let indent = comment.len() - comment.trim_start().len();
        let text = comment.trim();
        let whole = Span::new(span.source, span.start + indent, span.start + indent + text.len());
        let Some(rest) = text.strip_prefix("cnnkit:") else {
            if looks_like_one(text) {
                let id = rule_id(text).unwrap_or("CK301");
                let help = format!(
                    "write `# cnnkit: ignore[{id}] the reason`, or `ignore-file[...]` for the whole file"
                );
                self.refuse(whole, "this comment suppresses nothing".into(), help);
            }
            return;
        };
        let directive = rest.trim_start();
        let offset = whole.end - directive.len();
        let (file, list) = match (directive.strip_prefix("ignore-file["), directive.strip_prefix("ignore[")) {
            (Some(list), _) => (true, list),
            (_, Some(list)) => (false, list),
            (None, None) => {
                let plain: String =
                    directive.chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect();
                let word = if plain.is_empty() { directive.chars().take(1).collect() } else { plain };
                let message = match word.as_str() {
                    "ignore" | "ignore-file" => format!("`{word}` does not name a rule"),
                    _ => format!("`cnnkit: {word}` is not a directive"),
                };
                let token = Span::new(span.source, offset, offset + word.len().max(1));
                return self.refuse(token, message, FORM.into());
            }
        };
        let Some((names, reason)) = list.split_once(']') else {
            return self.refuse(whole, "the bracket is never closed".into(), FORM.into());
        };
        let mut at = whole.end - list.len();
        for written in names.split(',') {
            let name = written.trim();
            let from = at + (written.len() - written.trim_start().len());
            let token = Span::new(span.source, from, from + name.len().max(1));
            at += written.len() + 1;
            if self.malformed.len() >= MAX_MALFORMED {
                return;
            }
            match rules::find(name) {
                Some(rule) if rule.family == Family::Spec => {
                    let message = format!("`{}` cannot be suppressed: the network cannot be built", rule.id);
                    self.refuse(token, message, "fix the spec".into());
                }
                Some(rule) => self.list.push(Suppression {
                    rule,
                    token,
                    line: (!file).then_some(line),
                    used: Cell::new(false),
                }),
                None => {
                    let known: Vec<&str> = rules::all().flat_map(|meta| [meta.id, meta.name]).collect();
                    let help = did_you_mean(name, &known).filter(|help| help.starts_with("did"));
                    let message = format!("there is no rule `{name}`");
                    self.refuse(token, message, help.unwrap_or("`cnnkit rules` lists them".into()));
                }
            }
        }
        if !reason.chars().any(char::is_alphabetic) {
            let message = "a suppression without a reason".into();
            self.refuse(
                whole,
                message,
                "give the reason after the bracket: `ignore[CK301] as published`".into(),
            );
        }
    }

    fn refuse(&mut self, span: Span, message: String, help: String) {
        if self.malformed.len() >= MAX_MALFORMED {
            return;
        }
        self.malformed.push(finding(&MALFORMED_SUPPRESSION, span, message, help));
    }

    /// Returns whether a suppression covers a finding of `rule` with the flaw, or a use of the block that
    /// contains it, at one of `places`.
    pub fn cover(&self, sources: &Sources, rule: &Meta, places: &[Span]) -> bool {
        let mut covered = false;
        if self.list.is_empty() {
            return covered;
        }
        for place in places.iter().filter(|place| Some(place.source) == self.source) {
            let line = sources.line_column(place.source, place.start).0;
            for at in [0, line] {
                for &index in self.places.get(&(rule.id, at)).into_iter().flatten() {
                    self.list[index].used.set(true);
                    covered = true;
                }
            }
        }
        covered
    }

    /// Returns the tokens of the suppressions that were used.
    pub fn used(&self) -> impl Iterator<Item = Span> {
        self.list.iter().filter(|suppression| suppression.used.get()).map(|suppression| suppression.token)
    }

    /// Returns findings about suppressions of rules that ran and found nothing there; `concerns` returns whether a line
    /// of the text, or all of it, belongs to the network.
    pub fn unused(
        &self,
        ran: impl Fn(&Meta) -> bool,
        concerns: impl Fn(SourceId, Option<usize>) -> bool,
    ) -> Vec<Located> {
        let unused = self.list.iter().filter(|suppression| !suppression.used.get() && ran(suppression.rule));
        unused
            .filter(|suppression| concerns(suppression.token.source, suppression.line))
            .map(|suppression| {
                let (id, name) = (suppression.rule.id, suppression.rule.name);
                let message = format!("`{id}` ({name}) has no finding here");
                finding(&UNUSED_SUPPRESSION, suppression.token, message, "remove it".into())
            })
            .collect()
    }
}

fn finding(rule: &'static Meta, span: Span, message: String, help: String) -> Located {
    let severity: Severity = rule.severity;
    Located {
        rule,
        severity,
        message,
        span: Some(span),
        node: None,
        also: vec![],
        related: vec![],
        help: vec![help],
        fix: None,
    }
}

/// Returns whether a comment was probably meant as a suppression: `noqa: CK301`, `cnnkit-disable CK301`,
/// `ignore[CK301]`.
fn looks_like_one(text: &str) -> bool {
    let lower = text.to_lowercase();
    let names_rule = rule_id(text).is_some();
    let first = lower.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty()).unwrap_or("");
    let second =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).nth(1).unwrap_or("");
    let word = |text: &str| WORDS.iter().any(|word| text.starts_with(word));
    (word(first) && names_rule) || (first == "cnnkit" && word(second))
}

/// Returns the first rule id in `text`, in upper or lower case.
fn rule_id(text: &str) -> Option<&str> {
    let starts = text.match_indices(['C', 'c']).map(|(start, _)| start);
    let mut ids = starts.filter_map(|start| text.get(start..start + 5));
    ids.find(|id| {
        let (letters, digits) = id.as_bytes().split_at(2);
        letters.eq_ignore_ascii_case(b"ck") && digits.iter().all(u8::is_ascii_digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_suppression_is_told_from_prose() {
        for yes in
            ["noqa: CK301", "cnnkit-disable CK301", "ignore[CK301] x", "cnnkit ignore CK301", "Disable CK401"]
        {
            assert!(looks_like_one(yes), "{yes}");
        }
        for no in
            ["see CK301", "cnnkit reads this", "ignore the padding", "^^^^ CK301 ignored", "allow 3 channels"]
        {
            assert!(!looks_like_one(no), "{no}");
        }
    }
}
