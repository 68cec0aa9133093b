//! Resizing of constants: tables of positions that a model resizes to its input, by the operator's
//! definition.

use super::context::{Lower, Use};
use super::elements::{computed, small};
use crate::onnx::constant::{Constant, Values};

/// An element of the input with its weight.
type Tap = (usize, f64);

/// Returns the resized constant, if its values are known and the rule is supported.
pub(super) fn resized(lower: &Lower, used: Use<'_>, data: &Constant) -> Option<Constant> {
    let output = super::output_shape::output_shape(lower, used, 0)?;
    let supported = used.int("antialias", 0) == 0
        && used.int("exclude_outside", 0) == 0
        && used.ints("axes").is_none()
        && small(&output)
        && output.len() == data.dims.len();
    if !supported {
        return None;
    }
    let scales = super::resize::scales(lower, used).ok()?;
    let (mut dims, mut values) = (data.dims.clone(), data.values.as_ref()?.floats());
    if values.is_empty() {
        return None;
    }
    for axis in 0..dims.len() {
        let (from, to) = (dims[axis] as usize, output[axis] as usize);
        if from == to {
            continue;
        }
        let factor =
            scales.as_ref().and_then(|scales| scales.get(axis).copied()).unwrap_or(to as f64 / from as f64);
        let taps: Vec<Vec<Tap>> =
            (0..to).map(|at| taps(used, at, from, to, factor)).collect::<Option<_>>()?;
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
        dims[axis] = to as u64;
        values = next;
    }
    Some(Constant { values: Some(Values::Floats(values)), ..computed(dims, data.data_type) })
}

/// Returns the input elements, with their weights, of element `at` of an axis.
fn taps(used: Use<'_>, at: usize, from: usize, to: usize, factor: f64) -> Option<Vec<Tap>> {
    let old = used.opset < 11 || used.node.op_type == "Upsample";
    let rule =
        if old { "asymmetric" } else { used.text("coordinate_transformation_mode").unwrap_or("half_pixel") };
    let place = match rule {
        "half_pixel" => (at as f64 + 0.5) / factor - 0.5,
        "pytorch_half_pixel" if to > 1 => (at as f64 + 0.5) / factor - 0.5,
        "align_corners" if to > 1 => at as f64 * (from as f64 - 1.0) / (to as f64 - 1.0),
        "pytorch_half_pixel" | "align_corners" => 0.0,
        "asymmetric" => at as f64 / factor,
        _ => return None,
    };
    let inside = |index: f64| index.max(0.0).min(from as f64 - 1.0) as usize;
    let (low, rest) = (place.floor(), place - place.floor());
    match used.text("mode").unwrap_or("nearest") {
        "nearest" => {
            let rounding =
                if old { "floor" } else { used.text("nearest_mode").unwrap_or("round_prefer_floor") };
            let index = match rounding {
                "floor" => place.floor(),
                "ceil" => place.ceil(),
                "round_prefer_floor" => (place - 0.5).ceil(),
                "round_prefer_ceil" => (place + 0.5).floor(),
                _ => return None,
            };
            Some(vec![(inside(index), 1.0)])
        }
        "linear" => Some(vec![(inside(low), 1.0 - rest), (inside(low + 1.0), rest)]),
        "cubic" => {
            // The kernel of Keys 1981, with the operator's coefficient.
            let a = used.float("cubic_coeff_a", -0.75);
            let share = |distance: f64| {
                let x = distance.abs();
                if x <= 1.0 {
                    ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
                } else {
                    0.0
                }
            };
            Some(
                (-1..=2).map(|step| (inside(low + f64::from(step)), share(rest - f64::from(step)))).collect(),
            )
        }
        _ => None,
    }
}
