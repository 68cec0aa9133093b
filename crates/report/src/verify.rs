//! What `cnnkit verify` says: a table of claims.

use serde::Serialize;
use serde_json::Value as Json;

use super::{Block, Cell, Column, Fact, Page, Report, Row, StyledText, Table, Tone};
use cnnkit_verify::demo::{self, DEMOS, Demo};
use cnnkit_verify::{Claim, Outcome};

/// The JSON of one network's claims.
#[derive(Debug, Serialize)]
pub struct VerifyJson<'a> {
    claims: &'a [Claim],
    notes: &'a [String],
    choices: &'a [String],
    ok: bool,
}

/// The claims for programs.
pub fn json(outcome: &Outcome) -> VerifyJson<'_> {
    VerifyJson { claims: &outcome.claims, notes: &outcome.notes, choices: &outcome.choices, ok: outcome.ok() }
}

/// A kind of claim as people read it.
fn name(claim: &Claim) -> String {
    serde_json::to_value(claim.claim)
        .ok()
        .and_then(|name| name.as_str().map(|name| name.replace('_', " ")))
        .unwrap_or_default()
}

/// A table of claims: what was predicted, what was measured, whether they agree.
fn table(claims: &[Claim]) -> Table {
    let nodes = claims.iter().any(|claim| claim.node.is_some());
    let names: &[&str] = if nodes {
        &["claim", "node", "predicted", "measured", ""]
    } else {
        &["claim", "predicted", "measured", ""]
    };
    let columns = names.iter().map(|name| Column::text(name).wrapped()).collect();
    let mut table = Table { columns, rows: vec![] };
    for claim in claims {
        let verdict = if claim.ok { Cell::toned("ok", Tone::Good) } else { Cell::toned("WRONG", Tone::Bad) };
        let measured = Cell::text(&claim.measured).tone(if claim.ok { Tone::Plain } else { Tone::Bad });
        let measured = if claim.ok && claim.measured == claim.predicted {
            Cell::toned("the same", Tone::Quiet)
        } else {
            measured
        };
        let mut cells = vec![Cell::text(name(claim))];
        if nodes {
            cells.push(claim.node.as_ref().map_or_else(Cell::default, |node| Cell::toned(node, Tone::Name)));
        }
        cells.extend([Cell::text(&claim.predicted), measured, verdict]);
        table.rows.push(Row::new(cells));
    }
    table
}

/// How many claims hold.
fn summary(claims: &[Claim]) -> Block {
    let failed = claims.iter().filter(|claim| !claim.ok).count();
    Block::Text(vec![match (failed, claims.len()) {
        (0, 1) => StyledText::new("the claim holds", Tone::Good),
        (0, all) => StyledText::new(format!("all {all} claims hold"), Tone::Good),
        (1, all) => StyledText::new(format!("1 of {all} claims does not hold"), Tone::Bad),
        (_, all) => StyledText::new(format!("{failed} of {all} claims do not hold"), Tone::Bad),
    }])
}

/// The claims for people; with `methods`, how each was measured.
pub fn page(title: &str, outcome: &Outcome, methods: bool) -> Page {
    let mut page = Page::default();
    page.title(title);
    page.table(table(&outcome.claims));
    page.push(summary(&outcome.claims));
    for choice in &outcome.choices {
        page.push(Block::Text(vec![
            StyledText::new("smaller", Tone::Quiet),
            StyledText::plain(format!(": {choice}")),
        ]));
    }
    for note in &outcome.notes {
        page.push(Block::Text(vec![
            StyledText::new("not measured", Tone::Warn),
            StyledText::plain(format!(": {note}")),
        ]));
    }
    broken(&mut page, &outcome.claims);
    for claim in outcome.claims.iter().filter(|claim| methods && claim.ok) {
        let of = claim.node.as_ref().map_or_else(String::new, |node| format!(" of {node}"));
        page.note(format!("{}{of}: {}.", name(claim), claim.method));
    }
    page
}

/// Claims that do not hold, in full: a table may have cut them short.
fn broken(page: &mut Page, claims: &[Claim]) {
    let wrong: Vec<&Claim> = claims.iter().filter(|claim| !claim.ok).collect();
    for claim in &wrong {
        let of = claim.node.as_ref().map_or_else(String::new, |node| format!(" of {node}"));
        page.title(format!("WRONG: {}{of}", name(claim)));
        let fact = |name: &str, value: Cell| Fact { name: name.into(), value, remark: None };
        page.push(Block::Facts(vec![
            fact("predicted", Cell::text(&claim.predicted)),
            fact("measured", Cell::toned(&claim.measured, Tone::Bad)),
            fact("how", Cell::toned(&claim.method, Tone::Quiet)),
        ]));
    }
    if !wrong.is_empty() {
        page.push(Block::Text(vec![
            StyledText::new("help", Tone::Strong),
            StyledText::plain(
                ": the analysis and the executor of cnnkit disagree, so one of them is wrong, not the spec; please \
                 report it with the spec. --seed and --thorough tell whether it depends on the numbers or on the size",
            ),
        ]));
    }
}

/// Adds claims about what `report` says, and makes it fail if one does not hold.
pub fn attach(report: &mut Report, claims: &[Claim]) {
    report.page.title_with("Measured", "the stack run on an impulse with unit weights, in exact integers");
    if claims.is_empty() {
        report.page.text("there is no stack to run");
    } else {
        report.page.table(table(claims));
        report.page.push(summary(claims));
        broken(&mut report.page, claims);
    }
    let ok = claims.iter().all(|claim| claim.ok);
    report.ok &= ok;
    if let Json::Object(keys) = &mut report.json {
        keys.insert("verify".into(), serde_json::json!({"claims": claims, "ok": ok}));
        // `ok` says whether the command passes, where it says so at all.
        if let Some(passes) = keys.get_mut("ok") {
            *passes = report.ok.into();
        }
    }
}

/// The techniques that can be demonstrated.
pub fn demo_list() -> Page {
    let mut page = Page::default();
    let row = |demo: &Demo| {
        Row::new(vec![
            Cell::toned(demo.name, Tone::Name),
            Cell::text(demo.summary),
            Cell::toned(demo.source, Tone::Quiet),
        ])
    };
    page.table(Table {
        columns: vec![Column::text("name"), Column::text("identity"), Column::text("source").optional(1)],
        rows: DEMOS.iter().map(row).collect(),
    });
    page
}

/// Identities that were run, with their figures.
pub fn demo_page(runs: &[(&Demo, Vec<demo::Fact>)]) -> Page {
    let mut page = Page::default();
    for (demo, facts) in runs {
        page.title_with(demo.name, demo.summary);
        let row = |fact: &demo::Fact| {
            let verdict =
                if fact.ok { Cell::toned("holds", Tone::Good) } else { Cell::toned("WRONG", Tone::Bad) };
            Row::new(vec![
                Cell::text(&fact.what),
                Cell::text(&fact.expected),
                Cell::text(&fact.found),
                verdict,
            ])
        };
        page.table(Table {
            columns: vec![
                Column::text(""),
                Column::text("expected"),
                Column::text("found"),
                Column::text(""),
            ],
            rows: facts.iter().map(row).collect(),
        });
    }
    page.note("Run in f64 by the definition of each layer, on seeded tensors.");
    page
}
