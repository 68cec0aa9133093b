//! Formats a [`Report`] as bytes: the only code that formats numbers and text.

pub mod csv;
pub mod data;
pub mod diagnostics;
pub mod dot;
pub mod findings;
pub mod fit;
pub mod heatmap;
pub mod lanes;
pub mod latex;
pub mod markdown;
pub mod mermaid;
pub mod netron;
pub mod paint;
pub mod safe;
mod table;
pub mod terminal;
mod tree;
pub mod value;

use std::io::{self, Write};

use crate::findings::Findings;
use crate::network::Network;
use crate::{Block, Page, Report};

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Format {
    /// Tables for people.
    #[default]
    #[cfg_attr(feature = "clap", value(aliases = ["text", "txt", "full"]))]
    Table,
    /// One JSON object; integers are exact.
    Json,
    /// A table as comma-separated values, for spreadsheets and pandas; integers are exact.
    Csv,
    /// The tables as Markdown, for a pull request.
    #[cfg_attr(feature = "clap", value(aliases = ["md"]))]
    Markdown,
    /// The tables as LaTeX, for a paper (package booktabs).
    #[cfg_attr(feature = "clap", value(aliases = ["tex"]))]
    Latex,
    /// The layer graph for Graphviz.
    Dot,
    /// The layer graph as a Mermaid flowchart.
    Mermaid,
    /// One line per finding.
    Concise,
    /// One JSON object per line and finding.
    Jsonl,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of a GitHub workflow.
    Github,
    /// GitLab's code quality report.
    Gitlab,
    /// JUnit XML.
    Junit,
    /// An attachment of Netron, which shows the figures of each node.
    Netron,
    /// An ONNX model.
    Onnx,
    /// A Python file with an `nn.Module`.
    Pytorch,
}

impl Format {
    /// Formats of every command with tables.
    pub const TABLES: &[Self] = &[Self::Table, Self::Json, Self::Csv, Self::Markdown, Self::Latex];
    /// Formats of figures of layers.
    pub const LAYERS: &[Self] =
        &[Self::Table, Self::Json, Self::Csv, Self::Markdown, Self::Latex, Self::Netron];
    /// Formats of a layer graph.
    pub const GRAPH: &[Self] =
        &[Self::Table, Self::Json, Self::Csv, Self::Markdown, Self::Latex, Self::Dot, Self::Mermaid];
    /// Formats of findings.
    pub const FINDINGS: &[Self] = &[
        Self::Table,
        Self::Concise,
        Self::Json,
        Self::Jsonl,
        Self::Csv,
        Self::Markdown,
        Self::Latex,
        Self::Sarif,
        Self::Github,
        Self::Gitlab,
        Self::Junit,
    ];
    /// Formats of an export; the file's extension selects one too.
    pub const EXPORT: &[Self] = &[Self::Onnx, Self::Pytorch];
    /// Formats of a text with a JSON form.
    pub const TEXT_OR_JSON: &[Self] = &[Self::Table, Self::Json];
    /// Formats of a plain text.
    pub const TEXT: &[Self] = &[Self::Table];

    /// Returns its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Markdown => "markdown",
            Self::Latex => "latex",
            Self::Dot => "dot",
            Self::Mermaid => "mermaid",
            Self::Concise => "concise",
            Self::Jsonl => "jsonl",
            Self::Sarif => "sarif",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Junit => "junit",
            Self::Netron => "netron",
            Self::Onnx => "onnx",
            Self::Pytorch => "pytorch",
        }
    }
}

/// The capabilities of the terminal (or file).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// Columns.
    pub width: usize,
    /// Whether to use ANSI colours.
    pub color: bool,
    /// Whether tables and graphs are fitted into the columns, as for a terminal; else a row is a line, however long.
    pub tables: bool,
}

/// Writes `report` as `format`; JSON is written piece by piece.
///
/// # Errors
/// If `out` cannot be written.
pub fn write(report: &Report, format: Format, canvas: Canvas, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => report.json.write(out),
        _ => out.write_all(render(report, format, canvas).as_bytes()),
    }
}

/// Formats `report` as `format`; colour and width affect only [`Format::Table`].
pub fn render(report: &Report, format: Format, canvas: Canvas) -> String {
    match format {
        // JSON has escapes of its own, and programs want the text as it is.
        Format::Json => return report.json.text(),
        Format::Netron => return netron::render(&report.json.value()),
        Format::Jsonl => return safe::json(&found(&report.page, &findings::jsonl)).into_owned(),
        Format::Sarif => return found(&report.page, &findings::sarif),
        Format::Gitlab => return found(&report.page, &findings::gitlab),
        _ => {}
    }
    let page = &safe::page(&report.page);
    let text = match format {
        Format::Csv => csv::render(page),
        Format::Markdown => markdown::render(page),
        Format::Latex => latex::render(page),
        Format::Dot => networks(page, dot::render),
        Format::Mermaid => networks(page, mermaid::render),
        Format::Concise => found(page, &|list| findings::concise(list, canvas)),
        // These are commands; what stands in them is escaped.
        Format::Github => return found(page, &findings::github),
        Format::Junit => found(page, &findings::junit),
        // An exported file is shown verbatim.
        _ => terminal::render(page, canvas),
    };
    safe::inert(text)
}

/// Formats pretty JSON with a final newline.
pub fn json(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    safe::json(&text).into_owned()
}

/// Formats the findings of `page` with `draw`.
fn found(page: &Page, draw: &dyn Fn(&Findings) -> String) -> String {
    let lists = page.blocks.iter().filter_map(|block| match block {
        Block::Findings(list) => Some(draw(list)),
        _ => None,
    });
    lists.collect()
}

/// Formats every layer graph of `page` with `draw`.
fn networks(page: &Page, draw: fn(&Network) -> String) -> String {
    let graphs = page.blocks.iter().filter_map(|block| match block {
        Block::Network(network) => Some(draw(network)),
        _ => None,
    });
    graphs.collect::<Vec<_>>().join("\n")
}
