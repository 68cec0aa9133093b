//! Tables as comma-separated values (RFC 4180): exact numbers, one header line, no totals.

use crate::render::{findings, safe, value};
use crate::{Block, Page, Table};

/// Formats every table of `page`, separated by an empty line.
pub fn render(page: &Page) -> String {
    let tables = page.blocks.iter().filter_map(|block| match block {
        Block::Table(table) => Some(draw(table)),
        Block::Findings(list) => Some(draw(&findings::table(list))),
        Block::Network(network) => Some(draw(&network.table())),
        Block::Facts(facts) => Some(facts.iter().fold(String::from("name,value\n"), |out, fact| {
            out + &line([fact.name.clone(), value::exact(&fact.value.value)].into_iter())
        })),
        _ => None,
    });
    tables.collect::<Vec<_>>().join("\n")
}

fn draw(table: &Table) -> String {
    let mut out = line(table.columns.iter().map(|column| column.title.clone()));
    for row in table.rows.iter().filter(|row| !row.summary) {
        out += &line(row.cells.iter().map(|cell| value::exact(&cell.value)));
    }
    out
}

fn line(fields: impl Iterator<Item = String>) -> String {
    let mut out = fields.map(|field| quote(&field)).collect::<Vec<_>>().join(",");
    out.push('\n');
    out
}

fn quote(field: &str) -> String {
    let field: &str = &safe::cell(field);
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
