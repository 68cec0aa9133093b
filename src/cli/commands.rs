//! The table of commands: the group and the formats of each. `cnnkit --help` and the help of each command are
//! generated from it.

use std::fmt::Write as _;

use clap::builder::{EnumValueParser, PossibleValue, PossibleValuesParser, StyledStr, TypedValueParser};
use clap::{Arg, ArgAction, CommandFactory as _, ValueEnum as _};

use crate::cli::{Cli, version};
use cnnkit_report::render::Format;
use cnnkit_report::render::fit::wrap;

/// The width of the list of commands: it fits any terminal.
const COLUMNS: usize = 80;

/// The purpose of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Shows facts about a network.
    Look,
    /// Runs a network and compares.
    Prove,
    /// Guards the properties of a project.
    Guard,
    /// Reads and writes other formats.
    Convert,
    /// Explains rules, layers and files.
    Reference,
}

impl Group {
    const ALL: [Self; 5] = [Self::Look, Self::Prove, Self::Guard, Self::Convert, Self::Reference];

    fn title(self) -> &'static str {
        match self {
            Self::Look => "Look at a network or at dilation rates",
            Self::Prove => "Prove the figures by running",
            Self::Guard => "Guard a project",
            Self::Convert => "Write and convert specs and models",
            Self::Reference => "Reference",
        }
    }
}

/// A command of the program; a subcommand's name contains a space.
#[derive(Debug)]
struct Entry {
    name: &'static str,
    group: Group,
    formats: &'static [Format],
}

const fn entry(name: &'static str, group: Group, formats: &'static [Format]) -> Entry {
    Entry { name, group, formats }
}

/// Every command, in the order of `cnnkit --help`.
const COMMANDS: &[Entry] = &[
    entry("params", Group::Look, Format::LAYERS),
    entry("rf", Group::Look, Format::LAYERS),
    entry("graph", Group::Look, Format::GRAPH),
    entry("report", Group::Look, Format::TEXT_OR_JSON),
    entry("compare", Group::Look, Format::TABLES),
    entry("sizes", Group::Look, Format::TABLES),
    entry("train", Group::Look, Format::TABLES),
    entry("plan", Group::Look, Format::TABLES),
    entry("tile", Group::Look, Format::TABLES),
    entry("stream", Group::Look, Format::TABLES),
    entry("channels", Group::Look, Format::TABLES),
    entry("paths", Group::Look, Format::TABLES),
    entry("gridding", Group::Look, Format::TABLES),
    entry("hdc-check", Group::Look, Format::TABLES),
    entry("hdc-design", Group::Look, Format::TABLES),
    entry("run", Group::Prove, Format::TABLES),
    entry("verify", Group::Prove, Format::TABLES),
    entry("demo", Group::Prove, Format::TABLES),
    entry("check", Group::Guard, Format::FINDINGS),
    entry("diff", Group::Guard, Format::TABLES),
    entry("init", Group::Guard, Format::TEXT_OR_JSON),
    entry("new", Group::Convert, Format::TEXT_OR_JSON),
    entry("import", Group::Convert, Format::TEXT_OR_JSON),
    entry("export", Group::Convert, Format::EXPORT),
    entry("zoo", Group::Reference, Format::TABLES),
    entry("zoo show", Group::Reference, Format::TEXT_OR_JSON),
    entry("layers", Group::Reference, Format::TABLES),
    entry("rules", Group::Reference, Format::TABLES),
    entry("explain", Group::Reference, Format::TABLES),
    entry("schema", Group::Reference, Format::TEXT_OR_JSON),
    entry("completions", Group::Reference, Format::TEXT),
    entry("man", Group::Reference, Format::TEXT),
];

/// Returns the output formats of the command `name`; none for a command that is not in the table.
pub fn formats(name: &str) -> &'static [Format] {
    COMMANDS.iter().find(|entry| entry.name == name).map_or(&[], |entry| entry.formats)
}

/// Returns the argument parser, for the program itself, completions, manual pages and tests.
pub fn command() -> clap::Command {
    let own = |format: Arg| {
        format.hide_possible_values(true).help("Output format; the help of a command lists its own")
    };
    let command = Cli::command().mut_subcommands(|sub| with_formats(sub, "")).mut_arg("format", own);
    let command = command.disable_version_flag(true).arg(version());
    let template = template(&command);
    command.help_template(template)
}

/// Returns the command with examples that fit 80 columns and a `--format` that lists only its own formats.
fn with_formats(command: clap::Command, parent: &str) -> clap::Command {
    let name = format!("{parent}{}", command.get_name());
    let below = format!("{name} ");
    let known = formats(&name);
    let examples = command.get_after_help().map(|text| examples(&text.to_string()));
    let command = command.mut_subcommands(|sub| with_formats(sub, &below)).arg(format(known));
    if let Some(examples) = examples { command.after_help(examples) } else { command }
}

/// Returns the examples of a command, where what is said of a call stands below it if both do not fit on a line.
fn examples(text: &str) -> String {
    let lines = text.lines().map(|line| match line.trim_start().split_once("   ") {
        Some((call, remark)) if line.chars().count() > COLUMNS => {
            format!("  {call}\n      {}", remark.trim_start())
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the option `--version`.
fn version() -> Arg {
    Arg::new("version").short('V').long("version").action(ArgAction::Version).help(version::HELP)
}

/// Returns the option `--format` of a command with the formats `known`.
fn format(known: &'static [Format]) -> Arg {
    let exported = known.contains(&Format::Onnx);
    let arg = Arg::new("format")
        .long("format")
        .action(ArgAction::Set)
        .value_name("FORMAT")
        .help_heading("Output")
        .help("Output format [default: table, or as the ending of FILE says]")
        .hide(known.len() < 2)
        .value_parser(FormatParser { known });
    // What is exported is never a table.
    if exported { arg.help("Output format [default: as the ending of FILE says, else onnx]") } else { arg }
}

/// Accepts any format, so that the command can report which formats it has, but lists only its own.
#[derive(Debug, Clone)]
struct FormatParser {
    known: &'static [Format],
}

impl FormatParser {
    fn listed(&self) -> impl Iterator<Item = PossibleValue> + use<> {
        self.known.iter().filter_map(Format::to_possible_value).collect::<Vec<_>>().into_iter()
    }
}

impl TypedValueParser for FormatParser {
    type Value = Format;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Format, clap::Error> {
        let any = EnumValueParser::<Format>::new().parse_ref(command, arg, value);
        any.or_else(|_| {
            let name = PossibleValuesParser::new(self.listed()).parse_ref(command, arg, value)?;
            Format::from_str(&name, false)
                .map_err(|message| clap::Error::raw(clap::error::ErrorKind::InvalidValue, message))
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.listed()))
    }
}

/// Returns the help of the program: its commands by group.
fn template(command: &clap::Command) -> StyledStr {
    let styles = clap::builder::Styles::styled();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut list = String::new();
    let width = COMMANDS.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    for group in Group::ALL {
        let _ = writeln!(list, "{header}{}:{header:#}", group.title());
        for entry in COMMANDS.iter().filter(|entry| entry.group == group) {
            let Some(sub) = command.find_subcommand(entry.name) else { continue };
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let mut name = entry.name;
            for line in wrap(&about, COLUMNS - width - 4) {
                let _ = writeln!(list, "  {literal}{name:width$}{literal:#}  {line}");
                name = "";
            }
        }
        list.push('\n');
    }
    format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}{header}Options:{header:#}\n{{options}}{{after-help}}")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns every command below `command`, with its name as in the table.
    fn all(command: &clap::Command, parent: &str) -> Vec<(String, clap::Command)> {
        let subs = command.get_subcommands().filter(|sub| sub.get_name() != "help");
        let one = |sub: &clap::Command| {
            let name = format!("{parent}{}", sub.get_name());
            let below = all(sub, &format!("{name} "));
            [vec![(name, sub.clone())], below].concat()
        };
        subs.flat_map(one).collect()
    }

    #[test]
    fn the_table_has_every_command_and_no_other() {
        let mut commands: Vec<String> = all(&Cli::command(), "").into_iter().map(|(name, _)| name).collect();
        let mut table: Vec<&str> = COMMANDS.iter().map(|entry| entry.name).collect();
        commands.sort_unstable();
        table.sort_unstable();
        assert_eq!(commands, table);
        assert!(COMMANDS.iter().all(|entry| !entry.formats.is_empty()));
    }

    #[test]
    fn the_help_names_every_command_within_80_columns() {
        let help = command().render_help().to_string();
        for Entry { name, .. } in COMMANDS.iter().filter(|entry| !entry.name.contains(' ')) {
            let line = help.lines().find(|line| line.starts_with(&format!("  {name} ")));
            assert!(line.is_some(), "{name} is not in the help");
        }
        let list = help.split("Options:\n").next().expect("a list of commands");
        for line in list.lines() {
            assert!(line.chars().count() <= COLUMNS, "{} columns: {line}", line.chars().count());
        }
        for group in Group::ALL {
            assert!(help.contains(&format!("{}:\n", group.title())), "{group:?}");
        }
    }

    #[test]
    fn every_command_has_examples_of_itself() {
        for (name, command) in all(&Cli::command(), "") {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.starts_with("Examples:\n"), "{name} has no examples");
            for line in after.lines().skip(1) {
                assert!(line.starts_with(&format!("  cnnkit {name}")), "{name}: {line}");
            }
            for line in examples(&after).lines() {
                let remark = line.starts_with("      ");
                assert!(!remark || line.chars().count() <= COLUMNS, "{name}: {line}");
            }
        }
    }

    #[test]
    fn the_help_of_a_command_lists_its_formats_only() {
        for (name, command) in all(&command(), "") {
            let format = command.get_arguments().find(|arg| arg.get_id() == "format").expect("an option");
            let listed: Vec<String> =
                format.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
            let known = formats(&name).iter().map(|known| known.name());
            assert_eq!(listed, known.collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn strict_means_one_thing() {
        for (name, command) in all(&command(), "") {
            let strict = command.get_arguments().find(|arg| arg.get_long() == Some("strict"));
            if let Some(strict) = strict {
                let help = strict.get_help().map(ToString::to_string).unwrap_or_default();
                assert_eq!(
                    help, "Exit with 1 if a figure is partial because something was not analysed",
                    "{name}"
                );
            }
        }
    }
}
