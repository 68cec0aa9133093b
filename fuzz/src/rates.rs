//! Dilation rates, kernels and strides: the sets against counting, the published rule, and every view.

use std::collections::BTreeSet;

use cnnkit::analysis::gridding::{Gridding, Layer, Stack};
use cnnkit::analysis::hdc::Check;
use cnnkit::analysis::proposal::proposals;
use cnnkit::render::Format;
use cnnkit::report::Report;
use cnnkit::report::gridding::{GriddingSummary, Options};
use cnnkit::report::hdc::{HdcSummary, Require};

use super::draw::Draw;
use super::everything::views;

/// Most layers of a stack.
const LAYERS: usize = 12;
/// Widest axis that is counted position by position.
const COUNTED: u64 = 3000;

/// Reads a stack from the bytes and compares what the analysis finds with counting.
pub fn run(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let axes = 1 + draw.below(3);
    let mut layers = Vec::new();
    while !draw.is_empty() && layers.len() < LAYERS {
        let mut each = || (0..axes).map(|_| draw.size()).collect();
        let (kernel, rate, stride) = (each(), each(), each());
        layers.push(Layer { kernel, rate, stride });
    }
    uniform(&layers);
    let Ok(stack) = Stack::new(axes, layers.clone()) else { return };
    let Ok(found) = Gridding::of(&stack) else { return };
    let counted: Option<Vec<BTreeSet<u64>>> = (0..axes).map(|axis| offsets(&layers, axis)).collect();
    if let Some(counted) = counted {
        let size: Vec<u64> = counted.iter().filter_map(|set| Some(set.last()? - set.first()? + 1)).collect();
        assert_eq!(found.size(), size, "{stack:?}");
        let covered: u64 = counted.iter().map(|set| set.len() as u64).product();
        assert_eq!(found.covered(), covered.into(), "{stack:?}");
        let gap = |set: &BTreeSet<u64>| set.iter().zip(set.iter().skip(1)).map(|(a, b)| b - a).max();
        let widest = counted.iter().filter_map(gap).max().unwrap_or(1);
        assert_eq!(found.max_gap().max(1), widest, "{stack:?}");
        assert_eq!(found.hole_free(), widest == 1, "{stack:?}");
    }
    let options = Options { steps: true, multiplicity: true };
    if let Ok(summary) = GriddingSummary::of(&stack, &found, options) {
        views(&Report::of(summary), Format::TABLES);
    }
}

/// The positions that the stack reads along `axis`, from 0; none if they are too many to count.
fn offsets(layers: &[Layer], axis: usize) -> Option<BTreeSet<u64>> {
    let (mut set, mut jump) = (BTreeSet::from([0u64]), 1u64);
    for layer in layers {
        let step = jump.checked_mul(layer.rate[axis])?;
        let taps = layer.kernel[axis];
        let last = set.last()?.checked_add(step.checked_mul(taps.checked_sub(1)?)?)?;
        if last >= COUNTED || taps > COUNTED {
            return None;
        }
        set = set.iter().flat_map(|&at| (0..taps).map(move |tap| at + tap * step)).collect();
        jump = jump.checked_mul(layer.stride[axis])?;
    }
    Some(set)
}

/// The first axis as a list of rates for one kernel, as `hdc-check` takes it.
fn uniform(layers: &[Layer]) {
    let Some(first) = layers.first() else { return };
    let rates: Vec<u64> = layers.iter().map(|layer| layer.rate[0]).collect();
    let Ok(check) = Check::of(first.kernel[0], &[rates], 2) else { return };
    let failed = !check.rule.ok || !check.exact.hole_free();
    let proposals = if failed { proposals(&check).ok() } else { None };
    let summary = HdcSummary::of(&check, Require::Both, true, proposals.as_ref());
    views(&Report::of(summary), Format::TABLES);
}
