//! A table as comma-separated values (RFC 4180): exact numbers, an empty field for what is missing, one header line
//! with unique names, no totals. A file holds one table, the first of the page.

use crate::Page;
use crate::render::{data, safe, value};

/// Formats the first table of `page`; nothing if it has none.
pub fn render(page: &Page) -> String {
    let Some(table) = data::tables(page).into_iter().next() else { return String::new() };
    let mut out = line(table.headers.into_iter());
    for row in &table.rows {
        out += &line(row.iter().map(|cell| value::exact(&cell.value)));
    }
    out
}

fn line(fields: impl Iterator<Item = String>) -> String {
    let mut out = fields.map(|field| quote(&field)).collect::<Vec<_>>().join(",");
    // A line of one empty field would be taken for no line at all.
    if out.is_empty() {
        out.push_str("\"\"");
    }
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
