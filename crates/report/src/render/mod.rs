//! Bytes from a [`Report`]: the only code that formats numbers and text.

pub mod csv;
pub mod diagnostics;
pub mod dot;
pub mod findings;
pub mod heatmap;
pub mod lanes;
pub mod markdown;
pub mod mermaid;
pub mod plot;
pub mod terminal;
mod tree;
pub mod value;

use crate::findings::Findings;
use crate::network::Network;
use crate::{Block, Report};

/// The shape of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Format {
    /// Tables for people.
    #[default]
    #[cfg_attr(feature = "clap", value(aliases = ["text", "full"]))]
    Table,
    /// One JSON object; integers are exact.
    Json,
    /// The tables as comma-separated values; integers are exact.
    Csv,
    /// The tables as Markdown, for a pull request.
    Markdown,
    /// The layer graph for Graphviz (`graph` only).
    Dot,
    /// The layer graph as a Mermaid flowchart (`graph` only).
    Mermaid,
    /// One line a finding (`check` only).
    Concise,
    /// One JSON object a line and finding (`check` only).
    Jsonl,
    /// SARIF 2.1.0, for code scanning (`check` only).
    Sarif,
    /// Annotations of a GitHub workflow (`check` only).
    Github,
    /// GitLab's code quality report (`check` only).
    Gitlab,
    /// JUnit XML (`check` only).
    Junit,
    /// An ONNX model (`export` only).
    Onnx,
    /// A Python file with an `nn.Module` (`export` only).
    Pytorch,
}

impl Format {
    /// What every command with tables can be written as.
    pub const TABLES: &[Self] = &[Self::Table, Self::Json, Self::Csv, Self::Markdown];
    /// What a layer graph can be written as.
    pub const GRAPH: &[Self] =
        &[Self::Table, Self::Json, Self::Csv, Self::Markdown, Self::Dot, Self::Mermaid];
    /// What findings can be written as.
    pub const FINDINGS: &[Self] = &[
        Self::Table,
        Self::Concise,
        Self::Json,
        Self::Jsonl,
        Self::Csv,
        Self::Markdown,
        Self::Sarif,
        Self::Github,
        Self::Gitlab,
        Self::Junit,
    ];
    /// What a network can be exported as; the file's ending says it too.
    pub const EXPORT: &[Self] = &[Self::Onnx, Self::Pytorch, Self::Table];
    /// What a text with a JSON form can be written as.
    pub const TEXT_OR_JSON: &[Self] = &[Self::Table, Self::Json];
    /// What a plain text can be written as.
    pub const TEXT: &[Self] = &[Self::Table];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Markdown => "markdown",
            Self::Dot => "dot",
            Self::Mermaid => "mermaid",
            Self::Concise => "concise",
            Self::Jsonl => "jsonl",
            Self::Sarif => "sarif",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Junit => "junit",
            Self::Onnx => "onnx",
            Self::Pytorch => "pytorch",
        }
    }
}

/// What the terminal (or file) can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// Columns.
    pub width: usize,
    /// Whether ANSI colours are wanted.
    pub color: bool,
}

/// `report` in `format`; colour and width only matter to [`Format::Table`].
pub fn render(report: &Report, format: Format, canvas: Canvas) -> String {
    match format {
        // An exported file is text that is shown as it is.
        Format::Table | Format::Onnx | Format::Pytorch => terminal::render(&report.page, canvas),
        Format::Json => json(&report.json),
        Format::Csv => csv::render(&report.page),
        Format::Markdown => markdown::render(&report.page),
        Format::Dot => networks(report, dot::render),
        Format::Mermaid => networks(report, mermaid::render),
        Format::Concise => found(report, &|list| findings::concise(list, canvas)),
        Format::Jsonl => found(report, &findings::jsonl),
        Format::Sarif => found(report, &findings::sarif),
        Format::Github => found(report, &findings::github),
        Format::Gitlab => found(report, &findings::gitlab),
        Format::Junit => found(report, &findings::junit),
    }
}

/// Pretty JSON with a final newline.
pub fn json(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// The findings of `report`, written by `draw`.
fn found(report: &Report, draw: &dyn Fn(&Findings) -> String) -> String {
    let lists = report.page.blocks.iter().filter_map(|block| match block {
        Block::Findings(list) => Some(draw(list)),
        _ => None,
    });
    lists.collect()
}

/// Every layer graph of `report`, drawn by `draw`.
fn networks(report: &Report, draw: fn(&Network) -> String) -> String {
    let graphs = report.page.blocks.iter().filter_map(|block| match block {
        Block::Network(network) => Some(draw(network)),
        _ => None,
    });
    graphs.collect::<Vec<_>>().join("\n")
}
