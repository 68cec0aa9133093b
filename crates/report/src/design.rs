//! What `cnnkit hdc-design` says: the front of schedules, or the survey of rule against truth.

use serde_json::{Value as Json, json};

use crate::gridding::exact;
use crate::hdc::percent;
use crate::{Cell, Column, Page, Report, Row, Table, Tone, Value};
use cnnkit_core::analysis::design::{Outcome, Require, Search};
use cnnkit_core::analysis::pareto::Design;
use cnnkit_core::analysis::survey::Survey;
use cnnkit_core::number::{grouped, integer};

/// Published schedules, shown beside the front: HDC's own, and the widest that three layers of 3x3 allow.
const KNOWN: [&[u64]; 4] = [&[1, 2, 3], &[1, 2, 5], &[1, 3, 9], &[1, 2, 5, 9]];
/// Rows of a front that are drawn; JSON and CSV have them all.
const MOST_ROWS: usize = 40;

/// The report on one or several searches (one a kernel) and what they found.
pub fn report(searches: &[(Search, Outcome)]) -> Report {
    let mut page = Page::default();
    let mut json = Vec::new();
    for (search, outcome) in searches {
        let layers = match search.layers {
            (first, last) if first == last => format!("{first} layers"),
            (first, last) => format!("{first} to {last} layers"),
        };
        let period = search.period.map(|period| format!(", period {period}")).unwrap_or_default();
        page.title_with(
            format!(
                "Schedules for kernel {}, {layers}, rates up to {}{period}",
                search.kernel, search.max_rate
            ),
            require(search.require).1,
        );
        if outcome.front.is_empty() {
            page.text(
                "no schedule satisfies this: allow more layers, larger rates or a smaller receptive field",
            );
        } else {
            page.table(front_table(search, outcome));
        }
        let hidden = outcome.front.len().saturating_sub(MOST_ROWS);
        if hidden > 0 {
            page.note(format!("{} more in the middle; --format json has all", grouped(hidden as u64)));
        }
        page.note(format!(
            "exhaustive: {} schedules accounted for, {} branches and multisets looked at, the rest ruled out by bounds",
            integer(&outcome.schedules),
            grouped(outcome.visited),
        ));
        json.push(to_json(search, outcome));
    }
    page.note(
        "no schedule of as few layers surpasses one on the front in receptive field and evenness together; \
         evenness = smallest / largest multiplicity of an axis; variation = standard deviation / mean",
    );
    let first = json.first().cloned().unwrap_or_default();
    let mut top = json!({ "schema": 1, "command": "hdc-design", "spec": { "name": null, "path": null } });
    if let (Some(top), Json::Object(keys)) = (top.as_object_mut(), first) {
        top.extend(keys);
    }
    if json.len() > 1 {
        top["results"] = json.into();
    }
    Report { page, json: top, ok: searches.iter().any(|(_, outcome)| !outcome.front.is_empty()) }
}

fn require(require: Require) -> (&'static str, &'static str) {
    match require {
        Require::Rule => ("rule", "the published rule passes"),
        Require::Exact => ("exact", "no holes"),
        Require::Both => ("both", "the published rule passes, no holes"),
    }
}

/// Where a schedule stands to the front.
fn standing(search: &Search, outcome: &Outcome, design: &Design) -> (&'static str, Option<String>) {
    let meets = match search.require {
        Require::Rule => design.rule_ok(),
        Require::Exact => design.hole_free,
        Require::Both => design.rule_ok() && design.hole_free,
    } && design.size >= search.min_size;
    if outcome.front.iter().any(|other| other.rates == design.rates) {
        return ("on the front", None);
    }
    match outcome.front.iter().find(|other| other.covers(design)) {
        _ if !meets => ("does not qualify", None),
        Some(other) if design.covers(other) => ("equal to", Some(written(&other.rates))),
        Some(other) => ("surpassed by", Some(written(&other.rates))),
        None => ("outside the search", None),
    }
}

fn written(rates: &[u64]) -> String {
    rates.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

fn front_table(search: &Search, outcome: &Outcome) -> Table {
    let columns = vec![
        Column::text("rates"),
        Column::number("layers"),
        Column::number("receptive field"),
        Column::number("evenness"),
        Column::number("variation").optional(1),
        Column::text("rule").optional(2),
        Column::text("holes").optional(3),
        Column::text("place"),
    ];
    let row = |design: &Design, place: String, tone: Tone| {
        let verdict = |good: bool, yes: &str, no: &str| {
            if good { Cell::toned(yes, Tone::Good) } else { Cell::toned(no, Tone::Bad) }
        };
        Row::new(vec![
            Cell::toned(written(&design.rates), Tone::Name),
            Cell::count(design.rates.len() as u64),
            Cell::count(design.size),
            Value::Number(design.evenness(), 4).into(),
            Value::Number(design.variation, 3).into(),
            verdict(design.rule_ok(), "passes", "fails"),
            verdict(design.hole_free, "none", "some"),
            Cell::toned(place, tone),
        ])
    };
    let count = outcome.front.len();
    let shown = |i: usize| count <= MOST_ROWS || i < MOST_ROWS / 2 || i >= count - MOST_ROWS / 2;
    let front = outcome.front.iter().enumerate().filter(|&(i, _)| shown(i));
    let mut rows: Vec<Row> = front.map(|(_, design)| row(design, "front".into(), Tone::Good)).collect();
    let known = KNOWN.iter().filter_map(|rates| search.place(rates)).filter_map(|design| {
        let (place, other) = standing(search, outcome, &design);
        let place = format!("{place}{}", other.map(|other| format!(" {other}")).unwrap_or_default());
        (place != "on the front").then(|| row(&design, place, Tone::Quiet))
    });
    for (i, mut known) in known.enumerate() {
        known.rule_above = i == 0;
        rows.push(known);
    }
    Table { columns, rows }
}

fn to_json(search: &Search, outcome: &Outcome) -> Json {
    let design = |design: &Design| {
        json!({
            "rates": design.rates,
            "layers": design.rates.len(),
            "size": design.size,
            "evenness": design.evenness(),
            "largest_multiplicity": design.largest,
            "variation": design.variation,
            "rule_ok": design.rule_ok(),
            "hole_free": design.hole_free,
        })
    };
    let known = KNOWN.iter().filter_map(|rates| search.place(rates)).map(|known| {
        let (place, other) = standing(search, outcome, &known);
        let mut out = design(&known);
        out["place"] = place.into();
        out["by"] = other.into();
        out
    });
    json!({
        "kernel": search.kernel,
        "layers": [search.layers.0, search.layers.1],
        "max_rate": search.max_rate,
        "min_size": search.min_size,
        "period": search.period,
        "require": require(search.require).0,
        "exhaustive": true,
        "schedules": exact(&outcome.schedules),
        "visited": outcome.visited,
        "front": outcome.front.iter().map(design).collect::<Vec<_>>(),
        "known": known.collect::<Vec<_>>(),
    })
}

/// The report on a survey of `layers` layers with rates up to `largest`.
pub fn survey_report(kernel: u64, layers: usize, largest: u64, survey: &Survey) -> Report {
    let mut page = Page::default();
    page.title_with(
        format!(
            "The published rule against the truth: {layers} layers, rates 1 to {largest}, kernel {kernel}"
        ),
        format!("all {} schedules, each as one group", grouped(survey.schedules)),
    );
    let row = |rule: &str, exact: &str, count: u64, tone: Tone| {
        Row::new(vec![
            Cell::text(rule),
            Cell::text(exact),
            Cell::count(count).tone(tone),
            Cell::share(count, survey.schedules),
        ])
    };
    page.table(Table {
        columns: vec![
            Column::text("rule"),
            Column::text("exact"),
            Column::number("schedules"),
            Column::number("share"),
        ],
        rows: vec![
            row("passes", "no hole", survey.both, Tone::Good),
            row("passes", "holes", survey.rule_only, Tone::Bad),
            row("fails", "no hole", survey.exact_only, Tone::Bad),
            row("fails", "holes", survey.neither, Tone::Good),
        ],
    });
    let agreement = percent(survey.both + survey.neither, survey.schedules);
    page.text(format!("rule and truth agree on {agreement} of the schedules"));
    let examples = |list: &[Vec<u64>]| match list {
        [] => "none".to_owned(),
        list => list.iter().map(|rates| written(rates)).collect::<Vec<_>>().join("   "),
    };
    page.push(crate::Block::Facts(vec![
        crate::Fact::new(
            "smallest that pass the rule with holes",
            Cell::text(examples(&survey.rule_only_smallest)),
        ),
        crate::Fact::new(
            "smallest that fail the rule without",
            Cell::text(examples(&survey.exact_only_smallest)),
        ),
        crate::Fact::new("pass M_2 <= K alone, with holes", Cell::count(survey.m2_only)),
        crate::Fact::new("rising from 1", Cell::count(survey.rising.0))
            .remark(format!("{} of them misjudged", grouped(survey.rising.1))),
    ]));
    page.note(
        "smallest: by the sum of the rates, then in order; rule: gcd 1 and M_2 <= K (Wang et al. 2018, 3.2)",
    );
    let json = json!({
        "schema": 1,
        "command": "hdc-design",
        "spec": { "name": null, "path": null },
        "kernel": kernel,
        "survey": {
            "layers": layers,
            "max_rate": largest,
            "schedules": survey.schedules,
            "rule_and_exact": survey.both,
            "rule_only": survey.rule_only,
            "exact_only": survey.exact_only,
            "neither": survey.neither,
            "agreement": survey.agreement(),
            "m2_only": survey.m2_only,
            "rising": { "schedules": survey.rising.0, "misjudged": survey.rising.1 },
            "rule_only_smallest": survey.rule_only_smallest,
            "exact_only_smallest": survey.exact_only_smallest,
        },
    });
    Report { page, json, ok: true }
}
