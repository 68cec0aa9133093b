//! Which elements of each weight any output depends on, element by element.
//!
//! An element is dead if every way from it to an output is missing: nobody reads the layer, a slice leaves its channel
//! out, or its tap of the kernel meets nothing but padding, wherever the window stands (a dilated kernel wider than its
//! map; Chen et al. 2017, section 3.3, on the filter weights that stay valid). What is read of each node is followed
//! back from all outputs at once, exactly and with borders; samples of deformable convolutions are taken at their
//! regular grid. Zeros that a `pad` layer writes are padding like any other (see [`zeros`]).

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
use crate::layers::{Layer, Weight, WeightRole};
use crate::shape::Shape;

/// For each node, for each of its weights: the elements that are used, as a region of the weight's own axes. Where nodes
/// share weights, those of their owner are used by any of them.
pub fn used(graph: &Graph) -> Result<Vec<Vec<Region>>, Problem> {
    let budget = Budget::default();
    let nothing =
        |node: &Node| node.weights.iter().map(|weight| Region::empty(weight.shape.rank())).collect();
    let mut all: Vec<Vec<Region>> = graph.nodes.iter().map(nothing).collect();
    let live = live(graph)?;
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

/// A weight that is used in part or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// The node that owns it.
    pub node: NodeId,
    /// Its place among the node's weights.
    pub weight: usize,
    /// Its elements.
    pub elements: u64,
    /// Those that some output depends on.
    pub used: u64,
    /// Of a kernel: the taps that are used for no channel, and all of them; none if all are used for some.
    pub taps: Option<(u64, u64)>,
}

/// The learnable weights of which some element is not used.
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

/// The elements of `weight` that act on the elements `live` of the layer's output, as products along the weight's axes;
/// `values` are the elements of its input that need not be zero.
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
    Ok(match layer {
        Layer::Conv(conv) => convolved(conv, weight, (live, values), input, budget)?,
        Layer::DeformSample(deform) => match weight.name {
            "weight" | "bias" => convolved(&deform.main(), weight, (live, values), input, budget)?,
            _ => vec![[&[Set::below(sizes[0])], &live[1..]].concat()],
        },
        Layer::DeformConv(deform) => match weight.name {
            "weight" | "bias" => convolved(&deform.main(), weight, (live, values), input, budget)?,
            _ => offsets(deform, weight, (live, values), input.spatial(), budget)?,
        },
        Layer::ConvTranspose(_) | Layer::Linear(_) if weight.name == "bias" => match layer {
            Layer::Linear(_) => first(&last),
            _ => first(&live[0]),
        },
        Layer::ConvTranspose(conv) => {
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
        Layer::Linear(_) => {
            let mut all = Vec::new();
            for from in values {
                let [before @ .., held] = from.as_slice() else { continue };
                if before.iter().zip(live).all(|(held, read)| held.meets(read)) {
                    all.push(vec![last.clone(), held.clone()]);
                }
            }
            all
        }
        Layer::LayerNorm(norm) => match norm.axis {
            NormAxis::Channels => first(&live[0]),
            NormAxis::Last => first(&last),
            NormAxis::Space => vec![live[1..].to_vec()],
            NormAxis::All => vec![live.to_vec()],
        },
        Layer::LayerScale(scale) => match scale.axis {
            ScaleAxis::Channels => first(&live[0]),
            ScaleAxis::Last => first(&last),
        },
        Layer::BatchNorm(_) | Layer::GroupNorm(_) | Layer::InstanceNorm(_) => first(&live[0]),
        Layer::Prelu(_) if sizes == [1] => vec![whole()],
        Layer::Prelu(_) => first(&live[0]),
        // Every key's score acts on the queries' outputs.
        Layer::Attention(_) => {
            let own = |(axis, &size): (usize, &u64)| match live.get(axis) {
                Some(set) if size > 1 && axis + 1 < live.len() => set.clone(),
                _ => Set::below(size),
            };
            vec![sizes.iter().enumerate().map(own).collect()]
        }
        Layer::LearnedScale(_) | Layer::LearnedBias(_) => {
            let own = |(set, &size): (&Set, &u64)| if size == 1 { Set::below(1) } else { set.clone() };
            vec![live.iter().zip(sizes).map(own).collect()]
        }
        Layer::LearnedTensor(_) => vec![live.to_vec()],
        Layer::LearnedTokens(tokens) => {
            let axis = usize::try_from(tokens.axis).unwrap_or(usize::MAX);
            let before = if tokens.after { input.sizes().get(axis).copied().unwrap_or(0) } else { 0 };
            let mut sets = live.to_vec();
            if let Some(set) = sets.get_mut(axis) {
                *set = set.spaced(1, -i128::from(before), budget)?.within(tokens.count);
            }
            vec![sets]
        }
        Layer::SqueezeExcite(_) if weight.name.starts_with("fc2") => first(&live[0]),
        // Of others it is known only that somebody reads them.
        _ => vec![whole()],
    })
}

/// The taps `t` of `window` for which `meets` says that an input at `u * stride + offset` exists for some output `u`.
fn hit(window: &Window, meets: impl Fn(i128) -> bool) -> Set {
    let offset = |t: u64| i128::from(t) * i128::from(window.dilation) - i128::from(window.before);
    let taps = (0..window.kernel).filter(|&t| meets(offset(t))).map(i128::from);
    Set::of(taps.map(|t| Interval { lo: t, hi: t }).collect())
}

/// The taps on each axis that meet an element of `map` for some of the outputs `space`.
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

/// `held`, elements of an axis of `size`, with those that the padding shows of them.
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

/// The convolution that computes the offsets, for all of them at every position that is sampled for.
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
        // Offsets belong to the elements that are sampled.
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

/// The first two axes of a weight: channels of all groups, of which there are so many in all, and channels of a group, of
/// which each has so many. As pairs of sets; groups that use the same of their own are together.
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
