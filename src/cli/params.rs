//! `cnnkit params`

use crate::cli::Failure;
use crate::cli::load::SpecArgs;
use crate::report::{Cell, Column, Page, Report, Row, Table};

/// Count parameters, MACs and memory, layer by layer
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
}

pub fn run(args: Args) -> Result<Report, Failure> {
    let mut page = Page::default();
    for spec in &args.spec.specs {
        let loaded = args.spec.replace.load(spec)?;
        let mut table = Table {
            columns: vec![
                Column::text("id"),
                Column::text("layer"),
                Column::text("output"),
                Column::number("params"),
                Column::number("MACs"),
            ],
            rows: vec![],
        };
        let (mut p, mut m) = (0, 0);
        for node in &loaded.graph.nodes {
            let params: u64 = if node.shares.is_some() {
                0
            } else {
                node.weights
                    .iter()
                    .filter(|w| w.role == crate::layers::WeightRole::Parameter)
                    .map(|w| w.shape.elements().unwrap_or(0))
                    .sum()
            };
            p += params;
            m += node.cost.macs;
            table.rows.push(Row::new(vec![
                Cell::text(&node.id),
                Cell::text(match &node.op {
                    crate::graph::Op::Input => "input".into(),
                    crate::graph::Op::Layer(l) => format!("{} {}", node.op.name(), l.describe()),
                }),
                Cell::text(node.shape.to_string()),
                Cell::count(params),
                Cell::magnitude(node.cost.macs),
            ]));
        }
        table.rows.push(Row::total(vec![
            Cell::text("total"),
            Cell::default(),
            Cell::default(),
            Cell::count(p),
            Cell::count(m),
        ]));
        page.title(&loaded.graph.name).table(table);
    }
    Ok(Report::new(page, &()))
}
