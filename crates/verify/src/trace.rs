//! Measures dependence: the executor's own vector-Jacobian products, run backwards in dependence bits ([`Marks`]).
//!
//! All values and weights are 1, so the network is linearised with positive weights. Two kinds of layers need care,
//! because for one input they do not read everything that they could read. Max pools pass their gradient to one
//! winner, so they are run once per residue class of positions with that class as the winner, and every tap wins
//! once (where that takes too long, they are run as the depthwise convolution with the same windows); adaptive and
//! global max pools are run as the mean over the same windows. A deformable convolution samples its regular grid, so it
//! is run as its convolution plus its offset convolution.

use std::sync::Arc;

use crate::dependence_bits::Marks;
use crate::rebuild::map_wide;
use crate::zeros::masks;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node, NodeId, Op};
use cnnkit_core::layers::args::{Groups, Padding, PerAxis};
use cnnkit_core::layers::conv::{Conv, PaddingMode};
use cnnkit_core::layers::deform_conv::{DeformConv, Offsets};
use cnnkit_core::layers::deform_sample::DeformSample;
use cnnkit_core::layers::reduce::{Reduce, Reduction};
use cnnkit_core::layers::window::Window;
use cnnkit_core::layers::{Arithmetic as A, Io, Layer, Role, Weight};
use cnnkit_core::shape::Shape;
use cnnkit_exec::reference::{self, Call};
use cnnkit_exec::scalar::Scalar as _;
use cnnkit_exec::tensor::{Tensor, batched};

/// The values that depend on the seeds.
#[derive(Debug)]
pub struct Trace {
    /// For each node that was reached and kept (the network's inputs), its dependence bits.
    pub inputs: Vec<(NodeId, Tensor<Marks>)>,
    /// For each node, the dependence bits of each of its weights; empty where nothing arrived.
    pub weights: Vec<Vec<Tensor<Marks>>>,
}

impl Trace {
    /// Returns the dependence bits on the input `input`.
    pub fn on(&self, input: NodeId) -> Option<&Tensor<Marks>> {
        self.inputs.iter().find(|(id, _)| *id == input).map(|(_, tensor)| tensor)
    }
}

fn ones(sizes: &[usize]) -> Tensor<Marks> {
    Tensor::from_fn(sizes, |_| Marks::ONE)
}

fn filled(weights: &[Weight]) -> Result<Vec<Arc<Tensor<Marks>>>, Problem> {
    weights.iter().map(|weight| Ok(Arc::new(ones(&batched(1, &weight.shape)?[1..])))).collect()
}

/// Propagates the bits of `seeds` back to the inputs; with `gates`, through gates and map-wide statistics as well.
pub fn trace(graph: &Graph, seeds: Vec<(NodeId, Tensor<Marks>)>, gates: bool) -> Result<Trace, Problem> {
    follow(graph, seeds, gates, &vec![None; graph.nodes().len()])
}

/// As [`trace`] through gates, for weights: a weight that multiplies only the zeros of a pad gets no bit.
pub fn trace_to_weights(graph: &Graph, seeds: Vec<(NodeId, Tensor<Marks>)>) -> Result<Trace, Problem> {
    follow(graph, seeds, true, &masks(graph)?)
}

/// Propagates the bits; `values` has, per node, bits where its elements may differ from zero, and `None`
/// means everywhere.
fn follow(
    graph: &Graph,
    seeds: Vec<(NodeId, Tensor<Marks>)>,
    gates: bool,
    values: &[Option<Tensor<Marks>>],
) -> Result<Trace, Problem> {
    let mut arrived: Vec<Option<Tensor<Marks>>> = vec![None; graph.nodes().len()];
    for (node, seed) in seeds {
        join(&mut arrived[node.index()], seed);
    }
    let mut trace = Trace { inputs: vec![], weights: vec![vec![]; graph.nodes().len()] };
    for (id, node) in graph.iter().collect::<Vec<_>>().into_iter().rev() {
        let Some(vector) = arrived[id.index()].take() else { continue };
        if vector.data().iter().all(|marks| *marks == Marks::ZERO) {
            continue;
        }
        let Op::Layer(layer) = &node.op else {
            trace.inputs.push((id, vector));
            continue;
        };
        let read = node.inputs.first().and_then(|input| values[input.index()].as_ref());
        let back = backward(graph, node, layer, (&vector, read), gates)?;
        for (&operand, marks) in node.inputs.iter().zip(back.0) {
            join(&mut arrived[operand.index()], marks);
        }
        let mut owner = id;
        while let Some(next) = graph.node(owner).shares {
            owner = next;
        }
        if trace.weights[owner.index()].is_empty() {
            trace.weights[owner.index()] = back.1;
        } else {
            for (sum, more) in trace.weights[owner.index()].iter_mut().zip(&back.1) {
                sum.data_mut().iter_mut().zip(more.data()).for_each(|(sum, &more)| *sum += more);
            }
        }
    }
    Ok(trace)
}

fn join(slot: &mut Option<Tensor<Marks>>, more: Tensor<Marks>) {
    match slot {
        Some(sum) => sum.data_mut().iter_mut().zip(more.data()).for_each(|(sum, &more)| *sum += more),
        None => *slot = Some(more),
    }
}

type Back = (Vec<Tensor<Marks>>, Vec<Tensor<Marks>>);

fn backward(
    graph: &Graph,
    node: &Node,
    layer: &Layer,
    (vector, read): (&Tensor<Marks>, Option<&Tensor<Marks>>),
    gates: bool,
) -> Result<Back, Problem> {
    let shapes = graph.input_shapes(node);
    if !gates && map_wide(layer) {
        let used: Result<Vec<_>, Problem> =
            node.weights.iter().map(|weight| Ok(ones(&batched(1, &weight.shape)?[1..]))).collect();
        return Ok((vec![vector.clone()], used?));
    }
    let (mut inputs, weights) = plain(layer, &shapes, &node.weights, (vector, read))?;
    if !gates && matches!(layer, Layer::Multiply(_) | Layer::Divide(_)) {
        let gate = |index: usize| {
            graph.reach(node).iter().any(|reach| reach.input == index && reach.role == Role::Context)
        };
        for (index, marks) in inputs.iter_mut().enumerate().filter(|(index, _)| gate(*index)) {
            *marks = Tensor::zeros(&batched(1, &shapes[index])?);
        }
    }
    Ok((inputs, weights))
}

/// Computes the vector-Jacobian product of one layer at inputs and weights of 1; for a layer that is linear in its
/// first operand, at `read` if given, which the gradients of its weights depend on.
fn plain(
    layer: &Layer,
    shapes: &[Shape],
    declared: &[Weight],
    (vector, read): (&Tensor<Marks>, Option<&Tensor<Marks>>),
) -> Result<Back, Problem> {
    match layer.arithmetic() {
        A::MaxPool(pool) => {
            let windows = pool.windows(shapes[0].spatial())?;
            let periods = windows
                .iter()
                .map(|window| Ok(usize::try_from(window.extent()?).unwrap_or(usize::MAX)))
                .collect::<Result<Vec<_>, Problem>>()?;
            // Each class costs a run over all windows.
            let taps: u64 = windows.iter().map(|window| window.kernel).fold(1, u64::saturating_mul);
            let classes = periods.iter().fold(1u64, |all, &period| all.saturating_mul(period as u64));
            let steps = classes.saturating_mul(taps).saturating_mul(vector.len() as u64);
            let wide = if steps > MOST_STEPS { every_tap(&windows, &shapes[0], vector)? } else { None };
            let marks = wide.map_or_else(|| every_winner(layer, &shapes[0], &periods, vector), Ok)?;
            Ok((vec![marks], vec![]))
        }
        A::AdaptiveMaxPool(pool) => {
            let mean = cnnkit_core::layers::adaptive_avg_pool::AdaptiveAvgPool {
                output_size: pool.output_size.clone(),
            };
            plain(&Layer::AdaptiveAvgPool(mean), shapes, declared, (vector, None))
        }
        A::GlobalMaxPool(pool) => {
            let mean = cnnkit_core::layers::global_avg_pool::GlobalAvgPool { keepdim: pool.keepdim };
            plain(&Layer::GlobalAvgPool(mean), shapes, declared, (vector, None))
        }
        A::Reduce(reduce) if matches!(reduce.reduction, Reduction::Max | Reduction::Min) => {
            let mean = Reduce { reduction: Reduction::Mean, ..reduce.clone() };
            plain(&Layer::Reduce(mean), shapes, declared, (vector, None))
        }
        // Each element depends on itself, for any slope at 1: a mark is neither below nor above a limit.
        A::Pointwise(_) => Ok((vec![vector.clone()], vec![])),
        A::DeformConv(deform) => deformable(deform, &shapes[0], declared, (vector, read)),
        A::DeformSample(deform) => sampled(deform, shapes, declared, (vector, read)),
        // PReLU's slope acts on negative values, but dependence bits are never negative: every element of a
        // channel uses its slope.
        A::Prelu(_) => {
            let slopes = batched(1, &declared[0].shape)?.iter().product::<usize>().max(1);
            let plane: usize = vector.sizes()[2..].iter().product();
            let mut used = Tensor::zeros(&[slopes]);
            for (flat, &marks) in vector.data().iter().enumerate() {
                used.data_mut()[flat / plane.max(1) % slopes] += marks;
            }
            Ok((vec![vector.clone()], vec![used]))
        }
        #[rustfmt::skip]
        A::Conv(_) | A::ConvTranspose(_) | A::Linear(_) | A::DynamicConv(_) | A::Matmul(_) | A::Attention(_) | A::AvgPool(_)
        | A::AdaptiveAvgPool(_) | A::GlobalAvgPool(_) | A::Reduce(_) | A::BatchNorm(_) | A::LayerNorm(_)
        | A::GroupNorm(_) | A::InstanceNorm(_) | A::LocalResponseNorm(_) | A::Dropout(_) | A::Softmax(_)
        | A::Glu(_) | A::Identity(_) | A::ChannelShuffle(_) | A::PixelShuffle(_) | A::PixelUnshuffle(_)
        | A::Upsample(_) | A::Pad(_) | A::Crop(_) | A::Slice(_) | A::Gather(_) | A::Chunk(_)
        | A::Flatten(_) | A::Reshape(_) | A::Permute(_) | A::Add(_) | A::Multiply(_) | A::Divide(_)
        | A::Concat(_) | A::LayerScale(_) | A::LearnedScale(_) | A::LearnedBias(_) | A::LearnedTokens(_)
        | A::LearnedTensor(_) | A::SqueezeExcite(_) | A::Opaque(_) => {
            let sizes = shapes.iter().map(|shape| batched(1, shape)).collect::<Result<Vec<_>, _>>()?;
            let mut inputs: Vec<Tensor<Marks>> = sizes.iter().map(|sizes| ones(sizes)).collect();
            let linear = matches!(layer, Layer::Conv(_) | Layer::ConvTranspose(_) | Layer::Linear(_));
            if let (Some(read), Some(first)) = (read.filter(|_| linear), inputs.first_mut()) {
                first.clone_from(read);
            }
            let inputs: Vec<&Tensor<Marks>> = inputs.iter().collect();
            let weights = filled(declared)?;
            let back =
                reference::backward(layer, Call { inputs: &inputs, declared, weights: &weights }, vector)?;
            Ok((back.inputs, back.weights))
        }
    }
}

/// Most steps of a max pool's runs, one for each class of positions.
const MOST_STEPS: u64 = 1 << 26;

/// Runs a max pool as the depthwise convolution with the same windows, which reads every tap; none if its windows are others.
fn every_tap(
    windows: &[Window],
    shape: &Shape,
    vector: &Tensor<Marks>,
) -> Result<Option<Tensor<Marks>>, Problem> {
    let list = |value: fn(&Window) -> u64| PerAxis::list(windows.iter().map(value));
    let mut sides = Vec::with_capacity(windows.len());
    for ((window, &size), &outputs) in windows.iter().zip(shape.spatial()).zip(&vector.sizes()[2..]) {
        let side = |side: i64| u64::try_from(side).ok();
        let (Some(before), Some(after)) = (side(window.before), side(window.after)) else { return Ok(None) };
        // The last window of a pool that rounds up ends behind the padding.
        let end =
            (outputs as u64).saturating_sub(1).saturating_mul(window.stride).saturating_add(window.extent()?);
        let more = end.saturating_sub(size.saturating_add(before).saturating_add(after));
        sides.push((before, after.saturating_add(more)));
    }
    let layer = Layer::Conv(Conv {
        out_channels: shape.channels(),
        kernel: list(|window| window.kernel),
        stride: list(|window| window.stride),
        padding: Padding::Sides(sides),
        dilation: list(|window| window.dilation),
        groups: Groups::Number(shape.channels()),
        bias: false,
        padding_mode: PaddingMode::Zeros,
        in_channels: None,
    });
    let shapes = [shape.clone()];
    let output = layer.infer(&shapes)?;
    if batched(1, &output)? != vector.sizes() {
        return Ok(None);
    }
    let declared = layer.weights(Io { inputs: &shapes, output: &output })?;
    let (inputs, _) = plain(&layer, &shapes, &declared, (vector, None))?;
    Ok(inputs.into_iter().next())
}

/// Runs a max pool once for each class of positions modulo the windows' extents: each window contains at most one
/// position of a class, which wins.
fn every_winner(
    layer: &Layer,
    shape: &Shape,
    periods: &[usize],
    vector: &Tensor<Marks>,
) -> Result<Tensor<Marks>, Problem> {
    let sizes = batched(1, shape)?;
    let space = &sizes[2..];
    let plane: usize = space.iter().product();
    let classes: Vec<usize> =
        periods.iter().zip(space).map(|(&period, &size)| period.min(size).max(1)).collect();
    let mut sum = Tensor::zeros(&sizes);
    for class in 0..classes.iter().product() {
        let on_top = |flat: usize| {
            let (mut place, mut class) = (flat % plane.max(1), class);
            space.iter().zip(&classes).rev().all(|(&size, &count)| {
                let (index, residue) = (place % size, class % count);
                place /= size;
                class /= count;
                index % count == residue
            })
        };
        let input = Tensor::from_fn(&sizes, |flat| if on_top(flat) { Marks::ONE } else { Marks::ZERO });
        let call = Call { inputs: &[&input], declared: &[], weights: &[] };
        let back = reference::backward(layer, call, vector)?;
        for (sum, &more) in sum.data_mut().iter_mut().zip(back.inputs[0].data()) {
            *sum += more;
        }
    }
    Ok(sum)
}

/// Runs the regular grid; offsets and masks, whether inputs or weights, act on all outputs at their position.
fn sampled(
    deform: &DeformSample,
    shapes: &[Shape],
    declared: &[Weight],
    (vector, read): (&Tensor<Marks>, Option<&Tensor<Marks>>),
) -> Result<Back, Problem> {
    let (own, moved): (Vec<Weight>, Vec<Weight>) =
        declared.iter().cloned().partition(|weight| !matches!(weight.name, "offset" | "mask"));
    let (mut inputs, mut weights) = plain(&Layer::Conv(deform.main()), &shapes[..1], &own, (vector, read))?;
    let plane: usize = vector.sizes()[2..].iter().product::<usize>().max(1);
    let at = |flat: usize| {
        let mut all = Marks::ZERO;
        vector.data().iter().skip(flat % plane).step_by(plane).for_each(|&marks| all += marks);
        all
    };
    for shape in &shapes[1..] {
        inputs.push(Tensor::from_fn(&batched(1, shape)?, at));
    }
    for weight in moved {
        weights.push(Tensor::from_fn(&batched(1, &weight.shape)?[1..], at));
    }
    Ok((inputs, weights))
}

/// Runs the regular grid, and the convolution that computes the offsets.
fn deformable(
    deform: &DeformConv,
    shape: &Shape,
    declared: &[Weight],
    (vector, read): (&Tensor<Marks>, Option<&Tensor<Marks>>),
) -> Result<Back, Problem> {
    let of = |weights: &[&'static str]| -> Vec<Weight> {
        declared
            .iter()
            .filter(|weight| weights.contains(&weight.name))
            .map(|weight| Weight {
                name: weight.name.strip_prefix("offset.").unwrap_or(weight.name),
                ..weight.clone()
            })
            .collect()
    };
    let main = Layer::Conv(deform.main());
    let (mut inputs, main_weights) =
        plain(&main, std::slice::from_ref(shape), &of(&["weight", "bias"]), (vector, read))?;
    let offset_weights = of(&["offset.weight", "offset.bias"]);
    let outputs = offset_weights.first().map_or(1, |weight| weight.shape.channels());
    let windows = match deform.offsets {
        Offsets::PerTap => deform.offset_windows(&deform.main().windows(shape.spatial())?)?,
        Offsets::PerChannel => {
            vec![Window { kernel: 3, before: 1, after: 1, ..Window::POINT }; 2]
        }
    };
    let list = |value: fn(&Window) -> u64| PerAxis::list(windows.iter().map(value));
    let wide = |side: i64| {
        u64::try_from(side).map_err(|_| Problem::shape("not supported: offsets of a narrower map"))
    };
    let sides = windows.iter().map(|window| Ok((wide(window.before)?, wide(window.after)?)));
    let sides = sides.collect::<Result<Vec<_>, Problem>>()?;
    let offset = Conv {
        out_channels: outputs,
        kernel: list(|window| window.kernel),
        stride: list(|window| window.stride),
        padding: Padding::Sides(sides),
        dilation: list(|window| window.dilation),
        groups: Groups::Number(1),
        bias: offset_weights.len() > 1,
        padding_mode: PaddingMode::Zeros,
        in_channels: None,
    };
    // Each offset at a position affects all outputs at that position (per tap), or all that read it (per channel).
    let from = match deform.offsets {
        Offsets::PerTap => vector,
        Offsets::PerChannel => &inputs[0],
    };
    let sizes = [&[1, usize::try_from(outputs).unwrap_or(1)], &from.sizes()[2..]].concat();
    let plane: usize = from.sizes()[2..].iter().product();
    let seed = Tensor::from_fn(&sizes, |flat| {
        let mut all = Marks::ZERO;
        from.data().iter().skip(flat % plane.max(1)).step_by(plane.max(1)).for_each(|&marks| all += marks);
        all
    });
    let offset = Layer::Conv(offset);
    let (more, offset_marks) = plain(&offset, std::slice::from_ref(shape), &offset_weights, (&seed, read))?;
    inputs[0].data_mut().iter_mut().zip(more[0].data()).for_each(|(sum, &marks)| *sum += marks);
    let (mut main_marks, mut offset_marks) = (main_weights.into_iter(), offset_marks.into_iter());
    let weights = declared.iter().filter_map(|weight| {
        if weight.name.starts_with("offset.") { offset_marks.next() } else { main_marks.next() }
    });
    Ok((inputs, weights.collect()))
}
