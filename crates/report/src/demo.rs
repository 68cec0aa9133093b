//! `cnnkit demo`: the techniques, and the identities behind them on seeded tensors.

use schemars::JsonSchema;
use serde::Serialize;

use crate::summary::Summary;
use crate::{Block, Cell, Column, Page, Row, StyledText, Table, Tone};
use cnnkit_verify::demo::{DEMOS, Demo, Fact};

/// The list of `cnnkit demo`: every technique that can be demonstrated.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DemoListSummary {
    /// The techniques.
    pub demos: Vec<DemoEntry>,
}

/// A technique that can be demonstrated.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DemoEntry {
    /// Its name on the command line.
    pub name: String,
    /// The identity, in one line.
    pub summary: String,
    /// The paper or other source of the technique.
    pub source: String,
}

/// What `cnnkit demo NAME` computes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DemoSummary {
    /// The techniques that were run.
    pub demos: Vec<DemoRun>,
    /// Whether every identity is satisfied.
    pub ok: bool,
}

/// A technique that was run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DemoRun {
    /// Its name on the command line.
    pub name: String,
    /// The identity, in one line.
    pub summary: String,
    /// Its figures: the value by the identity, and the executor's value.
    pub facts: Vec<Fact>,
    /// Calls that show more of it.
    pub see_also: Vec<String>,
    /// Its picture.
    #[serde(skip)]
    pub picture: Vec<Block>,
}

impl DemoListSummary {
    /// Returns every technique.
    pub fn all() -> Self {
        let entry = |demo: &Demo| DemoEntry {
            name: demo.name.into(),
            summary: demo.summary.into(),
            source: demo.source.into(),
        };
        Self { demos: DEMOS.iter().map(entry).collect() }
    }
}

impl Summary for DemoListSummary {
    const COMMAND: &'static str = "demo";

    fn page(&self) -> Page {
        let row = |demo: &DemoEntry| {
            Row::new(vec![
                Cell::toned(&demo.name, Tone::Name),
                Cell::text(&demo.summary),
                Cell::toned(&demo.source, Tone::Quiet),
            ])
        };
        let columns =
            vec![Column::text("name"), Column::text("identity"), Column::text("source").optional(1)];
        let mut page = Page::default();
        page.table(Table { name: "demos", columns, rows: self.demos.iter().map(row).collect() });
        page
    }
}

impl DemoSummary {
    /// The summary of techniques, the figures of their runs, and their pictures.
    pub fn of(runs: Vec<(&Demo, Vec<Fact>, Vec<Block>)>) -> Self {
        let ok = runs.iter().all(|(_, facts, _)| facts.iter().all(|fact| fact.ok));
        let run = |(demo, facts, picture): (&Demo, Vec<Fact>, Vec<Block>)| DemoRun {
            name: demo.name.into(),
            summary: demo.summary.into(),
            facts,
            see_also: demo.see_also.iter().map(|&call| call.to_owned()).collect(),
            picture,
        };
        Self { demos: runs.into_iter().map(run).collect(), ok }
    }
}

impl Summary for DemoSummary {
    const COMMAND: &'static str = "demo";

    fn page(&self) -> Page {
        let mut page = Page::default();
        for demo in &self.demos {
            page.title_with(&demo.name, &demo.summary);
            page.blocks.extend(demo.picture.iter().cloned());
            let columns = vec![
                Column::text("").key("figure"),
                Column::text("expected"),
                Column::text("found"),
                Column::text("").key("verdict"),
            ];
            page.table(Table { name: "facts", columns, rows: demo.facts.iter().map(row).collect() });
            let line = |call: &String| {
                vec![StyledText::new("see also  ", Tone::Quiet), StyledText::new(call, Tone::Name)]
            };
            page.push(Block::Drawing(demo.see_also.iter().map(line).collect()));
        }
        page.note("Run in f64 by the definition of each layer, on seeded tensors.");
        page
    }

    fn passed(&self) -> bool {
        self.ok
    }
}

fn row(fact: &Fact) -> Row {
    let verdict = if fact.ok { Cell::toned("holds", Tone::Good) } else { Cell::toned("WRONG", Tone::Bad) };
    Row::new(vec![Cell::text(&fact.what), Cell::figure(&fact.expected), Cell::figure(&fact.found), verdict])
}
