//! The count of another tool for a network, compared with our MACs, and the kinds of layers that differ.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Block, Cell, Column, Fact, Page, Row, Scale, Table, Value};
use cnnkit_core::analysis::convention::Convention;
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node};

/// Another tool's count.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConventionSummary {
    /// Name of the tool whose convention it is.
    pub name: &'static str,
    /// What the tool counts.
    pub unit: &'static str,
    /// The tool's count for the network, in `unit`.
    pub total: u64,
    /// The tool's count for every node.
    pub layers: Vec<ConventionLayer>,
    /// The network's name.
    #[serde(skip)]
    pub network: String,
    /// Our MACs.
    #[serde(skip)]
    pub ours: u64,
    /// Kinds of layers that the two count differently: the kind, our MACs and the tool's figure.
    #[serde(skip)]
    pub differences: Vec<(&'static str, u64, u64)>,
}

/// Another tool's count for one node.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConventionLayer {
    /// The node's id.
    pub id: String,
    /// The tool's count.
    pub count: u64,
}

/// Computes another tool's count for the network, and the kinds of layers that differ from our MACs.
pub fn summary(graph: &Graph, convention: Convention, batch: u64) -> Result<ConventionSummary, Problem> {
    let times = |count: u64| count.saturating_mul(batch);
    let layer = |node: &Node| {
        Ok(ConventionLayer { id: node.id.clone(), count: times(convention.count(graph, node)?) })
    };
    let differences = convention.differences(graph)?;
    Ok(ConventionSummary {
        name: convention.name(),
        unit: convention.unit(),
        total: times(convention.total(graph)?),
        layers: graph.nodes().iter().map(layer).collect::<Result<_, Problem>>()?,
        network: graph.name().to_owned(),
        ours: times(totals::of_graph(graph).macs),
        differences: differences
            .into_iter()
            .map(|(kind, ours, theirs)| (kind, times(ours), times(theirs)))
            .collect(),
    })
}

impl ConventionSummary {
    /// Appends the comparison for people.
    pub fn explain(&self, page: &mut Page) {
        page.title_with(format!("{} as {} counts it", self.network, self.name), self.unit);
        let relative = (self.total as f64 - self.ours as f64) / self.ours.max(1) as f64 * 100.0;
        page.push(Block::Facts(vec![
            Fact::new(self.name, Value::Count(self.total)).remark(format!("{relative:+.2} % of our MACs")),
            Fact::new("cnnkit MACs", Value::Count(self.ours)),
        ]));
        if self.differences.is_empty() {
            return;
        }
        let mut table = Table {
            name: "convention",
            columns: vec![
                Column::text("kind"),
                Column::number("our MACs"),
                Column::number(self.name),
                Column::number("difference"),
            ],
            rows: vec![],
        };
        for &(kind, ours, theirs) in &self.differences {
            table.rows.push(Row::new(vec![
                Cell::text(kind),
                Cell::count(ours),
                Cell::count(theirs),
                Value::Change(i128::from(theirs) - i128::from(ours), Scale::Count).into(),
            ]));
        }
        page.table(table);
    }
}
