//! Resizing: Resize and its predecessor Upsample.

use super::context::{Lower, Outcome, Tensor, Use, Value};
use super::conv::per_axis;
use super::slice_concat::Part;
use crate::onnx::constant::KNOWN;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::args::Padding;
use cnnkit_core::layers::axes::Scale;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::pad::Pad;
use cnnkit_core::layers::upsample::{Interpolation, Upsample};

/// Returns the factors of all axes, if they are given.
pub(super) fn scales(lower: &Lower, used: Use<'_>) -> Result<Option<Vec<f64>>, super::Flaw> {
    if let Some(attribute) = used.attribute("scales") {
        return Ok(Some(attribute.floats.iter().map(|&scale| super::context::shortest(scale)).collect()));
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

/// Returns `kept` with the values `given` for some axes.
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

/// Returns whether a factor results in an integer number of elements, up to rounding.
fn fits(factor: f64, from: u64, to: u64) -> bool {
    (factor * from as f64 - to as f64).abs() < 1e-6 * to as f64
}

/// The source positions of the elements of an axis.
struct Places {
    from: u64,
    to: u64,
    factor: f64,
}

impl Places {
    /// Returns the nearest input element of each element; none for an unsupported rule, or for too many
    /// elements.
    fn nearest(&self, rule: &str, rounding: &str) -> Option<Vec<u64>> {
        if self.to > KNOWN {
            return None;
        }
        let (from, to) = (self.from as f64, self.to as f64);
        let place = |at: u64| {
            let at = at as f64;
            let place = match rule {
                "asymmetric" => at / self.factor,
                "half_pixel" => (at + 0.5) / self.factor - 0.5,
                "pytorch_half_pixel" if self.to > 1 => (at + 0.5) / self.factor - 0.5,
                "pytorch_half_pixel" => 0.0,
                "align_corners" if !fits(self.factor, self.from, self.to) => return None,
                "align_corners" if self.to > 1 => at * (from - 1.0) / (to - 1.0),
                "align_corners" => 0.0,
                "half_pixel_symmetric" => {
                    let adjustment = to / (self.factor * from);
                    from / 2.0 * (1.0 - adjustment) + (at + 0.5) / self.factor - 0.5
                }
                _ => return None,
            };
            let whole = match rounding {
                "floor" => place.floor(),
                "ceil" => place.ceil(),
                "round_prefer_floor" => (place - 0.5).ceil(),
                "round_prefer_ceil" => (place + 0.5).floor(),
                _ => return None,
            };
            Some(whole.min(from - 1.0).max(0.0) as u64)
        };
        (0..self.to).map(place).collect()
    }
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

/// Lowers linear interpolation at `i / factor`: with the last element repeated once more, these are the
/// positions of a resize with aligned corners to one more element.
fn from_corner(lower: &mut Lower, used: Use<'_>, input: Tensor, output: &[u64], factors: &[f64]) -> Outcome {
    let exact = (2..output.len()).all(|axis| fits(factors[axis], input.dims[axis], output[axis]));
    if !exact || (2..output.len()).any(|axis| output[axis] < input.dims[axis]) {
        return used.unsupported(
            "linear resizing from the corner to a smaller map, or by a factor that leaves a rest",
        );
    }
    let after = Padding::Sides(vec![(0, 1); output.len() - 2]);
    let pad = Pad { padding: after, mode: PaddingMode::Replicate, value: 0.0, causal: false };
    let padded = lower.map(used, Layer::Pad(pad), &input, vec![])?;
    let more: Vec<u64> = output[2..].iter().map(|&size| size + 1).collect();
    let mode = match output.len() {
        4 => Interpolation::Bilinear,
        5 => Interpolation::Trilinear,
        _ => Interpolation::Linear,
    };
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
    // Before version 11 there was only the rule that is now called asymmetric.
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
    let factors: Vec<f64> = match (&sizes, &scales) {
        (None, Some(scales)) => scales.clone(),
        _ => output.iter().zip(&input.dims).map(|(&to, &from)| to as f64 / from as f64).collect(),
    };
    let (mode, align_corners) = match mode {
        "nearest" => {
            let rounding =
                if old { "floor" } else { used.text("nearest_mode").unwrap_or("round_prefer_floor") };
            let chosen = (0..rank).map(|axis| {
                let places = Places { from: input.dims[axis], to: output[axis], factor: factors[axis] };
                places.nearest(rule, rounding)
            });
            let Some(chosen) = chosen.collect::<Option<Vec<Vec<u64>>>>() else {
                return used.unsupported(format!("the nearest neighbour by {rule} and {rounding}"));
            };
            let repeated = |(axis, places): (usize, &Vec<u64>)| {
                let (from, to) = (u128::from(input.dims[axis]), u128::from(output[axis]));
                places.iter().enumerate().all(|(at, &place)| at as u128 * from / to == u128::from(place))
            };
            let stretched = match (&sizes, &scales) {
                (None, Some(scales)) => {
                    (2..rank).all(|axis| fits(scales[axis], input.dims[axis], output[axis]))
                }
                _ => true,
            };
            if !(stretched && chosen.iter().enumerate().all(repeated)) {
                return by_indices(lower, used, input, chosen);
            }
            (Interpolation::Nearest, false)
        }
        "linear" => match rule {
            "half_pixel" | "half_pixel_symmetric" => (Interpolation::Linear, false),
            "pytorch_half_pixel" if output[2..].iter().all(|&size| size > 1) => {
                (Interpolation::Linear, false)
            }
            // The operator's corners are those of a map of the exact size, factor times input size, which may
            // be fractional.
            "align_corners" if (2..rank).all(|axis| fits(factors[axis], input.dims[axis], output[axis])) => {
                (Interpolation::Linear, true)
            }
            "asymmetric" => return from_corner(lower, used, input, &output, &factors),
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
