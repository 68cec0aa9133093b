//! What another counter prints for a network, beside our MACs, and which kinds of layers make the difference.

use serde::Serialize;

use super::{Block, Cell, Column, Fact, Page, Row, Table, Value};
use cnnkit_core::analysis::convention::Convention;
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node};
use cnnkit_core::number;

/// What another counter prints for the network, and which kinds of layers make the difference.
pub fn report(graph: &Graph, convention: Convention, batch: u64) -> Result<(Page, ConventionJson), Problem> {
    let times = |count: u64| count.saturating_mul(batch);
    let ours = times(totals::of_graph(graph).macs);
    let total = times(convention.total(graph)?);
    let differences = convention.differences(graph)?;
    let mut page = Page::default();
    page.title_with(format!("{} as {} counts it", graph.name, convention.name()), convention.unit());
    let relative = (total as f64 - ours as f64) / ours.max(1) as f64 * 100.0;
    page.push(Block::Facts(vec![
        Fact::new(convention.name(), Value::Count(total)).remark(format!("{relative:+.2} % of our MACs")),
        Fact::new("cnnkit MACs", Value::Count(ours)),
    ]));
    if !differences.is_empty() {
        let mut table = Table {
            columns: vec![
                Column::text("kind"),
                Column::number("our MACs"),
                Column::number(convention.name()),
                Column::number("difference"),
            ],
            rows: vec![],
        };
        for &(kind, ours, theirs) in &differences {
            let sign = if theirs < ours { "-" } else { "+" };
            table.rows.push(Row::new(vec![
                Cell::text(kind),
                Cell::count(times(ours)),
                Cell::count(times(theirs)),
                Cell::text(format!("{sign}{}", number::grouped(times(theirs.abs_diff(ours))))),
            ]));
        }
        page.table(table);
    }
    let layer = |node: &Node| {
        Ok(ConventionLayerJson { id: node.id.clone(), count: times(convention.count(graph, node)?) })
    };
    let layers = graph.nodes.iter().map(layer).collect::<Result<Vec<_>, Problem>>()?;
    Ok((page, ConventionJson { name: convention.name(), unit: convention.unit(), total, layers }))
}

/// Another counter's figures.
#[derive(Debug, Serialize)]
pub struct ConventionJson {
    name: &'static str,
    unit: &'static str,
    total: u64,
    layers: Vec<ConventionLayerJson>,
}

#[derive(Debug, Serialize)]
struct ConventionLayerJson {
    id: String,
    count: u64,
}
