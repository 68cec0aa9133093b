//! Every layer of the vocabulary as ONNX operators. Our axis `a` is ONNX's `a + 1`, because the batch comes first.

use super::dynamic_conv;
use super::emit::{Layer as Out, Value, float, int, permutation, text};
use super::windows;
use super::{attention, norms, refuse};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::interchange::{OnnxAttribute, OnnxNode, Operand};
use cnnkit_core::layers::layer_scale::ScaleAxis;
use cnnkit_core::layers::reduce::{Reduce, Reduction};
use cnnkit_core::layers::softmax::SoftmaxAxis;
use cnnkit_core::layers::squeeze_excite::{Gate, SqueezeActivation, SqueezeExcite};
use cnnkit_core::layers::upsample::{Interpolation, Upsample};
use cnnkit_core::layers::window::Window;
use cnnkit_core::layers::{Arithmetic, Io, Layer};

/// Writes `layer`, which reads `inputs`, to `out`.
pub(super) fn write(out: &mut Out<'_>, layer: &Layer, inputs: &[Value], io: Io<'_>) -> Result<(), Problem> {
    let x = &inputs[0];
    let name = || vec![x.name.clone()];
    let (sizes, rank) = (io.output.sizes().to_vec(), x.rank());
    match layer.arithmetic() {
        Arithmetic::Conv(layer) => windows::conv(out, layer, x, io)?,
        Arithmetic::ConvTranspose(layer) => windows::conv_transpose(out, layer, x, io)?,
        Arithmetic::DeformConv(layer) => windows::deform_conv(out, layer, x, io)?,
        Arithmetic::Linear(layer) => linear(out, x, layer.bias, &sizes),
        Arithmetic::MaxPool(layer) => windows::max_pool(out, layer, x, io)?,
        Arithmetic::AvgPool(layer) => windows::avg_pool(out, layer, x, io)?,
        Arithmetic::AdaptiveAvgPool(_) => windows::adaptive(out, x, io, false)?,
        Arithmetic::AdaptiveMaxPool(_) => windows::adaptive(out, x, io, true)?,
        Arithmetic::GlobalAvgPool(layer) => global(out, x, "ReduceMean", layer.keepdim, sizes),
        Arithmetic::GlobalMaxPool(layer) => global(out, x, "ReduceMax", layer.keepdim, sizes),
        Arithmetic::BatchNorm(layer) => norms::batch_norm(out, x, layer.eps, layer.affine),
        Arithmetic::InstanceNorm(layer) => norms::instance_norm(out, x, layer),
        Arithmetic::GroupNorm(layer) => norms::group_norm(out, x, layer),
        Arithmetic::LayerNorm(layer) => norms::layer_norm(out, x, layer),
        Arithmetic::LocalResponseNorm(layer) => norms::local_response_norm(out, x, layer),
        Arithmetic::Dropout(layer) => {
            let p = out.scalar("p", layer.p);
            out.last("Dropout", vec![x.name.clone(), p], vec![], sizes);
        }
        Arithmetic::Pointwise(_) => pointwise(out, x, &layer.onnx()),
        Arithmetic::Prelu(_) => {
            let slope = out.weight("weight");
            out.last("PRelu", vec![x.name.clone(), slope], vec![], sizes);
        }
        Arithmetic::Softmax(layer) => match layer.axis {
            SoftmaxAxis::Channels => out.last("Softmax", name(), vec![int("axis", 1)], sizes),
            SoftmaxAxis::Last => out.last("Softmax", name(), vec![int("axis", -1)], sizes),
            SoftmaxAxis::Space => {
                let flat = [x.channels(), x.spatial().iter().product()];
                let joined = out.reshaped("flat", x, &flat);
                let shares = out.before("shares", "Softmax", vec![joined.name], vec![int("axis", -1)], flat);
                out.last_reshaped(&shares, &sizes);
            }
        },
        Arithmetic::Glu(_) => {
            let value = part(out, "value", x, 0, 0, sizes[0]);
            let logit = part(out, "logit", x, 0, sizes[0], 2 * sizes[0]);
            let gate = out.before("gate", "Sigmoid", vec![logit.name], vec![], sizes.clone());
            out.last("Mul", vec![value.name, gate.name], vec![], sizes);
        }
        Arithmetic::Identity(_) => out.last("Identity", name(), vec![], sizes),
        Arithmetic::ChannelShuffle(layer) => {
            let split = [&[layer.groups, x.channels() / layer.groups], x.spatial()].concat();
            let split = out.reshaped("groups", x, &split);
            let order: Vec<usize> = [1, 0].into_iter().chain(2..2 + rank).collect();
            let dealt = out.transposed("dealt", &split, &order);
            out.last_reshaped(&dealt, &sizes);
        }
        Arithmetic::PixelShuffle(layer) if rank == 2 => {
            let attributes = vec![int("blocksize", layer.upscale_factor as i64), text("mode", "CRD")];
            out.last("DepthToSpace", name(), attributes, sizes);
        }
        Arithmetic::PixelShuffle(layer) => {
            let cells = vec![layer.upscale_factor; rank];
            let split = out.reshaped("cells", x, &[&[sizes[0]], cells.as_slice(), x.spatial()].concat());
            // Each spatial axis before its position in the cell.
            let order: Vec<usize> =
                std::iter::once(0).chain((0..rank).flat_map(|axis| [1 + rank + axis, 1 + axis])).collect();
            let spread = out.transposed("spread", &split, &order);
            out.last_reshaped(&spread, &sizes);
        }
        Arithmetic::PixelUnshuffle(layer) => {
            let factor = layer.downscale_factor;
            let split: Vec<u64> = std::iter::once(x.channels())
                .chain(x.spatial().iter().flat_map(|&size| [size / factor, factor]))
                .collect();
            let split = out.reshaped("cells", x, &split);
            let order: Vec<usize> = std::iter::once(0)
                .chain((0..rank).map(|axis| 2 + 2 * axis))
                .chain((0..rank).map(|axis| 1 + 2 * axis))
                .collect();
            let gathered = out.transposed("gathered", &split, &order);
            out.last_reshaped(&gathered, &sizes);
        }
        Arithmetic::Upsample(layer) => upsample(out, x, layer, &sizes)?,
        Arithmetic::Pad(layer) => {
            let windows = layer.windows(io.input().spatial())?;
            windows::padded(out, x, &windows, layer.mode, layer.value, true)?;
        }
        Arithmetic::Crop(layer) => crop(out, x, &layer.windows(io.input().spatial())?, sizes),
        Arithmetic::Slice(layer) => {
            let axis = usize::try_from(layer.axis).unwrap_or(usize::MAX);
            let (start, end) = layer.range(x.sizes.get(axis).copied().unwrap_or(0))?;
            if layer.step == 1 {
                cut(out, x, &[(axis, start, end)], sizes);
            } else {
                let mut inputs = ranges(out, "", x, &[(axis, start, end)]);
                inputs.push(out.integers("steps", &[layer.step as i64]));
                out.last("Slice", inputs, vec![], sizes);
            }
        }
        Arithmetic::Gather(layer) => {
            let indices: Vec<i64> = layer.indices.iter().map(|&index| index as i64).collect();
            let indices = out.integers("indices", &indices);
            let inputs = vec![x.name.clone(), indices];
            out.last("Gather", inputs, vec![int("axis", layer.axis as i64 + 1)], sizes);
        }
        Arithmetic::Chunk(layer) => {
            let axis = usize::try_from(layer.axis).unwrap_or(usize::MAX);
            let part = x.sizes.get(axis).copied().unwrap_or(0).div_ceil(layer.chunks.max(1));
            let start = part * layer.index;
            cut(out, x, &[(axis, start, start + sizes[axis])], sizes);
        }
        Arithmetic::Flatten(_) if sizes.len() == 1 => {
            out.last("Flatten", name(), vec![int("axis", 1)], sizes);
        }
        Arithmetic::Flatten(_) | Arithmetic::Reshape(_) => out.last_reshaped(x, &sizes),
        Arithmetic::Permute(layer) => {
            let axes: Vec<usize> =
                layer.axes.iter().map(|&axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect();
            out.last("Transpose", name(), vec![permutation(&axes)], sizes);
        }
        Arithmetic::Add(layer) => sum(out, inputs, layer.weights.as_deref(), &sizes),
        Arithmetic::Multiply(_) => product(out, inputs, &sizes),
        Arithmetic::Concat(layer) => {
            let names = inputs.iter().map(|input| input.name.clone()).collect();
            out.last("Concat", names, vec![int("axis", layer.axis as i64 + 1)], sizes);
        }
        Arithmetic::LayerScale(_) => {
            let factor = out.weight("weight");
            out.last("Mul", vec![x.name.clone(), factor], vec![], sizes);
        }
        Arithmetic::DynamicConv(layer) => dynamic_conv::write(out, layer, inputs, io)?,
        Arithmetic::DeformSample(layer) => windows::deform_sample(out, layer, inputs, io)?,
        Arithmetic::Opaque(layer) => {
            return Err(refuse(
                format!("the operator {}, which is not analysed", layer.operator),
                "only layers of the vocabulary can be written",
            ));
        }
        Arithmetic::Matmul(_) => out.last("MatMul", both(inputs), vec![], sizes),
        Arithmetic::Attention(layer) => attention::write(out, layer, inputs, io),
        Arithmetic::Divide(_) => out.last("Div", both(inputs), vec![], sizes),
        Arithmetic::Reduce(layer) => reduce(out, x, layer, sizes),
        Arithmetic::LearnedScale(layer) if layer.mask => {
            let (factor, zero) = (out.weight("weight"), out.scalar("zero", 0.0));
            let away = out.choice("away", "Equal", vec![factor.clone(), zero.clone()]);
            let scaled = out.before("scaled", "Mul", vec![x.name.clone(), factor], vec![], sizes.clone());
            out.last("Where", vec![away, zero, scaled.name], vec![], sizes);
        }
        Arithmetic::LearnedScale(_) => {
            let factor = out.weight("weight");
            out.last("Mul", vec![x.name.clone(), factor], vec![], sizes);
        }
        Arithmetic::LearnedBias(_) => {
            let bias = out.weight("weight");
            out.last("Add", vec![x.name.clone(), bias], vec![], sizes);
        }
        Arithmetic::LearnedTokens(layer) => {
            let mut tokens = x.sizes.clone();
            if let Some(size) = usize::try_from(layer.axis).ok().and_then(|axis| tokens.get_mut(axis)) {
                *size = layer.count;
            }
            let (weight, wanted) = (out.weight("weight"), for_each_image(out, x, tokens.len()));
            let many = out.before("tokens", "Expand", vec![weight, wanted], vec![], tokens);
            let order = if layer.after { [x.name.clone(), many.name] } else { [many.name, x.name.clone()] };
            out.last("Concat", order.to_vec(), vec![int("axis", layer.axis as i64 + 1)], sizes);
        }
        Arithmetic::LearnedTensor(_) => {
            let (weight, wanted) = (out.weight("weight"), for_each_image(out, x, sizes.len()));
            out.last("Expand", vec![weight, wanted], vec![], sizes);
        }
        Arithmetic::SqueezeExcite(layer) => squeeze_excite(out, x, layer, io)?,
    }
    Ok(())
}

/// Writes the nodes of a pointwise layer; each constant is written once.
fn pointwise(out: &mut Out<'_>, x: &Value, nodes: &[OnnxNode]) {
    let mut constants: Vec<(&str, String)> = vec![];
    for (index, node) in nodes.iter().enumerate() {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &operand in &node.inputs {
            inputs.push(match operand {
                Operand::Input => x.name.clone(),
                Operand::Part(part) => out.below(part),
                Operand::Absent => String::new(),
                Operand::Scalar(part, value) => match constants.iter().find(|(known, _)| *known == part) {
                    Some((_, name)) => name.clone(),
                    None => {
                        let name = out.scalar(part, value);
                        constants.push((part, name.clone()));
                        name
                    }
                },
            });
        }
        let attribute = |attribute: &OnnxAttribute| match *attribute {
            OnnxAttribute::Float(name, value) => float(name, value),
            OnnxAttribute::Text(name, word) => text(name, word),
        };
        let attributes = node.attributes.iter().map(attribute).collect();
        if index + 1 == nodes.len() {
            out.last(node.operator, inputs, attributes, x.sizes.clone());
        } else if node.choice {
            out.choice(node.part, node.operator, inputs);
        } else {
            out.before(node.part, node.operator, inputs, attributes, x.sizes.clone());
        }
    }
}

/// Returns the shape that broadcasts a learned tensor of `axes` axes over the images of `x`.
fn for_each_image(out: &mut Out<'_>, x: &Value, axes: usize) -> String {
    let batch = out.whole("batch", "Shape", vec![x.name.clone()], vec![int("start", 0), int("end", 1)]);
    let ones = out.integers("ones", &vec![1; axes]);
    out.whole("batch_shape", "Concat", vec![batch, ones], vec![int("axis", 0)])
}

/// Returns the sizes with which a weight is written: those that broadcast with its layer's input.
pub(super) fn weight_sizes(layer: &Layer, sizes: &[u64], input: &[u64]) -> Vec<u64> {
    let across = |sizes: &[u64]| [sizes, &vec![1; input.len().saturating_sub(1)]].concat();
    use Arithmetic as A;
    match layer.arithmetic() {
        A::Prelu(prelu) if prelu.num_parameters > 1 => across(sizes),
        A::LayerScale(scale) if scale.axis == ScaleAxis::Channels => across(sizes),
        // Broadcast over the batch; the kernels of convolutions are not broadcast.
        A::LearnedTokens(_) | A::LearnedTensor(_) => [&[1], sizes].concat(),
        #[rustfmt::skip]
        A::Pointwise(_) | A::Conv(_) | A::ConvTranspose(_) | A::DeformConv(_) | A::DeformSample(_)
        | A::Linear(_) | A::DynamicConv(_) | A::Matmul(_) | A::Attention(_) | A::MaxPool(_) | A::AvgPool(_)
        | A::AdaptiveAvgPool(_) | A::AdaptiveMaxPool(_) | A::GlobalAvgPool(_) | A::GlobalMaxPool(_)
        | A::Reduce(_) | A::BatchNorm(_) | A::LayerNorm(_) | A::GroupNorm(_) | A::InstanceNorm(_)
        | A::LocalResponseNorm(_) | A::Dropout(_) | A::Prelu(_) | A::Softmax(_) | A::Glu(_)
        | A::Identity(_) | A::ChannelShuffle(_) | A::PixelShuffle(_) | A::PixelUnshuffle(_)
        | A::Upsample(_) | A::Pad(_) | A::Crop(_) | A::Slice(_) | A::Gather(_) | A::Chunk(_)
        | A::Flatten(_) | A::Reshape(_) | A::Permute(_) | A::Add(_) | A::Multiply(_) | A::Divide(_)
        | A::Concat(_) | A::LayerScale(_) | A::LearnedScale(_) | A::LearnedBias(_) | A::SqueezeExcite(_)
        | A::Opaque(_) => sizes.to_vec(),
    }
}

fn linear(out: &mut Out<'_>, x: &Value, bias: bool, sizes: &[u64]) {
    let weight = out.weight("weight");
    if x.sizes.len() == 1 {
        let mut inputs = vec![x.name.clone(), weight];
        if bias {
            inputs.push(out.weight("bias"));
        }
        out.last("Gemm", inputs, vec![int("transB", 1)], sizes);
        return;
    }
    let features = [x.sizes.last().copied().unwrap_or(1), sizes.last().copied().unwrap_or(1)];
    let turned = Value { name: out.below("weight"), sizes: features.to_vec(), rows: 0 };
    let turned = out.node("Transpose", vec![weight], vec![super::emit::ints("perm", [1, 0])], turned);
    let inputs = vec![x.name.clone(), turned.name];
    if bias {
        let mapped = out.before("map", "MatMul", inputs, vec![], sizes);
        let bias = out.weight("bias");
        out.last("Add", vec![mapped.name, bias], vec![], sizes);
    } else {
        out.last("MatMul", inputs, vec![], sizes);
    }
}

fn both(inputs: &[Value]) -> Vec<String> {
    inputs.iter().map(|input| input.name.clone()).collect()
}

fn reduce(out: &mut Out<'_>, x: &Value, layer: &Reduce, sizes: Vec<u64>) {
    let operator = match layer.reduction {
        Reduction::Mean => "ReduceMean",
        Reduction::Sum => "ReduceSum",
        Reduction::Max => "ReduceMax",
        Reduction::Min => "ReduceMin",
        Reduction::L2 => "ReduceL2",
    };
    let axes: Vec<i64> = layer.axes.iter().map(|&axis| axis as i64 + 1).collect();
    let axes = out.integers("axes", &axes);
    let inputs = vec![x.name.clone(), axes];
    let keep = vec![int("keepdims", i64::from(layer.keepdim))];
    // A full reduction leaves a list of one element.
    if !layer.keepdim && layer.axes.len() == x.sizes.len() {
        let bare = out.before("reduced", operator, inputs, keep, []);
        out.last_reshaped_to(&bare, &[-1, 1], &sizes);
    } else {
        out.last(operator, inputs, keep, sizes);
    }
}

fn global(out: &mut Out<'_>, x: &Value, operator: &str, keepdim: bool, sizes: Vec<u64>) {
    if keepdim {
        let operator = if operator == "ReduceMean" { "GlobalAveragePool" } else { "GlobalMaxPool" };
        out.last(operator, vec![x.name.clone()], vec![], sizes);
        return;
    }
    let axes: Vec<i64> = (0..x.rank()).map(|axis| axis as i64 + 2).collect();
    let axes = out.integers("axes", &axes);
    out.last(operator, vec![x.name.clone(), axes], vec![int("keepdims", 0)], sizes);
}

fn part(out: &mut Out<'_>, name: &str, x: &Value, axis: usize, from: u64, to: u64) -> Value {
    let mut sizes = x.sizes.clone();
    sizes[axis] = to - from;
    let inputs = ranges(out, &format!("{name}_"), x, &[(axis, from, to)]);
    out.before(name, "Slice", inputs, vec![], sizes)
}

fn cut(out: &mut Out<'_>, x: &Value, wanted: &[(usize, u64, u64)], sizes: Vec<u64>) {
    let inputs = ranges(out, "", x, wanted);
    out.last("Slice", inputs, vec![], sizes);
}

fn ranges(out: &mut Out<'_>, prefix: &str, x: &Value, wanted: &[(usize, u64, u64)]) -> Vec<String> {
    let list = |of: &dyn Fn(&(usize, u64, u64)) -> i64| wanted.iter().map(of).collect::<Vec<_>>();
    let (starts, ends, axes) = (list(&|r| r.1 as i64), list(&|r| r.2 as i64), list(&|r| r.0 as i64 + 1));
    vec![
        x.name.clone(),
        out.integers(&format!("{prefix}starts"), &starts),
        out.integers(&format!("{prefix}ends"), &ends),
        out.integers(&format!("{prefix}axes"), &axes),
    ]
}

fn crop(out: &mut Out<'_>, x: &Value, windows: &[Window], sizes: Vec<u64>) {
    let wanted: Vec<(usize, u64, u64)> = windows
        .iter()
        .zip(&sizes[1..])
        .enumerate()
        .map(|(axis, (window, size))| {
            let before = window.before.unsigned_abs();
            (axis + 1, before, before + size)
        })
        .collect();
    cut(out, x, &wanted, sizes);
}

fn upsample(out: &mut Out<'_>, x: &Value, layer: &Upsample, sizes: &[u64]) -> Result<(), Problem> {
    let rank = x.rank();
    let axes: Vec<i64> = (0..rank).map(|axis| axis as i64 + 2).collect();
    let mut attributes = vec![super::emit::ints("axes", axes)];
    match layer.mode {
        Interpolation::Nearest => {
            attributes.push(text("mode", "nearest"));
            attributes.push(text("coordinate_transformation_mode", "asymmetric"));
            attributes.push(text("nearest_mode", "floor"));
        }
        Interpolation::Linear | Interpolation::Bilinear | Interpolation::Trilinear => {
            let word = if layer.align_corners { "align_corners" } else { "half_pixel" };
            attributes.push(text("mode", "linear"));
            attributes.push(text("coordinate_transformation_mode", word));
        }
        Interpolation::Bicubic => {
            let word = if layer.align_corners { "align_corners" } else { "half_pixel" };
            attributes.push(text("mode", "cubic"));
            attributes.push(text("coordinate_transformation_mode", word));
        }
    }
    let factors = match &layer.scale_factor {
        Some(scale) => scale.resolve(rank)?,
        None => vec![],
    };
    let exact = factors.iter().zip(x.spatial()).all(|(&factor, &size)| (size as f64 * factor).fract() == 0.0);
    if factors.is_empty() || (exact && factors.iter().any(|factor| factor.fract() != 0.0)) {
        let wanted: Vec<i64> = sizes[1..].iter().map(|&size| size as i64).collect();
        let wanted = out.integers("sizes", &wanted);
        out.last("Resize", vec![x.name.clone(), String::new(), String::new(), wanted], attributes, sizes);
        return Ok(());
    }
    let single: Vec<f32> = factors.iter().map(|&factor| factor as f32).collect();
    for ((&factor, &size), &wanted) in single.iter().zip(x.spatial()).zip(&sizes[1..]) {
        if (size as f32 * factor).floor() != wanted as f32 {
            return Err(refuse(
                format!("a factor of {factor} on {size} elements, which rounds to another size in f32"),
                "give the `size` instead",
            ));
        }
    }
    let scales = out.numbers("scales", &[rank as u64], &single);
    out.last("Resize", vec![x.name.clone(), String::new(), scales], attributes, sizes);
    Ok(())
}

fn sum(out: &mut Out<'_>, inputs: &[Value], weights: Option<&[f64]>, sizes: &[u64]) {
    let mut names: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    for (index, &weight) in
        weights.unwrap_or_default().iter().enumerate().filter(|(_, weight)| **weight != 1.0)
    {
        let factor = out.scalar(&format!("weight{index}"), weight);
        let operands = vec![names[index].clone(), factor];
        names[index] = out
            .before(&format!("weighted{index}"), "Mul", operands, vec![], inputs[index].sizes.clone())
            .name;
    }
    let operator = if names.len() == 2 { "Add" } else { "Sum" };
    out.last(operator, names, vec![], sizes);
}

fn product(out: &mut Out<'_>, inputs: &[Value], sizes: &[u64]) {
    let mut current = inputs[0].clone();
    for (index, input) in inputs.iter().enumerate().skip(1) {
        let operands = vec![current.name.clone(), input.name.clone()];
        if index + 1 == inputs.len() {
            out.last("Mul", operands, vec![], sizes);
        } else {
            let wide = current.sizes.iter().zip(&input.sizes).map(|(a, b)| *a.max(b)).collect::<Vec<_>>();
            current = out.before(&format!("product{index}"), "Mul", operands, vec![], wide);
        }
    }
}

fn squeeze_excite(out: &mut Out<'_>, x: &Value, layer: &SqueezeExcite, io: Io<'_>) -> Result<(), Problem> {
    let inner = layer.inner(x.channels())?;
    let sized = |channels: u64| [vec![channels], vec![1; io.input().spatial().len()]].concat();
    let (small, wide) = (sized(inner), sized(x.channels()));
    let pool = out.before("pool", "GlobalAveragePool", vec![x.name.clone()], vec![], wide.clone());
    let conv = |out: &mut Out<'_>, name: &str, input: Value, sizes: &[u64]| {
        let mut inputs = vec![input.name, out.weight(&format!("{name}.weight"))];
        if layer.bias {
            inputs.push(out.weight(&format!("{name}.bias")));
        }
        out.before(name, "Conv", inputs, vec![], sizes)
    };
    let first = conv(out, "fc1", pool, &small);
    let before = vec![first.name.clone()];
    let active = match layer.activation {
        SqueezeActivation::Relu => out.before("activation", "Relu", before, vec![], small),
        SqueezeActivation::Elu => out.before("activation", "Elu", before, vec![], small),
        SqueezeActivation::Gelu => out.before("activation", "Gelu", before, vec![], small),
        SqueezeActivation::Hardswish => out.before("activation", "HardSwish", before, vec![], small),
        SqueezeActivation::Silu => {
            let gate = out.before("sigmoid", "Sigmoid", before, vec![], small.clone());
            out.before("activation", "Mul", vec![first.name, gate.name], vec![], small)
        }
    };
    let second = conv(out, "fc2", active, &wide);
    let gate = match layer.gate {
        Gate::Sigmoid => out.before("gate", "Sigmoid", vec![second.name], vec![], wide),
        Gate::Hardsigmoid => {
            out.before("gate", "HardSigmoid", vec![second.name], vec![float("alpha", 1.0 / 6.0)], wide)
        }
    };
    out.last("Mul", vec![x.name.clone(), gate.name], vec![], x.sizes.clone());
    Ok(())
}
