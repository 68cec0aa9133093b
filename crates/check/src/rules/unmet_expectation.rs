//! CK601: an expectation under `expect` is not met.

use super::quantity::{Found, Subject, difference, holds, measure, show_found, show_target, written};
use super::{Context, Edit, Facts, Family, Finding, Fix, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::{Problem, suggest};
use cnnkit_core::spec::expectation::{Expectation, Limit};

/// See the module documentation.
#[derive(Debug)]
pub struct UnmetExpectation;

static META: Meta = Meta {
    id: "CK601",
    name: "unmet-expectation",
    family: Family::Expectation,
    severity: Severity::Error,
    default: true,
    summary: "an expectation of the spec does not hold",
    what: "Measures every quantity under `expect` and compares it with the spec's value: an exact value, or \
           bounds, which are inclusive. A layer or block is named by its id.",
    why: "The numbers under `expect` are what the paper, the review or the target device promised. If they \
          do not hold, either the network or the promise is wrong.",
    instead: "Fix the network. If the change was intended, `cnnkit check --update` writes the measured \
              numbers back and keeps comments and layout, so that the review shows them.",
    source: "docs/check.md",
    bad: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 16, kernel: 3}
expect:
  params: 400
  output: [16, 32, 32]
",
    good: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 16, kernel: 3}
expect:
  params: {max: 1k}
  output: [16, 30, 30]
",
    settings: &[],
    fixes: true,
};

impl Rule for UnmetExpectation {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let Some(document) = context.facts.document else { return Ok(()) };
        for expectation in &document.expectations {
            found.extend(judge(context.facts, expectation));
        }
        Ok(())
    }
}

/// Returns the finding about one expectation, if it is not met.
fn judge(facts: &Facts<'_>, expectation: &Expectation) -> Option<Finding> {
    let quantity = expectation.expectable();
    let mut node_place = None;
    let subject = match &expectation.node {
        None => Subject::Network,
        Some((id, span)) => {
            let Some(subject) = Subject::named(facts, id) else {
                return Some(no_such_layer(facts, id, *span));
            };
            if let Subject::Nodes(nodes) = &subject {
                node_place = nodes.last().map(|&node| Location::Node(node));
            }
            subject
        }
    };
    let of = expectation.node.as_ref().map_or(String::new(), |(id, _)| format!(" of `{id}`"));
    let place = Location::Token(expectation.span);
    let measured = match measure(facts, &subject, expectation.quantity) {
        Ok(measured) => measured,
        Err(problem) => {
            let message = format!("cannot compute `{}`{of}: {}", quantity.name, problem.message);
            let help = problem.help.unwrap_or_else(|| "leave the expectation out".into());
            return Some(Finding::new(place, message).help(help));
        }
    };
    if holds(&measured, expectation.limit, &expectation.target) {
        return None;
    }
    let unit = quantity.unit;
    let bound = match expectation.limit {
        Limit::Exact => "",
        Limit::Min => "at least ",
        Limit::Max => "at most ",
    };
    let off =
        difference(unit, &measured, &expectation.target).map_or(String::new(), |text| format!(": {text}"));
    let message = format!(
        "`{}`{of} is {}, expected {bound}{}{off}",
        quantity.name,
        show_found(unit, &measured),
        show_target(unit, &expectation.target)
    );
    let fix = update(facts, expectation, &measured);
    let help = match &fix {
        Some(_) => format!("fix the network, or run `--update` to write `{}`", written(unit, &measured)),
        None => "fix the network, or the expectation".into(),
    };
    let mut finding = Finding::new(place, message).help(help).fix(fix);
    if let Some(place) = node_place {
        finding = finding.related(place, "this layer");
    }
    Some(finding)
}

fn no_such_layer(facts: &Facts<'_>, id: &str, span: cnnkit_core::source::Span) -> Finding {
    let help =
        suggest(id, facts.names().iter().map(String::as_str)).map(|close| format!("did you mean `{close}`?"));
    Finding::new(Location::Token(span), format!("the network has no layer or block `{id}`"))
        .help(help.unwrap_or_else(|| "`cnnkit params --depth all` lists the ids".into()))
}

/// Replaces the expected value by the measured one; `None` if the value is an expression, or a list over several
/// lines.
fn update(facts: &Facts<'_>, expectation: &Expectation, found: &Found) -> Option<Fix> {
    let text =
        facts.sources.get(expectation.span.source).text.get(expectation.span.start..expectation.span.end)?;
    let one_line = !text.starts_with('[') || text.ends_with(']');
    let edit = Edit { span: expectation.span, text: written(expectation.expectable().unit, found) };
    (expectation.literal && one_line && !text.starts_with(['-', '*'])).then(|| Fix {
        title: "write the measured value".into(),
        edits: vec![edit],
        safe: false,
        params: 0,
    })
}
