//! Where a report goes and in which format: `-o`, `--output` and `--format` taken together, before anything is computed.

use std::path::Path;

use crate::cli::Failure;
use cnnkit_report::figure::Picture;
use cnnkit_report::render::Format;

/// How the command line names standard output.
pub const STDOUT: &str = "-";

/// Endings of files and the formats that they say; the first of a format is the one that help names.
const ENDINGS: &[(&str, Format)] = &[
    ("txt", Format::Table),
    ("text", Format::Table),
    ("log", Format::Table),
    ("json", Format::Json),
    ("csv", Format::Csv),
    ("md", Format::Markdown),
    ("markdown", Format::Markdown),
    ("tex", Format::Latex),
    ("dot", Format::Dot),
    ("gv", Format::Dot),
    ("mmd", Format::Mermaid),
    ("mermaid", Format::Mermaid),
    ("jsonl", Format::Jsonl),
    ("sarif", Format::Sarif),
    ("xml", Format::Junit),
    ("onnx", Format::Onnx),
    ("py", Format::Pytorch),
];

/// What is written where.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Destinations {
    /// The format for standard output, if anything goes there.
    pub stdout: Option<Format>,
    /// Files, each with its format.
    pub files: Vec<(Format, String)>,
}

/// The options of a call.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The command, as messages name it.
    pub command: &'a str,
    /// `--format`, if it was given.
    pub format: Option<Format>,
    /// `-o`.
    pub file: Option<&'a str>,
    /// `--output`, in order.
    pub outputs: &'a [(Format, String)],
    /// Whether the command has a figure.
    pub draws: bool,
}

impl Destinations {
    /// Returns what the options ask for; `known` are the formats that the command has.
    pub fn of(asked: &Asked<'_>, known: &[Format]) -> Result<Self, Failure> {
        let all = asked.format.iter().chain(asked.outputs.iter().map(|(format, _)| format));
        if let Some(format) = all.clone().find(|format| !known.contains(format)) {
            let names: Vec<&str> = known.iter().map(|format| format.name()).collect();
            return Err(Failure::usage(
                format!("`cnnkit {}` cannot be written as {}", asked.command, format.name()),
                format!("its formats are {}", names.join(", ")),
            ));
        }
        let (to_stdout, to_files): (Vec<_>, Vec<_>) =
            asked.outputs.iter().cloned().partition(|(_, file)| file == STDOUT);
        let mut files = to_files;
        let mut stdout: Vec<Format> = to_stdout.into_iter().map(|(format, _)| format).collect();
        match asked.file {
            None if stdout.is_empty() => stdout.push(asked.format.unwrap_or_default()),
            None => stdout.extend(asked.format),
            Some(STDOUT) => stdout.push(asked.format.unwrap_or_default()),
            Some(file) => files.push((format_of(asked, file, known)?, file.to_owned())),
        }
        stdout.dedup();
        if let [first, second, ..] = stdout.as_slice() {
            return Err(Failure::usage(
                format!("{} and {} would both go to standard output", first.name(), second.name()),
                format!("write one of them to a file: `--output {}=FILE`", second.name()),
            ));
        }
        for (i, (format, file)) in files.iter().enumerate() {
            let earlier = &files[..i];
            if earlier.iter().any(|(_, other)| other == file) {
                let help = "give each output a file of its own";
                return Err(Failure::usage(format!("two outputs would be written to `{file}`"), help));
            }
            if earlier.iter().any(|(other, _)| other == format) {
                return Err(Failure::usage(
                    format!("{} is asked for twice", format.name()),
                    "a format is written to one file: leave one of them out",
                ));
            }
        }
        Ok(Self { stdout: stdout.first().copied(), files })
    }
}

/// The format of a file: `--format` if it was given, else what its ending says.
fn format_of(asked: &Asked<'_>, file: &str, known: &[Format]) -> Result<Format, Failure> {
    // A command that only prints a text (completions, a manual page) writes it to whatever file.
    match (asked.format, known) {
        (Some(format), _) => return Ok(format),
        (None, &[only]) => return Ok(only),
        _ => {}
    }
    let Some(ending) = ending(file) else { return Ok(Format::default()) };
    let said = ENDINGS.iter().find(|(name, _)| *name == ending).map(|&(_, format)| format);
    match said {
        Some(format) if known.contains(&format) => Ok(format),
        // YAML, a JSON Schema and the like: text, whatever the file is called.
        None if !known.contains(&Format::Csv) => Ok(Format::default()),
        _ if asked.draws && Picture::of(file).is_some() => Err(Failure::usage(
            format!("`{file}` would be a second figure"),
            "leave `-o` out, or draw each figure by a call of its own",
        )),
        _ if asked.draws && ["pdf", "eps", "ps"].contains(&ending.as_str()) => Err(Failure::usage(
            format!("`cnnkit {}` writes no .{ending} file", asked.command),
            format!("draw .svg and convert it: `rsvg-convert -f {ending} figure.svg -o figure.{ending}`"),
        )),
        _ => Err(Failure::usage(
            format!("`cnnkit {}` writes no .{ending} file", asked.command),
            format!(
                "its endings are {}{}, or name the format: `--format json`",
                endings(known),
                if asked.draws { ", .svg, .png" } else { "" }
            ),
        )),
    }
}

/// The ending of a file's name, in lower case; none for a device.
fn ending(file: &str) -> Option<String> {
    Some(Path::new(file).extension()?.to_str()?.to_lowercase())
}

/// `.txt, .json, .csv`: an ending for each of the formats `known` that has one.
fn endings(known: &[Format]) -> String {
    let of = |format: &Format| ENDINGS.iter().find(|(_, other)| other == format);
    known.iter().filter_map(of).map(|(name, _)| format!(".{name}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        format: Option<Format>,
        file: Option<&str>,
        outputs: &[(Format, &str)],
    ) -> Result<Destinations, String> {
        let outputs: Vec<(Format, String)> =
            outputs.iter().map(|&(format, file)| (format, file.into())).collect();
        let asked = Asked { command: "params", format, file, outputs: &outputs, draws: false };
        Destinations::of(&asked, Format::TABLES).map_err(|failure| format!("{failure:?}"))
    }

    fn files(found: &Destinations) -> Vec<(Format, &str)> {
        found.files.iter().map(|(format, file)| (*format, file.as_str())).collect()
    }

    #[test]
    fn the_ending_says_the_format_unless_it_is_named() {
        for (file, format) in [
            ("a.csv", Format::Csv),
            ("a.JSON", Format::Json),
            ("b.md", Format::Markdown),
            ("c", Format::Table),
        ] {
            let found = of(None, Some(file), &[]).expect("a known ending");
            assert_eq!((found.stdout, files(&found)), (None, vec![(format, file)]));
        }
        let found = of(Some(Format::Csv), Some("data.json"), &[]).expect("a named format");
        assert_eq!(files(&found), [(Format::Csv, "data.json")]);
        for file in ["a.svg", "a.xyz", "a.dot"] {
            let error = of(None, Some(file), &[]).expect_err("an unknown ending");
            assert!(error.contains(".txt, .json, .csv, .md, .tex"), "{error}");
        }
    }

    #[test]
    fn a_dash_is_standard_output() {
        assert_eq!(of(None, None, &[(Format::Json, "-")]).expect("valid").stdout, Some(Format::Json));
        assert_eq!(of(None, Some("-"), &[]).expect("valid").stdout, Some(Format::Table));
        assert_eq!(of(Some(Format::Csv), Some("-"), &[]).expect("valid").stdout, Some(Format::Csv));
        let both = of(None, Some("a.csv"), &[(Format::Json, "-")]).expect("valid");
        assert_eq!((both.stdout, files(&both)), (Some(Format::Json), vec![(Format::Csv, "a.csv")]));
        assert!(of(Some(Format::Csv), None, &[(Format::Json, "-")]).is_err());
    }

    #[test]
    fn a_format_or_a_file_given_twice_is_an_error() {
        for outputs in [[(Format::Json, "a"), (Format::Json, "b")], [(Format::Json, "a"), (Format::Csv, "a")]]
        {
            assert!(of(None, None, &outputs).is_err(), "{outputs:?}");
        }
        assert!(of(None, Some("b.json"), &[(Format::Json, "a.json")]).is_err());
    }
}
