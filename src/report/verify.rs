//! What `cnnkit verify` says: a table of claims.

use serde::Serialize;

use super::{Block, Cell, Column, Page, Row, Span, Table, Tone};
use crate::verify::demo::{DEMOS, Demo, Fact};
use crate::verify::{Claim, Outcome};

/// The JSON of one network's claims.
#[derive(Debug, Serialize)]
pub struct VerifyJson<'a> {
    claims: &'a [Claim],
    notes: &'a [String],
    ok: bool,
}

/// The claims for programs.
pub fn json(outcome: &Outcome) -> VerifyJson<'_> {
    VerifyJson { claims: &outcome.claims, notes: &outcome.notes, ok: outcome.ok() }
}

/// A kind of claim as people read it.
fn name(claim: &Claim) -> String {
    serde_json::to_value(claim.claim)
        .ok()
        .and_then(|name| name.as_str().map(|name| name.replace('_', " ")))
        .unwrap_or_default()
}

/// The claims for people; with `methods`, how each was measured.
pub fn page(title: &str, outcome: &Outcome, methods: bool) -> Page {
    let mut page = Page::default();
    let failed = outcome.claims.iter().filter(|claim| !claim.ok).count();
    page.title(title);
    let mut table = Table {
        columns: vec![
            Column::text("claim"),
            Column::text("node").optional(1),
            Column::text("predicted"),
            Column::text("measured"),
            Column::text(""),
        ],
        rows: vec![],
    };
    for claim in &outcome.claims {
        let verdict = if claim.ok { Cell::toned("ok", Tone::Good) } else { Cell::toned("WRONG", Tone::Bad) };
        let measured = Cell::text(&claim.measured).tone(if claim.ok { Tone::Plain } else { Tone::Bad });
        let measured = if claim.ok && claim.measured == claim.predicted {
            Cell::toned("the same", Tone::Quiet)
        } else {
            measured
        };
        table.rows.push(Row::new(vec![
            Cell::text(name(claim)),
            claim.node.as_ref().map_or_else(Cell::default, |node| Cell::toned(node, Tone::Name)),
            Cell::text(&claim.predicted),
            measured,
            verdict,
        ]));
    }
    page.table(table);
    let text = match failed {
        0 => Span::new(format!("all {} claims hold", outcome.claims.len()), Tone::Good),
        1 => Span::new("1 claim does not hold", Tone::Bad),
        _ => Span::new(format!("{failed} claims do not hold"), Tone::Bad),
    };
    page.push(Block::Text(vec![text]));
    for note in &outcome.notes {
        page.push(Block::Text(vec![Span::new("not measured", Tone::Warn), Span::plain(format!(": {note}"))]));
    }
    for claim in outcome.claims.iter().filter(|claim| methods || !claim.ok) {
        page.note(format!("{}: {}.", name(claim), claim.method));
    }
    page
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
pub fn demo_page(runs: &[(&Demo, Vec<Fact>)]) -> Page {
    let mut page = Page::default();
    for (demo, facts) in runs {
        page.title_with(demo.name, demo.summary);
        let row = |fact: &Fact| {
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
