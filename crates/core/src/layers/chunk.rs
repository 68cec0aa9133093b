//! Chunk: one of several nearly equal parts of the channels (PyTorch's `torch.chunk`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::positive;
use crate::layers::slice::{axis_of, resized};
use crate::layers::{Arity, Category, Doc, Example, Io, LayerKind, Reach, Values};
use crate::shape::Shape;

/// Arguments of `chunk`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
    /// Number of parts
    pub chunks: u64,
    /// Index of the part, from 0
    pub index: u64,
    /// The axis, not counting the batch: 0 is the channels
    #[serde(default)]
    pub axis: u64,
}

impl LayerKind for Chunk {
    const DOC: Doc = Doc {
        name: "chunk",
        aliases: &["split"],
        category: Category::Shape,
        summary: "one of several nearly equal parts of the channels",
        formulas: formulas!(
            "ceil(size / chunks) elements on the axis, fewer for the last part; as torch.chunk, there can be fewer parts than asked for",
            "0"
        ),
        source: "PyTorch torch.chunk; ShuffleNetV2's channel split: Ma et al. 2018",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (axis, size) = axis_of(&inputs[0], self.axis)?;
        let part = size.div_ceil(positive("chunks", self.chunks)?).max(1);
        let parts = size.div_ceil(part);
        if self.index >= parts {
            let fewer = if parts == self.chunks { "" } else { ", because torch.chunk rounds their size up" };
            return Err(Problem::argument(
                "index",
                format!("`index` is {}, but {size} elements make {parts} parts of {part}{fewer}", self.index),
            )
            .help(format!("indices go from 0 to {}", parts.saturating_sub(1))));
        }
        Ok(resized(&inputs[0], axis, part.min(size - self.index * part)))
    }

    free!();

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let axis = usize::try_from(self.axis).unwrap_or(usize::MAX);
        let size = io.input().sizes().get(axis).copied().unwrap_or_default();
        let start = size.div_ceil(self.chunks.max(1)).saturating_mul(self.index);
        vec![Reach::shifted(0, io.input().rank(), axis, i64::try_from(start).unwrap_or(i64::MAX))]
    }

    fn values(&self) -> Values {
        Values::Moved
    }

    fn describe(&self) -> String {
        let axis = if self.axis == 0 { String::new() } else { format!(" axis {}", self.axis) };
        format!("{} of {}{axis}", self.index, self.chunks)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{chunks: 2, index: 1}", &[&[8, 4, 5]]),
            Example::new("{chunks: 3, index: 2}", &[&[7, 5]]),
            Example::new("{chunks: 4, index: 0, axis: 1}", &[&[2, 6, 3, 4]]),
        ]
    }
}
