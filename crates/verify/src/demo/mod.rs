//! The identity behind each technique, run on seeded tensors in f64.
//!
//! There is one function per technique; all code iterates over [`DEMOS`].

mod connect;
mod deform;
mod kernels;
mod tools;

use schemars::JsonSchema;
use serde::Serialize;

use cnnkit_core::diagnostic::Problem;

/// A technique whose identity can be demonstrated.
#[derive(Debug)]
pub struct Demo {
    /// Its name on the command line.
    pub name: &'static str,
    /// The identity, in one line.
    pub summary: &'static str,
    /// The paper or other source of the technique.
    pub source: &'static str,
    run: fn(u64) -> Result<Vec<Fact>, Problem>,
}

/// One figure of a demonstration, and whether it matches the identity.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Fact {
    /// The name of the figure.
    pub what: String,
    /// The value by the identity.
    pub expected: String,
    /// The executor's value.
    pub found: String,
    /// Whether they agree.
    pub ok: bool,
}

impl Demo {
    /// Runs the demonstration with this seed.
    pub fn run(&self, seed: u64) -> Result<Vec<Fact>, Problem> {
        (self.run)(seed)
    }
}

macro_rules! demo {
    ($name:literal, $run:path, $summary:literal, $source:literal) => {
        Demo { name: $name, summary: $summary, source: $source, run: $run }
    };
}

/// Every technique.
pub static DEMOS: &[Demo] = &[
    demo!(
        "small-kernels",
        kernels::small,
        "two 3x3 convs are one 5x5: same support, same output for the composed kernel",
        "Simonyan & Zisserman 2015, section 2.3"
    ),
    demo!(
        "asymmetric-kernels",
        kernels::asymmetric,
        "a 1x3 after a 3x1 is the 3x3 conv whose kernel is their outer product",
        "Szegedy et al. 2016, section 3.2"
    ),
    demo!(
        "multi-kernel",
        kernels::inception,
        "an Inception module is the concatenation of its branches",
        "Szegedy et al. 2015, figure 2"
    ),
    demo!(
        "bottleneck",
        kernels::bottleneck,
        "1x1, 3x3, 1x1 through 64 channels: 69,632 weights where a 3x3 has 589,824",
        "He et al. 2016, figure 5"
    ),
    demo!(
        "depthwise-separable",
        kernels::separable,
        "depthwise then pointwise is the full conv whose kernel is their outer product",
        "Howard et al. 2017, section 3.1"
    ),
    demo!(
        "group-conv",
        kernels::grouped,
        "a grouped conv is a full conv with a block-diagonal kernel",
        "Krizhevsky et al. 2012; Xie et al. 2017"
    ),
    demo!(
        "shuffle-unit",
        connect::shuffle,
        "two grouped convs read all channels with a shuffle between them, one group without",
        "Zhang et al. 2018, section 3.1"
    ),
    demo!(
        "residual",
        connect::residual,
        "n linear residual modules are the sum of their 2^n paths",
        "Veit et al. 2016, section 3"
    ),
    demo!(
        "dense",
        connect::dense,
        "a dense block returns the concatenation of all that came before",
        "Huang et al. 2017, section 3"
    ),
    demo!(
        "squeeze-excite",
        connect::gate,
        "with its gate at 1, squeeze-and-excitation is the identity",
        "Hu et al. 2018, section 3"
    ),
    demo!(
        "dilated",
        kernels::dilated,
        "a dilated conv is a conv whose kernel is stuffed with zeros",
        "Yu & Koltun 2016, section 2"
    ),
    demo!(
        "gridding",
        kernels::gridding,
        "[2,2,2] leaves holes, [1,2,5] leaves none",
        "Wang et al. 2018, section 3.2"
    ),
    demo!(
        "deformable",
        deform::deformable,
        "offsets of 0 are a conv, whole ones a shifted conv, fractions bilinear interpolation",
        "Dai et al. 2017, section 2.1"
    ),
];

/// Returns the demonstration named `name`.
pub fn find(name: &str) -> Option<&'static Demo> {
    DEMOS.iter().find(|demo| demo.name == name)
}
