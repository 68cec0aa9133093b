//! `cnnkit hdc-check`

use crate::cli::load::Replace;
use crate::cli::{Failure, rates};
use cnnkit_core::analysis::dilated;
use cnnkit_core::analysis::gridding::Stack;
use cnnkit_core::analysis::hdc::Check;
use cnnkit_core::analysis::proposal::proposals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_report::Report;
use cnnkit_report::hdc::{self, HdcSummary};
use cnnkit_report::hdc_chains::NetworkHdcSummary;
use cnnkit_report::imported::{Figures, StatusAndImport};

/// Check dilation rates against the published HDC rule and against exact coverage
///
/// The rule (Wang et al. 2018, section 3.2) and the exact coverage often disagree; both verdicts are shown, and what
/// differs. Exits with 1 if what `--require` names does not hold.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit hdc-check 1,2,5                 passes both
  cnnkit hdc-check 2,2,3                 the rule passes, yet positions are never read
  cnnkit hdc-check 1,4,2                 the rule fails, yet nothing is missed
  cnnkit hdc-check 1,2,5 --verify        the exact verdict against a run on an impulse
  cnnkit hdc-check 1,2,9 --explain       why, and what would fit
  cnnkit hdc-check 1,2,5/1,2,5,9         groups of a sawtooth, given explicitly
  cnnkit hdc-check zoo:resnet101_hdc     every chain of a network")]
pub struct Args {
    /// Dilation rates from the input to the output; groups may be separated by `/`
    /// (or a network, to check each of its chains)
    #[arg(value_name = "RATES|SPEC")]
    target: String,
    #[command(flatten)]
    replace: Replace,
    /// Kernel size K
    #[arg(long, default_value_t = 3, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    kernel: u64,
    /// Spatial axes
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
    axes: u8,
    /// What must hold; exits with 1 if it does not
    // Before `--strict` came to mean "a partial figure is a failure", this option had that name.
    #[arg(long, alias = "strict", value_enum, default_value_t = Require::Both, value_name = "WHAT")]
    require: Require,
    /// Explain the rule, the exact criterion, and the rate that breaks it
    #[arg(long)]
    explain: bool,
    /// Run the layers on an impulse with unit weights and compare what is read; exits with 1 if it differs
    #[arg(long)]
    verify: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Require {
    /// The published rule
    Rule,
    /// The exact coverage
    Exact,
    /// Both must hold
    Both,
}

pub fn run(args: Args) -> Result<Report, Failure> {
    let require = match args.require {
        Require::Rule => hdc::Require::Rule,
        Require::Exact => hdc::Require::Exact,
        Require::Both => hdc::Require::Both,
    };
    let groups = match rates::Target::parse(&args.target)? {
        rates::Target::Rates(groups) => groups,
        rates::Target::Spec(spec) => return network(&spec, &args, require),
    };
    let groups = groups.iter().map(|group| group.iter().map(rates::square).collect());
    let groups = groups.collect::<Result<Vec<Vec<u64>>, Problem>>()?;
    let check = Check::of(args.kernel, &groups, usize::from(args.axes)).map_err(rates::failure)?;
    let failed = !check.rule.ok || !check.exact.hole_free();
    let proposals = failed.then(|| proposals(&check)).transpose().map_err(rates::failure)?;
    let mut summary = HdcSummary::of(&check, require, args.explain, proposals.as_ref());
    if args.verify {
        let stack =
            Stack::uniform(args.kernel, &check.rates, usize::from(args.axes)).map_err(rates::failure)?;
        summary = summary.measured(rates::verify(&[(None, stack)])?);
    }
    Ok(Report::of(summary))
}

/// Checks every chain of a network, whose layers determine kernels and axes.
fn network(spec: &str, args: &Args, require: hdc::Require) -> Result<Report, Failure> {
    let loaded = args.replace.load(spec)?;
    let chains = dilated::chains(&loaded.graph).map_err(rates::failure)?;
    let mut summary =
        NetworkHdcSummary::of(&loaded.graph, &chains, require, args.explain).map_err(rates::failure)?;
    if args.verify {
        summary = summary.measured(rates::verify(&rates::stacks(&loaded.graph, &chains)?)?);
    }
    summary.import = loaded.import(Figures::Dependences).map(StatusAndImport::from);
    Ok(Report::of_networks(vec![loaded.entry(summary)]))
}
