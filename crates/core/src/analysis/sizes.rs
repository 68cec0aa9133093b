//! Which input sizes a network accepts: the smallest, those at which every merge works, and those that lose no pixel.
//!
//! Along one axis, every layer maps the size `n` to `floor(n / stride + constant)` (or a multiple, when it
//! upsamples), so whether a size works depends, from some size on, only on `n` modulo the product of the strides on
//! the deepest path. That modulus is derived from the graph; then every size of the first periods is tried by real
//! shape inference, and the pattern is accepted only if it repeats.

use num_integer::Integer as _;

use crate::graph::{Graph, Misfit};
use crate::layers::AxisReach;
use crate::layers::window::Window;
use crate::shape::Shape;

/// Largest modulus that is searched.
const MAX_MODULUS: u64 = 2048;
/// Maximum number of sizes tried on one axis before the pattern must repeat.
const MAX_TRIED: u64 = 65_536;

/// Sizes of one spatial axis of one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AxisSizes {
    /// The input's id.
    pub input: String,
    /// The spatial axis, from 0.
    pub axis: usize,
    /// The size in the spec.
    pub current: u64,
    /// Sizes that run.
    pub works: SizeSet,
    /// Sizes that run and divide evenly at every strided layer: no row or column is dropped.
    pub lossless: SizeSet,
}

/// A set of sizes: single ones below `from`, and from there on the `residues` modulo `modulus`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeSet {
    /// The smallest size of the set.
    pub smallest: Option<u64>,
    /// The set is periodic from here on.
    pub from: u64,
    /// The smallest period.
    pub modulus: u64,
    /// Members modulo `modulus`, ascending; empty if no large size works.
    pub residues: Vec<u64>,
    /// Members below `from`.
    below: Vec<u64>,
}

impl SizeSet {
    /// Whether `size` is in the set.
    pub fn contains(&self, size: u64) -> bool {
        if size < self.from {
            self.below.contains(&size)
        } else {
            self.residues.contains(&(size % self.modulus))
        }
    }

    /// Returns all members, if there are only finitely many.
    pub fn finite(&self) -> Option<&[u64]> {
        self.residues.is_empty().then_some(self.below.as_slice())
    }

    /// Returns the largest member up to `size` and the smallest from `size` on.
    pub fn around(&self, size: u64) -> (Option<u64>, Option<u64>) {
        let reach = self.modulus.max(self.from);
        let low = (size.saturating_sub(reach).max(1)..=size).rev().find(|&n| self.contains(n));
        let high = (size.max(1)..=size.saturating_add(reach).saturating_add(1)).find(|&n| self.contains(n));
        (low, high)
    }
}

/// Why the sizes of a network cannot be determined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported(pub String);

/// Computes the sizes of every spatial axis of every input, with the other axes and inputs as in the spec. With
/// several inputs, all of them change together along the axis (a network that joins them needs equal sizes).
pub fn analyse(graph: &Graph) -> Result<Vec<AxisSizes>, Unsupported> {
    let inputs: Vec<(String, Shape)> =
        graph.inputs().map(|(_, node)| (node.id.clone(), node.shape.clone())).collect();
    let axes = inputs.iter().map(|(_, shape)| shape.spatial().len()).max().unwrap_or(0);
    let mut found = Vec::new();
    for axis in 0..axes {
        let Some((name, shape)) = inputs.iter().find(|(_, shape)| shape.spatial().len() > axis) else {
            continue;
        };
        let modulus = modulus(graph, axis + 1)?;
        let (works, lossless) = search(graph, axis + 1, modulus, shape.spatial()[axis])?;
        found.push(AxisSizes { input: name.clone(), axis, current: shape.spatial()[axis], works, lossless });
    }
    Ok(found)
}

/// The verdict on a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Verdict {
    works: bool,
    lossless: bool,
}

/// Tries sizes from 1 up. The spec's own size works, so the periodic part starts there at the latest: an unpadded
/// U-Net works at no size below 188, and the empty range before it is not the pattern.
fn search(graph: &Graph, axis: usize, modulus: u64, current: u64) -> Result<(SizeSet, SizeSet), Unsupported> {
    let mut verdicts: Vec<Verdict> = vec![Verdict { works: false, lossless: false }]; // size 0
    let mut limit = (4 * modulus + 64).max(current.saturating_add(3 * modulus));
    loop {
        if limit > MAX_TRIED {
            return Err(Unsupported(format!(
                "no pattern of period {modulus} was found among the first {MAX_TRIED} sizes"
            )));
        }
        while (verdicts.len() as u64) <= limit {
            verdicts.push(judge(graph, axis, verdicts.len() as u64));
        }
        // The tail must contain three full periods, the first of which is free of irregularities.
        let from = start_of_period(&verdicts, modulus as usize) as u64;
        if limit + 1 >= from + 3 * modulus {
            let set = |member: fn(&Verdict) -> bool| size_set(&verdicts, from, modulus, member);
            return Ok((set(|v| v.works), set(|v| v.lossless)));
        }
        limit *= 2;
    }
}

/// Returns the first size from which on the verdicts repeat with the period.
fn start_of_period(verdicts: &[Verdict], period: usize) -> usize {
    let mut from = verdicts.len().saturating_sub(period);
    while from > 0 && verdicts[from - 1] == verdicts[from - 1 + period] {
        from -= 1;
    }
    from
}

fn size_set(verdicts: &[Verdict], from: u64, modulus: u64, member: fn(&Verdict) -> bool) -> SizeSet {
    let sizes =
        |range: std::ops::Range<u64>| range.filter(|&n| member(&verdicts[n as usize])).collect::<Vec<u64>>();
    let mut residues: Vec<u64> = sizes(from..from + modulus).into_iter().map(|n| n % modulus).collect();
    residues.sort_unstable();
    // The smallest divisor of the modulus that gives the same residues.
    let (modulus, residues) = (1..=modulus)
        .filter(|divisor| modulus.is_multiple_of(*divisor))
        .find_map(|divisor| {
            let mut classes: Vec<u64> = residues.iter().map(|r| r % divisor).collect();
            classes.sort_unstable();
            classes.dedup();
            (classes.len() as u64 * (modulus / divisor) == residues.len() as u64)
                .then_some((divisor, classes))
        })
        .unwrap_or((modulus, residues));
    let below = sizes(0..from);
    let smallest = sizes(0..verdicts.len() as u64).first().copied();
    // Small members that the periodic part also covers are not listed separately.
    let mut from = from;
    while from > 0 && below.contains(&(from - 1)) == residues.contains(&((from - 1) % modulus)) {
        from -= 1;
    }
    SizeSet { smallest, from, modulus, residues, below }
}

fn judge(graph: &Graph, axis: usize, size: u64) -> Verdict {
    let inputs: Vec<Shape> = graph
        .inputs()
        .map(|(_, node)| {
            let mut sizes = node.shape.sizes().to_vec();
            if let Some(slot) = sizes.get_mut(axis) {
                *slot = size;
            }
            Shape::new(sizes)
        })
        .collect();
    match graph.reinfer(&inputs) {
        Err(Misfit { .. }) => Verdict { works: false, lossless: false },
        Ok(shapes) => Verdict { works: true, lossless: lossless(graph, &shapes, axis) },
    }
}

/// Whether every strided window along `axis` divides its input evenly.
fn lossless(graph: &Graph, shapes: &[Shape], axis: usize) -> bool {
    graph.iter().all(|(id, node)| {
        let crate::graph::Op::Layer(layer) = &node.op else { return true };
        let inputs: Vec<Shape> = node.inputs.iter().map(|input| shapes[input.0].clone()).collect();
        let output = &shapes[id.0];
        layer.reach(crate::layers::Io { inputs: &inputs, output }).iter().all(|reach| {
            reach.axes.iter().enumerate().all(|(input_axis, how)| match how {
                AxisReach::Window { by, window } if *by == axis && window.stride > 1 => {
                    even(window, inputs[reach.input].sizes()[input_axis], output.sizes()[*by])
                }
                _ => true,
            })
        })
    })
}

/// A padded window (padding of at least extent - stride, so that it can give size / stride outputs) divides evenly if
/// the stride divides the size; an unpadded one if its last step ends at the border.
fn even(window: &Window, size: u64, outputs: u64) -> bool {
    let Ok(extent) = window.extent() else { return false };
    let (extent, stride) = (i128::from(extent), i128::from(window.stride));
    let (before, after) = (i128::from(window.before), i128::from(window.after));
    if before + after >= extent - stride {
        return i128::from(size) % stride == 0;
    }
    let end = (i128::from(outputs) - 1) * stride + extent;
    end >= i128::from(size) + before + after
}

/// Returns the period of the axis: the least common multiple of the denominators of all nodes' scale relative to the
/// input.
fn modulus(graph: &Graph, axis: usize) -> Result<u64, Unsupported> {
    // Scale of each node's axis relative to the input, as numerator and denominator.
    let mut scales: Vec<(u64, u64)> = Vec::with_capacity(graph.nodes.len());
    let mut modulus = 1u64;
    for node in &graph.nodes {
        let mut scale = (1, 1);
        for reach in graph.reach(node) {
            let (num, den) = scales[node.inputs[reach.input].0];
            for how in &reach.axes {
                let (times, over) = match how {
                    AxisReach::Window { by, window } if *by == axis => (1, window.stride),
                    AxisReach::Transposed { by, window } if *by == axis => (window.stride, 1),
                    AxisReach::Resize { by, input, output, .. } if *by == axis => (*output, *input),
                    _ => continue,
                };
                let (Some(num), Some(den)) = (num.checked_mul(times), den.checked_mul(over)) else {
                    return Err(Unsupported("the strides multiply to more than 64 bits".into()));
                };
                let common = num.gcd(&den).max(1);
                let candidate = (num / common, den / common);
                if candidate.1 > scale.1 || scale == (1, 1) {
                    scale = candidate;
                }
            }
        }
        // A resize to a fixed size has no meaningful scale; its denominator is the input's size.
        if scale.1 > MAX_MODULUS {
            scale = (1, 1);
        }
        modulus = modulus.lcm(&scale.1);
        if modulus > MAX_MODULUS {
            return Err(Unsupported(format!("the strides multiply to more than {MAX_MODULUS}")));
        }
        scales.push(scale);
    }
    Ok(modulus)
}
