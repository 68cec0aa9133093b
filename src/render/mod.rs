//! Bytes from a [`Report`](crate::report::Report): the only code that formats numbers and text.

pub mod csv;
pub mod diagnostics;
pub mod heatmap;
pub mod markdown;
pub mod number;
pub mod plot;
pub mod terminal;

use crate::report::Report;

/// The shape of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Tables for people.
    #[default]
    Table,
    /// One JSON object; integers are exact.
    Json,
    /// The tables as comma-separated values; integers are exact.
    Csv,
    /// The tables as Markdown, for a pull request.
    Markdown,
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
        Format::Table => terminal::render(&report.page, canvas),
        Format::Json => json(&report.json),
        Format::Csv => csv::render(&report.page),
        Format::Markdown => markdown::render(&report.page),
    }
}

/// Pretty JSON with a final newline.
pub fn json(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
