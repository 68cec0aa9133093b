//! The destination of a report: the terminal and files, with their formats and colours.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

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
    /// Takes `-` for what it stands for elsewhere, and refuses files that one output would take from another.
    pub fn settle(&mut self) -> Result<(), Failure> {
        self.file.take_if(|file| file == "-");
        let mut files: Vec<&String> = self.outputs.iter().map(|(_, file)| file).collect();
        if files.iter().any(|file| *file == "-") {
            let help = "choose its format with `--format`, and write the others to files";
            return Err(Failure::usage("`--output` writes to files", help));
        }
        files.extend(&self.file);
        files.sort_unstable();
        match files.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                let message = format!("two outputs go to `{}`", pair[0]);
                Err(Failure::usage(message, "give each a file of its own"))
            }
            None => Ok(()),
        }
    }

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

    /// Takes the `-o` option, for a command that writes several files.
    pub fn take_file(&mut self) -> Option<String> {
        self.file.take()
    }

    /// Takes the format and the file of an export; its report goes to the terminal.
    pub fn take_target(&mut self) -> Target {
        Target { format: std::mem::take(&mut self.format), file: self.file.take() }
    }

    /// Takes the file of `-o`, if its extension is that of tensors.
    pub fn take_tensors(&mut self) -> Option<String> {
        self.file.take_if(|file| arrays::is(file, "npy") || arrays::is(file, "npz"))
    }

    /// Prints `report` and writes the requested files.
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
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            // A closed pipe (`cnnkit ... | head`) is the reader's choice, not an error.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::usage(
                format!("cannot write to standard output: {error}"),
                "check the space on the disk, or write a file with `-o FILE`",
            )),
            _ => Ok(()),
        }
    }

    /// Prints the reason why the command could not run; returns exit status 2.
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
        Failure::Rejected(rejected) => {
            let mut text = diagnostics::render(&rejected.flaws, &rejected.sources, canvas);
            if rejected.flaws.len() > 1 {
                text += &format!("error: {} errors\n", rejected.flaws.len());
            }
            text
        }
        Failure::Usage(message, help) => diagnostics::plain(message, help.as_slice(), canvas),
        Failure::Several(failures) => failures.iter().map(|failure| explain(failure, canvas)).collect(),
    }
}

const FILE_CANVAS: Canvas = Canvas { width: 120, color: false };

/// Returns the width of the terminal; `COLUMNS` or 100 without a terminal.
fn width() -> usize {
    let terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let variable = || std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    terminal.or_else(variable).unwrap_or(100).clamp(40, 400)
}

/// Replaces the file by `content`, whole or not at all.
pub(super) fn save(file: &str, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    cnnkit_files::replace(Path::new(file), |out| out.write_all(content.as_ref()))
        .map_err(|error| cannot_write(file, &error))
}

/// A file that could not be written.
pub(super) fn cannot_write(file: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("cannot write `{file}`: {error}"), "check the folder and its permissions")
}
