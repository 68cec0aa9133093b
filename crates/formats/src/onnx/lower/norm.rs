//! Normalisations with weights: BatchNormalization, InstanceNormalization, GroupNormalization, LayerNormalization, LRN.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::conv::image;
use crate::onnx::constant::{Change, Constant, Values};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::add::Add;
use cnnkit_core::layers::batch_norm::BatchNorm;
use cnnkit_core::layers::group_norm::GroupNorm;
use cnnkit_core::layers::instance_norm::InstanceNorm;
use cnnkit_core::layers::layer_norm::{LayerNorm, NormAxis};
use cnnkit_core::layers::layer_scale::{LayerScale, ScaleAxis};
use cnnkit_core::layers::learned_bias::LearnedBias;
use cnnkit_core::layers::local_response_norm::LocalResponseNorm;
use cnnkit_core::layers::multiply::Multiply;
use cnnkit_core::layers::power::Power;
use cnnkit_core::layers::rescale::Rescale;

pub(super) fn batch_norm(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = lower.tensor(used, 0)?;
    let computed = matches!(lower.value(used, 3), Ok(Value::Tensor(_)));
    if input.batch.is_none() && (trains(used) || computed) {
        return of_a_weight(lower, used, &input);
    }
    if input.batch != Some(0) {
        return used.unsupported("its input does not have the batch as its first axis");
    }
    if trains(used) {
        let at = crate::onnx::inline::title(used.node);
        lower.remark(format!("{at} is exported in training mode; it is taken with its running statistics"));
    }
    if used.opset < 9 && used.int("spatial", 1) == 0 {
        return used.unsupported("statistics for each position instead of each channel");
    }
    let mut weights = (1..5).map(|index| lower.constant(used, index)).collect::<Result<Vec<_>, _>>()?;
    let affine = !trivial(lower, &weights[0], Some(&weights[1]));
    if !affine {
        weights.drain(..2);
    }
    let layer = BatchNorm { eps: used.float("epsilon", 1e-5), affine, track_running_stats: true };
    let output = lower.map(used, Layer::BatchNorm(layer), &input, weights)?;
    // Training mode also returns running statistics, which are not analysed.
    let mut values = vec![Value::Tensor(output)];
    values.resize_with(used.outputs().max(1), || Value::Unknown("statistics of a training run".into()));
    Ok(values)
}

/// Whether a batch norm computes its statistics from its input; before version 14, the outputs for them state it.
pub(super) fn trains(used: Use<'_>) -> bool {
    let stated = used.int("training_mode", 0) != 0;
    used.node.op_type == "BatchNormalization" && (stated || used.opset < 14 && used.outputs() > 1)
}

/// Lowers a batch norm over a tensor that is the same for all images, a weight `[1, C, N]`: weight standardisation (Qiao et
/// al. 2019) as PyTorch computes it. Each channel has its own statistics, as in an instance norm; the newer exporter
/// computes them before the norm.
fn of_a_weight(lower: &mut Lower, used: Use<'_>, input: &Tensor) -> Outcome {
    let &[1, channels, ref rest @ ..] = input.dims.as_slice() else {
        return used.unsupported(format!("statistics of a tensor {:?} without a batch", input.dims));
    };
    let (scale, shift) = (lower.constant(used, 1)?, lower.constant(used, 2)?);
    let Some(inner) = cnnkit_core::shape::product(rest) else {
        return Err(Problem::overflow("the joined axis").into());
    };
    let eps = used.float("epsilon", 1e-5);
    let open = lower.viewed(used, input, &[channels, inner], None)?;
    let mut current = if trains(used) {
        let norm = InstanceNorm { eps, affine: false, track_running_stats: false };
        lower.map(used, Layer::InstanceNorm(norm), &open, vec![])?
    } else {
        let (mean, variance) = (lower.tensor(used, 3)?, lower.tensor(used, 4)?);
        let mean = lower.viewed(used, &mean, &[channels, 1], None)?;
        let variance = lower.viewed(used, &variance, &[channels, 1], None)?;
        let minus = Layer::Add(Add { weights: Some(vec![1.0, -1.0]) });
        let centred = lower.emit(used, minus, &[&open, &mean], vec![], None)?;
        let shifted =
            lower.map(used, Layer::Rescale(Rescale { scale: 1.0, shift: eps }), &variance, vec![])?;
        let factor = lower.map(used, Layer::Power(Power { exponent: -0.5 }), &shifted, vec![])?;
        lower.emit(used, Layer::Multiply(Multiply {}), &[&centred, &factor], vec![], None)?
    };
    if !fixed_at(lower, &scale, 1.0) {
        let layer = LayerScale { init: 1.0, axis: ScaleAxis::Channels };
        current = lower.map(used, Layer::LayerScale(layer), &current, vec![scale])?;
    }
    if !fixed_at(lower, &shift, 0.0) {
        let layer = LearnedBias { shape: Some(vec![channels, 1]), learned: true };
        let shift = shift.changed(Change::Reshape(vec![channels, 1]), vec![channels, 1]);
        current = lower.map(used, Layer::LearnedBias(layer), &current, vec![shift])?;
    }
    let mut values = vec![Value::Tensor(lower.viewed(used, &current, &input.dims, None)?)];
    values.resize_with(used.outputs().max(1), || Value::Unknown("statistics of a training run".into()));
    Ok(values)
}

pub(super) fn instance_norm(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = image(lower, used)?;
    let mut weights = vec![lower.constant(used, 1)?, lower.constant(used, 2)?];
    let affine = !trivial(lower, &weights[0], Some(&weights[1]));
    if !affine {
        weights.clear();
    }
    let layer = InstanceNorm { eps: used.float("epsilon", 1e-5), affine, track_running_stats: false };
    Ok(vec![Value::Tensor(lower.map(used, Layer::InstanceNorm(layer), &input, weights)?)])
}

pub(super) fn group_norm(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = image(lower, used)?;
    let mut weights = vec![lower.constant(used, 1)?, lower.constant(used, 2)?];
    if trivial(lower, &weights[0], Some(&weights[1])) {
        weights.clear();
    }
    let groups = u64::try_from(used.int("num_groups", 0)).unwrap_or(0);
    let each = weights.iter().all(|weight| weight.dims == [input.dims[1]]);
    let affine = each && !weights.is_empty();
    let layer = GroupNorm { num_groups: groups, eps: used.float("epsilon", 1e-5), affine };
    if !each {
        return grouped(lower, used, &input, layer, weights);
    }
    Ok(vec![Value::Tensor(lower.map(used, Layer::GroupNorm(layer), &input, weights)?)])
}

/// Returns whether a norm's scale and shift are constants of the exporter that do nothing: the norm has no
/// weights.
fn trivial(lower: &Lower, scale: &Constant, shift: Option<&Constant>) -> bool {
    fixed_at(lower, scale, 1.0) && shift.is_none_or(|shift| fixed_at(lower, shift, 0.0))
}

/// Returns whether a constant is not learned and every element is `wanted`.
fn fixed_at(lower: &Lower, constant: &Constant, wanted: f64) -> bool {
    let all = |values: &Values| values.floats().into_iter().all(|value| value == wanted);
    let made = || constant.root.is_some_and(|root| lower.made.contains(&root));
    (!lower.is_learned(constant) || made()) && constant.values.as_ref().is_some_and(all)
}

/// Lowers version 18 of the operator, since withdrawn: one scale and shift per group instead of per channel.
fn grouped(
    lower: &mut Lower,
    used: Use<'_>,
    input: &Tensor,
    layer: GroupNorm,
    weights: Vec<Constant>,
) -> Outcome {
    let (groups, channels) = (layer.num_groups, input.dims[1]);
    if weights.iter().any(|weight| weight.dims != [groups]) || !channels.is_multiple_of(groups.max(1)) {
        let message = format!("its scales do not fit {groups} groups of {channels} channels");
        return Err(Problem::shape(message).into());
    }
    let norm = lower.map(used, Layer::GroupNorm(layer), input, vec![])?;
    let open = [&[input.dims[0], groups, channels / groups.max(1)], &input.dims[2..]].concat();
    let mut current = lower.viewed(used, &norm, &open, Some(0))?;
    let across = [&[groups], vec![1; open.len() - 2].as_slice()].concat();
    for (number, weight) in weights.into_iter().enumerate() {
        if number == 0 {
            let scale = LayerScale { init: 1.0, axis: ScaleAxis::Channels };
            current = lower.map(used, Layer::LayerScale(scale), &current, vec![weight])?;
        } else {
            let bias = LearnedBias { shape: Some(across.clone()), learned: true };
            let weight = weight.changed(Change::Reshape(across.clone()), across.clone());
            current = lower.map(used, Layer::LearnedBias(bias), &current, vec![weight])?;
        }
    }
    Ok(vec![Value::Tensor(lower.viewed(used, &current, &input.dims, Some(0))?)])
}

/// Returns what a norm over the axes from `first` of `input` normalises together.
pub(super) fn norm_axis(input: &Tensor, first: usize) -> Option<NormAxis> {
    let rank = input.dims.len();
    let shape_rank = input.shape().rank();
    if input.batch.is_some_and(|batch| batch >= first) {
        return None;
    }
    match rank - first {
        1 if shape_rank == 1 => Some(NormAxis::Channels),
        1 => Some(NormAxis::Last),
        many if many == shape_rank => Some(NormAxis::All),
        many if many + 1 == shape_rank => Some(NormAxis::Space),
        _ => None,
    }
}

pub(super) fn layer_norm(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = lower.tensor(used, 0)?;
    let first = used.axis(used.int("axis", -1), input.dims.len())?;
    let Some(axis) = norm_axis(&input, first) else {
        return used.unsupported(format!("a norm over the axes from {first} of {:?}", input.dims));
    };
    let dims = &input.dims[first..];
    let fitted = |weight: Constant| -> Result<Constant, Flaw> {
        if weight.dims == dims {
            return Ok(weight);
        }
        if weight.elements()? == cnnkit_core::shape::product(dims).unwrap_or(0) {
            return Ok(weight.changed(Change::Reshape(dims.to_vec()), dims.to_vec()));
        }
        Err(Problem::shape(format!("its scale {:?} does not fit {dims:?}", weight.dims)).into())
    };
    let scale = fitted(lower.constant(used, 1)?)?;
    let bias = lower.optional(used, 2)?.map(fitted).transpose()?;
    let elementwise_affine = !trivial(lower, &scale, bias.as_ref());
    // PyTorch's `bias=False` is written as a shift by zeros.
    let bias = bias.filter(|shift| !fixed_at(lower, shift, 0.0));
    let layer = LayerNorm {
        axis,
        eps: used.float("epsilon", 1e-5),
        elementwise_affine,
        bias: elementwise_affine && bias.is_some(),
    };
    let weights = if elementwise_affine { std::iter::once(scale).chain(bias).collect() } else { vec![] };
    let output = lower.map(used, Layer::LayerNorm(layer), &input, weights)?;
    let mut values = vec![Value::Tensor(output)];
    values.resize_with(used.outputs().max(1), || Value::Unknown("statistics of a layer norm".into()));
    Ok(values)
}

pub(super) fn local_response_norm(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = image(lower, used)?;
    if used.int("size", 0) % 2 == 0 {
        return used
            .unsupported("a window of an even size, which lies one channel further on than PyTorch's");
    }
    let layer = LocalResponseNorm {
        size: u64::try_from(used.int("size", 0)).unwrap_or(0),
        alpha: used.float("alpha", 1e-4),
        beta: used.float("beta", 0.75),
        k: used.float("bias", 1.0),
    };
    lower.simple(used, Layer::LocalResponseNorm(layer), &input)
}
