//! Resizing: Resize and its predecessor Upsample.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::conv::per_axis;
use super::elements::{computed, small};
use super::resample::{Rules, Stretch, by_taps};
use super::slice_concat::Part;
use crate::onnx::constant::{Constant, Values, sizes};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::args::Padding;
use cnnkit_core::layers::axes::Scale;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::pad::Pad;
use cnnkit_core::layers::upsample::{Interpolation, KEYS, Upsample};

/// Input `index` of a version that has four: none before version 11.
fn later(used: Use<'_>, index: usize) -> Option<usize> {
    (used.opset >= 11 && used.node.op_type == "Resize").then_some(index)
}

/// The factors of all axes, if they are given.
fn scales(lower: &Lower, used: Use<'_>) -> Result<Option<Vec<f64>>, Flaw> {
    if let Some(attribute) = used.attribute("scales") {
        return Ok(Some(attribute.floats.iter().map(|&scale| super::context::shortest(scale)).collect()));
    }
    numbers(lower, used, later(used, 2).unwrap_or(1))
}

/// The known numbers of input `index`; none if it is not given or empty.
fn numbers(lower: &Lower, used: Use<'_>, index: usize) -> Result<Option<Vec<f64>>, Flaw> {
    let Some(constant) = lower.optional(used, index)? else { return Ok(None) };
    if constant.dims == [0] {
        return Ok(None);
    }
    match &constant.values {
        Some(values) => Ok(Some(values.floats().into_iter().map(super::control::meant).collect())),
        None => used.unsupported("factors that are not known"),
    }
}

/// What becomes of each axis of a tensor of the sizes `dims`.
pub(super) fn stretches(lower: &Lower, used: Use<'_>, dims: &[u64]) -> Result<Vec<Stretch>, Flaw> {
    let wrong = |what: &str| {
        let message = format!("its {what} do not fit {dims:?}");
        Flaw::from(Problem::new(Code::InvalidValue, message))
    };
    let axes: Vec<usize> = match used.ints("axes") {
        Some(axes) => axes.iter().map(|&axis| used.axis(axis, dims.len())).collect::<Result<_, _>>()?,
        None => (0..dims.len()).collect(),
    };
    let kept = |&from: &u64| Stretch { from, to: from, factor: 1.0, by_size: false, part: None };
    let mut stretches: Vec<Stretch> = dims.iter().map(kept).collect();
    let wanted = match later(used, 3).filter(|&index| used.has(index)) {
        Some(index) => Some(lower.known_ints(used, index)?).filter(|wanted| !wanted.is_empty()),
        None => None,
    };
    if let Some(wanted) = wanted {
        let wanted = sizes(&wanted)?;
        if wanted.len() != axes.len() || wanted.contains(&0) {
            return Err(wrong("sizes"));
        }
        let factors = || axes.iter().zip(&wanted).map(|(&axis, &to)| to as f64 / dims[axis].max(1) as f64);
        let common = match used.text("keep_aspect_ratio_policy").unwrap_or("stretch") {
            "stretch" => None,
            "not_larger" => Some(factors().fold(f64::INFINITY, f64::min)),
            "not_smaller" => Some(factors().fold(0.0, f64::max)),
            other => return used.unsupported(format!("the policy {other}")),
        };
        for ((&axis, &to), own) in axes.iter().zip(&wanted).zip(factors()) {
            let whole = |factor: f64| (factor * dims[axis] as f64 + 0.5).floor().max(1.0) as u64;
            let (to, factor) = common.map_or((to, own), |factor| (whole(factor), factor));
            stretches[axis] = Stretch { to, factor, by_size: true, ..stretches[axis] };
        }
    } else {
        let Some(scales) = scales(lower, used)?.filter(|scales| scales.len() == axes.len()) else {
            return Err(wrong("sizes or factors"));
        };
        for (&axis, &factor) in axes.iter().zip(&scales) {
            let to = (dims[axis] as f64 * factor).floor();
            if !(1.0..1e15).contains(&to) {
                return Err(wrong("factors"));
            }
            stretches[axis] = Stretch { to: to as u64, factor, ..stretches[axis] };
        }
    }
    if Rules::of(used).rule == "tf_crop_and_resize" {
        let parts = match later(used, 1) {
            Some(index) => numbers(lower, used, index)?,
            None => None,
        };
        let Some(parts) = parts.filter(|parts| parts.len() == 2 * axes.len()) else {
            return Err(wrong("parts"));
        };
        for (number, &axis) in axes.iter().enumerate() {
            let part = (parts[number], parts[number + axes.len()]);
            let whole = part == (0.0, 1.0) && stretches[axis].from == stretches[axis].to;
            stretches[axis].part = (!whole).then_some(part);
        }
        if !used.has(3) {
            return used.unsupported("parts of the input, resized by factors");
        }
    }
    Ok(stretches)
}

/// Lowers a selection of elements along each axis.
fn by_indices(lower: &mut Lower, used: Use<'_>, input: Tensor, chosen: Vec<Vec<u64>>) -> Outcome {
    let mut tensor = input;
    for (axis, places) in chosen.into_iter().enumerate() {
        let same =
            places.len() as u64 == tensor.dims[axis] && places.iter().copied().eq(0..tensor.dims[axis]);
        if !same {
            match super::choice::chosen(lower, used, &tensor, axis, places)? {
                Value::Tensor(next) => tensor = next,
                _ => return used.unsupported("resizing of a constant"),
            }
        }
    }
    Ok(vec![Value::Tensor(tensor)])
}

/// Linear between the elements at `i / factor`: with one more element that repeats the last, these are the places that
/// keep the corners where one more is asked for.
fn from_corner(lower: &mut Lower, used: Use<'_>, input: &Tensor, output: &[u64]) -> Outcome {
    let after = Padding::Sides(vec![(0, 1); output.len() - 2]);
    let pad = Pad { padding: after, mode: PaddingMode::Replicate, value: 0.0, causal: false };
    let padded = lower.map(used, Layer::Pad(pad), input, vec![])?;
    let more: Vec<u64> = output[2..].iter().map(|&size| size + 1).collect();
    let mode = linear(output.len());
    let stretch = Upsample { scale_factor: None, size: Some(per_axis(&more)), mode, align_corners: true };
    let mut tensor = lower.map(used, Layer::Upsample(stretch), &padded, vec![])?;
    for (axis, &count) in output.iter().enumerate().skip(2) {
        let part = Part { axis, first: 0, count, step: 1 };
        match super::slice_concat::taken(lower, used, &Value::Tensor(tensor), part)? {
            Value::Tensor(next) => tensor = next,
            _ => return used.unsupported("resizing of a constant"),
        }
    }
    Ok(vec![Value::Tensor(tensor)])
}

/// Linear interpolation of a tensor with so many axes.
fn linear(rank: usize) -> Interpolation {
    match rank {
        4 => Interpolation::Bilinear,
        5 => Interpolation::Trilinear,
        _ => Interpolation::Linear,
    }
}

pub(super) fn resize(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = super::conv::image(lower, used).or_else(|_| lower.tensor(used, 0))?;
    let (rules, stretches) = (Rules::of(used), stretches(lower, used, &input.dims)?);
    if stretches.iter().all(Stretch::keeps) {
        return Ok(vec![Value::Tensor(input)]);
    }
    if input.batch.is_some_and(|batch| !stretches[batch].keeps()) {
        return used.unsupported("resizing of the batch");
    }
    let output: Vec<u64> = stretches.iter().map(|axis| axis.to).collect();
    let rank = output.len();
    let image = input.batch == Some(0) && rank > 2 && stretches[1].keeps();
    if rules.mode == "nearest" {
        let chosen = stretches.iter().map(|&axis| rules.nearest(axis)).collect::<Option<Vec<Vec<u64>>>>();
        let Some(chosen) = chosen else {
            return used
                .unsupported(format!("the nearest neighbour by {} and {}", rules.rule, rules.rounding));
        };
        let repeated = |(places, axis): (&Vec<u64>, &Stretch)| {
            let (from, to) = (u128::from(axis.from), u128::from(axis.to));
            axis.fits()
                && places.iter().enumerate().all(|(at, &place)| at as u128 * from / to == u128::from(place))
        };
        if !(image && chosen.iter().zip(&stretches).all(repeated)) {
            return by_indices(lower, used, input, chosen);
        }
        return upsampled(lower, used, &input, &stretches, Interpolation::Nearest, false);
    }
    let (space, shrinks) = (stretches.get(2..).unwrap_or(&[]), |axis: &Stretch| axis.factor < 1.0);
    let plain = image
        && !(rules.antialias && space.iter().any(shrinks))
        && space.iter().all(|axis| axis.part.is_none() && (axis.fits() || !axis.by_size));
    let fits = space.iter().all(Stretch::fits);
    let corners = match rules.rule {
        "half_pixel" => Some(false),
        "half_pixel_symmetric" if fits => Some(false),
        "pytorch_half_pixel" if space.iter().all(|axis| axis.to > 1) => Some(false),
        // The operator's corners are those of a map of the factor's size, with its fraction.
        "align_corners" if fits => Some(true),
        _ => None,
    };
    let cubic = rules.mode == "cubic" && rules.coefficient == KEYS && !rules.inside_only;
    match (rules.mode, corners) {
        ("linear", Some(corners)) if plain => {
            upsampled(lower, used, &input, &stretches, linear(rank), corners)
        }
        ("linear", None) if plain && rules.rule == "asymmetric" && fits && !space.iter().any(shrinks) => {
            from_corner(lower, used, &input, &output)
        }
        ("cubic", Some(corners)) if plain && cubic && rank == 4 => {
            upsampled(lower, used, &input, &stretches, Interpolation::Bicubic, corners)
        }
        _ => Ok(vec![Value::Tensor(by_taps(lower, used, rules, input, &stretches)?)]),
    }
}

/// The layer that resizes as PyTorch does.
fn upsampled(
    lower: &mut Lower,
    used: Use<'_>,
    input: &Tensor,
    stretches: &[Stretch],
    mode: Interpolation,
    align_corners: bool,
) -> Outcome {
    let space = &stretches[2..];
    let by_size = align_corners || space.iter().any(|axis| axis.by_size);
    let (scale_factor, size) = if by_size {
        (None, Some(per_axis(&space.iter().map(|axis| axis.to).collect::<Vec<_>>())))
    } else {
        (Some(Scale::list(&space.iter().map(|axis| axis.factor).collect::<Vec<_>>())), None)
    };
    lower.simple(used, Layer::Upsample(Upsample { scale_factor, size, mode, align_corners }), input)
}

/// The resized constant, if its values are known and the rule is one of these.
pub(super) fn resized(lower: &Lower, used: Use<'_>, data: &Constant) -> Option<Constant> {
    let stretches = stretches(lower, used, &data.dims).ok()?;
    let output: Vec<u64> = stretches.iter().map(|axis| axis.to).collect();
    let rules = Rules::of(used);
    if !small(&output) {
        return None;
    }
    let (mut dims, mut values) = (data.dims.clone(), data.values.as_ref()?.floats());
    if values.is_empty() {
        return None;
    }
    for (axis, stretch) in stretches.iter().enumerate().filter(|(_, stretch)| !stretch.keeps()) {
        let (from, to) = (stretch.from as usize, stretch.to as usize);
        let taps = rules.taps(*stretch)?;
        let inner: usize = dims[axis + 1..].iter().map(|&size| size as usize).product();
        let outer: usize = dims[..axis].iter().map(|&size| size as usize).product();
        let mut next = Vec::with_capacity(outer * to * inner);
        for block in 0..outer {
            for list in &taps {
                for lane in 0..inner {
                    next.push(
                        list.iter()
                            .map(|(tap, share)| share * values[(block * from + tap) * inner + lane])
                            .sum(),
                    );
                }
            }
        }
        dims[axis] = stretch.to;
        values = next;
    }
    Some(Constant { values: Some(Values::Floats(values)), ..computed(dims, data.data_type) })
}
