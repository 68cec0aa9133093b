//! Compares what the analysis predicts with what running the network measures.
//!
//! Each [`Claim`] compares one predicted figure with one that the executor measured: the two share only the
//! representation of the layers. Predictions come through [`Predict`], so that tests can falsify each one and
//! check that a claim fails.
//!
//! To bound the cost, a network that is too large to run in seconds is replaced by a variant: fewer channels
//! (which change no receptive field), or smaller inputs (for which the prediction is recomputed). The method
//! of a claim names the variant.
//!
//! Not measured: anything that is not a property of a single run. `docs/verify.md` lists it.

mod arena;
mod channel_sample;
mod channels;
mod chunks;
pub mod demo;
mod dependence_bits;
mod error_bound;
mod execution;
mod field;
mod global_field;
pub mod gridding;
mod inexact_functions;
mod kept;
mod memory;
pub mod numerics;
mod perturb;
mod predict;
mod probe;
mod progress;
mod read_positions;
mod rebuild;
mod run;
mod sets;
mod tiles;
mod trace;
mod zeros;

pub use dependence_bits::Marks;
pub use predict::{Analysis, Box, Coverage, Predict};
pub use run::Seed;

use schemars::JsonSchema;
use serde::Serialize;

use progress::Bar;

use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};

/// A prediction, a measurement, its method, and whether they agree.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Claim {
    /// The kind of claim.
    pub claim: Kind,
    /// The node, if the claim is about one.
    pub node: Option<String>,
    /// The prediction of the analysis.
    pub predicted: String,
    /// The measurement.
    pub measured: String,
    /// How it was measured.
    pub method: String,
    /// Whether they agree.
    pub ok: bool,
}

/// Kinds of claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", value(rename_all = "snake_case"))]
pub enum Kind {
    /// Elements of learnable tensors and buffers
    Parameters,
    /// Weights that no output depends on
    DeadWeights,
    /// The shape of every node
    Shapes,
    /// Multiply-accumulates of convolutions and linear maps
    Macs,
    /// The fast kernels against the reference in f64
    Numerics,
    /// Peak activation elements alive at once
    Memory,
    /// Box, start and jump of a receptive field
    ReceptiveField,
    /// The exact set of input positions that a unit reads
    Support,
    /// Whether gates or statistics reach beyond the local field
    Context,
    /// A unit changes when its field does, and not by one bit when anything else does
    Perturbation,
    /// The number of paths from each input position to a unit
    Gridding,
    /// The input channels that each output channel reads
    Channels,
    /// Tiles put together equal the whole image, and no smaller margin is enough
    Tiles,
    /// Chunks of a sequence equal the whole; what is kept between them, and the look-ahead
    Chunks,
    /// The network runs inside an arena of exactly the planned size
    Arena,
    /// The tensors that cnnkit's own gradients read
    Kept,
    /// The identity behind the technique that the spec demonstrates
    Technique,
}

/// How thoroughly to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// About a second.
    Fast,
    /// Some seconds.
    #[default]
    Normal,
    /// As long as it takes.
    Thorough,
}

impl Effort {
    /// Returns the number of steps (multiply-adds, and elements that are written) that one measurement may
    /// take: up to a second per thread.
    fn budget(self) -> u64 {
        match self {
            Self::Fast => 100_000_000,
            Self::Normal => 1_500_000_000,
            Self::Thorough => u64::MAX,
        }
    }

    /// Returns the same for runs of the network itself in plain numbers, which are most informative at its own size:
    /// the reference takes 4 s for ResNet-50.
    fn forward_budget(self) -> u64 {
        match self {
            Self::Fast => 350_000_000,
            Self::Normal => 5_000_000_000,
            Self::Thorough => u64::MAX,
        }
    }
}

/// Settings of a verification.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Restricts the claims to these kinds; all if empty.
    pub only: Vec<Kind>,
    /// Nodes whose fields are measured, in addition to the outputs.
    pub nodes: Vec<NodeId>,
    /// How thoroughly to measure.
    pub effort: Effort,
    /// The seed of weights and inputs.
    pub seed: u64,
    /// The technique whose identity is run as well.
    pub technique: Option<&'static str>,
    /// Largest relative difference of counts that still counts as agreement; 0 requires equality.
    pub tolerance: f64,
    /// Bytes of memory that may be used; a network that needs more is refused. Unlimited if none.
    pub memory: Option<u64>,
}

impl Options {
    fn wants(&self, kind: Kind) -> bool {
        self.only.is_empty() || self.only.contains(&kind)
    }

    fn agree(&self, predicted: u64, measured: u64) -> bool {
        predicted.abs_diff(measured) as f64 <= self.tolerance * predicted.max(measured) as f64
    }
}

/// All claims about a network, and what could not be measured.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The claims.
    pub claims: Vec<Claim>,
    /// What was not measured, with the reason.
    pub notes: Vec<String>,
    /// What was measured in a cheaper way than requested: the chosen input sizes.
    pub choices: Vec<String>,
}

impl Outcome {
    /// Returns whether every claim is true.
    pub fn ok(&self) -> bool {
        self.claims.iter().all(|claim| claim.ok)
    }

    fn claim(
        &mut self,
        claim: Kind,
        node: Option<&str>,
        predicted: impl Into<String>,
        measured: impl Into<String>,
    ) -> &mut Claim {
        let (predicted, measured) = (predicted.into(), measured.into());
        let ok = predicted == measured;
        let node = node.map(str::to_owned);
        self.claims.push(Claim { claim, node, predicted, measured, method: String::new(), ok });
        let last = self.claims.len() - 1;
        &mut self.claims[last]
    }
}

impl Claim {
    fn method(&mut self, method: impl Into<String>) -> &mut Self {
        self.method = method.into();
        self
    }

    fn verdict(&mut self, ok: bool) -> &mut Self {
        self.ok = ok;
        self
    }
}

/// Measures what `predict` claims about `graph`; calls `progress` with the completed part in thousandths.
pub fn verify(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Outcome, Problem> {
    memory::affordable(graph, options)?;
    let bar = Bar::new(progress);
    let first = || {
        let mut outcome = Outcome::default();
        execution::measure(graph, predict, options, &mut outcome, &bar)?;
        let part = bar.part(200, 2 * graph.nodes().len());
        gridding::measure(graph, predict, options, &mut outcome)?;
        numerics::measure(graph, options, &mut outcome, &part)?;
        technique(options, &mut outcome)?;
        Ok::<_, Problem>(outcome)
    };
    let second = || {
        let mut outcome = Outcome::default();
        field::measure(graph, predict, options, &mut outcome, &bar)?;
        channels::measure(graph, predict, options, &mut outcome, &bar)?;
        Ok::<_, Problem>(outcome)
    };
    let third = || {
        let mut outcome = Outcome::default();
        tiles::measure(graph, predict, options, &mut outcome)?;
        chunks::measure(graph, predict, options, &mut outcome)?;
        arena::measure(graph, predict, options, &mut outcome)?;
        kept::measure(graph, predict, options, &mut outcome)?;
        Ok::<_, Problem>(outcome)
    };
    let (first, (second, third)) = rayon::join(first, || rayon::join(second, third));
    let mut all = first?;
    for more in [second?, third?] {
        all.claims.extend(more.claims);
        all.notes.extend(more.notes);
        all.choices.extend(more.choices);
    }
    Ok(all)
}

/// Runs the identity of the technique that the spec demonstrates, on its own tensors.
fn technique(options: &Options, outcome: &mut Outcome) -> Result<(), Problem> {
    let Some(demo) = options.technique.and_then(demo::find).filter(|_| options.wants(Kind::Technique)) else {
        return Ok(());
    };
    for fact in demo.run(options.seed)? {
        outcome
            .claim(Kind::Technique, None, format!("{}: {}", fact.what, fact.expected), fact.found)
            .method(format!("`cnnkit demo {}`: {} ({})", demo.name, demo.summary, demo.source))
            .verdict(fact.ok);
    }
    Ok(())
}

/// Formats `3x224x224`.
fn sizes(sizes: &[u64]) -> String {
    sizes.iter().map(u64::to_string).collect::<Vec<_>>().join("x")
}

/// Formats the input shapes of `graph`, for a method's text.
fn inputs(graph: &Graph) -> String {
    graph.inputs().map(|(_, node)| sizes(node.shape.sizes())).collect::<Vec<_>>().join(" and ")
}
