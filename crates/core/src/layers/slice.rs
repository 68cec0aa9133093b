//! Slice: a range of channels (or of another axis).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::positive;
use crate::layers::{Arity, AxisReach, Category, Doc, Example, Io, LayerKind, Reach, Values};
use crate::shape::Shape;

/// Arguments of `slice`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// First index; negative counts from the end
    #[serde(default)]
    pub start: i64,
    /// One past the last index; negative counts from the end; the end of the axis if not given
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
    /// The axis, not counting the batch: 0 is the channels
    #[serde(default)]
    pub axis: u64,
    /// Distance between the selected indices
    #[serde(default = "every", skip_serializing_if = "is_every")]
    pub step: u64,
}

fn every() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_every(step: &u64) -> bool {
    *step == 1
}

/// Returns the position of axis `axis` in `input`, and its size.
pub(super) fn axis_of(input: &Shape, axis: u64) -> Result<(usize, u64), Problem> {
    let index = usize::try_from(axis).unwrap_or(usize::MAX);
    let Some(&size) = input.sizes().get(index) else {
        return Err(Problem::argument("axis", format!("`axis` is {axis}, but {input} has {} axes", input.rank()))
            .help("0 is the channel axis"));
    };
    Ok((index, size))
}

/// Returns `input` with `size` elements on axis `axis`.
pub(super) fn resized(input: &Shape, axis: usize, size: u64) -> Shape {
    let mut sizes = input.sizes().to_vec();
    if let Some(changed) = sizes.get_mut(axis) {
        *changed = size;
    }
    Shape::new(sizes)
}

impl Slice {
    /// Returns the range on an axis of `size` elements: first index, and one past the last.
    pub fn range(&self, size: u64) -> Result<(u64, u64), Problem> {
        let place = |argument: &'static str, index: i64| {
            let from_front = if index < 0 { size.checked_sub(index.unsigned_abs()) } else { Some(index.unsigned_abs()) };
            from_front.filter(|&index| index <= size).ok_or_else(|| {
                Problem::argument(argument, format!("`{argument}` is {index}, but the axis has {size} elements"))
                    .help(format!("use 0 to {size}, or -{size} to -1 from the end"))
            })
        };
        let start = place("start", self.start)?;
        let end = self.end.map_or(Ok(size), |end| place("end", end))?;
        if start >= end {
            return Err(Problem::argument("start", format!("the range from {start} to {end} is empty"))
                .help("`end` is one past the last index"));
        }
        Ok((start, end))
    }
}

impl LayerKind for Slice {
    const DOC: Doc = Doc {
        name: "slice",
        aliases: &["narrow"],
        category: Category::Shape,
        summary: "a range of the channels, or of another axis",
        formulas: formulas!("ceil((end - start) / step) elements on the axis", "0"),
        source: "Python's x[start:end:step], except that an index outside the axis is an error; ONNX Slice",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (axis, size) = axis_of(&inputs[0], self.axis)?;
        let (start, end) = self.range(size)?;
        Ok(resized(&inputs[0], axis, (end - start).div_ceil(positive("step", self.step)?)))
    }

    free!();

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let axis = usize::try_from(self.axis).unwrap_or(usize::MAX);
        let size = io.input().sizes().get(axis).copied().unwrap_or_default();
        let (start, _) = self.range(size).unwrap_or_default();
        let mut reach = Reach::shifted(0, io.input().rank(), axis, i64::try_from(start).unwrap_or(i64::MAX));
        if let Some(AxisReach::Window { window, .. }) = reach.axes.get_mut(axis) {
            window.stride = self.step;
        }
        vec![reach]
    }

    fn values(&self) -> Values {
        Values::Moved
    }

    fn describe(&self) -> String {
        let end = self.end.map(|end| end.to_string()).unwrap_or_default();
        let axis = if self.axis == 0 { String::new() } else { format!(" axis {}", self.axis) };
        let step = if self.step == 1 { String::new() } else { format!(":{}", self.step) };
        format!("{}:{end}{step}{axis}", self.start)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{end: 3}", &[&[8, 4, 5]]),
            Example::new("{start: 3, end: 5}", &[&[8, 4, 5]]),
            Example::new("{start: -2}", &[&[5]]),
            Example::new("{start: 1, end: -1, axis: 1}", &[&[3, 7]]),
            Example::new("{start: 1, step: 2, axis: 2}", &[&[3, 4, 8]]),
            Example::new("{step: 3}", &[&[7]]),
        ]
    }
}
