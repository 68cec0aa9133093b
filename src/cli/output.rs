//! The destination of a report: the terminal and files, with their formats and colours.

use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::Path;

use clap::{Args, ColorChoice, ValueEnum as _};

use crate::cli::destination::{Asked, Destinations, STDOUT};
use crate::cli::export_target::Target;
use crate::cli::{Failure, errors};
use cnnkit_formats::arrays;
use cnnkit_report::Report;
use cnnkit_report::figure::Picture;
use cnnkit_report::render::{self, Canvas, Format, data, diagnostics};

/// Output options, common to all commands.
#[derive(Debug, Args)]
pub struct Output {
    /// Output format
    #[arg(long, value_enum, global = true, value_name = "FORMAT", help_heading = "Output")]
    format: Option<Format>,
    /// Write to FILE instead of the terminal, in the format that its ending says; `-` is standard output
    #[arg(short = 'o', global = true, value_name = "FILE", help_heading = "Output")]
    file: Option<String>,
    /// With csv, latex, markdown or table: write the table NAME only (the first one, if csv is given no name)
    #[arg(long, global = true, value_name = "NAME", help_heading = "Output")]
    table: Option<String>,
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
    /// Whether the command has a figure, and whether `-o` names its file.
    #[arg(skip)]
    figure: Figure,
}

/// The figure of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Figure {
    /// There is none.
    #[default]
    None,
    /// It may be drawn.
    Possible,
    /// It is drawn instead of the report.
    Drawn,
}

fn format_and_file(text: &str) -> Result<(Format, String), String> {
    let (format, file) = text.split_once('=').ok_or("expected FORMAT=FILE, for example json=report.json")?;
    if file.is_empty() {
        return Err("the file name after `=` is empty".into());
    }
    let format = Format::from_str(format, true).map_err(|_| {
        let known: Vec<&str> = Format::value_variants().iter().map(|format| format.name()).collect();
        format!("there is no format `{format}`; the formats are {}", known.join(", "))
    })?;
    Ok((format, file.to_owned()))
}

impl Output {
    /// What is written where, so that a wrong format or ending costs no work; `known` are the command's formats.
    pub fn destinations(&self, command: &str, known: &[Format]) -> Result<Destinations, Failure> {
        let file = self.file.as_deref();
        let draws = self.figure != Figure::None;
        let asked = Asked { command, format: self.format, file, outputs: &self.outputs, draws };
        let mut found = Destinations::of(&asked, known)?;
        let to_stdout = self.format.is_some() || self.outputs.iter().any(|(_, file)| file == STDOUT);
        if self.figure == Figure::Drawn && !to_stdout {
            found.stdout = None;
        }
        let mut formats = found.stdout.iter().chain(found.files.iter().map(|(format, _)| format));
        let whole = |format: &&Format| {
            !matches!(format, Format::Table | Format::Csv | Format::Latex | Format::Markdown)
        };
        match formats.find(whole).filter(|_| self.table.is_some()) {
            None => Ok(found),
            Some(format) => Err(Failure::usage(
                format!("--table chooses a table, {} has everything", format.name()),
                "leave `--table` out, or add `--format csv`",
            )),
        }
    }

    /// Takes the `-o` option, for a command that writes several files.
    pub fn take_file(&mut self) -> Option<String> {
        self.file.take()
    }

    /// What `export` writes and where to; its report goes to the terminal.
    pub fn take_target(&mut self, command: &str, known: &[Format]) -> Result<Target, Failure> {
        self.destinations(command, known)?;
        if !self.outputs.is_empty() {
            return Err(Failure::usage(
                "`cnnkit export` writes one file",
                "name it with `-o`: `cnnkit export net.yaml -o net.onnx`",
            ));
        }
        Ok(Target { format: self.format.take(), file: self.file.take() })
    }

    /// Moves the file of `-o` to `plot`, if its ending is that of a figure and no other file is named there.
    pub fn take_picture(&mut self, plot: &mut Option<String>) {
        self.figure = Figure::Possible;
        if plot.is_none() {
            *plot = self.file.take_if(|file| Picture::of(file).is_some());
            if plot.is_some() {
                self.figure = Figure::Drawn;
            }
        }
    }

    /// Takes the file of `-o`, if its extension is that of tensors.
    pub fn take_tensors(&mut self) -> Option<String> {
        self.file.take_if(|file| arrays::is(file, "npy") || arrays::is(file, "npz"))
    }

    /// Prints `report` and writes the files that were asked for.
    pub fn write(&self, report: &Report, to: &Destinations) -> Result<(), Failure> {
        let netron =
            to.stdout.iter().chain(to.files.iter().map(|(format, _)| format)).any(|f| *f == Format::Netron);
        if netron && report.json.value().get("results").is_some() {
            return Err(Failure::usage(
                "an attachment of Netron is about one model",
                "write one for each, beside the model's file",
            ));
        }
        let chosen = self.table.as_deref().map(|name| data::only(report, name)).transpose()?;
        let report = chosen.as_ref().unwrap_or(report);
        for (format, file) in &to.files {
            cnnkit_files::replace(Path::new(file), |out| render::write(report, *format, FILE_CANVAS, out))
                .map_err(|error| cannot_write(file, &error))?;
        }
        let Some(format) = to.stdout.filter(|_| !self.quiet) else { return Ok(()) };
        let terminal = std::io::stdout().is_terminal();
        // Where no terminal limits a row and no one says otherwise, a row is a line.
        let tables = terminal || std::env::var_os("COLUMNS").is_some();
        let canvas = Canvas { width: width(), color: self.color(terminal), tables };
        // Lines would be written one by one.
        let mut stdout = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
        match render::write(report, format, canvas, &mut stdout).and_then(|()| stdout.flush()) {
            // A closed pipe (`cnnkit ... | head`) is the reader's choice, not an error.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::usage(
                format!("cannot write to standard output: {error}"),
                "check the space on the disk, or write a file with `-o FILE`",
            )),
            _ => Ok(()),
        }
    }

    /// Prints why the command could not run; returns exit status 2. Whoever reads JSON gets the errors as JSON as well.
    pub fn fail(&self, command: &str, failure: &Failure) -> u8 {
        let canvas =
            Canvas { width: width(), color: self.color(std::io::stderr().is_terminal()), tables: true };
        let _ = std::io::stderr().lock().write_all(explain(failure, canvas).as_bytes());
        let stdout = |(format, file): &(Format, String)| *format == Format::Json && file == "-";
        let json = self.format == Some(Format::Json) && self.file.as_ref().is_none_or(|file| file == "-");
        if (json || self.outputs.iter().any(stdout)) && !self.quiet {
            let text = render::json(&errors::json(command, failure));
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
        }
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

const FILE_CANVAS: Canvas = Canvas { width: 100, color: false, tables: false };

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
