//! Dropout (Srivastava et al. 2014). At inference it does nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::{Arity, Category, Doc, Example, Io, LayerKind, Reach, Values};
use crate::shape::Shape;

/// Arguments of `dropout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Probability of zeroing an element in training
    #[serde(default = "half")]
    pub p: f64,
    /// What is zeroed together: an element, a channel (`Dropout2d`), or all of an image (stochastic depth)
    #[serde(default)]
    pub mask: Mask,
}

/// What a dropout zeroes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// Each element by itself.
    #[default]
    Element,
    /// Each channel.
    Channel,
    /// Each image: the residual branch of a block is left out.
    Image,
}

impl Dropout {
    /// Returns the elements of the mask for an image of `shape`.
    pub fn mask_elements(&self, shape: &Shape) -> u64 {
        match self.mask {
            Mask::Element => shape.elements().unwrap_or(u64::MAX),
            Mask::Channel => shape.channels(),
            Mask::Image => 1,
        }
    }
}

fn half() -> f64 {
    0.5
}

impl LayerKind for Dropout {
    const DOC: Doc = Doc {
        name: "dropout",
        aliases: &["drop_path", "stochastic_depth"],
        category: Category::Normalisation,
        summary: "zeroes elements at random in training; does nothing at inference",
        formulas: formulas!("0 at inference"),
        source: "Srivastava et al. 2014; PyTorch nn.Dropout; `drop_path`, one number per image: Huang et al. 2016",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        if !(0.0..=1.0).contains(&self.p) {
            return Err(Problem::argument("p", format!("`p` is {}, a probability is between 0 and 1", self.p)));
        }
        Ok(inputs[0].clone())
    }

    free!();

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    fn values(&self) -> Values {
        Values::SAME
    }

    fn describe(&self) -> String {
        let of = match self.mask {
            Mask::Element => "",
            Mask::Channel => " of channels",
            Mask::Image => " of images",
        };
        format!("p{}{of}", self.p)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[3, 4, 5]]),
            Example::new("{p: 0.2}", &[&[7]]),
            Example::new("{p: 0.1, mask: channel}", &[&[3, 4, 5]]),
            Example::new("{p: 0.1, mask: image}", &[&[3, 4, 5]]),
        ]
    }
}
