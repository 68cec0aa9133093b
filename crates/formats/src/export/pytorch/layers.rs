//! Every layer of the vocabulary in PyTorch. Our axis `a` is PyTorch's dimension `a + 1`, because the batch comes
//! first.

use super::leaf::{Binds, Leaf, float, full_tuple, refuse, truth, tuple};
use super::windows::{self, amounts, mode, ranked};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::attention::{Attention, OPERANDS};
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::dropout::{Dropout, Mask};
use cnnkit_core::layers::interchange::{Argument, ArgumentValue, PyTorch};
use cnnkit_core::layers::layer_norm::{LayerNorm, NormAxis};
use cnnkit_core::layers::layer_scale::ScaleAxis;
use cnnkit_core::layers::pad::Pad;
use cnnkit_core::layers::reduce::{Reduce, Reduction};
use cnnkit_core::layers::softmax::SoftmaxAxis;
use cnnkit_core::layers::squeeze_excite::{Gate, SqueezeActivation, SqueezeExcite};
use cnnkit_core::layers::upsample::{Interpolation, Upsample};
use cnnkit_core::layers::{Arithmetic, Io, Layer};

/// One random number per image has no module of its own in `torch.nn`.
fn dropout(layer: &Dropout, rank: usize) -> Leaf {
    let p = float(layer.p);
    match layer.mask {
        Mask::Channel if rank > 0 => {
            Leaf::module(ranked(["nn.Dropout1d", "nn.Dropout2d", "nn.Dropout3d"], rank)).with("p", p)
        }
        Mask::Element | Mask::Channel => Leaf::module("nn.Dropout").with("p", p),
        Mask::Image => {
            let ones = vec!["1"; rank + 1].join(", ");
            let mask = format!("{{0!}}.new_ones({{0!}}.shape[0], {ones})");
            Leaf::call(format!("{{0!}} * torch.dropout({mask}, {p}, self.training)")).binding(Binds::Product)
        }
    }
}

/// Returns `layer` in PyTorch, or why PyTorch cannot express it.
pub(super) fn leaf(layer: &Layer, io: Io<'_>) -> Result<Leaf, Problem> {
    let input = io.input();
    let (channels, rank) = (input.channels(), input.spatial().len());
    Ok(match layer.arithmetic() {
        Arithmetic::Conv(layer) => windows::conv(layer, io)?,
        Arithmetic::ConvTranspose(layer) => windows::conv_transpose(layer, io)?,
        Arithmetic::DeformConv(layer) => windows::deform_conv(layer, io)?,
        Arithmetic::MaxPool(layer) => windows::max_pool(layer, io)?,
        Arithmetic::AvgPool(layer) => windows::avg_pool(layer, io)?,
        Arithmetic::AdaptiveAvgPool(layer) => windows::adaptive_avg_pool(layer, io)?,
        Arithmetic::AdaptiveMaxPool(layer) => windows::adaptive_max_pool(layer, io)?,
        Arithmetic::Linear(layer) => Leaf::module("nn.Linear")
            .with("in_features", input.sizes().last().copied().unwrap_or(1))
            .with("out_features", layer.out_features)
            .key("bias", truth(layer.bias), "True"),
        Arithmetic::GlobalAvgPool(layer) => Leaf::call(global("mean", rank, layer.keepdim)),
        Arithmetic::GlobalMaxPool(layer) => Leaf::call(global("amax", rank, layer.keepdim)),
        Arithmetic::BatchNorm(layer) => {
            Leaf::module(ranked(["nn.BatchNorm1d", "nn.BatchNorm2d", "nn.BatchNorm3d"], rank))
                .with("num_features", channels)
                .key("eps", float(layer.eps), "1e-05")
                .key("affine", truth(layer.affine), "True")
        }
        Arithmetic::InstanceNorm(layer) => {
            Leaf::module(ranked(["nn.InstanceNorm1d", "nn.InstanceNorm2d", "nn.InstanceNorm3d"], rank))
                .with("num_features", channels)
                .key("eps", float(layer.eps), "1e-05")
                .key("affine", truth(layer.affine), "False")
                .key("track_running_stats", truth(layer.track_running_stats), "False")
        }
        Arithmetic::GroupNorm(layer) => Leaf::module("nn.GroupNorm")
            .with("num_groups", layer.num_groups)
            .with("num_channels", channels)
            .key("eps", float(layer.eps), "1e-05")
            .key("affine", truth(layer.affine), "True"),
        Arithmetic::LayerNorm(layer) => layer_norm(layer, io),
        Arithmetic::LocalResponseNorm(_) if rank == 0 => {
            return Err(refuse("`local_response_norm` without spatial axes", "put it before the `flatten`"));
        }
        Arithmetic::LocalResponseNorm(layer) => Leaf::module("nn.LocalResponseNorm")
            .with("size", layer.size)
            .key("alpha", float(layer.alpha), "0.0001")
            .key("beta", float(layer.beta), "0.75")
            .key("k", float(layer.k), "1.0"),
        Arithmetic::Dropout(layer) => dropout(layer, rank),
        Arithmetic::Pointwise(_) => match layer.pytorch() {
            Some(own) => pointwise(&own),
            None => return Err(refuse(format!("`{}`", layer.doc().name), "use another layer")),
        },
        Arithmetic::Prelu(layer) => Leaf::module("nn.PReLU")
            .key("num_parameters", layer.num_parameters, "1")
            .key("init", float(layer.init), "0.25"),
        Arithmetic::Softmax(layer) => match layer.axis {
            SoftmaxAxis::Channels => Leaf::module("nn.Softmax").key("dim", 1, "None"),
            SoftmaxAxis::Last => Leaf::module("nn.Softmax").key("dim", -1, "None"),
            SoftmaxAxis::Space => Leaf::call("torch.softmax({0!}.flatten(2), dim=-1).view_as({0})"),
        },
        Arithmetic::Glu(_) => Leaf::module("nn.GLU").key("dim", 1, "-1"),
        Arithmetic::Identity(_) => Leaf::module("nn.Identity"),
        Arithmetic::ChannelShuffle(layer) if rank == 0 => {
            // PyTorch shuffles the channels of maps only.
            Leaf::call("{0!}.unflatten(1, ({groups}, -1)).transpose(1, 2).flatten(1)")
                .inside("groups", layer.groups)
        }
        Arithmetic::ChannelShuffle(layer) => Leaf::module("nn.ChannelShuffle").with("groups", layer.groups),
        Arithmetic::PixelShuffle(layer) if rank == 2 => {
            Leaf::module("nn.PixelShuffle").with("upscale_factor", layer.upscale_factor)
        }
        Arithmetic::PixelUnshuffle(layer) if rank == 2 => {
            Leaf::module("nn.PixelUnshuffle").with("downscale_factor", layer.downscale_factor)
        }
        Arithmetic::PixelShuffle(layer) => {
            Leaf::call("pixel_shuffle({0}, {factor})").inside("factor", layer.upscale_factor)
        }
        Arithmetic::PixelUnshuffle(layer) => {
            Leaf::call("pixel_unshuffle({0}, {factor})").inside("factor", layer.downscale_factor)
        }
        Arithmetic::Upsample(layer) => upsample(layer, rank)?,
        Arithmetic::Pad(layer) => pad(layer, io)?,
        Arithmetic::Crop(layer) => {
            Leaf::call("F.pad({0}, {crop})").inside("crop", amounts(&layer.windows(input.spatial())?))
        }
        Arithmetic::Slice(layer) => {
            let axis = usize::try_from(layer.axis).unwrap_or(usize::MAX);
            let (start, end) = layer.range(input.sizes().get(axis).copied().unwrap_or(0))?;
            if layer.step == 1 {
                Leaf::call("{0!}.narrow({axis}, {start}, {length})")
                    .inside("axis", layer.axis + 1)
                    .inside("start", start)
                    .inside("length", end - start)
            } else {
                let before = ":, ".repeat(axis + 1);
                Leaf::call(format!("{{0!}}[{before}{{start}}:{{end}}:{{step}}]"))
                    .inside("start", start)
                    .inside("end", end)
                    .inside("step", layer.step)
            }
        }
        Arithmetic::Gather(layer) => {
            let indices: Vec<String> = layer.indices.iter().map(u64::to_string).collect();
            Leaf::call("{0!}.index_select({axis}, torch.tensor([{indices}], device={0!}.device))")
                .inside("axis", layer.axis + 1)
                .inside("indices", indices.join(", "))
        }
        Arithmetic::Chunk(layer) => Leaf::call("{0!}.chunk({chunks}, dim={axis})[{index}]")
            .inside("chunks", layer.chunks)
            .inside("axis", layer.axis + 1)
            .inside("index", layer.index),
        Arithmetic::Flatten(layer) => Leaf::module("nn.Flatten")
            .key("start_dim", layer.start_axis + 1, "1")
            .key("end_dim", layer.end_axis.map_or(-1, |axis| axis as i64 + 1), "-1"),
        Arithmetic::Reshape(_) => {
            let sizes = io.output.sizes().iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            Leaf::call("{0!}.flatten(1).unflatten(1, ({shape},))").inside("shape", sizes)
        }
        Arithmetic::Permute(layer) => {
            let axes: Vec<String> = std::iter::once(0)
                .chain(layer.axes.iter().map(|axis| axis + 1))
                .map(|axis| axis.to_string())
                .collect();
            Leaf::call("{0!}.permute({axes})").inside("axes", axes.join(", "))
        }
        Arithmetic::Add(layer) => sum(layer.weights.as_deref(), io.inputs.len()),
        Arithmetic::Multiply(_) => {
            let terms: Vec<String> = (0..io.inputs.len()).map(|i| format!("{{{i}*}}")).collect();
            Leaf::call(terms.join(" * ")).binding(Binds::Product)
        }
        Arithmetic::Concat(layer) => {
            Leaf::call("torch.cat([{*}], dim={axis})").inside("axis", layer.axis + 1)
        }
        Arithmetic::LayerScale(layer) => {
            let leaf = Leaf::module("LayerScale");
            match layer.axis {
                ScaleAxis::Channels => {
                    leaf.with("channels", channels).key("init", float(layer.init), "1e-06").key(
                        "shape",
                        full_tuple(&[vec!["-1".to_owned()], vec!["1".to_owned(); rank]].concat()),
                        "(-1,)",
                    )
                }
                ScaleAxis::Last => leaf
                    .with("channels", input.sizes().last().copied().unwrap_or(1))
                    .key("init", float(layer.init), "1e-06")
                    .key("shape", "(-1,)", "(-1,)"),
            }
        }
        Arithmetic::DynamicConv(layer) => windows::dynamic_conv(layer, io)?,
        Arithmetic::DeformSample(_) => {
            return Err(refuse(
                "`deform_sample`, whose offsets are an input",
                "use `deform_conv`, which computes them",
            ));
        }
        Arithmetic::Opaque(layer) => {
            return Err(refuse(
                format!("the operator {}, which is not analysed", layer.operator),
                "only layers of the vocabulary can be written",
            ));
        }
        Arithmetic::Matmul(_) => Leaf::call("torch.matmul({*})"),
        Arithmetic::Attention(layer) => attention(layer, io),
        Arithmetic::Divide(_) => Leaf::call("torch.div({*})"),
        Arithmetic::Reduce(layer) => reduce(layer, io),
        Arithmetic::LearnedScale(layer) if layer.mask => {
            tensor(&broadcast(layer.shape.as_deref(), io), false)
                .called("torch.where({self}() == 0, 0.0, {0*} * {self}())")
        }
        Arithmetic::LearnedScale(layer) => tensor(&broadcast(layer.shape.as_deref(), io), layer.learned)
            .called("{0*} * {self}()")
            .binding(Binds::Product),
        Arithmetic::LearnedBias(layer) => tensor(&broadcast(layer.shape.as_deref(), io), layer.learned)
            .called("{0+} + {self}()")
            .binding(Binds::Sum),
        Arithmetic::LearnedTokens(layer) => {
            let call = if layer.after {
                "torch.cat([{0}, {self}.of({0})], dim={axis})"
            } else {
                "torch.cat([{self}.of({0}), {0}], dim={axis})"
            };
            let mut sizes = input.sizes().to_vec();
            if let Some(size) = usize::try_from(layer.axis).ok().and_then(|axis| sizes.get_mut(axis)) {
                *size = layer.count;
            }
            tensor(&sizes, layer.learned).called(call).inside("axis", layer.axis + 1)
        }
        Arithmetic::LearnedTensor(layer) => tensor(&layer.shape, layer.learned).called("{self}.of({0})"),
        Arithmetic::SqueezeExcite(layer) => squeeze_excite(layer, io)?,
    })
}

/// Returns a pointwise layer: a module with its arguments by keyword, or an expression that contains its
/// arguments.
fn pointwise(own: &PyTorch) -> Leaf {
    let value = |argument: &Argument| match argument.value {
        None => "None".to_owned(),
        Some(ArgumentValue::Float(value)) => float(value),
        Some(ArgumentValue::Written(text)) => text.to_owned(),
    };
    let arguments = own.arguments.iter();
    match own.module {
        Some(class) => arguments.fold(Leaf::module(class), |leaf, argument| {
            leaf.key(argument.name, value(argument), argument.default)
        }),
        None => {
            let leaf = Leaf::call(own.call.as_str()).binding(own.binds);
            arguments.fold(leaf, |leaf, argument| leaf.inside(argument.name, value(argument)))
        }
    }
}

fn reduce(layer: &Reduce, io: Io<'_>) -> Leaf {
    let axes: Vec<u64> = layer.axes.iter().map(|axis| axis + 1).collect();
    let what = match layer.reduction {
        Reduction::Mean => "mean",
        Reduction::Sum => "sum",
        Reduction::Max => "amax",
        Reduction::Min => "amin",
        Reduction::L2 => "norm",
    };
    let keep = if layer.keepdim { ", keepdim=True" } else { "" };
    // A full reduction leaves a list of one element.
    let whole = !layer.keepdim && layer.axes.len() == io.input().rank();
    let list = if whole { ".unsqueeze(1)" } else { "" };
    let axes = full_tuple(&axes);
    Leaf::call(match layer.reduction {
        Reduction::L2 => format!("torch.linalg.vector_norm({{0}}, dim={axes}{keep}){list}"),
        _ => format!("{{0!}}.{what}({axes}{keep}){list}"),
    })
}

fn attention(layer: &Attention, io: Io<'_>) -> Leaf {
    if layer.bias.is_some() || layer.mask.is_some() {
        let shape = |shape: &Option<Vec<u64>>| shape.as_ref().map_or("None".to_owned(), |s| full_tuple(s));
        return Leaf::module("Attention")
            .key("bias", shape(&layer.bias), "None")
            .key("mask", shape(&layer.mask), "None")
            .key("scale", layer.scale.map_or("None".to_owned(), float), "None")
            .called("{self}({*})");
    }
    let terms: Vec<String> = match io.inputs.len() - OPERANDS {
        1 => vec![format!("{{{OPERANDS}}}")],
        more => (OPERANDS..OPERANDS + more).map(|index| format!("{{{index}+}}")).collect(),
    };
    let mask = if terms.is_empty() { String::new() } else { format!(", attn_mask={}", terms.join(" + ")) };
    let scale = if layer.scale.is_some() { ", scale={scale}" } else { "" };
    let leaf = Leaf::call(format!("F.scaled_dot_product_attention({{0}}, {{1}}, {{2}}{mask}{scale})"));
    match layer.scale {
        Some(scale) => leaf.inside("scale", float(scale)),
        None => leaf,
    }
}

/// Returns the sizes of a tensor that is broadcast to the input.
fn broadcast(shape: Option<&[u64]>, io: Io<'_>) -> Vec<u64> {
    shape.unwrap_or(io.input().sizes()).to_vec()
}

/// Returns the module that contains a tensor of these sizes.
fn tensor(sizes: &[u64], learned: bool) -> Leaf {
    Leaf::module("Tensor").with("shape", full_tuple(sizes)).key("learned", truth(learned), "True")
}

/// Returns `x.mean((2, 3))`, over all spatial axes.
fn global(what: &str, rank: usize, keepdim: bool) -> String {
    let axes: Vec<usize> = (2..2 + rank).collect();
    let keep = if keepdim { ", keepdim=True" } else { "" };
    format!("{{0!}}.{what}({}{keep})", full_tuple(&axes))
}

fn layer_norm(layer: &LayerNorm, io: Io<'_>) -> Leaf {
    let input = io.input();
    let (class, shape) = match layer.axis {
        NormAxis::Channels if input.rank() > 1 => ("ChannelNorm", input.channels().to_string()),
        NormAxis::Channels | NormAxis::Last => {
            ("nn.LayerNorm", input.sizes().last().copied().unwrap_or(1).to_string())
        }
        NormAxis::Space => ("nn.LayerNorm", full_tuple(input.spatial())),
        NormAxis::All => ("nn.LayerNorm", full_tuple(input.sizes())),
    };
    Leaf::module(class)
        .with("normalized_shape", shape)
        .key("eps", float(layer.eps), "1e-05")
        .key("elementwise_affine", truth(layer.elementwise_affine), "True")
        .key("bias", truth(layer.bias), "True")
}

fn upsample(layer: &Upsample, rank: usize) -> Result<Leaf, Problem> {
    let word = match layer.mode {
        Interpolation::Nearest => "\"nearest\"",
        Interpolation::Bicubic => "\"bicubic\"",
        Interpolation::Linear | Interpolation::Bilinear | Interpolation::Trilinear => {
            ranked(["\"linear\"", "\"bilinear\"", "\"trilinear\""], rank)
        }
    };
    let mut leaf = Leaf::module("nn.Upsample");
    if let Some(scale) = &layer.scale_factor {
        let factors: Vec<String> = scale
            .resolve(rank)?
            .into_iter()
            .map(|f| if f.fract() == 0.0 { format!("{f}") } else { float(f) })
            .collect();
        leaf = leaf.key("scale_factor", tuple(&factors), "None");
    }
    if let Some(size) = &layer.size {
        leaf = leaf.key("size", tuple(&size.resolve(rank, "size", 1)?), "None");
    }
    let corners = if layer.align_corners { "True" } else { "None" };
    Ok(leaf.key("mode", word, "\"nearest\"").key("align_corners", corners, "None"))
}

fn pad(layer: &Pad, io: Io<'_>) -> Result<Leaf, Problem> {
    let amounts = amounts(&layer.windows(io.input().spatial())?);
    let leaf = match layer.mode {
        PaddingMode::Zeros if layer.value == 0.0 => Leaf::call("F.pad({0}, {pad})"),
        PaddingMode::Zeros => {
            Leaf::call("F.pad({0}, {pad}, value={value})").inside("value", float(layer.value))
        }
        other => Leaf::call(format!("F.pad({{0}}, {{pad}}, mode=\"{}\")", mode(other))),
    };
    Ok(leaf.inside("pad", amounts))
}

fn sum(weights: Option<&[f64]>, inputs: usize) -> Leaf {
    let Some(weights) = weights else {
        let terms: Vec<String> = (0..inputs).map(|i| format!("{{{i}+}}")).collect();
        return Leaf::call(terms.join(" + ")).binding(Binds::Sum);
    };
    let names = ["scale", "scale1", "scale2", "scale3", "scale4", "scale5", "scale6", "scale7"];
    let mut terms = Vec::new();
    let mut leaf = Leaf::call("");
    for (i, &weight) in weights.iter().enumerate() {
        match names.get(i) {
            _ if weight == 1.0 => terms.push(format!("{{{i}+}}")),
            Some(name) => {
                terms.push(format!("{{{name}}} * {{{i}*}}"));
                leaf = leaf.inside(name, float(weight));
            }
            None => terms.push(format!("{} * {{{i}*}}", float(weight))),
        }
    }
    leaf.called(terms.join(" + ")).binding(Binds::Sum)
}

fn squeeze_excite(layer: &SqueezeExcite, io: Io<'_>) -> Result<Leaf, Problem> {
    let channels = io.input().channels();
    let activation = match layer.activation {
        SqueezeActivation::Relu => "nn.ReLU",
        SqueezeActivation::Silu => "nn.SiLU",
        SqueezeActivation::Elu => "nn.ELU",
        SqueezeActivation::Gelu => "nn.GELU",
        SqueezeActivation::Hardswish => "nn.Hardswish",
    };
    let gate = match layer.gate {
        Gate::Sigmoid => "nn.Sigmoid",
        Gate::Hardsigmoid => "nn.Hardsigmoid",
    };
    let class = ranked(["SqueezeExcite1d", "SqueezeExcite", "SqueezeExcite3d"], io.input().spatial().len());
    Ok(Leaf::module(class)
        .with("channels", channels)
        .with("squeeze", layer.inner(channels)?)
        .key("bias", truth(layer.bias), "True")
        .key("activation", activation, "nn.ReLU")
        .key("gate", gate, "nn.Sigmoid"))
}
