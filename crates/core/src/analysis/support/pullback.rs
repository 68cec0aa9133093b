//! The pullback: from a region of a node's output to the regions of its inputs that it reads.
//!
//! A region has the channel axis first, so that a layer which selects channels (a slice of a concat) reads only what
//! those channels need, and a permutation may turn channels into positions.

use super::rearrange::before;
use super::{Borders, Budget, Region, Set, taps};
use crate::analysis::field::Interval;
use crate::analysis::relation::Link;
use crate::diagnostic::Problem;
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::conv::PaddingMode;
use crate::layers::rearrange::Rearrangement;
use crate::layers::{Arithmetic as A, AxisReach, Io, Reach, Role};

/// Options of the propagation.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// Whether borders count.
    pub borders: Borders,
    /// Whether to include gates and statistics over the whole map.
    pub gates: bool,
    /// Whether to return the regions of every node, not only of the inputs.
    pub keep: bool,
}

/// Propagates `regions` (at most one per node, channels first) back through all nodes in `useful`; returns what is
/// read of the inputs, or of each node.
pub fn follow(
    graph: &Graph,
    mut regions: Vec<Option<Region>>,
    useful: impl Fn(NodeId) -> bool,
    way: Way,
    budget: &Budget,
) -> Result<Vec<Option<Region>>, Problem> {
    let ground = Ground::new(graph, way.borders, way.gates);
    for index in (0..regions.len()).rev() {
        let current = &graph.nodes[index];
        let Some(region) = regions[index].clone().filter(|_| !matches!(current.op, Op::Input)) else {
            continue;
        };
        for (operand, read) in read_by(graph, current, &region, &useful, &ground, budget)? {
            let slot = &mut regions[operand.0];
            *slot = Some(match slot.take() {
                Some(old) => old.union(&read, budget)?,
                None => read,
            });
        }
    }
    Ok(regions)
}

/// The context that all steps share.
#[derive(Debug)]
pub(super) struct Ground {
    borders: Borders,
    gates: bool,
    /// For each node, whether its first axis contains channels only.
    unpadded: Vec<bool>,
}

impl Ground {
    pub fn new(graph: &Graph, borders: Borders, gates: bool) -> Self {
        Self { borders, gates, unpadded: channels_only(graph) }
    }
}

/// Returns what `region` of the output of `node` reads of each operand.
pub(super) fn read_by(
    graph: &Graph,
    node: &Node,
    region: &Region,
    useful: &impl Fn(NodeId) -> bool,
    ground: &Ground,
    budget: &Budget,
) -> Result<Vec<(NodeId, Region)>, Problem> {
    let mut all = Vec::new();
    if let Op::Layer(layer) = &node.op {
        let shapes = graph.input_shapes(node);
        let io = Io { inputs: &shapes, output: &node.shape };
        if let (Some(rearrangement), Some(&operand)) = (layer.rearrangement(io), node.inputs.first()) {
            if useful(operand) {
                let sizes = (shapes[0].sizes(), node.shape.sizes());
                let read = before(region, &rearrangement, sizes, budget)?;
                all.push((operand, inside(&read, shapes[0].sizes(), ground.borders, budget)?));
            }
            return Ok(all);
        }
    }
    let reaches = graph.reach(node);
    let weight = matches!(&node.op, Op::Layer(layer) if matches!(layer.arithmetic(), A::DynamicConv(_)));
    for reach in reaches.iter().filter(|reach| ground.gates || reach.role != Role::Context) {
        if let Some(&operand) = node.inputs.get(reach.input).filter(|operand| useful(**operand)) {
            let bounded =
                |axis: usize| ground.borders == Borders::Real || axis == 0 && ground.unpadded[operand.0];
            let sizes = graph.node(operand).shape.sizes();
            let read = match reaches.first().filter(|_| weight && reach.input == 1) {
                Some(map) => {
                    let along = graph.node(node.inputs[map.input]).shape.sizes();
                    let taps = |product: &[Set], axis: usize| {
                        let size = (along[axis], sizes[axis + 1]);
                        taps::met(&map.axes[axis], &product[axis], size, ground.borders, budget)
                    };
                    image(region, reach, sizes, (&bounded, padding_mode(node), Some(&taps)), budget)?
                }
                None => image(region, reach, sizes, (&bounded, padding_mode(node), None), budget)?,
            };
            all.push((operand, read));
        }
    }
    Ok(all)
}

/// Returns, for each node, whether its first axis contains channels only: indices beyond them are then not padding
/// but belong to another operand. A permutation may have made it an axis of positions.
pub fn channels_only(graph: &Graph) -> Vec<bool> {
    let mut carries: Vec<Vec<bool>> = Vec::with_capacity(graph.nodes.len());
    for (_, node) in graph.iter() {
        let Op::Layer(layer) = &node.op else {
            carries.push((0..node.shape.rank()).map(|axis| axis > 0).collect());
            continue;
        };
        let mut own = vec![false; node.shape.rank()];
        let shapes = graph.input_shapes(node);
        if let Some(Rearrangement::Regroup(runs)) =
            layer.rearrangement(Io { inputs: &shapes, output: &node.shape })
        {
            let of = &carries[node.inputs[0].0];
            for run in runs.iter().filter(|run| run.input.iter().any(|&axis| of[axis])) {
                run.output.iter().for_each(|&axis| own[axis] = true);
            }
        }
        for reach in graph.reach(node) {
            let Some(of) = node.inputs.get(reach.input).map(|operand| &carries[operand.0]) else { continue };
            for (axis, _) in reach.axes.iter().zip(of).filter(|(_, carries)| **carries) {
                if let Some(by) = axis.by() {
                    own[by] = true;
                }
            }
        }
        carries.push(own);
    }
    carries.iter().map(|axes| !axes.first().copied().unwrap_or(false)).collect()
}

/// Returns the part of `region` that exists.
fn inside(region: &Region, sizes: &[u64], borders: Borders, budget: &Budget) -> Result<Region, Problem> {
    if borders == Borders::Ignored {
        return Ok(region.clone());
    }
    let mut all = Region::empty(sizes.len());
    for product in region.products() {
        let sets = product.iter().zip(sizes).map(|(set, &size)| set.intersection(&Set::below(size), budget));
        all = all.union(&Region::product(&sets.collect::<Result<Vec<_>, _>>()?), budget)?;
    }
    Ok(all)
}

/// Returns the taps along an axis of the map that a product of a region uses, where a weight is an input.
type Taps<'a> = &'a dyn Fn(&[Set], usize) -> Result<Set, Problem>;

/// Returns what `region` reads of an operand with these sizes; of a weight, whose axes are its two kinds of channels and
/// the map's others, the taps that meet the map.
fn image(
    region: &Region,
    reach: &Reach,
    sizes: &[u64],
    (bounded, mirror, taps): (&dyn Fn(usize) -> bool, PaddingMode, Option<Taps<'_>>),
    budget: &Budget,
) -> Result<Region, Problem> {
    let links = reach.axes.iter().map(Step::new).collect::<Result<Vec<_>, _>>()?;
    let mut all = Region::empty(sizes.len());
    let mut products = Vec::new();
    for product in region.products() {
        products.extend(by_block(product, &links, budget)?);
    }
    for product in products {
        let mut sets = Vec::with_capacity(sizes.len());
        for (axis, (link, &size)) in links.iter().zip(sizes).enumerate() {
            let mut set = match taps.filter(|_| axis > 1) {
                Some(taps) => taps(&product, axis - 1)?,
                None => link.image(&product, size, budget)?,
            };
            if bounded(axis) {
                set = if axis == 0 { set.within(size) } else { folded(&set, size, mirror) };
            }
            sets.push(set);
        }
        all = all.union(&Region::product(&sets), budget)?;
    }
    Ok(all)
}

/// Returns parts of a product, each of which reads one block, where the index of a channel decides both about the block and
/// about the place in it (the weight of a transposed convolution with groups): elsewhere the axes are independent.
fn by_block(product: Vec<Set>, links: &[Step<'_>], budget: &Budget) -> Result<Vec<Vec<Set>>, Problem> {
    let placed = |of| links.iter().any(|link| matches!(link, Step::Within { by, .. } if *by == of));
    let blocks = links.iter().find_map(|link| match *link {
        Step::Blocks { by, outputs, .. } if placed(by) => Some((by, outputs)),
        _ => None,
    });
    let Some((by, outputs)) = blocks else { return Ok(vec![product]) };
    let mut parts = Vec::new();
    for span in product[by].spans() {
        let blocks = span.lo.div_euclid(outputs)..=span.hi.div_euclid(outputs);
        budget.spend_wide(blocks.end() - blocks.start() + 1)?;
        for block in blocks {
            let (lo, hi) = (block * outputs, block * outputs + outputs - 1);
            let mut part = product.clone();
            part[by] = Set::interval(span.lo.max(lo), span.hi.min(hi));
            parts.push(part);
        }
    }
    Ok(parts)
}

/// Returns how the border of `node`'s input is padded.
pub fn padding_mode(node: &Node) -> PaddingMode {
    let Op::Layer(layer) = &node.op else { return PaddingMode::Zeros };
    match layer.arithmetic() {
        A::Conv(conv) => conv.padding_mode,
        A::Pad(pad) => pad.mode,
        #[rustfmt::skip]
        A::Pointwise(_) | A::ConvTranspose(_) | A::DeformConv(_) | A::DeformSample(_) | A::Linear(_)
        | A::DynamicConv(_) | A::Matmul(_) | A::Attention(_) | A::MaxPool(_) | A::AvgPool(_) | A::AdaptiveAvgPool(_)
        | A::AdaptiveMaxPool(_) | A::GlobalAvgPool(_) | A::GlobalMaxPool(_) | A::Reduce(_)
        | A::BatchNorm(_) | A::LayerNorm(_) | A::GroupNorm(_) | A::InstanceNorm(_)
        | A::LocalResponseNorm(_) | A::Dropout(_) | A::Prelu(_) | A::Softmax(_) | A::Glu(_)
        | A::Identity(_) | A::ChannelShuffle(_) | A::PixelShuffle(_) | A::PixelUnshuffle(_)
        | A::Upsample(_) | A::Crop(_) | A::Slice(_) | A::Gather(_) | A::Chunk(_) | A::Flatten(_)
        | A::Reshape(_) | A::Permute(_) | A::Add(_) | A::Multiply(_) | A::Divide(_) | A::Concat(_)
        | A::LayerScale(_) | A::LearnedScale(_) | A::LearnedBias(_) | A::LearnedTokens(_)
        | A::LearnedTensor(_) | A::SqueezeExcite(_) | A::Opaque(_) => PaddingMode::Zeros,
    }
}

/// Returns the elements of an axis of `size` that are read at `set`; indices beyond its ends read what the padding
/// copies there.
pub(crate) fn folded(set: &Set, size: u64, mode: PaddingMode) -> Set {
    let (last, wide) = (i128::from(size) - 1, i128::from(size));
    let beyond = |span: &Interval| {
        let below = (span.lo < 0).then(|| Interval { lo: span.lo, hi: span.hi.min(-1) });
        let above = (span.hi > last).then(|| Interval { lo: span.lo.max(wide), hi: span.hi });
        let shown = |span: Interval, edge: i128, mirrored: i128, moved: i128| match mode {
            PaddingMode::Zeros => None,
            PaddingMode::Replicate => Some(Interval { lo: edge, hi: edge }),
            PaddingMode::Reflect => Some(Interval { lo: mirrored - span.hi, hi: mirrored - span.lo }),
            PaddingMode::Circular => Some(Interval { lo: span.lo + moved, hi: span.hi + moved }),
        };
        let low = below.and_then(|span| shown(span, 0, 0, wide));
        let high = above.and_then(|span| shown(span, last, 2 * last, -wide));
        [Some(*span), low, high].into_iter().flatten().filter_map(|span| span.clipped(size))
    };
    Set::of(set.spans().iter().flat_map(beyond).collect())
}

/// One axis of a reach. Blocks and shuffles of channels have arbitrarily long periods, and a table has none:
/// they are not a [`Link`] here.
enum Step<'a> {
    Link(Link),
    Table { by: usize, indices: &'a [u64] },
    Blocks { by: usize, outputs: i128, inputs: i128 },
    Shuffle { by: usize, groups: i128, each: i128 },
    Within { by: usize, size: i128 },
}

impl<'a> Step<'a> {
    fn new(reach: &'a AxisReach) -> Result<Self, Problem> {
        Ok(match *reach {
            AxisReach::Blocks { by, outputs, inputs } => {
                Self::Blocks { by, outputs: i128::from(outputs.max(1)), inputs: i128::from(inputs.max(1)) }
            }
            AxisReach::Shuffle { by, groups, size } => {
                let groups = groups.max(1);
                Self::Shuffle { by, groups: i128::from(groups), each: i128::from(size / groups) }
            }
            AxisReach::Table { by, ref indices } => Self::Table { by, indices },
            AxisReach::Within { by, size } => Self::Within { by, size: i128::from(size.max(1)) },
            _ => Self::Link(Link::new(reach)?),
        })
    }

    /// Returns what the product reads of an axis of `size` elements.
    fn image(&self, product: &[Set], size: u64, budget: &Budget) -> Result<Set, Problem> {
        let empty = Set::default();
        let along = |by: usize| product.get(by).unwrap_or(&empty);
        match self {
            Self::Link(Link::By(relation)) => along(relation.by).through(relation, budget),
            Self::Link(Link::All) => Ok(Set::below(size)),
            Self::Link(Link::First) => Ok(Set::interval(0, 0)),
            Self::Blocks { by, outputs, inputs } => {
                let set = along(*by);
                budget.spend(set.spans().len())?;
                let block = |span: &Interval| Interval {
                    lo: span.lo.div_euclid(*outputs) * inputs,
                    hi: span.hi.div_euclid(*outputs) * inputs + inputs - 1,
                };
                Ok(Set::of(set.spans().iter().map(block).collect()))
            }
            Self::Table { by, indices } => {
                budget.spend_wide(i128::from(indices.len() as u64))?;
                let place = |u: i128| usize::try_from(u.max(0)).unwrap_or(usize::MAX).min(indices.len());
                let chosen = along(*by)
                    .spans()
                    .iter()
                    .flat_map(|span| indices.get(place(span.lo)..place(span.hi + 1)).unwrap_or_default());
                let index = |&index: &u64| Interval { lo: i128::from(index), hi: i128::from(index) };
                Ok(Set::of(chosen.map(index).collect()))
            }
            Self::Within { by, size } => {
                let set = along(*by);
                budget.spend(set.spans().len())?;
                let places = |span: &Interval| {
                    let (lo, hi) = (span.lo.rem_euclid(*size), span.hi.rem_euclid(*size));
                    // A span may go beyond the end of a group, or over a whole one.
                    match span.hi - span.lo + 1 >= *size {
                        true => [Some(Interval { lo: 0, hi: size - 1 }), None],
                        false if lo <= hi => [Some(Interval { lo, hi }), None],
                        false => [Some(Interval { lo, hi: size - 1 }), Some(Interval { lo: 0, hi })],
                    }
                };
                Ok(Set::of(set.spans().iter().flat_map(places).flatten().collect()))
            }
            Self::Shuffle { by, groups, each } => {
                let set = along(*by);
                if *set == Set::below(size) {
                    return Ok(set.clone());
                }
                budget.spend_wide(set.len())?;
                let indices = set.spans().iter().flat_map(|span| span.lo..=span.hi);
                let from = |u: i128| u.rem_euclid(*groups) * each + u.div_euclid(*groups);
                Ok(Set::of(indices.map(|u| Interval { lo: from(u), hi: from(u) }).collect()))
            }
        }
    }
}
