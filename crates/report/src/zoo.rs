//! `cnnkit zoo`: the built-in specs.

use schemars::JsonSchema;
use serde::Serialize;

use crate::summary::Summary;
use crate::{Cell, Column, Page, Row, Table, Tone};

/// Folders of built-in specs, with their titles.
const FOLDERS: [(&str, &str); 2] = [("techniques", "Techniques"), ("zoo", "Networks")];

/// The list of `cnnkit zoo`: every built-in spec.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ZooSummary {
    /// The specs, by folder and name.
    pub specs: Vec<ZooEntry>,
}

/// A built-in spec.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ZooEntry {
    /// Its name: `zoo:NAME` works wherever a SPEC does.
    pub name: String,
    /// Its folder below `specs`.
    pub folder: String,
    /// Its description; empty if it has none.
    pub description: String,
}

/// What `cnnkit zoo show NAME` prints.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ZooShowSummary {
    /// Its path in the sources of cnnkit.
    pub file: String,
    /// Its text.
    pub yaml: String,
}

impl Summary for ZooSummary {
    const COMMAND: &'static str = "zoo";

    fn page(&self) -> Page {
        let mut page = Page::default();
        for (folder, title) in FOLDERS {
            let rows = self.specs.iter().filter(|spec| spec.folder == folder).map(|spec| {
                Row::new(vec![Cell::toned(&spec.name, Tone::Name), Cell::text(&spec.description)])
            });
            let rows: Vec<Row> = rows.collect();
            if !rows.is_empty() {
                let columns = vec![Column::text("name"), Column::text("what it is")];
                page.title_with(title, format!("specs/{folder}")).table(Table {
                    name: "specs",
                    columns,
                    rows,
                });
            }
        }
        page.note("`zoo:NAME` works wherever a SPEC does; `cnnkit zoo show NAME` prints the YAML");
        page
    }
}

impl Summary for ZooShowSummary {
    const COMMAND: &'static str = "zoo show";

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.source(&self.yaml);
        page
    }
}
