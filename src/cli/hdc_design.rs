//! `cnnkit hdc-design`

use crate::cli::plot::Plot;
use crate::cli::progress::Progress;
use crate::cli::{Failure, rates};
use cnnkit_core::analysis::design::{self, Search};
use cnnkit_core::analysis::survey::survey;
use cnnkit_report::Report;
use cnnkit_report::design::DesignSummary;
use cnnkit_report::figure::front;
use cnnkit_report::survey::SurveySummary;

/// Find dilation rates: the best trade-offs of receptive field, layers and evenness
///
/// Searches all schedules and prints the Pareto front, with published schedules for comparison. With `--survey`, counts
/// over all schedules how often the published rule and exact coverage agree.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit hdc-design --layers 3 --max-rate 5           three layers, rates up to 5
  cnnkit hdc-design --rf 31                           at least 31 positions per axis
  cnnkit hdc-design --layers 6 --period 3 --max-rate 9  a sawtooth of two groups
  cnnkit hdc-design --layers 4 --kernel 3,5           a front for each kernel
  cnnkit hdc-design --layers 2..4 --plot front.svg    the front as a figure
  cnnkit hdc-design --survey 4,12                     rule against exact coverage, 20,736 schedules")]
pub struct Args {
    /// Number of layers, or a range: 3, 2..5 [default: 1..4, or what --rf needs]
    #[arg(long, value_name = "N", value_parser = range)]
    layers: Option<(usize, usize)>,
    /// Kernel size; one search for each of several: 3,5
    #[arg(long, default_value = "3", value_name = "K", value_delimiter = ',')]
    kernel: Vec<u64>,
    /// Largest rate
    #[arg(long, default_value_t = 12, value_name = "RATE")]
    max_rate: u64,
    /// Smallest receptive field, per axis
    #[arg(long, default_value_t = 1, value_name = "SIZE", hide_default_value = true)]
    rf: u64,
    /// Repeat the rates after N layers (a sawtooth)
    #[arg(long, value_name = "N")]
    period: Option<usize>,
    /// What a schedule must satisfy
    #[arg(long, value_enum, default_value_t = Require::Both, value_name = "WHAT")]
    require: Require,
    /// Count how often the rule and exact coverage agree, over all schedules of N layers with rates up to RMAX
    #[arg(long, value_name = "N,RMAX", value_parser = pair,
          conflicts_with_all = ["layers", "max_rate", "rf", "period", "require"])]
    survey: Option<(usize, u64)>,
    #[command(flatten)]
    pub plot: Plot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Require {
    /// The published rule passes
    Rule,
    /// No hole
    Exact,
    /// Both
    Both,
}

pub fn run(args: Args) -> Result<Report, Failure> {
    let drawn = args.plot.asked(1)?;
    if let Some((layers, largest)) = args.survey {
        if drawn {
            return Err(Failure::usage("a survey has no figure", "leave `--survey` out to draw the front"));
        }
        let [kernel] = args.kernel[..] else {
            return Err(Failure::usage("a survey takes one kernel", "run it once for each"));
        };
        let progress = Progress::start("surveying");
        let counts = survey(kernel, layers, largest, &|done| progress.at(done)).map_err(rates::failure)?;
        return Ok(Report::of(SurveySummary::of(kernel, layers, largest, &counts)));
    }
    let require = match args.require {
        Require::Rule => design::Require::Rule,
        Require::Exact => design::Require::Exact,
        Require::Both => design::Require::Both,
    };
    let mut searches = Vec::new();
    for &kernel in &args.kernel {
        let search = Search {
            layers: args.layers.unwrap_or((1, 4)),
            kernel,
            max_rate: args.max_rate,
            min_size: args.rf,
            period: args.period,
            require,
        };
        let search = if args.layers.is_none() { search.with_enough_layers() } else { search };
        let progress = Progress::start("searching");
        let outcome = search.run(&|done| progress.at(done)).map_err(rates::failure)?;
        searches.push((search, outcome));
    }
    let Some((first, more)) = searches.split_first() else {
        return Err(Failure::usage("no kernel size is given", "give one: `--kernel 3`"));
    };
    let summary = DesignSummary::of(first, more);
    if drawn {
        args.plot.save(&front::of(&summary))?;
    }
    Ok(Report::of(summary))
}

/// Parses `3`, `2..5` or `2..=5`, both ends included.
fn range(text: &str) -> Result<(usize, usize), String> {
    let number =
        |text: &str| text.trim().parse::<usize>().map_err(|_| "expected a number or a range like 2..5");
    match text.split_once("..") {
        Some((first, last)) => Ok((number(first)?, number(last.trim_start_matches('='))?)),
        None => number(text).map(|layers| (layers, layers)).map_err(Into::into),
    }
}

fn pair(text: &str) -> Result<(usize, u64), String> {
    let flaw = || "expected the number of layers and the largest rate, like 4,12".to_owned();
    let (layers, largest) = text.split_once(',').ok_or_else(flaw)?;
    Ok((layers.trim().parse().map_err(|_| flaw())?, largest.trim().parse().map_err(|_| flaw())?))
}
