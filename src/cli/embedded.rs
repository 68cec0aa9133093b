//! The program inside another one: the Python package calls commands with models that are in its memory.

use std::collections::HashMap;
use std::ffi::OsString;

use clap::FromArgMatches as _;

pub use super::framework::{Array, Output, Reference};
pub use super::objects::{Importer, Request};
use super::output::explain;
use super::{Cli, commands, framework, memory, objects};
use cnnkit_report::render::{self, Canvas, Format};

/// What a command reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The report as JSON.
    pub json: String,
    /// The report as the terminal shows it.
    pub text: String,
    /// The report as Markdown.
    pub markdown: String,
    /// Whether the command's own check passed.
    pub ok: bool,
    /// Whether a figure is partial because something was not analysed.
    pub partial: bool,
}

/// Runs the program as [`super::main`] does; `importer` imports the networks of Python that the arguments name.
pub fn program(arguments: impl IntoIterator<Item = OsString>, importer: Importer) -> u8 {
    objects::set_importer(importer);
    super::main(arguments)
}

/// Forgets the models at the end of a call, whatever ends it.
struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        memory::set(HashMap::new());
        framework::set_reference(None);
    }
}

/// Runs a command, whose SPEC arguments may be names of `models`. `width` is the number of columns of the text; `verify`
/// compares with `reference`.
///
/// # Errors
/// What the program would print on standard error.
pub fn call(
    arguments: &[String],
    models: impl IntoIterator<Item = (String, Vec<u8>)>,
    reference: Option<Reference>,
    width: usize,
) -> Result<Called, String> {
    let _forget = Forget;
    framework::set_reference(reference);
    memory::set(models.into_iter().collect());
    let words = std::iter::once("cnnkit").chain(arguments.iter().map(String::as_str));
    let matches = commands::command().try_get_matches_from(words).map_err(|error| error.to_string())?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.to_string())?;
    let canvas = Canvas { width: width.clamp(40, 400), color: false, tables: true };
    let report = super::run(cli.command).map_err(|failure| explain(&failure, canvas))?;
    Ok(Called {
        json: render::render(&report, Format::Json, canvas),
        text: render::render(&report, Format::Table, canvas),
        markdown: render::render(&report, Format::Markdown, canvas),
        ok: report.ok,
        partial: report.partial,
    })
}
