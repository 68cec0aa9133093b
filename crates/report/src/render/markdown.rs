//! A page as GitHub-flavoured Markdown, for pull requests.

use std::fmt::Write as _;

use crate::render::{findings, heatmap, mermaid, value};
use crate::{Block, Page, StyledText, Table};

/// Formats `page` as Markdown.
pub fn render(page: &Page) -> String {
    let drawn = page.blocks.iter().filter(|block| !matches!(block, Block::Data(_)));
    let blocks = drawn.map(|block| match block {
        Block::Title(text, None) => format!("### {}\n", escape(text)),
        Block::Title(text, Some(remark)) => format!("### {}\n\n{}\n", escape(text), escape(remark)),
        Block::Table(table) => draw(table),
        Block::Data(_) => String::new(),
        Block::Facts(facts) | Block::Definitions(facts) => {
            facts.iter().fold(String::new(), |mut out, fact| {
                let remark =
                    fact.remark.as_ref().map(|text| format!(" ({})", escape(text))).unwrap_or_default();
                let value = escape(&value::readable(&fact.value.value));
                let _ = writeln!(out, "- {}: **{value}**{remark}", escape(&fact.name));
                out
            })
        }
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
    for line in table.rows.iter().filter(|row| !row.hidden) {
        let cells = line.cells.iter().map(|cell| escape(value::readable(&cell.value).trim_start()));
        out += &row(cells
            .map(|text| if line.summary && !text.is_empty() { format!("**{text}**") } else { text })
            .collect());
    }
    out
}

/// Escapes characters that would start Markdown or HTML inside a cell; what stands between backticks stays code.
fn escape(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // A name with a tag or a mark of its own could end the code.
    let strange = parts.iter().skip(1).step_by(2).any(|code| code.contains(['<', '\\']));
    if parts.len().is_multiple_of(2) || strange {
        return escape_plain(text);
    }
    let part = |(i, part): (usize, &&str)| match (i % 2, part.is_empty()) {
        (0, _) => escape_plain(part),
        (_, true) => "\\`\\`".to_owned(),
        // A bar ends a cell even inside code.
        (_, false) => format!("`{}`", part.replace('|', "\\|").replace('\n', " ")),
    };
    parts.iter().enumerate().map(part).collect()
}

fn escape_plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().unwrap_or(' ');
        match c {
            // GitHub notifies whom a comment mentions and links what it refers to, a backslash before it or not.
            '@' if next.is_alphanumeric() => out.push_str("@<!-- -->"),
            '#' if next.is_ascii_digit() => out.push_str("#<!-- -->"),
            '|' | '*' | '`' | '<' | '[' | ']' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            // Inside a word an underscore is a letter.
            '_' if !out.ends_with(char::is_alphanumeric) => out.push_str("\\_"),
            '\n' => out.push(' '),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stays_code_and_words_stay_words() {
        assert_eq!(escape("`a_b|c` *x* other_ops _y"), "`a_b\\|c` \\*x\\* other_ops \\_y");
        assert_eq!(escape("one ` alone"), "one \\` alone");
        assert_eq!(escape("`<img>`"), "\\`\\<img>\\`");
        assert_eq!(escape("@org/team closes #12 at 3 # 4"), "@<!-- -->org/team closes #<!-- -->12 at 3 # 4");
    }
}
