//! CK301: the dilation rates of a chain share a divisor, so its outputs split into grids that share no input.

use num_integer::Integer as _;

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::analysis::dilated::Chain;
use cnnkit_core::analysis::hdc::Check;
use cnnkit_core::analysis::proposal::proposals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct CommonDivisor;

static META: Meta = Meta {
    id: "CK301",
    name: "common-divisor",
    family: Family::Gridding,
    severity: Severity::Warning,
    default: true,
    summary: "the dilation rates of a chain share a divisor",
    what: "Checks, axis by axis, every chain of two or more stride-1 convolutions with only pointwise \
           layers, merges and 1x1 convolutions between them; kernels of one tap are ignored. Fires if the \
           greatest common divisor of the rates is above 1.",
    why: "All taps of the chain lie on a grid with the divisor as its step. Neighbouring outputs are \
          computed from inputs that have nothing in common, so predictions show a checkerboard pattern, and \
          most of the receptive field is never read: rates 2, 2, 2 read 49 of 169 positions.",
    instead: "Use rates without a common divisor that leave no holes, such as 1, 2, 3 or 1, 2, 5. `cnnkit \
              hdc-check` checks given rates, `cnnkit hdc-design` finds some.",
    source: "Wang et al. 2018, Understanding Convolution for Semantic Segmentation, section 3.2",
    bad: "input: [8, 64, 64]
layers:
  - conv: {out_channels: 8, kernel: 3, dilation: 2, padding: same}
  - conv: {out_channels: 8, kernel: 3, dilation: 4, padding: same}
",
    good: "input: [8, 64, 64]
layers:
  - conv: {out_channels: 8, kernel: 3, dilation: 1, padding: same}
  - conv: {out_channels: 8, kernel: 3, dilation: 3, padding: same}
",
    settings: &[],
    fixes: false,
};

impl Rule for CommonDivisor {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        for chain in &context.facts.chains()?.chains {
            let divisors: Vec<u64> = (0..chain.rates.len()).map(|axis| divisor(chain, axis)).collect();
            let Some(axis) = divisors.iter().position(|&divisor| divisor > 1) else { continue };
            found.push(finding(context, chain, axis, &divisors)?);
        }
        Ok(())
    }
}

/// Returns the greatest common divisor of the rates on one axis; 0 if fewer than two convolutions have several taps
/// there.
pub(super) fn divisor(chain: &Chain, axis: usize) -> u64 {
    let rates = || chain.rates[axis].iter().zip(&chain.kernels[axis]).filter(|(_, taps)| **taps > 1);
    if rates().count() < 2 {
        return 0;
    }
    rates().fold(0, |divisor, (rate, _)| divisor.gcd(rate))
}

fn finding(context: &Context<'_>, chain: &Chain, axis: usize, divisors: &[u64]) -> Result<Finding, Problem> {
    let facts = context.facts.gridding(chain)?;
    let rates: Vec<u64> = chain.rates[axis].clone();
    let on_axis = if divisors.iter().all(|&divisor| divisor == divisors[axis]) {
        String::new()
    } else {
        format!(" on spatial axis {axis}")
    };
    let grids = facts.sub_grids().map_or_else(String::new, |grids| {
        format!(": its outputs split into {grids} grids that share no input")
    });
    let divisor = divisors[axis];
    let message = format!(
        "the dilation rates {} of a chain share the divisor {divisor}{on_axis}{grids}",
        number::list(&rates)
    );
    let first = chain.nodes[0];
    let mut finding = Finding::new(Location::Argument(first, "dilation"), message);
    if let Some(&last) = chain.nodes.last().filter(|&&last| last != first) {
        finding = finding.related(Location::Argument(last, "dilation"), "the last of the chain");
    }
    let help = match nearest(chain) {
        Some(near) => format!("the nearest rates without holes are {}", number::list(&near)),
        None => "use rates without a common divisor".into(),
    };
    Ok(finding.help(help).help("`cnnkit hdc-design` finds rates for a receptive field"))
}

/// Returns the rates closest to those of the chain that pass the published rule and leave no hole.
fn nearest(chain: &Chain) -> Option<Vec<u64>> {
    // The search is fast for realistic lengths.
    let (kernel, rates) = chain.uniform().filter(|(_, rates)| rates.len() <= 6)?;
    let check = Check::of(kernel, &[rates], chain.rates.len()).ok()?;
    proposals(&check).ok()?.nearest.first().map(|near| near.groups.concat())
}
