//! Which units of a tile equal those of the whole map.
//!
//! A tile is the network on a part of the input. Near the edges of a tile that are not borders of the image, its
//! units read the tile's own padding where the whole map has values. A unit is right if all units that it reads are
//! right, or lie outside both the tile's map and the whole one. This is decided for all units of all layers, not by the
//! receptive field of the outputs alone: a layer that trims its map (a crop, a transposed convolution with padding) has
//! fewer units than its field allows.

use crate::analysis::along::{Along, Border, Edge, Track};
use crate::graph::NodeId;

/// The units of a node in a tile, in the tile's own indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Index in the whole map of the tile's unit 0.
    pub offset: i128,
    /// From here up to `hi`, all units are right.
    pub lo: i128,
    /// The unit behind the last of them.
    pub hi: i128,
    /// Which of the units before `lo` are wrong; all from the end of the list on.
    before: Vec<bool>,
    /// Which of the units from `hi` on are wrong; all from the end of the list on.
    after: Vec<bool>,
}

impl Kept {
    /// Returns whether unit `unit` differs because of the tile's start.
    fn is_wrong_before(&self, unit: i128) -> bool {
        (0..self.lo).contains(&unit) && flag(&self.before, unit)
    }

    /// Returns whether unit `unit` differs because of the tile's end.
    fn is_wrong_after(&self, unit: i128) -> bool {
        unit >= self.hi && flag(&self.after, unit - self.hi)
    }

    /// Joins what two operands decide of the same units.
    fn joined(self, other: &Self, units: i128) -> Self {
        let (lo, hi) = (self.lo.max(other.lo), self.hi.min(other.hi));
        let before = flags(0..lo, |unit| self.is_wrong_before(unit) || other.is_wrong_before(unit));
        let after = flags(hi..units, |unit| self.is_wrong_after(unit) || other.is_wrong_after(unit));
        Self { lo, hi, before, after, ..self }.tight()
    }

    /// Returns the same units with the longest run between `lo` and `hi`.
    fn tight(mut self) -> Self {
        if self.before.len() as i128 == self.lo {
            let wrong = self.before.iter().rposition(|&wrong| wrong).map_or(0, |last| last + 1);
            self.before.truncate(wrong);
            self.lo = wrong as i128;
        }
        let right = self.after.iter().position(|&wrong| wrong).unwrap_or(self.after.len());
        self.after.drain(..right);
        self.hi += right as i128;
        self
    }
}

/// Units at either end of a tile that are decided one by one; beyond them, all are taken to be wrong.
const MOST_UNITS: i128 = 1 << 15;

fn flag(flags: &[bool], at: i128) -> bool {
    usize::try_from(at).ok().and_then(|at| flags.get(at).copied()).unwrap_or(true)
}

/// Returns which of the units are wrong; nothing if there are too many to decide.
fn flags(units: std::ops::Range<i128>, is_wrong: impl Fn(i128) -> bool) -> Vec<bool> {
    if units.end - units.start > MOST_UNITS { vec![] } else { units.map(is_wrong).collect() }
}

/// Why a tile cannot stand at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit {
    /// The first node that differs from that of the whole network.
    pub node: NodeId,
}

/// Returns the right units of every node of a tile that begins at input position `start`; `None` for nodes that do not
/// follow the axis in `part`. An error if a layer of the tile has other windows than that of the whole network.
pub fn kept(part: &Along, whole: &Along, tile: &Along, start: i128) -> Result<Vec<Option<Kept>>, Misfit> {
    let mut all: Vec<Option<Kept>> = Vec::with_capacity(part.tracks.len());
    // A tile that ends where the image ends must end so in every layer.
    let mut ends = false;
    for (index, track) in part.tracks.iter().enumerate() {
        let Track::Follows { .. } = track else {
            all.push(None);
            continue;
        };
        let misfit = Misfit { node: NodeId::new(index) };
        let (units, total) = (i128::from(tile.units[index]), i128::from(whole.units[index]));
        let edges = &part.edges[index];
        if edges.is_empty() {
            ends |= start + units == total;
            all.push(Some(Kept { offset: start, lo: 0, hi: units, before: vec![], after: vec![] }));
            continue;
        }
        if &whole.edges[index] != edges || &tile.edges[index] != edges {
            return Err(misfit);
        }
        let mut now: Option<Kept> = None;
        for edge in edges {
            let operand = all[edge.operand.index()].as_ref().ok_or(misfit)?;
            let sizes =
                (i128::from(tile.units[edge.operand.index()]), i128::from(whole.units[edge.operand.index()]));
            let next = through(edge, operand, sizes, units).ok_or(misfit)?;
            now = Some(match now {
                None => next,
                Some(kept) if kept.offset == next.offset => kept.joined(&next, units),
                Some(_) => return Err(misfit),
            });
        }
        let Some(mut now) = now else { return Err(misfit) };
        // Units that the whole map does not have are wrong.
        let end = (total - now.offset).max(0);
        if now.hi > end {
            (now.hi, now.after) = (end, vec![]);
        } else {
            let exist = usize::try_from(end - now.hi).unwrap_or(usize::MAX);
            now.after.truncate(exist);
        }
        if ends && now.offset + units != total {
            return Err(misfit);
        }
        all.push(Some(now));
    }
    Ok(all)
}

/// Returns the right units of a node with `units` units in the tile, as far as `edge` decides; `sizes` are those of
/// the operand in the tile and in the whole.
fn through(edge: &Edge, operand: &Kept, sizes: (i128, i128), units: i128) -> Option<Kept> {
    let relation = &edge.relation;
    if operand.offset.rem_euclid(relation.advance) != 0 {
        return None;
    }
    let offset = operand.offset.div_euclid(relation.advance).checked_mul(relation.period)?;
    let (at_start, at_end) = (operand.offset == 0, operand.offset + sizes.0 == sizes.1);
    let (mut lo, mut hi) = (0, units);
    for (phase, reads) in (0i128..).zip(&relation.reads) {
        let Some(last) = reads.last() else { continue };
        if !(at_start && operand.lo == 0) {
            // The last wrong unit of the phase is the one before the first whose first read is right.
            let rounds = ceil(operand.lo - reads.first, relation.advance);
            lo = lo.max(phase + (rounds - 1) * relation.period + 1);
        }
        if !(at_end && operand.hi == sizes.0) {
            let rounds = (operand.hi - 1 - last).div_euclid(relation.advance);
            hi = hi.min(phase + (rounds + 1) * relation.period);
        }
    }
    let inside = |distance: i128| match edge.border {
        Border::Padding => 0,
        Border::Mirrored => distance + 1,
        Border::Repeated => 1,
    };
    // At a border of the image, padding made of real elements needs these to be right.
    let before = -relation.at(0)?.first;
    if at_start && before > 0 && operand.hi < inside(before).min(sizes.1) {
        return None;
    }
    let after = relation.at(units - 1)?.last().map_or(0, |last| last - (sizes.0 - 1));
    if at_end && after > 0 && operand.lo > (sizes.0 - inside(after)).max(0) {
        return None;
    }
    let (lo, hi) = (lo.clamp(0, units), hi.clamp(0, units));
    // Between `lo` and `hi` everything is right. Outside, some units may be: those that read nothing, and those whose
    // phase does not reach as far as another.
    let reads = |unit: i128, is_wrong: &dyn Fn(i128) -> bool| {
        let Some(reads) = relation.at(unit) else { return true };
        (0..reads.count).any(|tap| is_wrong(reads.first + tap * reads.step))
    };
    let before = flags(0..lo, |unit| {
        reads(unit, &|read| if read < 0 { !at_start } else { operand.is_wrong_before(read) })
    });
    let after = flags(hi..units, |unit| {
        reads(unit, &|read| if read < sizes.0 { operand.is_wrong_after(read) } else { !at_end })
    });
    Some(Kept { offset, lo, hi, before, after }.tight())
}

fn ceil(value: i128, by: i128) -> i128 {
    -(-value).div_euclid(by)
}
