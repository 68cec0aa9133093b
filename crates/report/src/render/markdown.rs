//! A page as GitHub-flavoured Markdown, for pull requests.

use std::fmt::Write as _;

use crate::render::{findings, heatmap, mermaid, value};
use crate::{Block, Page, StyledText, Table};

/// Formats `page` as Markdown.
pub fn render(page: &Page) -> String {
    let blocks = page.blocks.iter().map(|block| match block {
        Block::Title(text, None) => format!("### {}\n", escape(text)),
        Block::Title(text, Some(remark)) => format!("### {}\n\n{}\n", escape(text), escape(remark)),
        Block::Table(table) => draw(table),
        Block::Facts(facts) => facts.iter().fold(String::new(), |mut out, fact| {
            let remark = fact.remark.as_ref().map(|text| format!(" ({})", escape(text))).unwrap_or_default();
            let value = escape(&value::readable(&fact.value.value));
            let _ = writeln!(out, "- {}: **{value}**{remark}", escape(&fact.name));
            out
        }),
        Block::Text(spans) => format!("{}\n", escape(&plain(spans))),
        Block::Drawing(lines) => fenced(lines),
        Block::Network(network) => format!("```mermaid\n{}```\n", mermaid::render(network)),
        Block::Map(map) => fenced(&heatmap::layout(map, MAP_WIDTH)),
        Block::Findings(list) if list.items.is_empty() => format!("{}\n", escape(&list.sentence())),
        Block::Findings(list) => format!("{}\n{}\n", draw(&findings::table(list)), escape(&list.sentence())),
        Block::Note(text) => format!("<sub>{}</sub>\n", escape(text)),
    });
    blocks.collect::<Vec<_>>().join("\n")
}

/// Columns of a map in a code block, which fit into a pull request's conversation.
const MAP_WIDTH: usize = 100;

fn fenced(lines: &[Vec<StyledText>]) -> String {
    let body: Vec<String> = lines.iter().map(|line| plain(line).trim_end().to_owned()).collect();
    let body = body.join("\n");
    // A fence is longer than any inside.
    let mut fence = "```".to_owned();
    while body.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}text\n{body}\n{fence}\n")
}

fn plain(spans: &[StyledText]) -> String {
    spans.iter().map(|span| span.text.as_str()).collect()
}

fn draw(table: &Table) -> String {
    let mut out = String::new();
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    out += &row(table.columns.iter().map(|column| escape(&column.title)).collect());
    out += &row(table.columns.iter().map(|c| String::from(if c.right { "---:" } else { "---" })).collect());
    for line in &table.rows {
        let cells = line.cells.iter().map(|cell| escape(value::readable(&cell.value).trim_start()));
        out += &row(cells
            .map(|text| if line.summary && !text.is_empty() { format!("**{text}**") } else { text })
            .collect());
    }
    out
}

/// Escapes characters that would start Markdown or HTML inside a cell.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '<' | '[' | ']' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push(' '),
            _ => out.push(c),
        }
    }
    out
}
