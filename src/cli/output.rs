//! Where a report goes: the terminal, files, in which format and with which colours.

use std::io::{IsTerminal as _, Write as _};

use clap::{Args, ColorChoice, ValueEnum as _};

use crate::cli::Failure;
use crate::cli::export_target::Target;
use cnnkit_formats::arrays;
use cnnkit_report::Report;
use cnnkit_report::render::{self, Canvas, Format, diagnostics};

/// Output options, common to all commands.
#[derive(Debug, Args)]
pub struct Output {
    /// Output format
    #[arg(long, value_enum, default_value_t, global = true, value_name = "FORMAT", help_heading = "Output")]
    format: Format,
    /// Write to FILE instead of the terminal
    #[arg(short = 'o', global = true, value_name = "FILE", help_heading = "Output")]
    file: Option<String>,
    /// Write FORMAT to FILE as well; may be given several times
    #[arg(long = "output", global = true, value_name = "FORMAT=FILE", value_parser = format_and_file, help_heading = "Output")]
    outputs: Vec<(Format, String)>,
    /// When to use colours (NO_COLOR is respected)
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        global = true,
        value_name = "WHEN",
        help_heading = "Output"
    )]
    color: ColorChoice,
    /// Print nothing but errors; the exit status says the rest
    #[arg(short, long, global = true, help_heading = "Output")]
    quiet: bool,
    /// Exit with 0 even if a check failed
    #[arg(long, global = true, help_heading = "Output")]
    pub exit_zero: bool,
}

fn format_and_file(text: &str) -> Result<(Format, String), String> {
    let (format, file) = text.split_once('=').ok_or("expected FORMAT=FILE, for example json=report.json")?;
    if file.is_empty() {
        return Err("the file name after `=` is empty".into());
    }
    Ok((Format::from_str(format, false)?, file.to_owned()))
}

impl Output {
    /// Whether every format asked for is one of `known`, so that a wrong one costs no work.
    pub fn check(&self, command: &str, known: &[Format]) -> Result<(), Failure> {
        let asked = std::iter::once(self.format).chain(self.outputs.iter().map(|(format, _)| *format));
        match asked.into_iter().find(|format| !known.contains(format)) {
            None => Ok(()),
            Some(format) => {
                let names: Vec<&str> = known.iter().map(|format| format.name()).collect();
                Err(Failure::usage(
                    format!("`cnnkit {command}` cannot be written as {}", format.name()),
                    format!("its formats are {}", names.join(", ")),
                ))
            }
        }
    }

    /// The `-o` option, for a command that writes several files.
    pub fn take_file(&mut self) -> Option<String> {
        self.file.take()
    }

    /// What `export` writes and where to; its report goes to the terminal.
    pub fn take_target(&mut self) -> Target {
        Target { format: std::mem::take(&mut self.format), file: self.file.take() }
    }

    /// The file of `-o`, if its name says that it is for tensors.
    pub fn take_tensors(&mut self) -> Option<String> {
        self.file.take_if(|file| arrays::is(file, "npy") || arrays::is(file, "npz"))
    }

    /// Prints `report` and writes the files that were asked for.
    pub fn write(&self, report: &Report) -> Result<(), Failure> {
        for (format, file) in &self.outputs {
            save(file, &render::render(report, *format, FILE_CANVAS))?;
        }
        if let Some(file) = &self.file {
            return save(file, &render::render(report, self.format, FILE_CANVAS));
        }
        if self.quiet {
            return Ok(());
        }
        let canvas = Canvas { width: width(), color: self.color(std::io::stdout().is_terminal()) };
        let text = render::render(report, self.format, canvas);
        let mut stdout = std::io::stdout().lock();
        // A closed pipe (`cnnkit ... | head`) is the reader's choice, not an error.
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        Ok(())
    }

    /// Prints why the command could not run; returns exit status 2.
    pub fn fail(&self, failure: &Failure) -> u8 {
        let canvas = Canvas { width: width(), color: self.color(std::io::stderr().is_terminal()) };
        let _ = std::io::stderr().lock().write_all(explain(failure, canvas).as_bytes());
        2
    }

    fn color(&self, terminal: bool) -> bool {
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
            }
        }
    }
}

pub(super) fn explain(failure: &Failure, canvas: Canvas) -> String {
    match failure {
        Failure::Diagnostics(sources, list) => {
            let mut text = diagnostics::render(list, sources, canvas);
            if list.len() > 1 {
                text += &format!("error: {} errors\n", list.len());
            }
            text
        }
        Failure::Usage(message, help) => diagnostics::plain(message, help.as_slice(), canvas),
        Failure::Several(failures) => failures.iter().map(|failure| explain(failure, canvas)).collect(),
    }
}

const FILE_CANVAS: Canvas = Canvas { width: 120, color: false };

/// The width of the terminal; `COLUMNS` or 100 where there is none.
fn width() -> usize {
    let terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let variable = || std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    terminal.or_else(variable).unwrap_or(100).clamp(40, 400)
}

pub(super) fn save(file: &str, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|error| {
        Failure::usage(format!("cannot write `{file}`: {error}"), "check the folder and its permissions")
    })
}
