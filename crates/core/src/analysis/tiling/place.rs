//! The tiles along one axis against the network: whether it runs on each, and keeps what it should.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use num_integer::Integer as _;

use super::division::Division;
use super::{TileAxis, kept};
use crate::analysis::along::Along;
use crate::analysis::probe::Sizes;
use crate::diagnostic::{Code, Problem};
use crate::graph::Graph;

/// An axis of a network on an image.
pub(super) struct Place<'a> {
    pub(super) sizes: &'a Sizes<'a>,
    pub(super) graph: &'a Graph,
    pub(super) axis: &'a TileAxis,
    pub(super) whole: &'a Along,
    pub(super) index: usize,
    pub(super) image: &'a [u64],
}

impl Place<'_> {
    /// Returns the division if every tile is right, with a wider last tile if that is what makes it right.
    pub(super) fn fitted(&self, division: Division) -> Result<Division, Problem> {
        let Err(why) = self.check(&division) else { return Ok(division) };
        let step = self.axis.lattice.max(1).lcm(&self.axis.step.max(1));
        let wide = division.with_wide_end(step).filter(|wide| self.check(wide).is_ok());
        wide.ok_or(why)
    }

    /// Checks every kind of tile along an axis: the kept part must be right in every output.
    fn check(&self, division: &Division) -> Result<(), Problem> {
        let &Self { sizes, graph, axis, whole, index, image } = self;
        let mut seen: Vec<(u64, u64, bool)> = Vec::new();
        let mut tracks: HashMap<u64, Along> = HashMap::new();
        for span in &division.spans {
            let length = span.length();
            let kind = (length, span.core[0] - span.read[0], span.read[1] == image[index]);
            if seen.contains(&kind) || length == image[index] {
                continue;
            }
            seen.push(kind);
            let wrong = |why: &str| {
                Problem::new(
                    Code::Limit,
                    format!(
                        "not supported: a tile of positions {} to {} {why}",
                        span.read[0],
                        span.read[1] - 1
                    ),
                )
                .help("use larger tiles, or pad the image to a multiple of the step")
            };
            if let Entry::Vacant(entry) = tracks.entry(length) {
                let mut input = image.to_vec();
                input[index] = length;
                let tile = sizes.at(&input).ok_or_else(|| wrong("is too small for the network"))?;
                entry.insert(sizes.along(&tile, index));
            }
            let units = kept(&axis.along, whole, &tracks[&length], i128::from(span.read[0]))
                .map_err(|misfit| wrong(&format!("has other windows in `{}`", graph.node(misfit.node).id)))?;
            for &output in graph.outputs() {
                let (Some(kept), Some(scale)) = (&units[output.index()], axis.along.scale(output)) else {
                    continue;
                };
                let unit = |position: u64| (scale * i128::from(position)).ceil().to_integer();
                let total = i128::from(whole.units[output.index()]);
                let (from, to) = (unit(span.core[0]).min(total), unit(span.core[1]).min(total));
                if from < to && (kept.offset + kept.lo > from || kept.offset + kept.hi < to) {
                    return Err(wrong("does not keep what it should"));
                }
            }
        }
        Ok(())
    }
}
