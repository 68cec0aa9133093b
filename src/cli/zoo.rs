//! `cnnkit zoo`

use clap::Subcommand;

use crate::cli::Failure;
use cnnkit::zoo::Zoo;
use cnnkit_report::zoo::{ZooEntry, ZooShowSummary, ZooSummary};
use cnnkit_report::{Entry, Report, Spec};

/// List the built-in networks, or print one
///
/// `zoo:NAME` works wherever a SPEC does.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit zoo                          every built-in network, with a line
  cnnkit zoo show resnet50            its YAML
  cnnkit zoo show unet > mine.yaml    a start for a spec of your own")]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the YAML of a built-in spec, as a file that works alone
    ///
    /// The blocks that it includes are written into it; `cnnkit new --from zoo:NAME` writes the same into a file.
    #[command(after_help = "Examples:
  cnnkit zoo show vgg16
  cnnkit zoo show zoo:unet > mine.yaml")]
    Show {
        /// Its name, as `cnnkit zoo` lists it
        #[arg(value_name = "BUILT-IN")]
        name: String,
    },
}

pub fn run(args: Args) -> Result<Report, Failure> {
    match args.command {
        None => Ok(list()),
        Some(Command::Show { name }) => show(name.strip_prefix("zoo:").unwrap_or(&name)),
    }
}

fn list() -> Report {
    let specs = Zoo::names().into_iter().map(|(folder, name)| ZooEntry {
        name: name.into(),
        folder: folder.into(),
        description: Zoo::description(name),
    });
    Report::of(ZooSummary { specs: specs.collect() })
}

fn show(name: &str) -> Result<Report, Failure> {
    let file = format!("specs/{}", Zoo::find(name)?);
    let yaml = cnnkit::standalone::text(&format!("zoo:{name}"))?;
    let spec = Spec { name: Some(name.into()), path: Some(format!("zoo:{name}")) };
    Ok(Report::of_networks(vec![Entry { spec, summary: ZooShowSummary { file, yaml } }]))
}
