//! The tables of a page as programs read them: one per name, with one header for each column.

use std::borrow::Cow;

use crate::render::findings;
use crate::{Block, Cell, Column, Fact, Page, Report, Row, Table};
use cnnkit_core::diagnostic::{Code, Problem};

/// The name of the table of a page's figures.
const FIGURES: &str = "figures";

/// A table for programs.
#[derive(Debug, Clone)]
pub struct Data {
    /// Its name.
    pub name: &'static str,
    /// The headers, no two of them equal, and none empty.
    pub headers: Vec<String>,
    /// The rows, sums and headings left out; a cell for each header.
    pub rows: Vec<Vec<Cell>>,
}

/// A table of the page, and where it stands.
struct Part<'a> {
    network: Option<&'a str>,
    section: &'a str,
    table: Cow<'a, Table>,
}

/// Returns the tables of `page` in the order in which their names first occur. Tables of one name are joined: a column
/// `spec` says which network a row is of if the call has several, a column `section` which part of the page if there are
/// several.
pub fn tables(page: &Page) -> Vec<Data> {
    let parts = parts(page);
    let mut names: Vec<&'static str> = Vec::new();
    for part in &parts {
        if !names.contains(&part.table.name) {
            names.push(part.table.name);
        }
    }
    let of = |name: &'static str| parts.iter().filter(move |part| part.table.name == name);
    names
        .into_iter()
        .map(|name| join(name, &of(name).collect::<Vec<_>>(), !page.networks.is_empty()))
        .collect()
}

/// Returns the report with nothing but the tables `name` on its page.
///
/// # Errors
/// If there is none: with the names that there are.
pub fn only(report: &Report, name: &str) -> Result<Report, Problem> {
    let mut page = Page::default();
    let mut title = None;
    let mut networks = report.page.networks.iter().peekable();
    for (index, block) in report.page.blocks.iter().enumerate() {
        while let Some((_, network)) = networks.next_if(|(start, _)| *start <= index) {
            page.networks.push((page.blocks.len(), network.clone()));
        }
        match block {
            Block::Title(..) => title = Some(block),
            _ if table(block).is_some_and(|table| table.name == name) => {
                page.blocks.extend(title.take().cloned());
                // A table that people read in another form is drawn if it is asked for by its name.
                page.blocks.push(match block {
                    Block::Data(table) => Block::Table(table.clone()),
                    _ => block.clone(),
                });
            }
            _ => {}
        }
    }
    if page.blocks.is_empty() {
        let known = tables(&report.page);
        let names: Vec<&str> = known.iter().map(|table| table.name).collect();
        let help = match names.as_slice() {
            [] => "this output has no table".to_owned(),
            names => format!("its tables are {}", names.join(", ")),
        };
        return Err(
            Problem::new(Code::UnknownName, format!("there is no table `{name}` in this output")).help(help)
        );
    }
    Ok(Report { page, ..report.clone() })
}

fn parts(page: &Page) -> Vec<Part<'_>> {
    let mut section = "";
    let mut parts = Vec::new();
    for (index, block) in page.blocks.iter().enumerate() {
        if let Block::Title(text, _) = block {
            section = text;
        }
        if let Some(table) = table(block) {
            let network = page.networks.iter().rfind(|(start, _)| *start <= index);
            parts.push(Part { network: network.map(|(_, name)| name.as_str()), section, table });
        }
    }
    parts
}

fn table(block: &Block) -> Option<Cow<'_, Table>> {
    match block {
        Block::Table(table) | Block::Data(table) => Some(Cow::Borrowed(table)),
        Block::Findings(list) => Some(Cow::Owned(findings::table(list))),
        Block::Network(network) => Some(Cow::Owned(network.table())),
        Block::Facts(facts) => Some(Cow::Owned(figures(facts))),
        _ => None,
    }
}

/// One row of named figures.
fn figures(facts: &[Fact]) -> Table {
    Table {
        name: FIGURES,
        columns: facts.iter().map(|fact| Column::number(&fact.name)).collect(),
        rows: vec![Row::new(facts.iter().map(|fact| fact.value.clone()).collect())],
    }
}

/// The headers of a table: its columns' own, and where these are empty or not unique, a number.
fn headers(table: &Table) -> Vec<String> {
    let mut headers: Vec<String> = Vec::new();
    for (i, column) in table.columns.iter().enumerate() {
        let own = column.key.unwrap_or(column.title.trim());
        let first = if own.is_empty() { format!("column {}", i + 1) } else { own.to_owned() };
        let mut header = first.clone();
        let mut count = 1;
        while headers.contains(&header) {
            count += 1;
            header = format!("{first} {count}");
        }
        headers.push(header);
    }
    headers
}

fn join(name: &'static str, parts: &[&Part<'_>], networks: bool) -> Data {
    let repeated = parts
        .iter()
        .enumerate()
        .any(|(i, part)| parts[..i].iter().any(|other| other.network == part.network));
    let mut names: Vec<String> = Vec::new();
    names.extend(networks.then(|| "spec".to_owned()));
    names.extend(repeated.then(|| "section".to_owned()));
    let fixed = names.len();
    for part in parts {
        for header in headers(&part.table) {
            // A column of the table itself may have such a name.
            let header = if names[..fixed].contains(&header) { format!("{header} ") + name } else { header };
            if !names[fixed..].contains(&header) {
                names.push(header);
            }
        }
    }
    let mut rows = Vec::new();
    for part in parts {
        let places: Vec<Option<usize>> = headers(&part.table)
            .into_iter()
            .map(|header| {
                let header =
                    if names[..fixed].contains(&header) { format!("{header} ") + name } else { header };
                names.iter().position(|name| *name == header)
            })
            .collect();
        for row in part.table.rows.iter().filter(|row| !row.summary) {
            let mut cells = vec![Cell::default(); names.len()];
            let leading =
                [networks.then(|| part.network.unwrap_or_default()), repeated.then_some(part.section)];
            for (cell, text) in cells.iter_mut().zip(leading.into_iter().flatten()) {
                *cell = Cell::text(text);
            }
            for (cell, place) in row.cells.iter().zip(&places) {
                if let Some(slot) = place.and_then(|place| cells.get_mut(place)) {
                    *slot = cell.clone();
                }
            }
            rows.push(cells);
        }
    }
    Data { name, headers: names, rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[Column], cells: &[Cell]) -> Table {
        Table { name: "t", columns: columns.to_vec(), rows: vec![Row::new(cells.to_vec())] }
    }

    #[test]
    fn headers_are_unique_and_never_empty() {
        let titles = ["ratio", "ratio", "", "ratio 2"].map(Column::text);
        assert_eq!(headers(&table(&titles, &[])), ["ratio", "ratio 2", "column 3", "ratio 2 2"]);
        assert_eq!(headers(&table(&[Column::text("").key("verdict")], &[])), ["verdict"]);
    }

    #[test]
    fn tables_of_one_name_are_joined_and_told_apart() {
        let mut page = Page::default();
        page.title("first").table(table(&[Column::number("a")], &[Cell::count(1)]));
        page.title("second").table(table(&[Column::number("b")], &[Cell::count(2)]));
        page.networks = vec![(0, "x.yaml".into())];
        let [data] = tables(&page).try_into().expect("one table");
        assert_eq!(data.headers, ["spec", "section", "a", "b"]);
        let texts = |row: &[Cell]| {
            row.iter().map(|cell| crate::render::value::exact(&cell.value)).collect::<Vec<_>>()
        };
        assert_eq!(texts(&data.rows[0]), ["x.yaml", "first", "1", ""]);
        assert_eq!(texts(&data.rows[1]), ["x.yaml", "second", "", "2"]);
    }

    #[test]
    fn a_table_that_is_not_there_names_those_that_are() {
        let mut page = Page::default();
        page.table(table(&[Column::number("a")], &[Cell::count(1)]));
        let report = Report::text(page);
        assert_eq!(only(&report, "t").expect("a table").page.blocks.len(), 1);
        let problem = only(&report, "layers").expect_err("no table");
        assert_eq!(problem.help.as_deref(), Some("its tables are t"));
    }
}
