//! Finds the elements of each weight on which some output depends, element by element.
//!
//! An element is dead if no path leads from it to an output: no layer reads its layer, a slice omits its
//! channel, or its tap of the kernel reads only padding at every position of the window (a dilated kernel
//! wider than its map; Chen et al. 2017, section 3.3, on the filter weights that stay valid). What the
//! outputs read is propagated back through all nodes at once, exactly and with borders; deformable
//! convolutions count with their regular grid. Zeros that a `pad` layer writes are padding like any other
//! (see [`known_zeros`]).

use crate::analysis::field::Interval;
use crate::analysis::known_zeros;
use crate::analysis::support::{Budget, Region, Set, folded, live};
use crate::diagnostic::Problem;
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::conv::{Conv, PaddingMode};
use crate::layers::deform_conv::{DeformConv, Offsets};
use crate::layers::layer_norm::NormAxis;
use crate::layers::layer_scale::ScaleAxis;
use crate::layers::window::Window;
use crate::layers::{Arithmetic as A, Layer, Weight, WeightRole};
use crate::shape::Shape;

/// Returns, per node and weight, the used elements as a region of the weight's own axes. Where nodes share
/// weights, the owner's entry has the elements that any of them uses. An error if this needs too many steps.
pub fn used(graph: &Graph) -> Result<Vec<Vec<Region>>, Problem> {
    let budget = Budget::default();
    let nothing =
        |node: &Node| node.weights.iter().map(|weight| Region::empty(weight.shape.rank())).collect();
    let mut all: Vec<Vec<Region>> = graph.nodes.iter().map(nothing).collect();
    // What a concatenation is said to read may be more than it does there; it has no weights.
    let live = live(&graph.joined())?;
    let nonzero = known_zeros::nonzero(graph, &budget)?;
    for (id, node) in graph.iter() {
        let (Op::Layer(layer), Some(region)) = (&node.op, &live[id.0]) else { continue };
        let values = match node.inputs.first() {
            Some(&input) => match &nonzero[input.0] {
                Some(region) => region.products(),
                None => vec![known_zeros::whole(graph.node(input))],
            },
            None => vec![],
        };
        let owner = owner(graph, id);
        for (index, weight) in node.weights.iter().enumerate() {
            let mut of = Region::empty(weight.shape.rank());
            for product in region.products() {
                for sets in elements(graph, node, layer, weight, (&product, &values), &budget)? {
                    of = of.union(&Region::product(&sets), &budget)?;
                }
            }
            if let Some(sum) = all[owner.0].get_mut(index) {
                *sum = sum.union(&of, &budget)?;
            }
        }
    }
    Ok(all)
}

fn owner(graph: &Graph, mut id: NodeId) -> NodeId {
    while let Some(next) = graph.node(id).shares {
        id = next;
    }
    id
}

/// A weight of which some or all elements are unused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// The node that owns it.
    pub node: NodeId,
    /// Its index among the node's weights.
    pub weight: usize,
    /// Its number of elements.
    pub elements: u64,
    /// The number of elements on which some output depends.
    pub used: u64,
    /// For a kernel, the number of taps that no channel uses and the number of all taps; `None` if some
    /// channel uses each tap.
    pub taps: Option<(u64, u64)>,
}

/// Returns the learnable weights with unused elements; errors as for [`used`].
pub fn idle(graph: &Graph) -> Result<Vec<Idle>, Problem> {
    let (used, budget) = (used(graph)?, Budget::default());
    let mut found = Vec::new();
    for (id, node) in graph.iter().filter(|(_, node)| node.shares.is_none()) {
        for (index, weight) in node.weights.iter().enumerate() {
            let region = &used[id.0][index];
            let (elements, used) = (weight.shape.elements()?, region.positions()?);
            let used = u64::try_from(used).unwrap_or(elements);
            if weight.role == WeightRole::Parameter && used < elements {
                let taps = match weight.shape.sizes() {
                    [_, _, kernel @ ..] if used > 0 && !kernel.is_empty() => {
                        let met = region.without_channels(&budget)?.without_channels(&budget)?.positions()?;
                        let all: u64 = kernel.iter().product();
                        let idle = all.saturating_sub(u64::try_from(met).unwrap_or(all));
                        (idle > 0).then_some((idle, all))
                    }
                    _ => None,
                };
                found.push(Idle { node: id, weight: index, elements, used, taps });
            }
        }
    }
    Ok(found)
}

/// Returns the elements of `weight` that act on the elements `live` of the layer's output, as products along the
/// weight's axes; `values` are the elements of its input that may differ from zero.
fn elements(
    graph: &Graph,
    node: &Node,
    layer: &Layer,
    weight: &Weight,
    (live, values): (&[Set], &[Vec<Set>]),
    budget: &Budget,
) -> Result<Vec<Vec<Set>>, Problem> {
    let sizes = weight.shape.sizes();
    let whole = || sizes.iter().map(|&size| Set::below(size)).collect::<Vec<_>>();
    // One set for the first axis of the weight, everything along the others.
    let first = |set: &Set| {
        let mut sets = whole();
        sets[0] = set.clone();
        vec![sets]
    };
    let last = live.last().cloned().unwrap_or_default();
    let Some(input) = node.inputs.first().map(|&input| &graph.node(input).shape) else {
        return Ok(vec![whole()]);
    };
    Ok(match layer.arithmetic() {
        A::Conv(conv) => convolved(conv, weight, (live, values), input, budget)?,
        A::DeformSample(deform) => match weight.name {
            "weight" | "bias" => convolved(&deform.main(), weight, (live, values), input, budget)?,
            _ => vec![[&[Set::below(sizes[0])], &live[1..]].concat()],
        },
        A::DeformConv(deform) => match weight.name {
            "weight" | "bias" => convolved(&deform.main(), weight, (live, values), input, budget)?,
            _ => offsets(deform, weight, (live, values), input.spatial(), budget)?,
        },
        A::ConvTranspose(_) if weight.name == "bias" => first(&live[0]),
        A::Linear(_) if weight.name == "bias" => first(&last),
        A::ConvTranspose(conv) => {
            let mut all = Vec::new();
            for from in values {
                let mut taps = Vec::new();
                for ((window, set), held) in
                    conv.windows(input.spatial())?.iter().zip(&live[1..]).zip(&from[1..])
                {
                    budget.spend(usize::try_from(window.kernel).unwrap_or(usize::MAX))?;
                    let meets = |offset: i128| set.every(i128::from(window.stride), offset).meets(held);
                    taps.push(hit(window, meets));
                }
                let groups = conv.out_channels / sizes[1].max(1);
                for (inputs, outputs) in by_group(groups, (&from[0], sizes[0]), (&live[0], sizes[1]), budget)?
                {
                    all.push([&[inputs, outputs], taps.as_slice()].concat());
                }
            }
            all
        }
        A::Linear(_) => {
            let mut all = Vec::new();
            for from in values {
                let [before @ .., held] = from.as_slice() else { continue };
                if before.iter().zip(live).all(|(held, read)| held.meets(read)) {
                    all.push(vec![last.clone(), held.clone()]);
                }
            }
            all
        }
        A::LayerNorm(norm) => match norm.axis {
            NormAxis::Channels => first(&live[0]),
            NormAxis::Last => first(&last),
            NormAxis::Space => vec![live[1..].to_vec()],
            NormAxis::All => vec![live.to_vec()],
        },
        A::LayerScale(scale) => match scale.axis {
            ScaleAxis::Channels => first(&live[0]),
            ScaleAxis::Last => first(&last),
        },
        A::BatchNorm(_) | A::GroupNorm(_) | A::InstanceNorm(_) => first(&live[0]),
        A::Prelu(_) if sizes == [1] => vec![whole()],
        A::Prelu(_) => first(&live[0]),
        // The score of every key acts on the outputs of the queries.
        A::Attention(_) => {
            let own = |(axis, &size): (usize, &u64)| match live.get(axis) {
                Some(set) if size > 1 && axis + 1 < live.len() => set.clone(),
                _ => Set::below(size),
            };
            vec![sizes.iter().enumerate().map(own).collect()]
        }
        A::LearnedScale(_) | A::LearnedBias(_) => {
            let own = |(set, &size): (&Set, &u64)| if size == 1 { Set::below(1) } else { set.clone() };
            vec![live.iter().zip(sizes).map(own).collect()]
        }
        A::LearnedTensor(_) => vec![live.to_vec()],
        A::LearnedTokens(tokens) => {
            let axis = usize::try_from(tokens.axis).unwrap_or(usize::MAX);
            let before = if tokens.after { input.sizes().get(axis).copied().unwrap_or(0) } else { 0 };
            let mut sets = live.to_vec();
            if let Some(set) = sets.get_mut(axis) {
                *set = set.spaced(1, -i128::from(before), budget)?.within(tokens.count);
            }
            vec![sets]
        }
        A::SqueezeExcite(_) if weight.name.starts_with("fc2") => first(&live[0]),
        // For other layers only one fact is available: some layer reads them.
        #[rustfmt::skip]
        A::Pointwise(_) | A::DynamicConv(_) | A::Matmul(_) | A::MaxPool(_) | A::AvgPool(_) | A::AdaptiveAvgPool(_)
        | A::AdaptiveMaxPool(_) | A::GlobalAvgPool(_) | A::GlobalMaxPool(_) | A::Reduce(_)
        | A::LocalResponseNorm(_) | A::Dropout(_) | A::Softmax(_) | A::Glu(_) | A::Identity(_)
        | A::ChannelShuffle(_) | A::PixelShuffle(_) | A::PixelUnshuffle(_) | A::Upsample(_) | A::Pad(_)
        | A::Crop(_) | A::Slice(_) | A::Gather(_) | A::Chunk(_) | A::Flatten(_) | A::Reshape(_)
        | A::Permute(_) | A::Add(_) | A::Multiply(_) | A::Divide(_) | A::Concat(_) | A::SqueezeExcite(_)
        | A::Opaque(_) => vec![whole()],
    })
}

/// Returns the taps `t` of `window` for which `meets` is true: an input at `u * stride + offset` exists for some
/// output `u`.
fn hit(window: &Window, meets: impl Fn(i128) -> bool) -> Set {
    let offset = |t: u64| i128::from(t) * i128::from(window.dilation) - i128::from(window.before);
    let taps = (0..window.kernel).filter(|&t| meets(offset(t))).map(i128::from);
    Set::of(taps.map(|t| Interval { lo: t, hi: t }).collect())
}

/// Returns, per axis, the taps that read an element of `map` for some of the outputs `space`.
fn met(windows: &[Window], space: &[Set], map: &[Set], budget: &Budget) -> Result<Vec<Set>, Problem> {
    let mut taps = Vec::new();
    for ((window, set), held) in windows.iter().zip(space).zip(map) {
        budget.spend(usize::try_from(window.kernel).unwrap_or(usize::MAX))?;
        let reads = |offset: i128| held.every(i128::from(window.stride), offset);
        taps.push(hit(window, |offset| set.meets(&reads(offset))));
    }
    Ok(taps)
}

fn convolved(
    conv: &Conv,
    weight: &Weight,
    (live, values): (&[Set], &[Vec<Set>]),
    input: &Shape,
    budget: &Budget,
) -> Result<Vec<Vec<Set>>, Problem> {
    if weight.name == "bias" {
        return Ok(vec![vec![live[0].clone()]]);
    }
    let (windows, sizes) = (conv.windows(input.spatial())?, weight.shape.sizes());
    let groups = input.channels() / sizes[1].max(1);
    let mut all = Vec::new();
    for from in values {
        let mut map = Vec::new();
        for ((held, window), &size) in from[1..].iter().zip(&windows).zip(input.spatial()) {
            map.push(padded(held, window, size, conv.padding_mode, budget)?);
        }
        let taps = met(&windows, &live[1..], &map, budget)?;
        for (outputs, inputs) in by_group(groups, (&live[0], sizes[0]), (&from[0], sizes[1]), budget)? {
            all.push([&[outputs, inputs], taps.as_slice()].concat());
        }
    }
    Ok(all)
}

/// Returns `held`, elements of an axis of `size`, plus the padding positions that mirror or repeat them.
fn padded(
    held: &Set,
    window: &Window,
    size: u64,
    mode: PaddingMode,
    budget: &Budget,
) -> Result<Set, Problem> {
    let ends = [-i128::from(window.before), i128::from(size) + i128::from(window.after)];
    if mode == PaddingMode::Zeros || *held == Set::below(size) && ends[0] <= 0 && ends[1] >= i128::from(size)
    {
        let shown =
            if mode == PaddingMode::Zeros { held.clone() } else { Set::interval(ends[0], ends[1] - 1) };
        return Ok(shown);
    }
    budget.spend_wide(ends[1] - ends[0])?;
    let shows = |&at: &i128| folded(&Set::interval(at, at), size, mode).meets(held);
    Ok(Set::of((ends[0]..ends[1]).filter(shows).map(|at| Interval { lo: at, hi: at }).collect()))
}

/// Returns the used elements of the convolution that computes the offsets: all its offsets, at every sampled
/// position.
fn offsets(
    deform: &DeformConv,
    weight: &Weight,
    (live, values): (&[Set], &[Vec<Set>]),
    map: &[u64],
    budget: &Budget,
) -> Result<Vec<Vec<Set>>, Problem> {
    let sizes = weight.shape.sizes();
    if weight.name == "offset.bias" {
        return Ok(vec![vec![Set::below(sizes[0])]]);
    }
    let main = deform.main().windows(map)?;
    let (windows, space) = match deform.offsets {
        Offsets::PerTap => (deform.offset_windows(&main)?, live[1..].to_vec()),
        // Per-channel offsets belong to the elements that are sampled.
        Offsets::PerChannel => {
            let mut sampled = Vec::new();
            for ((window, set), &size) in main.iter().zip(&live[1..]).zip(map) {
                budget.spend_wide(set.len().saturating_mul(i128::from(window.kernel)))?;
                let (stride, dilation) = (i128::from(window.stride), i128::from(window.dilation));
                let mut all = Set::default();
                for t in 0..i128::from(window.kernel) {
                    let moved = set.spaced(stride, t * dilation - i128::from(window.before), budget)?;
                    all = all.union(&moved.within(size), budget)?;
                }
                sampled.push(all);
            }
            (vec![Window { kernel: 3, before: 1, after: 1, ..Window::POINT }; map.len()], sampled)
        }
    };
    let with = |from: &Vec<Set>| {
        let taps = met(&windows, &space, &from[1..], budget)?;
        Ok([&[Set::below(sizes[0]), from[0].clone()], taps.as_slice()].concat())
    };
    values.iter().map(with).collect()
}

/// Splits the first two axes of a weight by group: `all` are channels of all groups, `count` in total; `own` are
/// channels within the groups, `each` per group. Returns pairs of sets; groups that use the same of their own
/// channels are joined.
fn by_group(
    groups: u64,
    (all, count): (&Set, u64),
    (own, each): (&Set, u64),
    budget: &Budget,
) -> Result<Vec<(Set, Set)>, Problem> {
    let groups = groups.max(1);
    if *own == Set::below(groups.saturating_mul(each)) {
        return Ok(vec![(all.clone(), Set::below(each))]);
    }
    budget.spend(usize::try_from(groups).unwrap_or(usize::MAX))?;
    let members = i128::from(count / groups);
    let mut found: Vec<(Set, Set)> = Vec::new();
    for group in 0..i128::from(groups) {
        let used = own.spaced(1, -group * i128::from(each), budget)?.within(each);
        let of = all.intersection(&Set::interval(group * members, (group + 1) * members - 1), budget)?;
        if used.is_empty() || of.is_empty() {
            continue;
        }
        budget.spend(found.len())?;
        match found.iter_mut().find(|(_, other)| *other == used) {
            Some((sum, _)) => *sum = sum.union(&of, budget)?,
            None => found.push((of, used)),
        }
    }
    Ok(found)
}
