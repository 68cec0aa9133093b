//! `cnnkit hdc-check`

use crate::cli::load::Replace;
use crate::cli::{Failure, envelope, rates};
use cnnkit_core::analysis::dilated;
use cnnkit_core::analysis::gridding::Stack;
use cnnkit_core::analysis::hdc::Check;
use cnnkit_core::analysis::proposal::proposals;
use cnnkit_report::{Report, chains, hdc};

/// Hold dilation rates against the published HDC rule and against the truth
///
/// The rule (Wang et al. 2018, section 3.2) and the exact coverage often disagree; both verdicts are shown, and what
/// differs. Exits with 1 if what `--strict` asks for does not hold.
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
    /// Dilation rates from the input to the output; groups may be set apart by `/`
    /// (a network instead: each of its chains is checked)
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
    /// What decides the exit status
    #[arg(long, value_enum, default_value_t = Strict::Both, value_name = "WHAT")]
    strict: Strict,
    /// Print the rule, the exact criterion, and the rate that breaks it
    #[arg(long)]
    explain: bool,
    /// Run the layers on an impulse with unit weights and compare what is read; exits with 1 if it differs
    #[arg(long)]
    verify: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Strict {
    /// The published rule
    Rule,
    /// The exact coverage
    Exact,
    /// Both must hold
    Both,
}

pub fn run(args: Args) -> Result<Report, Failure> {
    let strict = match args.strict {
        Strict::Rule => hdc::Strict::Rule,
        Strict::Exact => hdc::Strict::Exact,
        Strict::Both => hdc::Strict::Both,
    };
    let groups = match rates::Target::parse(&args.target)? {
        rates::Target::Rates(groups) => groups,
        rates::Target::Spec(spec) => return network(&spec, &args, strict),
    };
    let groups = groups.into_iter().map(|group| group.into_iter().map(square).collect());
    let groups = groups.collect::<Result<Vec<Vec<u64>>, Failure>>()?;
    let check = Check::of(args.kernel, &groups, usize::from(args.axes)).map_err(rates::failure)?;
    let failed = !check.rule.ok || !check.exact.hole_free();
    let proposals = failed.then(|| proposals(&check)).transpose().map_err(rates::failure)?;
    let mut report = hdc::report(&check, strict, args.explain, proposals.as_ref());
    if args.verify {
        let stack =
            Stack::uniform(args.kernel, &check.rates, usize::from(args.axes)).map_err(rates::failure)?;
        rates::verify(&mut report, &[(None, stack)])?;
    }
    Ok(report)
}

/// Every chain of a network; kernels and axes come from its layers.
fn network(spec: &str, args: &Args, strict: hdc::Strict) -> Result<Report, Failure> {
    let loaded = args.replace.load(spec)?;
    let chains = dilated::chains(&loaded.graph).map_err(rates::failure)?;
    let mut report = chains::hdc(&loaded.graph, &chains, strict, args.explain).map_err(rates::failure)?;
    if args.verify {
        rates::verify(&mut report, &rates::stacks(&loaded.graph, &chains)?)?;
    }
    report.json = envelope("hdc-check", std::iter::once((&loaded, &report.json)));
    Ok(report)
}

/// The rule knows one rate a layer.
fn square(item: rates::Item) -> Result<u64, Failure> {
    match item[..] {
        [first, ref rest @ ..] if rest.iter().all(|&rate| rate == first) => Ok(first),
        _ => Err(Failure::usage(
            "the published rule knows one rate a layer, not one an axis",
            "check each axis by itself, or use `cnnkit gridding`",
        )),
    }
}
