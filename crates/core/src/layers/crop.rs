//! Crop: removes elements around the map, either a number on each side, or down to a size around the centre
//! (U-Net).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Code, Problem};
use crate::layers::args::{Padding, PerAxis, spatial};
use crate::layers::pad::sides;
use crate::layers::window::Window;
use crate::layers::{Arity, AxisReach, Category, Doc, Example, Io, LayerKind, Reach, Values};
use crate::shape::Shape;

/// Arguments of `crop`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Elements removed: one number, one per axis, or a pair [before, after] per axis
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Padding>,
    /// Size that remains around the centre, instead of an amount; an odd element is removed after
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<PerAxis>,
}

impl Crop {
    /// Returns the windows of the crop, with negative padding, one per axis.
    pub fn windows(&self, sizes: &[u64]) -> Result<Vec<Window>, Problem> {
        let padding = match (&self.amount, &self.size) {
            (Some(amount), None) => amount.clone(),
            (None, Some(size)) => {
                let wanted = size.resolve(sizes.len(), "size", 1)?;
                let pair = |(&size, wanted): (&u64, u64)| {
                    let surplus = size.checked_sub(wanted).ok_or_else(|| {
                        Problem::argument("size", format!("cannot crop {size} elements to {wanted}"))
                            .help("use `pad` or `upsample` to make a map larger")
                    })?;
                    Ok((surplus / 2, surplus - surplus / 2))
                };
                Padding::Sides(sizes.iter().zip(wanted).map(pair).collect::<Result<_, Problem>>()?)
            }
            _ => {
                return Err(Problem::new(Code::Missing, "`crop` needs either `amount` or `size`")
                    .help("`amount: 4` removes 4 on each side, `size: [28, 28]` keeps the centre"));
            }
        };
        let mut windows = sides(&padding, "amount", sizes)?;
        for window in &mut windows {
            (window.before, window.after) = (-window.before, -window.after);
        }
        Ok(windows)
    }
}

impl LayerKind for Crop {
    const DOC: Doc = Doc {
        name: "crop",
        aliases: &["center_crop"],
        category: Category::Shape,
        summary: "removes elements around the map, or keeps a size around its centre",
        formulas: formulas!("size - before - after on each axis; with size, before = floor((in - size) / 2)", "0"),
        source: "Ronneberger et al. 2015 (U-Net), figure 1",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let sizes = spatial("crop", &inputs[0])?;
        let mut output = vec![inputs[0].channels()];
        for (axis, (window, &size)) in self.windows(sizes)?.iter().zip(sizes).enumerate() {
            let removed = window.before.unsigned_abs().saturating_add(window.after.unsigned_abs());
            let left = size.checked_sub(removed).filter(|&left| left > 0).ok_or_else(|| {
                let message = format!("spatial axis {axis} has {size} elements, {removed} of them cannot be removed");
                Problem::argument("amount", message)
            })?;
            output.push(left);
        }
        Ok(Shape::new(output))
    }

    free!();

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let windows = self.windows(io.input().spatial()).unwrap_or_default();
        vec![Reach::sliding(AxisReach::same(0), windows)]
    }

    fn values(&self) -> Values {
        Values::Moved
    }

    fn describe(&self) -> String {
        match (&self.amount, &self.size) {
            (_, Some(size)) => format!("to {}", size.describe()),
            (Some(amount), None) => amount.describe().trim().trim_start_matches('p').to_owned(),
            (None, None) => String::new(),
        }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{amount: 1}", &[&[3, 5, 6]]),
            Example::new("{amount: [[0, 1], [2, 0]]}", &[&[3, 4, 5]]),
            Example::new("{size: [2, 3]}", &[&[3, 5, 6]]),
            Example::new("{size: 4}", &[&[3, 7]]),
            Example::new("{size: [1, 2, 2]}", &[&[2, 2, 3, 4]]),
        ]
    }
}
