//! `--strict`: a partial figure is a failure. A command may have a `--strict` of its own (`hdc-check` says which verdicts
//! count), and clap refuses to read one as the other: so this one is read by hand.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

/// Whether `--strict` was given to a command that has no other meaning for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strict(pub bool);

impl FromArgMatches for Strict {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = matches.try_get_one::<bool>("strict").ok().flatten();
        Ok(Self(given.copied().unwrap_or(false)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Strict {
    fn augment_args(command: Command) -> Command {
        let option = Arg::new("strict")
            .long("strict")
            .global(true)
            .action(ArgAction::SetTrue)
            .help_heading("Output")
            .help("Exit with 1 if a figure is partial because something was not analysed");
        command.arg(option)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
