//! Sliding-window layers: convolutions and pools.

use super::leaf::{Leaf, full_tuple, refuse, truth, tuple};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Io;
use cnnkit_core::layers::adaptive_avg_pool::AdaptiveAvgPool;
use cnnkit_core::layers::adaptive_max_pool::AdaptiveMaxPool;
use cnnkit_core::layers::args::Padding;
use cnnkit_core::layers::avg_pool::AvgPool;
use cnnkit_core::layers::axes::OutputSize;
use cnnkit_core::layers::conv::{Conv, PaddingMode};
use cnnkit_core::layers::conv_transpose::ConvTranspose;
use cnnkit_core::layers::deform_conv::{DeformConv, Offsets};
use cnnkit_core::layers::dynamic_conv::{DynamicConv, WithWeight};
use cnnkit_core::layers::max_pool::MaxPool;
use cnnkit_core::layers::window::Window;

/// Selects one of three names by the number of spatial axes.
pub(super) fn ranked(names: [&'static str; 3], rank: usize) -> &'static str {
    names[rank.clamp(1, 3) - 1]
}

fn each<T>(windows: &[Window], of: impl Fn(&Window) -> T) -> Vec<T> {
    windows.iter().map(of).collect()
}

/// Returns the padding per axis, if it is the same before and after.
fn symmetric(windows: &[Window]) -> Option<Vec<i64>> {
    windows.iter().map(|window| (window.before == window.after).then_some(window.before)).collect()
}

/// Returns `F.pad`'s amounts: the last axis first.
pub(super) fn amounts(windows: &[Window]) -> String {
    let amounts: Vec<i64> = windows.iter().rev().flat_map(|window| [window.before, window.after]).collect();
    full_tuple(&amounts)
}

/// Returns PyTorch's name of a padding mode.
pub(super) fn mode(mode: PaddingMode) -> &'static str {
    match mode {
        PaddingMode::Zeros => "zeros",
        PaddingMode::Reflect => "reflect",
        PaddingMode::Replicate => "replicate",
        PaddingMode::Circular => "circular",
    }
}

pub(super) fn conv(layer: &Conv, io: Io<'_>) -> Result<Leaf, Problem> {
    let channels = io.input().channels();
    let windows = layer.windows(io.input().spatial())?;
    let leaf = Leaf::module(ranked(["nn.Conv1d", "nn.Conv2d", "nn.Conv3d"], windows.len()))
        .with("in_channels", channels)
        .with("out_channels", layer.out_channels)
        .with("kernel_size", tuple(&each(&windows, |w| w.kernel)))
        .key("stride", tuple(&each(&windows, |w| w.stride)), "1");
    let finish = |leaf: Leaf, padding: String, mode: &'static str| {
        let groups = layer.groups.resolve(channels, layer.out_channels)?;
        Ok(leaf
            .key("padding", padding, "0")
            .key("dilation", tuple(&each(&windows, |w| w.dilation)), "1")
            .key("groups", groups, "1")
            .key("bias", truth(layer.bias), "True")
            .key("padding_mode", format!("\"{mode}\""), "\"zeros\""))
    };
    if let Some(padding) = symmetric(&windows) {
        return finish(leaf, tuple(&padding), mode(layer.padding_mode));
    }
    // PyTorch supports `same` at stride 1 only, with the odd element after the last as here.
    if layer.padding == Padding::Same && windows.iter().all(|w| w.stride == 1) {
        return finish(leaf, "\"same\"".into(), mode(layer.padding_mode));
    }
    let call = match layer.padding_mode {
        PaddingMode::Zeros => "{self}(F.pad({0}, {pad}))".to_owned(),
        other => format!("{{self}}(F.pad({{0}}, {{pad}}, mode=\"{}\"))", mode(other)),
    };
    finish(leaf.called(call).inside("pad", amounts(&windows)), "0".into(), "zeros")
}

pub(super) fn conv_transpose(layer: &ConvTranspose, io: Io<'_>) -> Result<Leaf, Problem> {
    let channels = io.input().channels();
    let windows = layer.windows(io.input().spatial())?;
    let rank = windows.len();
    let added = layer.output_padding.resolve(rank, "output_padding", 0)?;
    let groups = layer.groups.resolve(channels, layer.out_channels)?;
    let names = ["nn.ConvTranspose1d", "nn.ConvTranspose2d", "nn.ConvTranspose3d"];
    let mut leaf = Leaf::module(ranked(names, rank))
        .with("in_channels", channels)
        .with("out_channels", layer.out_channels)
        .with("kernel_size", tuple(&each(&windows, |w| w.kernel)))
        .key("stride", tuple(&each(&windows, |w| w.stride)), "1");
    // PyTorch removes the same amount on both sides; otherwise the output is cropped.
    let padding = match symmetric(&windows) {
        Some(padding) => tuple(&padding),
        None => {
            let negative: Vec<Window> =
                each(&windows, |w| Window { before: -w.before, after: -w.after, ..*w });
            leaf = leaf.called("F.pad({self}({0}), {cut})").inside("cut", amounts(&negative));
            "0".into()
        }
    };
    Ok(leaf
        .key("padding", padding, "0")
        .key("output_padding", tuple(&added), "0")
        .key("groups", groups, "1")
        .key("bias", truth(layer.bias), "True")
        .key("dilation", tuple(&each(&windows, |w| w.dilation)), "1"))
}

pub(super) fn deform_conv(layer: &DeformConv, io: Io<'_>) -> Result<Leaf, Problem> {
    let channels = io.input().channels();
    let main = layer.main().windows(io.input().spatial())?;
    let groups = layer.groups.resolve(channels, layer.out_channels)?;
    let per_tap = layer.offsets == Offsets::PerTap;
    let mut leaf = Leaf::module(if per_tap { "DeformConv2d" } else { "ResampledConv2d" })
        .with("in_channels", channels)
        .with("out_channels", layer.out_channels)
        .with("kernel_size", full_tuple(&each(&main, |w| w.kernel)))
        .key("stride", tuple(&each(&main, |w| w.stride)), "1");
    // torchvision pads both sides equally; sampling zeros added explicitly equals sampling zeros outside.
    leaf = match symmetric(&main) {
        Some(padding) => leaf.key("padding", tuple(&padding), "0"),
        None => leaf.key("pad", amounts(&main), "None"),
    };
    leaf = leaf.key("dilation", tuple(&each(&main, |w| w.dilation)), "1").key("groups", groups, "1").key(
        "bias",
        truth(layer.bias),
        "True",
    );
    if !per_tap {
        return Ok(leaf);
    }
    leaf =
        leaf.key("offset_groups", layer.offset_groups, "1").key("modulated", truth(layer.modulated), "False");
    let offset = layer.offset_windows(&main)?;
    if offset == main {
        return Ok(leaf);
    }
    let padding = symmetric(&offset).filter(|_| symmetric(&main).is_some()).ok_or_else(|| {
        let what = "a `deform_conv` with an `offset_dilation` and different padding before and after";
        refuse(what, "give it a padding that is the same on both sides")
    })?;
    Ok(leaf.key("offset_dilation", tuple(&each(&offset, |w| w.dilation)), "None").key(
        "offset_padding",
        tuple(&padding),
        "None",
    ))
}

pub(super) fn max_pool(layer: &MaxPool, io: Io<'_>) -> Result<Leaf, Problem> {
    let windows = layer.windows(io.input().spatial())?;
    let leaf = pool(["nn.MaxPool1d", "nn.MaxPool2d", "nn.MaxPool3d"], &windows, layer.ceil_mode, io)?;
    let leaf = leaf.key("dilation", tuple(&each(&windows, |w| w.dilation)), "1");
    // The padding value never wins a maximum.
    Ok(match symmetric(&windows) {
        Some(_) => leaf,
        None => {
            leaf.called("{self}(F.pad({0}, {pad}, value=float(\"-inf\")))").inside("pad", amounts(&windows))
        }
    })
}

pub(super) fn avg_pool(layer: &AvgPool, io: Io<'_>) -> Result<Leaf, Problem> {
    let windows = layer.windows(io.input().spatial())?;
    let mut leaf = pool(["nn.AvgPool1d", "nn.AvgPool2d", "nn.AvgPool3d"], &windows, layer.ceil_mode, io)?;
    if symmetric(&windows).is_none() {
        if !layer.count_include_pad {
            return Err(refuse(
                "an `avg_pool` that leaves out padding which differs before and after",
                "use `count_include_pad: true`, or the same padding on both sides",
            ));
        }
        leaf = leaf.called("{self}(F.pad({0}, {pad}))").inside("pad", amounts(&windows));
    }
    leaf = leaf.key("count_include_pad", truth(layer.count_include_pad), "True");
    match (layer.divisor_override, windows.as_slice()) {
        (None, _) => Ok(leaf),
        (Some(_), [_]) => Err(refuse(
            "an `avg_pool` in 1 dimension with `divisor_override`",
            "PyTorch has it in 2 and 3 dimensions only",
        )),
        (Some(divisor), _) => Ok(leaf.key("divisor_override", divisor, "None")),
    }
}

fn pool(names: [&'static str; 3], windows: &[Window], ceil: bool, io: Io<'_>) -> Result<Leaf, Problem> {
    let kernel = tuple(&each(windows, |w| w.kernel));
    let stride = tuple(&each(windows, |w| w.stride));
    let padding = match symmetric(windows) {
        Some(padding) => tuple(&padding),
        None => {
            // With explicit padding, the padding after the last element is part of the input, so `ceil_mode` would
            // compute with another size.
            for ((window, &size), &wanted) in
                windows.iter().zip(io.input().spatial()).zip(io.output.spatial())
            {
                let bare = Window { before: 0, after: 0, ..*window };
                let padded = u64::try_from(size as i64 + window.before + window.after).unwrap_or(0);
                let found = if ceil { bare.output_ceil(padded)? } else { bare.output(padded)? };
                if found != wanted {
                    return Err(refuse(
                        "a pool with `ceil_mode` and different padding before and after",
                        "leave out `ceil_mode`, or use the same padding on both sides",
                    ));
                }
            }
            "0".into()
        }
    };
    let leaf = Leaf::module(ranked(names, windows.len())).with("kernel_size", &kernel);
    // PyTorch's default stride is the kernel size.
    let leaf = if kernel == stride { leaf } else { leaf.key("stride", stride, "None") };
    Ok(leaf.key("padding", padding, "0").key("ceil_mode", truth(ceil), "False"))
}

fn output_size(size: &OutputSize, io: Io<'_>) -> Result<String, Problem> {
    let described = size.describe();
    let sizes: Vec<String> =
        described.split('x').map(|one| if one == "~" { "None".into() } else { one.into() }).collect();
    size.resolve(io.input().spatial())?;
    Ok(tuple(&sizes))
}

pub(super) fn adaptive_avg_pool(layer: &AdaptiveAvgPool, io: Io<'_>) -> Result<Leaf, Problem> {
    let names = ["nn.AdaptiveAvgPool1d", "nn.AdaptiveAvgPool2d", "nn.AdaptiveAvgPool3d"];
    Ok(Leaf::module(ranked(names, io.input().spatial().len()))
        .with("output_size", output_size(&layer.output_size, io)?))
}

pub(super) fn adaptive_max_pool(layer: &AdaptiveMaxPool, io: Io<'_>) -> Result<Leaf, Problem> {
    let names = ["nn.AdaptiveMaxPool1d", "nn.AdaptiveMaxPool2d", "nn.AdaptiveMaxPool3d"];
    Ok(Leaf::module(ranked(names, io.input().spatial().len()))
        .with("output_size", output_size(&layer.output_size, io)?))
}

/// Each image is convolved with its own weight.
pub(super) fn dynamic_conv(layer: &DynamicConv, io: Io<'_>) -> Result<Leaf, Problem> {
    let (channels, space) = (io.input().channels(), io.input().spatial());
    let (windows, groups, added) = match layer.main(io.inputs)? {
        WithWeight::Conv(conv) => {
            (conv.windows(space)?, conv.groups.resolve(channels, conv.out_channels)?, None)
        }
        WithWeight::Transposed(conv) => {
            let added = conv.output_padding.resolve(space.len(), "output_padding", 0)?;
            (conv.windows(space)?, conv.groups.resolve(channels, conv.out_channels)?, Some(added))
        }
    };
    let rank = windows.len();
    let (function, sides) = match added {
        None => (ranked(["F.conv1d", "F.conv2d", "F.conv3d"], rank), windows.clone()),
        Some(_) => (
            ranked(["F.conv_transpose1d", "F.conv_transpose2d", "F.conv_transpose3d"], rank),
            each(&windows, |w| Window { before: -w.before, after: -w.after, ..*w }),
        ),
    };
    let even = symmetric(&windows);
    let map = if even.is_none() && added.is_none() { "F.pad(x, {pad})" } else { "x" };
    let mut call = format!(
        "{function}({map}, w, stride={{stride}}, padding={{padding}}, dilation={{dilation}}, groups={{groups}}"
    );
    if added.is_some() {
        call += ", output_padding={output_padding}";
    }
    call += ")";
    if even.is_none() && added.is_some() {
        call = format!("F.pad({call}, {{pad}})");
    }
    let mut leaf = Leaf::call(format!("torch.cat([{call} for x, w in zip({{0!}}.split(1), {{1}})])"))
        .inside("stride", tuple(&each(&windows, |w| w.stride)))
        .inside("padding", even.as_ref().map_or_else(|| "0".to_owned(), |even| tuple(even)))
        .inside("dilation", tuple(&each(&windows, |w| w.dilation)))
        .inside("groups", groups);
    if let Some(added) = &added {
        leaf = leaf.inside("output_padding", tuple(added));
    }
    if even.is_none() {
        leaf = leaf.inside("pad", amounts(&sides));
    }
    Ok(leaf)
}
