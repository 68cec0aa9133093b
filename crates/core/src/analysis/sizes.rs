//! Input sizes that fit a network: the smallest, those at which every merge works, and those that lose no
//! pixel.
//!
//! Along one axis, every layer maps the size `n` to `floor(n / stride + constant)` (or to a multiple, when it
//! enlarges), so from some size on, whether a size fits depends only on `n` modulo the product of the strides
//! on the deepest path. Shape inference runs at each tried size; a spec that reads the size of its input is
//! expanded anew for each.

mod search;
mod set;
mod trial;

pub use set::SizeSet;
pub use trial::{Fixed, Sized, Trial, inputs_of};

use search::Search;
pub(crate) use search::modulus;

use crate::shape::Shape;

/// A spatial axis of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Index of the input.
    pub input: usize,
    /// The spatial axis, from 0.
    pub axis: usize,
}

/// Sizes of one spatial axis of one input, or of several axes that must agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AxisSizes {
    /// The axes that change together; the first represents all.
    pub slots: Vec<Slot>,
    /// The input's id.
    pub input: String,
    /// The spatial axis, from 0.
    pub axis: usize,
    /// The size in the spec.
    pub current: u64,
    /// Sizes that run.
    pub works: SizeSet,
    /// Sizes that run and that every strided layer divides evenly: no row or column is dropped.
    pub lossless: SizeSet,
}

/// Whether a size works, and whether it loses no pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Verdict {
    works: bool,
    lossless: bool,
}

/// The reason why the sizes of a network cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported(pub String);

/// Returns the sizes of every spatial axis of every input, in elements. The other axes keep the sizes of the
/// spec or, if the network does not fit these, the nearest sizes that it fits. Axes that only fit together
/// share one entry. An error if no size near the spec's fits, or if the sizes follow no pattern.
pub fn analyse(trial: &dyn Trial) -> Result<Vec<AxisSizes>, Unsupported> {
    let own: Vec<Shape> = trial.inputs().iter().map(|(_, shape)| shape.clone()).collect();
    let base = if trial.at(&own).is_some() { own.clone() } else { fitting(trial, &own)? };
    affordable(trial, &base)?;
    let size = |shapes: &[Shape], slot: &Slot| shapes[slot.input].spatial()[slot.axis];
    let run = |slots: &[Slot]| Search::new(trial, &base, slots).run(size(&base, &slots[0]));
    let (mut found, mut open): (Vec<AxisSizes>, Vec<AxisSizes>) = (Vec::new(), Vec::new());
    let entry = |slots: &[Slot], (works, lossless): (SizeSet, SizeSet)| AxisSizes {
        slots: slots.to_vec(),
        input: trial.inputs()[slots[0].input].0.clone(),
        axis: slots[0].axis,
        current: size(&own, &slots[0]),
        works,
        lossless,
    };
    for slot in slots(&own) {
        let sizes = entry(&[slot], run(&[slot])?);
        if sizes.works.finite().is_some() { open.push(sizes) } else { found.push(sizes) }
    }
    for together in candidates(&open, |slot| size(&base, slot)) {
        let left = |slot: &Slot| open.iter().any(|sizes| sizes.slots.contains(slot));
        if !together.iter().all(left) {
            continue;
        }
        let sizes = entry(&together, run(&together)?);
        if sizes.works.finite().is_none() {
            open.retain(|sizes| !together.contains(&sizes.slots[0]));
            found.push(sizes);
        }
    }
    found.extend(open);
    found.sort_by_key(|sizes| (sizes.slots[0].axis, sizes.slots[0].input));
    Ok(found)
}

/// Largest product of the number of axes and that of layers and connections: some hundred sizes are tried for each axis.
const MAX_WORK: usize = 1_500_000;

/// Returns an error if the sizes of all axes cannot be tried in reasonable time.
fn affordable(trial: &dyn Trial, base: &[Shape]) -> Result<(), Unsupported> {
    let Some(network) = trial.at(base) else { return Ok(()) };
    let axes = slots(base).len();
    let nodes = network.graph().nodes();
    let connections: usize = nodes.iter().map(|node| node.inputs.len()).sum();
    if axes.saturating_mul(nodes.len() + connections) > MAX_WORK {
        return Err(Unsupported(format!(
            "{axes} axes times {} layers with {connections} connections, more than {MAX_WORK}",
            nodes.len()
        )));
    }
    Ok(())
}

/// Returns all spatial axes of all inputs.
fn slots(inputs: &[Shape]) -> Vec<Slot> {
    let of =
        |(input, shape): (usize, &Shape)| (0..shape.spatial().len()).map(move |axis| Slot { input, axis });
    inputs.iter().enumerate().flat_map(of).collect()
}

/// Returns sets of axes that may have to agree: one axis of several inputs, the axes of one input, all axes.
fn candidates(open: &[AxisSizes], size: impl Fn(&Slot) -> u64) -> Vec<Vec<Slot>> {
    let all: Vec<Slot> = open.iter().map(|sizes| sizes.slots[0]).collect();
    let mut sets: Vec<Vec<Slot>> = Vec::new();
    let by_axis =
        all.iter().map(|first| all.iter().copied().filter(|slot| slot.axis == first.axis).collect());
    sets.extend(by_axis);
    let by_input =
        all.iter().map(|first| all.iter().copied().filter(|slot| slot.input == first.input).collect());
    sets.extend(by_input);
    sets.push(all.clone());
    let equal = |set: &Vec<Slot>| set.len() > 1 && set.iter().all(|slot| size(slot) == size(&set[0]));
    let mut out: Vec<Vec<Slot>> = Vec::new();
    for set in sets.into_iter().filter(equal) {
        if !out.contains(&set) {
            out.push(set);
        }
    }
    out
}

/// Maximum number of sizes that are tried to find one that fits.
const MAX_TRIED: u64 = 2048;

/// Returns input shapes near `own` that the network fits.
pub(crate) fn fitting(trial: &dyn Trial, own: &[Shape]) -> Result<Vec<Shape>, Unsupported> {
    let with = |change: &dyn Fn(u64) -> u64| -> Vec<Shape> {
        let shape = |shape: &Shape| {
            let spatial = shape.spatial().iter().map(|&size| change(size).max(1));
            Shape::new(std::iter::once(shape.channels()).chain(spatial).collect::<Vec<_>>())
        };
        own.iter().map(shape).collect()
    };
    let largest = own.iter().flat_map(Shape::spatial).copied().max().unwrap_or(1);
    // The next multiple of a power of two, and its two neighbours; then one size for all axes.
    let powers = (1..=12).flat_map(|bits| [0, 1, u64::MAX].map(|offset| (1u64 << bits, offset)));
    let rounded =
        powers.map(|(power, offset)| with(&|size| size.next_multiple_of(power).wrapping_add(offset)));
    let shifted = (1..=MAX_TRIED).map(|more| with(&|size| size.saturating_add(more)));
    // If all axes already have one size, the equal sizes were tried above.
    let uneven = own.iter().flat_map(Shape::spatial).any(|&size| size != largest);
    let equal = (0..=if uneven { MAX_TRIED } else { 0 }).map(|more| with(&|_| largest.saturating_add(more)));
    let smaller = (1..=MAX_TRIED.min(largest)).map(|less| with(&|_| largest - less));
    let mut tried = rounded.chain(shifted).chain(equal).chain(smaller);
    tried.find(|inputs| trial.at(inputs).is_some()).ok_or_else(|| {
        Unsupported(format!("the network fits neither its own size nor one of {MAX_TRIED} near it"))
    })
}
