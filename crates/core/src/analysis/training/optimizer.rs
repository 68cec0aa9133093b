//! The states that optimisers store for each parameter.

use crate::layers::Weight;

/// An optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, schemars::JsonSchema)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Gradient descent without states
    Sgd,
    /// Gradient descent with momentum: one number per parameter
    Momentum,
    /// Adam: two numbers per parameter
    Adam,
    /// Adam with decoupled weight decay: two numbers per parameter
    #[default]
    Adamw,
    /// Adam with states of 8 bits (bitsandbytes): two bytes per parameter, and a scale for each block of 256
    Adam8bit,
    /// Adafactor without momentum: a row and a column of statistics per matrix
    Adafactor,
}

/// Tensors with fewer elements have states of 32 bits in bitsandbytes (`min_8bit_size`).
const SMALLEST_8BIT: u64 = 4096;
/// Elements that share a scale in bitsandbytes.
const BLOCK: u64 = 256;
/// Bytes of a number in single precision.
const SINGLE: u64 = 4;

impl Optimizer {
    /// Returns the bytes of the states of one parameter tensor of `elements`. States are in single precision whatever
    /// the parameters are. Step counters (4 bytes per tensor) and the two tables of 1 KiB that 8-bit states share are
    /// not included.
    pub fn state(self, weight: &Weight, elements: u64) -> u64 {
        match self {
            Self::Sgd => 0,
            Self::Momentum => elements.saturating_mul(SINGLE),
            Self::Adam8bit if elements >= SMALLEST_8BIT => {
                let scales = elements.div_ceil(BLOCK).saturating_mul(SINGLE);
                elements.saturating_add(scales).saturating_mul(2)
            }
            Self::Adam | Self::Adamw | Self::Adam8bit => elements.saturating_mul(2 * SINGLE),
            // `torch.optim.Adafactor`: the last two axes of a tensor are its matrix (Shazeer and Stern 2018, section 3).
            Self::Adafactor => match weight.shape.sizes() {
                [.., rows, columns] => {
                    let (by_row, by_column) = (elements / (*columns).max(1), elements / (*rows).max(1));
                    by_row.saturating_add(by_column).saturating_mul(SINGLE)
                }
                _ => elements.saturating_mul(SINGLE),
            },
        }
    }
}
