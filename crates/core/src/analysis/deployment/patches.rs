//! Patch by patch: the first layers of a network, whose maps are the largest, run on parts of the image, so that only a part
//! of each map exists at a time (MCUNetV2: Lin et al. 2021, section 3.1).
//!
//! The patches are tiles: they overlap by the margin of the stage, and put together they equal its whole output. What
//! overlaps is computed again. While the stage runs, the input and the stage's whole output are in memory, and one patch at
//! a time: its own copy of its part of the input, its maps, its output. Then the other layers run as usual.

use std::collections::BTreeSet;

use crate::analysis::deployment::plan;
use crate::analysis::memory::Dtype;
use crate::analysis::sizes::Fixed;
use crate::analysis::tiling::{self, Schedule, Span, Tiling, Want};
use crate::diagnostic::Problem;
use crate::graph::{Graph, NodeId};

/// Largest number of patches along an axis that is tried.
const MOST: u64 = 8;

/// A stage that runs patch by patch, and what it needs.
#[derive(Debug, Clone)]
pub struct Patches {
    /// Its last layer.
    pub last: NodeId,
    /// The stage as a network of its own.
    pub stage: Graph,
    /// The layers behind it.
    pub rest: Graph,
    /// How the stage is cut.
    pub tiling: Tiling,
    /// The patches along each axis; every combination is a patch.
    pub spans: Vec<Vec<Span>>,
    /// Input sizes of the largest patch, margins included.
    pub input: Vec<u64>,
    /// Bytes of the arena of the patch that needs the most.
    pub patch: u64,
    /// Bytes while the stage runs: input, output, and the arena of a patch.
    pub stage_peak: u64,
    /// Bytes of the arena of the layers behind it.
    pub rest_peak: u64,
    /// Multiply-accumulates of the stage at once, and of all patches.
    pub macs: [u64; 2],
}

impl Patches {
    /// Returns the most bytes at any time.
    pub fn peak(&self) -> u64 {
        self.stage_peak.max(self.rest_peak)
    }

    /// Returns the number of patches.
    pub fn count(&self) -> u64 {
        self.spans.iter().map(|spans| spans.len() as u64).fold(1, u64::saturating_mul)
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of an element.
    pub width: u64,
    /// Patches along each axis; none: up to 8.
    pub per_axis: Option<u64>,
    /// Bytes of the arena without patches, below which the peak must be.
    pub arena: u64,
    /// Bytes that the device has.
    pub budget: Option<u64>,
}

/// Returns the stage and the patches that compute the least again within the budget; without one, or if nothing fits, those
/// with the smallest peak. None if no stage can be cut, or if every one needs as much as the network without patches.
pub fn best(graph: &Graph, options: &Options) -> Option<Patches> {
    let &Options { width, per_axis, arena, budget } = options;
    let bytes = |id: NodeId| graph.node(id).shape.elements().unwrap_or(u64::MAX).saturating_mul(width);
    let images = graph.inputs().map(|(id, _)| bytes(id)).fold(0, u64::saturating_add);
    let counts: Vec<u64> = per_axis.map_or_else(|| (2..=MOST).collect(), |count| vec![count.max(1)]);
    let mut found: Option<Patches> = None;
    let key = |patches: &Patches| {
        let (peak, again) = (patches.peak(), patches.macs[1].saturating_sub(patches.macs[0]));
        if budget.is_some_and(|budget| peak <= budget) { (0, again, peak) } else { (1, peak, again) }
    };
    let mut behind = u64::MAX;
    for (id, node) in graph.iter() {
        let most = found.as_ref().map_or(arena, |found| found.peak().max(budget.unwrap_or(0)).min(arena));
        let whole = images.saturating_add(bytes(id));
        if node.inputs.is_empty() || node.shape.spatial().is_empty() || whole >= most {
            continue;
        }
        let Some((stage, rest)) = graph.split(id) else { continue };
        let rest_peak = plan(&rest, width).arena.bytes;
        // A later stage leaves less behind it; one that leaves as much as an earlier one only recomputes more.
        if rest_peak > most || rest_peak >= behind && found.is_some() {
            continue;
        }
        behind = rest_peak;
        let Ok(first) = cut(&stage, None) else { continue };
        if !first.tileable() {
            // Nothing behind a layer that needs the whole map can be cut either.
            break;
        }
        for &count in &counts {
            let Ok(tiling) = cut(&stage, Some((&first, count))) else { continue };
            let Some(Schedule { spans, input, macs, macs_whole, .. }) = tiling.schedule.clone() else {
                continue;
            };
            if spans.iter().all(|spans| spans.len() < 2) {
                continue;
            }
            let Some(patch) = largest(&stage, &spans, width) else { continue };
            let stage_peak = whole.saturating_add(patch);
            let patches = Patches {
                last: id,
                stage: stage.clone(),
                rest: rest.clone(),
                tiling,
                spans,
                input,
                patch,
                stage_peak,
                rest_peak,
                macs: [macs_whole, macs],
            };
            let better =
                patches.peak() < arena && found.as_ref().is_none_or(|best| key(&patches) < key(best));
            if better {
                found = Some(patches);
            }
        }
    }
    found
}

/// Cuts the stage at its own size, into so many patches along each axis if the margins are known.
fn cut(stage: &Graph, patches: Option<(&Tiling, u64)>) -> Result<Tiling, Problem> {
    let trial = Fixed::new(stage);
    let want = match patches {
        None => Want::Memory(u64::MAX),
        Some((first, count)) => Want::Input(
            first
                .axes
                .iter()
                .zip(own(stage))
                .map(|(axis, size)| {
                    let [before, after] = axis.margin.unwrap_or_default();
                    let lattice = axis.lattice.max(1);
                    let core = size.div_ceil(count.saturating_mul(lattice)).saturating_mul(lattice);
                    before.saturating_add(after).saturating_add(core)
                })
                .collect(),
        ),
    };
    tiling::analyse(
        &trial,
        &tiling::Options { image: Some(own(stage)), want, dtype: Dtype::F32, max_offset: None },
    )
}

/// Returns the spatial sizes of the input.
fn own(stage: &Graph) -> Vec<u64> {
    let spatial = stage.inputs().map(|(_, node)| node.shape.spatial());
    spatial.max_by_key(|sizes| sizes.len()).unwrap_or_default().to_vec()
}

/// Returns the bytes of the arena of the patch that needs the most.
fn largest(stage: &Graph, spans: &[Vec<Span>], width: u64) -> Option<u64> {
    let trial = Fixed::new(stage);
    let sizes = crate::analysis::probe::Sizes::new(&trial, None).ok()?;
    let mut inputs: BTreeSet<Vec<u64>> = BTreeSet::from([vec![]]);
    for spans in spans {
        let lengths: BTreeSet<u64> = spans.iter().map(Span::length).collect();
        let longer = |known: &Vec<u64>| {
            let known = known.clone();
            lengths.iter().map(move |&length| [known.as_slice(), &[length]].concat()).collect::<Vec<_>>()
        };
        inputs = inputs.iter().flat_map(longer).collect();
    }
    let arena = |input: &Vec<u64>| Some(plan(&sizes.at(input)?, width).arena.bytes);
    inputs.iter().map(arena).collect::<Option<Vec<u64>>>()?.into_iter().max()
}
