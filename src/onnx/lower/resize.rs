//! Resizing: Resize and its predecessor Upsample.

use super::conv::per_axis;
use super::scope::{Lower, Outcome, Use, Value};
use crate::diagnostic::{Code, Problem};
use crate::layers::Layer;
use crate::layers::axes::Scale;
use crate::layers::upsample::{Interpolation, Upsample};

/// The factors of all axes, if they are given.
pub(super) fn scales(lower: &Lower, used: Use<'_>) -> Result<Option<Vec<f64>>, super::Flaw> {
    if let Some(attribute) = used.attribute("scales") {
        return Ok(Some(attribute.floats.iter().map(|&scale| super::scope::shortest(scale)).collect()));
    }
    let index = if used.opset >= 11 && used.node.op_type == "Resize" { 2 } else { 1 };
    let Some(constant) = lower.optional(used, index)? else { return Ok(None) };
    if constant.dims == [0] {
        return Ok(None);
    }
    match &constant.values {
        Some(values) => Ok(Some(values.floats().into_iter().map(super::control::meant).collect())),
        None => used.unsupported("factors that are not known"),
    }
}

/// What is `given` for some axes, and `kept` for the others.
fn spread<T: Copy>(axes: &[usize], given: &[T], mut kept: Vec<T>) -> Result<Vec<T>, Problem> {
    if axes.len() != given.len() {
        let message = format!("it has {} axes, but sizes or factors for {}", axes.len(), given.len());
        return Err(Problem::new(Code::InvalidValue, message));
    }
    for (&axis, &value) in axes.iter().zip(given) {
        kept[axis] = value;
    }
    Ok(kept)
}

pub(super) fn resize(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = super::conv::image(lower, used)?;
    let rank = input.dims.len();
    if rank < 3 {
        return used.unsupported(format!("resizing of {:?}", input.dims));
    }
    let mut scales = scales(lower, used)?;
    let mut sizes =
        if used.has(3) { Some(lower.known_ints(used, 3)?) } else { None }.filter(|sizes| !sizes.is_empty());
    if used.text("keep_aspect_ratio_policy").is_some_and(|text| text != "stretch") {
        return used.unsupported("resizing with a fixed aspect ratio");
    }
    if let Some(axes) = used.ints("axes") {
        let axes = axes.iter().map(|&axis| used.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
        let kept = input.dims.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
        scales = scales.map(|given| spread(&axes, &given, vec![1.0; rank])).transpose()?;
        sizes = sizes.map(|given| spread(&axes, &given, kept)).transpose()?;
    }
    // Before version 11 there was one rule; it is what is now called asymmetric.
    let old = used.opset < 11 || used.node.op_type == "Upsample";
    let rule =
        if old { "asymmetric" } else { used.text("coordinate_transformation_mode").unwrap_or("half_pixel") };
    let mode = used.text("mode").unwrap_or("nearest");
    let wrong =
        || Problem::new(Code::InvalidValue, format!("its sizes or factors do not fit {:?}", input.dims));
    let output: Vec<u64> = match (&sizes, &scales) {
        (Some(sizes), _) if sizes.len() == rank => crate::onnx::constant::sizes(sizes)?,
        (None, Some(scales)) if scales.len() == rank => scales
            .iter()
            .zip(&input.dims)
            .map(|(scale, &size)| {
                let output = (size as f64 * scale).floor();
                if (1.0..1e15).contains(&output) { Ok(output as u64) } else { Err(wrong()) }
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(wrong().into()),
    };
    if output[..2] != input.dims[..2] {
        return used.unsupported("resizing of the channels or the batch");
    }
    if output == input.dims {
        return Ok(vec![Value::Tensor(input)]);
    }
    let whole = (2..rank).all(|axis| output[axis].is_multiple_of(input.dims[axis]));
    let (mode, align_corners) = match mode {
        "nearest" => {
            let rounding = used.text("nearest_mode").unwrap_or("round_prefer_floor");
            // By a whole factor, both rules take the pixel in which the output lies.
            let same = match rule {
                "asymmetric" => old || rounding == "floor",
                "half_pixel" | "pytorch_half_pixel" => whole && rounding == "round_prefer_floor",
                _ => false,
            };
            if !same {
                return used.unsupported(format!("the nearest neighbour by {rule} and {rounding}"));
            }
            (Interpolation::Nearest, false)
        }
        "linear" => match rule {
            "half_pixel" => (Interpolation::Linear, false),
            "pytorch_half_pixel" if output[2..].iter().all(|&size| size > 1) => {
                (Interpolation::Linear, false)
            }
            "align_corners" => (Interpolation::Linear, true),
            _ => return used.unsupported(format!("linear resizing by {rule}")),
        },
        other => return used.unsupported(format!("resizing by {other}")),
    };
    if used.int("antialias", 0) != 0 && (2..rank).any(|axis| output[axis] < input.dims[axis]) {
        return used.unsupported("resizing with antialiasing");
    }
    let mode = match (mode, rank) {
        (Interpolation::Linear, 4) => Interpolation::Bilinear,
        (Interpolation::Linear, 5) => Interpolation::Trilinear,
        (mode, _) => mode,
    };
    let (scale_factor, size) = match (&sizes, &scales) {
        (None, Some(scales)) if !align_corners => (Some(Scale::list(&scales[2..])), None),
        _ => (None, Some(per_axis(&output[2..]))),
    };
    lower.simple(used, Layer::Upsample(Upsample { scale_factor, size, mode, align_corners }), &input)
}
