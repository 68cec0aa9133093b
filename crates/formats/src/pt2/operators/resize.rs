//! Resizing of images.

use super::super::messages::{float, text};
use super::call::{Call, Outcome, one, unsupported};

pub(super) fn resize(call: &mut Call<'_, '_>) -> Outcome {
    let (from, to) = (call.dims()?, call.output_dims(0)?);
    if from.len() != to.len() || from.len() < 3 {
        return unsupported(format!("resizing {from:?} to {to:?}"));
    }
    let name = call.operator;
    let mode = match name {
        _ if name.contains("nearest") => "nearest",
        _ if name.contains("bicubic") => "cubic",
        _ => "linear",
    };
    let rule = if call.flag("align_corners", false) {
        "align_corners"
    } else if mode == "nearest" && !name.contains("exact") {
        "asymmetric"
    } else {
        "pytorch_half_pixel"
    };
    let mut attributes = vec![text("mode", mode), text("coordinate_transformation_mode", rule)];
    if mode == "nearest" {
        attributes
            .push(text("nearest_mode", if name.contains("exact") { "round_prefer_ceil" } else { "floor" }));
    }
    if mode == "cubic" {
        attributes.push(float("cubic_coeff_a", -0.75));
    }
    // A factor that the caller gives places the samples; the sizes alone would place them a little differently.
    let factors = match call.argument("scale_factors") {
        Some(super::super::schema::Argument::Floats(factors)) => factors.clone(),
        _ => vec![],
    };
    let exact = factors.is_empty()
        || factors
            .iter()
            .zip(from[2..].iter().zip(&to[2..]))
            .all(|(factor, (&from, &to))| (factor * from as f64 - to as f64).abs() < 1e-6 * to as f64);
    if !exact {
        return unsupported(format!("resizing by {factors:?}, which leaves a rest"));
    }
    let input = call.first()?;
    let sizes = call.constant(to);
    one(call.emit("Resize", vec![input, String::new(), String::new(), sizes], attributes))
}
