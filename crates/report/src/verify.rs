//! `cnnkit verify`: a table of claims, also appended to the results of other commands.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Block, Cell, Column, Fact, Page, Row, StyledText, Table, Tone};
use crate::imported::{Import, StatusAndImport};
use crate::summary::Summary;
use cnnkit_verify::{Claim, Outcome};

/// What `cnnkit verify` measures of a network: every prediction beside its measurement.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VerifySummary {
    /// The claims.
    pub claims: Vec<Claim>,
    /// What was not measured, with the reason.
    pub notes: Vec<String>,
    /// What was measured at another size than the network's own, to save time.
    pub choices: Vec<String>,
    /// Whether every claim is true.
    pub ok: bool,
    /// What is not analysed of an imported model.
    #[serde(flatten)]
    pub import: Option<StatusAndImport>,
    /// The network's name.
    #[serde(skip)]
    name: String,
    /// Whether to show how each figure was measured.
    #[serde(skip)]
    methods: bool,
}

/// Claims about what a command computed, checked by a run on an impulse: `--verify`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Measured {
    /// The claims.
    pub claims: Vec<Claim>,
    /// Whether every claim is true.
    pub ok: bool,
}

impl VerifySummary {
    /// Returns the summary of `outcome` for the network `name`; with `methods`, its page shows how each
    /// figure was measured.
    pub fn of(name: &str, outcome: Outcome, methods: bool, import: Option<Import>) -> Self {
        let ok = outcome.ok();
        let Outcome { claims, notes, choices } = outcome;
        let import = import.map(StatusAndImport::from);
        Self { claims, notes, choices, ok, import, name: name.to_owned(), methods }
    }
}

impl Summary for VerifySummary {
    const COMMAND: &'static str = "verify";

    fn page(&self) -> Page {
        page(self)
    }

    fn passed(&self) -> bool {
        self.ok
    }

    fn partial(&self) -> bool {
        self.import.as_ref().is_some_and(|import| import.import.partial)
    }
}

impl Measured {
    /// Returns the verdict on `claims`.
    pub fn of(claims: Vec<Claim>) -> Self {
        Self { ok: claims.iter().all(|claim| claim.ok), claims }
    }

    /// Appends the claims to the page of the command.
    pub(crate) fn section(&self, page: &mut Page) {
        page.title_with("Measured", "the stack run on an impulse with unit weights, in exact integers");
        if self.claims.is_empty() {
            page.text("there is no stack to run");
        } else {
            page.table(table(&self.claims));
            page.push(summary(&self.claims));
            broken(page, &self.claims);
        }
    }
}

/// Returns the display name of a kind of claim.
fn name(claim: &Claim) -> String {
    serde_json::to_value(claim.claim)
        .ok()
        .and_then(|name| name.as_str().map(|name| name.replace('_', " ")))
        .unwrap_or_default()
}

/// Returns a table of claims: prediction, measurement, and whether they agree.
fn table(claims: &[Claim]) -> Table {
    let nodes = claims.iter().any(|claim| claim.node.is_some());
    let names: &[&str] = if nodes {
        &["claim", "node", "predicted", "measured", ""]
    } else {
        &["claim", "predicted", "measured", ""]
    };
    let column = |name: &&str| match *name {
        "" => Column::text("").key("verdict"),
        name => Column::text(name),
    };
    let columns = names.iter().map(column).collect();
    let mut table = Table { name: "claims", columns, rows: vec![] };
    for claim in claims {
        let verdict = if claim.ok { Cell::toned("ok", Tone::Good) } else { Cell::toned("WRONG", Tone::Bad) };
        let measured = Cell::figure(&claim.measured).tone(if claim.ok { Tone::Plain } else { Tone::Bad });
        let measured = if claim.ok && claim.measured == claim.predicted {
            let exact = readable_exact(&claim.measured);
            Cell::written("the same", exact).tone(Tone::Quiet)
        } else {
            measured
        };
        let mut cells = vec![Cell::text(name(claim))];
        if nodes {
            cells.push(claim.node.as_ref().map_or_else(Cell::default, |node| Cell::toned(node, Tone::Name)));
        }
        cells.extend([Cell::figure(&claim.predicted), measured, verdict]);
        table.rows.push(Row::new(cells));
    }
    table
}

/// Formats how many claims are true.
fn summary(claims: &[Claim]) -> Block {
    let failed = claims.iter().filter(|claim| !claim.ok).count();
    Block::Text(vec![match (failed, claims.len()) {
        (0, 1) => StyledText::new("the claim holds", Tone::Good),
        (0, all) => StyledText::new(format!("all {all} claims hold"), Tone::Good),
        (1, all) => StyledText::new(format!("1 of {all} claims does not hold"), Tone::Bad),
        (_, all) => StyledText::new(format!("{failed} of {all} claims do not hold"), Tone::Bad),
    }])
}

fn page(outcome: &VerifySummary) -> Page {
    let mut page = Page::default();
    page.title(&outcome.name);
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
    for claim in outcome.claims.iter().filter(|claim| outcome.methods && claim.ok) {
        let of = claim.node.as_ref().map_or_else(String::new, |node| format!(" of {node}"));
        page.note(format!("{}{of}: {}.", name(claim), claim.method));
    }
    page
}

/// Appends the false claims in full: a table may have shortened them.
fn broken(page: &mut Page, claims: &[Claim]) {
    let wrong: Vec<&Claim> = claims.iter().filter(|claim| !claim.ok).collect();
    for claim in &wrong {
        let of = claim.node.as_ref().map_or_else(String::new, |node| format!(" of {node}"));
        page.title(format!("WRONG: {}{of}", name(claim)));
        let fact = |name: &str, value: Cell| Fact { name: name.into(), value, remark: None };
        page.push(Block::Definitions(vec![
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

/// A measured value as programs read it.
fn readable_exact(measured: &str) -> String {
    crate::render::value::exact(&Cell::figure(measured).value)
}
