//! `cnnkit zoo`

use clap::Subcommand;
use serde::Serialize;

use crate::cli::load::zoo_path;
use crate::cli::{Failure, envelope_of};
use cnnkit::zoo::Zoo;
use cnnkit_report::render::Format;
use cnnkit_report::{Cell, Column, Page, Report, Row, Table, Tone};

/// List the built-in networks, or print one
///
/// `zoo:NAME` works wherever a SPEC does.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the YAML of a built-in spec
    Show {
        /// Its name, as `cnnkit zoo` lists it
        name: String,
    },
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    folder: &'static str,
    description: String,
}

impl Args {
    /// What it can be written as.
    pub fn formats(&self) -> (&'static str, &'static [Format]) {
        match self.command {
            None => ("zoo", Format::TABLES),
            Some(Command::Show { .. }) => ("zoo show", Format::TEXT_OR_JSON),
        }
    }
}

pub fn run(args: Args) -> Result<Report, Failure> {
    match args.command {
        None => Ok(list()),
        Some(Command::Show { name }) => show(name.strip_prefix("zoo:").unwrap_or(&name)),
    }
}

fn list() -> Report {
    let entries: Vec<Entry> = Zoo::names()
        .into_iter()
        .map(|(folder, name)| Entry { name, folder, description: Zoo::description(name) })
        .collect();
    let mut page = Page::default();
    for (folder, title) in [("techniques", "Techniques"), ("zoo", "Networks")] {
        let rows = entries
            .iter()
            .filter(|entry| entry.folder == folder)
            .map(|entry| Row::new(vec![Cell::toned(entry.name, Tone::Name), Cell::text(&entry.description)]));
        let rows: Vec<Row> = rows.collect();
        if !rows.is_empty() {
            let columns = vec![Column { shrink: false, ..Column::text("name") }, Column::text("what it is")];
            page.title_with(title, format!("specs/{folder}")).table(Table { columns, rows });
        }
    }
    page.note("zoo:NAME stands wherever a SPEC does; `cnnkit zoo show NAME` prints the YAML");
    Report { page, json: envelope_of("zoo", &serde_json::json!({ "specs": entries })), ok: true }
}

fn show(name: &str) -> Result<Report, Failure> {
    let path = zoo_path(name)?;
    let text = Zoo::text(name).unwrap_or_default();
    let mut page = Page::default();
    page.source(text);
    let mut json =
        envelope_of("zoo show", &serde_json::json!({ "file": format!("specs/{path}"), "yaml": text }));
    json["spec"] = serde_json::json!({ "name": name, "path": format!("zoo:{name}") });
    Ok(Report { page, json, ok: true })
}
