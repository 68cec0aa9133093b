//! Padding as a separate layer: any amount on each side, with zeros or with elements of the map.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::{Padding, PerAxis, spatial, windows};
use crate::layers::conv::PaddingMode;
use crate::layers::window::Window;
use crate::layers::{
    Arity, AxisReach, Category, Doc, Example, Io, LayerKind, Reach, Values, defaults, extended,
};
use crate::shape::Shape;

/// Arguments of `pad`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Elements added: one number, one per axis, or a pair [before, after] per axis
    #[serde(alias = "amount")]
    pub padding: Padding,
    /// Values of the added elements
    #[serde(default)]
    pub mode: PaddingMode,
    /// Value of the added elements with mode zeros; `-inf` before a max pool
    #[serde(default, with = "extended")]
    #[schemars(schema_with = "extended::schema")]
    pub value: f64,
    /// Whether all of it goes before the first element, so that nothing later is read (1-D)
    #[serde(default)]
    pub causal: bool,
}

/// Returns the windows of one tap with these paddings, one per axis; for words such as `same`, an error that
/// names `argument`.
pub(super) fn sides(padding: &Padding, argument: &'static str, sizes: &[u64]) -> Result<Vec<Window>, Problem> {
    if matches!(padding, Padding::Same | Padding::SameLower | Padding::Causal) {
        return Err(Problem::argument(argument, format!("`{argument}` must be a number here: there is no kernel"))
            .help("one number, one per axis, or a pair [before, after] for each axis"));
    }
    let one: PerAxis = defaults::one();
    windows(sizes, &one, &one, &one, padding).map_err(|problem| problem.at(argument))
}

impl Pad {
    /// Returns one window of a single tap per spatial axis, padded as the layer pads.
    pub fn windows(&self, sizes: &[u64]) -> Result<Vec<Window>, Problem> {
        let mut windows = sides(&self.padding, "padding", sizes)?;
        if self.causal {
            if sizes.len() != 1 || !matches!(self.padding, Padding::Symmetric(_)) {
                return Err(Problem::argument(
                    "causal",
                    format!("causal padding is one number on one axis of time, the input has {} spatial axes", sizes.len()),
                )
                .help("give a pair [before, after] for each axis: [[2, 0], [1, 1]]"));
            }
            windows[0].after = 0;
        }
        Ok(windows)
    }
}

impl LayerKind for Pad {
    const DOC: Doc = Doc {
        name: "pad",
        aliases: &["zero_pad", "constant_pad"],
        category: Category::Shape,
        summary: "adds elements around the map: zeros, mirrored, repeated or wrapped",
        formulas: formulas!("size + before + after on each axis", "0"),
        source: "PyTorch nn.functional.pad; ONNX Pad; causal: van den Oord et al. 2016 (WaveNet)",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let sizes = spatial("pad", &inputs[0])?;
        let mut output = vec![inputs[0].channels()];
        for (axis, (window, &size)) in self.windows(sizes)?.iter().zip(sizes).enumerate() {
            self.mode.check(axis, size, window.before.max(window.after))?;
            output.push(window.output(size)?);
        }
        Ok(Shape::new(output))
    }

    free!();

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let mut reach = Reach::pointwise(0, io.input().rank());
        for (i, window) in self.windows(io.input().spatial()).unwrap_or_default().into_iter().enumerate() {
            let real = self.mode != PaddingMode::Zeros && window.before.max(window.after) > 0;
            reach.axes[i + 1] = match u64::try_from(window.before) {
                Ok(before) if real => AxisReach::Reflected { by: i + 1, before },
                _ => AxisReach::Window { by: i + 1, window },
            };
        }
        vec![reach]
    }

    fn values(&self) -> Values {
        let written = self.mode == PaddingMode::Zeros && self.value != 0.0;
        if written { Values::COMPUTED } else { Values::Moved }
    }

    fn describe(&self) -> String {
        let amount = self.padding.describe();
        let causal = if self.causal { " causal" } else { "" };
        format!("{}{causal}{}", amount.trim(), self.mode.describe())
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{padding: 1}", &[&[3, 4, 5]]),
            Example::new("{padding: [[0, 1], [2, 0]], mode: reflect}", &[&[3, 4, 5]]),
            Example::new("{padding: [1, 0, 2], mode: replicate}", &[&[2, 2, 3, 4]]),
            Example::new("{padding: 2, mode: circular}", &[&[3, 7]]),
            Example::new("{padding: 4, causal: true}", &[&[3, 7]]),
            Example::new("{padding: 1, value: 0.5}", &[&[3, 7]]),
        ]
    }
}
