//! `cnnkit completions`

use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

use crate::cli::commands::command;
use cnnkit::zoo::Zoo;
use cnnkit_check::rules::{self, Family};
use cnnkit_core::layers::KINDS;
use cnnkit_report::{Page, Report};
use cnnkit_verify::demo::DEMOS;

/// Print shell completions
///
/// They offer commands, options, built-in networks (`zoo:NAME`), rules and layers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit completions bash > ~/.local/share/bash-completion/completions/cnnkit
  cnnkit completions zsh > ~/.zfunc/_cnnkit
  cnnkit completions fish > ~/.config/fish/completions/cnnkit.fish")]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// The words that complete an argument, in addition to free text.
struct Words {
    list: Vec<&'static str>,
    /// Whether files are offered as well.
    files: bool,
}

impl Words {
    /// Returns the words for an argument whose value has this name in the help.
    fn of(value_name: &str) -> Option<Self> {
        let list: Vec<&'static str> = match value_name {
            "SPEC" | "RATES|SPEC" | "PATH" | "MODEL" => zoo(),
            "BUILT-IN" => Zoo::names().into_iter().map(|(_, name)| name).collect(),
            "RULE" => rules::all().flat_map(|meta| [meta.id, meta.name]).collect(),
            "FAMILY" => Family::ALL.iter().map(|family| family.name()).collect(),
            "LAYER" => KINDS.iter().map(|kind| kind.doc.name).collect(),
            "DEMO" => DEMOS.iter().map(|demo| demo.name).chain(["all"]).collect(),
            _ => return None,
        };
        Some(Self { list, files: matches!(value_name, "SPEC" | "RATES|SPEC" | "PATH" | "MODEL") })
    }

    /// Returns the words for `arg`.
    fn for_arg(arg: &clap::Arg) -> Option<Self> {
        arg.get_value_names()?.iter().find_map(|name| Self::of(name))
    }
}

/// Returns the built-in networks as SPEC arguments.
fn zoo() -> Vec<&'static str> {
    // The parser requires words that live as long as the program; leaking them once satisfies that.
    Zoo::names().into_iter().map(|(_, name)| &*format!("zoo:{name}").leak()).collect()
}

pub fn run(args: Args) -> Report {
    let mut page = Page::default();
    page.source(&script(args.shell));
    Report::text(page)
}

/// Returns the script for `shell`.
fn script(shell: Shell) -> String {
    let mut command = offering(command());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "cnnkit", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // Bash would treat the parts before and after the colon of `zoo:NAME` as separate words.
        Shell::Bash => script += "\nCOMP_WORDBREAKS=${COMP_WORDBREAKS//:}\n",
        Shell::Zsh => script = with_files(&script),
        Shell::Fish => positionals(&command, &mut Vec::new(), &mut script),
        _ => {}
    }
    script
}

/// Returns `command` with words for its arguments. Only the scripts are generated from it: as a parser it
/// would reject other values.
fn offering(command: clap::Command) -> clap::Command {
    let offer = |arg: clap::Arg| match Words::for_arg(&arg) {
        Some(words) => arg.value_parser(PossibleValuesParser::new(words.list)),
        None => arg,
    };
    command.mut_args(offer).mut_subcommands(offering)
}

/// Returns the script for zsh, which offers files wherever a network is allowed.
fn with_files(script: &str) -> String {
    let words = zoo().join(" ").replace(':', "\\:");
    let function = format!(
        "_cnnkit_networks() {{\n    local -a names=({})\n    _alternative 'networks:built-in network:compadd -a names' \
         'files:file:_files'\n}}\n",
        zoo().join(" ")
    );
    let script = script.replace(&format!(":({words})'"), ":_cnnkit_networks'");
    match script.split_once('\n') {
        Some((first, rest)) => format!("{first}\n\n{function}{rest}"),
        None => script,
    }
}

/// Adds the words of positional arguments, which the generator for fish omits.
fn positionals(command: &clap::Command, path: &mut Vec<String>, script: &mut String) {
    let condition = match path.as_slice() {
        [] => String::new(),
        [only] => format!("__fish_cnnkit_using_subcommand {only}"),
        [first, rest @ ..] => {
            format!(
                "__fish_cnnkit_using_subcommand {first}; and __fish_seen_subcommand_from {}",
                rest.join(" ")
            )
        }
    };
    for words in command.get_positionals().filter_map(Words::for_arg) {
        let files = if words.files { "" } else { " -f" };
        *script += &format!("complete -c cnnkit -n \"{condition}\"{files} -a \"{}\"\n", words.list.join(" "));
    }
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        path.push(sub.get_name().to_owned());
        positionals(sub, path, script);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn scripts_offer_networks_rules_and_layers() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for word in ["zoo:resnet50", "CK301", "common-divisor", "deform_conv", "small-kernels"] {
                let escaped = word.replace(':', "\\:");
                assert!(script.contains(word) || script.contains(&escaped), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn zsh_offers_files_beside_networks() {
        let script = script(Shell::Zsh);
        assert!(script.starts_with("#compdef cnnkit\n"));
        assert!(script.contains(":_cnnkit_networks'") && script.contains("files:file:_files"));
        assert!(!script.contains(r"(zoo\:"), "a network is offered without files beside it");
    }

    #[test]
    fn fish_offers_words_for_positional_arguments() {
        let script = script(Shell::Fish);
        let line = |start: &str| script.lines().any(|line| line.starts_with(start));
        assert!(line("complete -c cnnkit -n \"__fish_cnnkit_using_subcommand explain\" -f -a \"CK"));
        assert!(line("complete -c cnnkit -n \"__fish_cnnkit_using_subcommand params\" -a \"zoo:"));
        let show = "__fish_cnnkit_using_subcommand zoo; and __fish_seen_subcommand_from show";
        assert!(line(&format!("complete -c cnnkit -n \"{show}\" -f -a \"")));
    }

    /// Returns what bash offers after `words`, of which the last is incomplete; none if there is no bash.
    fn bash(words: &[&str]) -> Option<String> {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let last = words.len() - 1;
        let call = format!(
            "{}\nCOMP_WORDS=({})\nCOMP_CWORD={last}\n_cnnkit cnnkit {} {}\necho \"${{COMPREPLY[*]}}\"",
            script(Shell::Bash),
            quoted.join(" "),
            quoted[last],
            quoted[last - 1],
        );
        let output = Command::new("bash").args(["--norc", "-c", &call]).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    #[test]
    fn bash_completes_networks_rules_layers_and_formats() {
        for (words, wanted) in [
            (&["cnnkit", "params", "zoo:resnet15"][..], "zoo:resnet152"),
            (&["cnnkit", "explain", "CK30"], "CK301"),
            (&["cnnkit", "layers", "deform"], "deform_conv"),
            (&["cnnkit", "check", "--ignore", "common-d"], "common-divisor"),
            (&["cnnkit", "graph", "--format", "me"], "mermaid"),
        ] {
            let Some(offered) = bash(words) else { return };
            assert!(offered.split_whitespace().any(|word| word == wanted), "{words:?}: {offered}");
        }
        if let Some(offered) = bash(&["cnnkit", "params", "--format", "me"]) {
            assert_eq!(offered.trim(), "", "`params` has no such format");
        }
    }
}
