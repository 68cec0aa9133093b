//! The tables of a page as LaTeX, for a paper: `tabular` environments with the rules of the package `booktabs`.

use crate::render::{findings, value};
use crate::{Block, Fact, Page, Row, Table};

/// Formats every table and list of figures of `page`; titles and notes are comments.
pub fn render(page: &Page) -> String {
    let mut out = String::from("% \\usepackage{booktabs}\n");
    for block in &page.blocks {
        match block {
            Block::Title(text, remark) => {
                out += &comment(&[text.as_str(), remark.as_deref().unwrap_or_default()].join("  "));
            }
            Block::Table(table) => out += &tabular(table),
            Block::Findings(list) => out += &tabular(&findings::table(list)),
            Block::Network(network) => out += &tabular(&network.table()),
            Block::Facts(facts) => out += &figures(facts),
            Block::Note(text) => out += &comment(text),
            _ => {}
        }
    }
    out
}

fn comment(text: &str) -> String {
    let lines = text.lines().map(|line| format!("% {}\n", line.trim_end()));
    format!("\n{}", lines.collect::<String>())
}

fn tabular(table: &Table) -> String {
    let kinds: String = table.columns.iter().map(|column| if column.right { 'r' } else { 'l' }).collect();
    let titles: Vec<String> = table.columns.iter().map(|column| escape(column.title.trim())).collect();
    let mut out =
        format!("\\begin{{tabular}}{{{kinds}}}\n  \\toprule\n  {} \\\\\n  \\midrule\n", titles.join(" & "));
    let row = |row: &Row| {
        let text = |i: usize| row.cells.get(i).map(|cell| value::readable(&cell.value)).unwrap_or_default();
        let cells: Vec<String> = (0..table.columns.len()).map(|i| escape(text(i).trim())).collect();
        let rule = if row.rule_above { "  \\midrule\n" } else { "" };
        format!("{rule}  {} \\\\\n", cells.join(" & "))
    };
    out += &table.rows.iter().filter(|row| !row.hidden).map(row).collect::<String>();
    out + "  \\bottomrule\n\\end{tabular}\n"
}

fn figures(facts: &[Fact]) -> String {
    let line = |fact: &Fact| {
        format!("  {} & {} \\\\\n", escape(&fact.name), escape(&value::readable(&fact.value.value)))
    };
    let lines: String = facts.iter().map(line).collect();
    format!("\\begin{{tabular}}{{lr}}\n  \\toprule\n{lines}  \\bottomrule\n\\end{{tabular}}\n")
}

/// Escapes what LaTeX reads as a command, and writes the signs that its fonts may lack as mathematics.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '\\' => out.push_str("\\textbackslash{}"),
            '<' => out.push_str("$<$"),
            '>' => out.push_str("$>$"),
            '|' => out.push_str("$|$"),
            '"' => out.push_str("''"),
            '\n' => out.push(' '),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Column};

    #[test]
    fn a_table_has_the_rules_of_booktabs_and_no_raw_commands() {
        let mut page = Page::default();
        let columns = vec![Column::text("id"), Column::number("% MACs")];
        let rows = vec![
            Row::new(vec![Cell::text("a_b & c"), Cell::share(1, 4)]),
            Row::total(vec![Cell::text("total")]),
        ];
        page.title("net").table(Table { name: "t", columns, rows });
        let lines = [
            "% \\usepackage{booktabs}",
            "",
            "% net",
            "\\begin{tabular}{lr}",
            "  \\toprule",
            "  id & \\% MACs \\\\",
            "  \\midrule",
            "  a\\_b \\& c & 25.0 \\% \\\\",
            "  \\midrule",
            "  total &  \\\\",
            "  \\bottomrule",
            "\\end{tabular}",
        ];
        assert_eq!(render(&page).lines().collect::<Vec<_>>(), lines);
    }
}
