//! The tiles of one image: where they lie, what they cost, and which shape is best under a memory budget.

use std::collections::{BTreeMap, HashMap};

use super::division::{Division, Span};
use super::place::Place;
use super::{Options, TileAxis};
use crate::analysis::along::Along;
use crate::analysis::memory;
use crate::analysis::probe::Sizes;
use crate::diagnostic::{Code, Problem};
use crate::graph::Graph;
use crate::number;

/// How tiles are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// The least recomputation that fits into this many bytes: activations at their peak, and weights.
    Memory(u64),
    /// Inputs of at most these sizes, margins included; one value for all axes, or one per axis.
    Input(Vec<u64>),
}

/// Maximum number of tiles along one axis.
const MAX_TILES: u64 = 1 << 20;
/// Number of ways to divide an axis that are tried, at most.
const MAX_DIVISIONS: usize = 40;

/// The tiles of an image.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Spatial sizes of the image.
    pub image: Vec<u64>,
    /// The tiles along each axis; every combination is a tile.
    pub spans: Vec<Vec<Span>>,
    /// Input sizes of the largest tile, margins included.
    pub input: Vec<u64>,
    /// Sizes of what a tile away from the borders contributes to the first output.
    pub output: Vec<u64>,
    /// Number of tiles.
    pub tiles: u64,
    /// Multiply-accumulates of all tiles.
    pub macs: u64,
    /// Multiply-accumulates of the whole image at once.
    pub macs_whole: u64,
    /// Input bytes that all tiles read.
    pub bytes: u64,
    /// Input bytes of the whole image.
    pub bytes_whole: u64,
    /// Peak bytes of a tile: activations by liveness, and weights.
    pub peak: u64,
    /// Peak bytes of the whole image at once.
    pub peak_whole: u64,
    /// Bytes of the weights, a part of both peaks.
    pub weights: u64,
}

/// Cost of the network at one size.
#[derive(Debug, Clone, Copy)]
struct Load {
    macs: u64,
    /// Elements of activations.
    peak: u64,
}

/// Loads by input size: tiles of few sizes occur often.
struct Loads<'a> {
    sizes: &'a Sizes<'a>,
    known: HashMap<Vec<u64>, Option<Load>>,
}

impl Loads<'_> {
    fn of(&mut self, input: &[u64]) -> Option<Load> {
        if let Some(known) = self.known.get(input) {
            return *known;
        }
        let load = self.sizes.at(input).map(|graph| Load {
            macs: graph.nodes().iter().map(|node| node.cost.macs).fold(0, u64::saturating_add),
            peak: memory::peak(&graph).map_or(0, |peak| peak.elements),
        });
        self.known.insert(input.to_vec(), load);
        load
    }
}

/// The axis of an image that is divided.
struct Ruler<'a> {
    axis: &'a TileAxis,
    size: u64,
    /// No output stands on this position or behind it; more than the size if padding adds outputs at the end.
    limit: u64,
}

impl Ruler<'_> {
    /// Divides the axis into kept parts of `core` positions.
    fn divide(&self, core: u64) -> Option<Division> {
        let [before, after] = self.axis.margin?;
        if core == 0 || self.limit.div_ceil(core) > MAX_TILES {
            return None;
        }
        let mut spans = Vec::new();
        let mut start = 0;
        // Padding may add outputs that stand behind the image: the last tile has them.
        let stop = self.limit.min(self.size);
        while start < stop {
            let end = start.saturating_add(core);
            let last = end >= stop;
            let far = if last { self.size } else { end.saturating_add(after).min(self.size) };
            let end = if last { self.limit } else { end };
            spans.push(Span { core: [start, end], read: [start.saturating_sub(before), far] });
            start = end;
        }
        let longest = spans.iter().map(Span::length).max()?;
        let read = spans.iter().map(Span::length).fold(0, u64::saturating_add);
        Some(Division { spans, longest, read, core })
    }

    /// Returns the axis in one piece.
    fn whole(&self) -> Division {
        let span = Span { core: [0, self.limit], read: [0, self.size] };
        Division { spans: vec![span], longest: self.size, read: self.size, core: self.limit }
    }

    /// Returns the divisions into parts of equal size worth trying, from one part on.
    fn divisions(&self) -> Vec<Division> {
        let mut all = vec![self.whole()];
        if !self.axis.cut {
            return all;
        }
        let lattice = self.axis.lattice.max(1);
        let most = self.limit.div_ceil(lattice);
        let mut parts = 2u64;
        let mut last = u64::MAX;
        while parts <= most && all.len() < MAX_DIVISIONS {
            let core = self.limit.div_ceil(parts).div_ceil(lattice).saturating_mul(lattice);
            if core < last
                && let Some(division) = self.divide(core)
            {
                last = core;
                all.push(division);
            }
            // Beyond a dozen parts, each further one changes little: equal ratios from there to the finest.
            let ratio = (most as f64 / 12.0).max(1.0).powf(1.0 / (MAX_DIVISIONS - 12) as f64);
            let further = (parts as f64 * ratio).ceil() as u64;
            parts = if parts < 12 { parts + 1 } else { further.max(parts + 1) };
        }
        if last > lattice {
            all.extend(self.divide(lattice));
        }
        all
    }
}

/// Returns the tiles of an image of these sizes.
pub(super) fn plan(
    sizes: &Sizes<'_>,
    graph: &Graph,
    axes: &[TileAxis],
    image: &[u64],
    options: &Options,
) -> Result<Schedule, Problem> {
    let whole = sizes.at(image).ok_or_else(|| unfit(image, axes))?;
    let wholes: Vec<Along> = (0..axes.len()).map(|axis| sizes.along(&whole, axis)).collect();
    for (axis, along) in axes.iter().zip(&wholes) {
        let differs =
            (0..along.edges.len()).find(|&node| axis.cut && axis.along.edges[node] != along.edges[node]);
        if let Some(node) = differs {
            let Problem { message, .. } = unfit(image, axes);
            let id = &graph.nodes()[node].id;
            return Err(
                Problem::shape(format!("{message}: `{id}` has other windows there")).help(steps(axes))
            );
        }
    }
    let mut loads = Loads { sizes, known: HashMap::new() };
    let weights = graph.nodes().iter().flat_map(crate::graph::Node::own_weights);
    let weights =
        weights.map(|(_, weight)| weight.shape.elements().unwrap_or(u64::MAX)).fold(0, u64::saturating_add);
    let bytes = |elements: u64| elements.saturating_add(weights).saturating_mul(options.dtype.bytes());
    let rulers: Vec<Ruler<'_>> = axes
        .iter()
        .zip(&wholes)
        .zip(image)
        .map(|((axis, along), &size)| Ruler { axis, size, limit: limit(graph, along, size) })
        .collect();
    let whole_load = loads.of(image).ok_or_else(|| unfit(image, axes))?;
    let places: Vec<Place<'_>> = (0..axes.len())
        .map(|index| Place { sizes, graph, axis: &axes[index], whole: &wholes[index], index, image })
        .collect();
    let chosen = match &options.want {
        Want::Memory(budget) => choose(&rulers, &places, &mut loads, &whole_load, &bytes, *budget)?,
        Want::Input(most) => {
            let most = super::image(Some(most), image)?;
            let divided = |((ruler, place), &most): ((&Ruler<'_>, &Place<'_>), _)| {
                within(ruler, most).and_then(|division| place.fitted(division))
            };
            rulers.iter().zip(&places).zip(&most).map(divided).collect::<Result<Vec<_>, _>>()?
        }
    };
    let (macs, peak) = totals(&mut loads, &chosen).ok_or_else(|| unfit(image, axes))?;
    let channels: u64 = sizes
        .inputs(image)
        .iter()
        .filter(|shape| shape.spatial().len() == axes.len())
        .map(crate::shape::Shape::channels)
        .sum();
    let volume = |lengths: Vec<u64>| {
        lengths
            .into_iter()
            .map(u128::from)
            .fold(u128::from(channels * options.dtype.bytes()), u128::saturating_mul)
    };
    Ok(Schedule {
        image: image.to_vec(),
        input: chosen.iter().map(|division| division.longest).collect(),
        output: output(graph, axes, &chosen),
        tiles: chosen.iter().map(|division| division.spans.len() as u64).fold(1, u64::saturating_mul),
        macs: narrow(macs)?,
        macs_whole: whole_load.macs,
        bytes: narrow(volume(chosen.iter().map(|division| division.read).collect()))?,
        bytes_whole: narrow(volume(image.to_vec()))?,
        peak: bytes(peak),
        peak_whole: bytes(whole_load.peak),
        weights: weights.saturating_mul(options.dtype.bytes()),
        spans: chosen.into_iter().map(|division| division.spans).collect(),
    })
}

/// Returns the divisions that recompute least among those whose tiles fit into `budget` bytes; `bytes` returns those of a
/// peak in elements.
fn choose(
    rulers: &[Ruler<'_>],
    places: &[Place<'_>],
    loads: &mut Loads<'_>,
    whole: &Load,
    bytes: &dyn Fn(u64) -> u64,
    budget: u64,
) -> Result<Vec<Division>, Problem> {
    let image: Vec<u64> = rulers.iter().map(|ruler| ruler.size).collect();
    let room = budget.saturating_sub(bytes(0)) as f64;
    let fits = |loads: &mut Loads<'_>, input: &[u64], exact: bool| {
        // Peaks grow with the area: far from the budget, one need not be computed.
        let about = bytes(whole.peak).saturating_sub(bytes(0)) as f64 * area(input) / area(&image).max(1.0);
        if about > 8.0 * room && !exact {
            return false;
        }
        (about * 8.0 < room && !exact) || loads.of(input).is_some_and(|load| bytes(load.peak) <= budget)
    };
    let mut divisions: Vec<Vec<Division>> = rulers.iter().map(Ruler::divisions).collect();
    let mut exact = false;
    while divisions.iter().all(|all| !all.is_empty()) {
        let found = best(&divisions, |input| fits(loads, input, exact));
        match found {
            None if exact => break,
            None => exact = true,
            Some(found) => {
                let cores: Vec<u64> = found.iter().map(|division| division.core).collect();
                let fitted: Vec<_> =
                    found.into_iter().zip(places).map(|(division, place)| place.fitted(division)).collect();
                if let Some(axis) = fitted.iter().position(Result::is_err) {
                    // Tiles that are too small for a layer: smaller ones are no larger.
                    divisions[axis].retain(|division| division.core > cores[axis]);
                    continue;
                }
                let fitted: Vec<Division> = fitted.into_iter().flatten().collect();
                let input: Vec<u64> = fitted.iter().map(|division| division.longest).collect();
                if exact || fits(loads, &input, true) {
                    return Ok(fitted);
                }
                exact = true;
            }
        }
    }
    let least = divisions
        .iter()
        .map(|all| all.iter().map(|one| one.longest).min().unwrap_or(1))
        .collect::<Vec<u64>>();
    let needs = loads.of(&least).map_or(0, |load| bytes(load.peak));
    let message =
        format!("no tile fits into {}: the smallest needs {}", number::bytes(budget), number::bytes(needs));
    Err(Problem::new(Code::Limit, message).help("raise `--memory`, or use a smaller `--dtype`"))
}

/// Returns a sum over all tiles as a count.
fn narrow(sum: u128) -> Result<u64, Problem> {
    u64::try_from(sum).map_err(|_| Problem::overflow("the cost of all tiles"))
}

fn area(sizes: &[u64]) -> f64 {
    sizes.iter().map(|&size| size as f64).product()
}

fn unfit(image: &[u64], axes: &[TileAxis]) -> Problem {
    let sizes: Vec<String> = image.iter().map(u64::to_string).collect();
    Problem::shape(format!("the network does not run on an image of {}", sizes.join(" x "))).help(steps(axes))
}

fn steps(axes: &[TileAxis]) -> String {
    let one = |axis: &TileAxis| match axis.base % axis.step {
        0 => format!("multiples of {}", axis.step),
        rest => format!("sizes that leave {rest} when divided by {}", axis.step),
    };
    let mut all: Vec<String> = axes.iter().map(one).collect();
    all.dedup();
    format!("pad the image: {} fit", all.join(" x "))
}

/// Returns the first input position from which on no output stands.
fn limit(graph: &Graph, along: &Along, size: u64) -> u64 {
    let end = |output: &crate::graph::NodeId| {
        let scale = along.scale(*output)?;
        let units = i128::from(along.units[output.index()]);
        let position = units.checked_mul(*scale.denom())?;
        u64::try_from(-(-position).div_euclid(*scale.numer())).ok()
    };
    graph.outputs().iter().filter_map(end).max().unwrap_or(size).max(1)
}

/// Returns the division into the largest parts whose tiles have at most `most` positions.
fn within(ruler: &Ruler<'_>, most: u64) -> Result<Division, Problem> {
    if most >= ruler.size || !ruler.axis.cut {
        return Ok(ruler.whole());
    }
    let [before, after] = ruler.axis.margin.unwrap_or([0, 0]);
    let lattice = ruler.axis.lattice.max(1);
    let core = most.saturating_sub(before.saturating_add(after)) / lattice * lattice;
    if core > 0 {
        return ruler.divide(core).ok_or_else(|| {
            Problem::new(Code::Limit, format!("not supported: more than {MAX_TILES} tiles along one axis"))
                .help("use larger tiles")
        });
    }
    let least = before.saturating_add(after).saturating_add(lattice);
    let message = format!(
        "a tile of {most} positions keeps nothing: the margins are {before} and {after}, the lattice {lattice}"
    );
    Err(Problem::new(Code::Limit, message).help(format!("use tiles of {least} or more")))
}

/// Returns the divisions, one per axis, that read the fewest positions among those whose largest tile `fits`.
fn best(axes: &[Vec<Division>], mut fits: impl FnMut(&[u64]) -> bool) -> Option<Vec<Division>> {
    let (last, leading) = axes.split_last()?;
    let mut found: Option<(u128, u64, Vec<usize>)> = None;
    let mut at = vec![0usize; leading.len()];
    loop {
        let volume =
            at.iter().zip(leading).map(|(&i, all)| u128::from(all[i].read)).fold(1, u128::saturating_mul);
        let beaten =
            |found: &(u128, u64, Vec<usize>)| volume.saturating_mul(u128::from(last[0].read)) > found.0;
        if !found.as_ref().is_some_and(beaten) {
            let mut input: Vec<u64> = at.iter().zip(leading).map(|(&i, all)| all[i].longest).collect();
            input.push(0);
            let end = input.len() - 1;
            // Peaks fall as parts get smaller.
            let (mut low, mut high) = (0, last.len());
            while low < high {
                let middle = low.midpoint(high);
                input[end] = last[middle].longest;
                if fits(&input) { high = middle } else { low = middle + 1 }
            }
            if let Some(division) = last.get(low) {
                let reads = volume.saturating_mul(u128::from(division.read));
                let counts = at.iter().zip(leading).map(|(&i, all)| all[i].spans.len() as u64);
                let tiles = counts.fold(division.spans.len() as u64, u64::saturating_mul);
                if found.as_ref().is_none_or(|best| (reads, tiles) < (best.0, best.1)) {
                    found = Some((reads, tiles, [at.as_slice(), &[low]].concat()));
                }
            }
        }
        let Some(next) = (0..at.len()).rev().find(|&i| at[i] + 1 < leading[i].len()) else { break };
        at[next] += 1;
        at[next + 1..].fill(0);
    }
    let (_, _, indices) = found?;
    Some(indices.iter().zip(axes).map(|(&i, all)| all[i].clone()).collect())
}

/// Returns the multiply-accumulates of all tiles, and the largest peak in elements.
fn totals(loads: &mut Loads<'_>, chosen: &[Division]) -> Option<(u128, u64)> {
    let mut kinds: BTreeMap<Vec<u64>, u64> = BTreeMap::from([(vec![], 1)]);
    for division in chosen {
        let mut lengths: BTreeMap<u64, u64> = BTreeMap::new();
        for span in &division.spans {
            *lengths.entry(span.length()).or_default() += 1;
        }
        let mut next: BTreeMap<Vec<u64>, u64> = BTreeMap::new();
        for (input, count) in &kinds {
            for (&length, &times) in &lengths {
                let input = [input.as_slice(), &[length]].concat();
                let count = count.saturating_mul(times);
                let sum = next.entry(input).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        kinds = next;
    }
    let (mut macs, mut peak) = (0u128, 0);
    for (input, count) in kinds {
        let load = loads.of(&input)?;
        macs = macs.saturating_add(u128::from(load.macs).saturating_mul(u128::from(count)));
        peak = peak.max(load.peak);
    }
    Some((macs, peak))
}

/// Returns the sizes of what a tile away from the borders contributes to the first output.
fn output(graph: &Graph, axes: &[TileAxis], chosen: &[Division]) -> Vec<u64> {
    let Some(&first) = graph.outputs().first() else { return vec![] };
    let size = |(axis, division): (&TileAxis, &Division)| {
        let units =
            axis.along.scale(first).map(|scale| (scale * i128::from(division.core)).ceil().to_integer());
        units.and_then(|units| u64::try_from(units).ok()).unwrap_or(division.core)
    };
    axes.iter().zip(chosen).map(size).collect()
}
