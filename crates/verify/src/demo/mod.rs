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
    /// What shows it.
    pub picture: Picture,
    /// Calls that show more of it.
    pub see_also: &'static [&'static str],
    run: fn(u64) -> Result<Vec<Fact>, Problem>,
}

/// What a picture of a technique shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// The graph of a built-in spec.
    Graph(&'static str),
    /// The positions that stacks of 3x3 convolutions with these rates read.
    Rates(&'static [&'static [u64]]),
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
    ($name:literal, $run:path, $summary:literal, $source:literal, $picture:expr, $also:expr) => {
        Demo {
            name: $name,
            summary: $summary,
            source: $source,
            picture: $picture,
            see_also: $also,
            run: $run,
        }
    };
}

/// Every technique.
pub static DEMOS: &[Demo] = &[
    demo!(
        "small-kernels",
        kernels::small,
        "two 3x3 convs are one 5x5: same support, same output for the composed kernel",
        "Simonyan & Zisserman 2015, section 2.3",
        Picture::Rates(&[&[1, 1]]),
        &["cnnkit compare zoo:small-kernels-plain zoo:small-kernels", "cnnkit gridding 1,1 --steps"]
    ),
    demo!(
        "asymmetric-kernels",
        kernels::asymmetric,
        "a 1x3 after a 3x1 is the 3x3 conv whose kernel is their outer product",
        "Szegedy et al. 2016, section 3.2",
        Picture::Graph("asymmetric-kernels"),
        &[
            "cnnkit compare zoo:asymmetric-kernels-plain zoo:asymmetric-kernels",
            "cnnkit gridding 1,1 --kernels 1x3,3x1 --steps"
        ]
    ),
    demo!(
        "multi-kernel",
        kernels::inception,
        "an Inception module is the concatenation of its branches",
        "Szegedy et al. 2015, figure 2",
        Picture::Graph("multi-kernel"),
        &[
            "cnnkit compare zoo:multi-kernel-plain zoo:multi-kernel zoo:multi-kernel-reduced",
            "cnnkit rf zoo:multi-kernel"
        ]
    ),
    demo!(
        "bottleneck",
        kernels::bottleneck,
        "1x1, 3x3, 1x1 through 64 channels: 69,632 weights where a 3x3 has 589,824",
        "He et al. 2016, figure 5",
        Picture::Graph("bottleneck"),
        &["cnnkit compare zoo:bottleneck-plain zoo:bottleneck", "cnnkit params zoo:bottleneck"]
    ),
    demo!(
        "depthwise-separable",
        kernels::separable,
        "depthwise then pointwise is the full conv whose kernel is their outer product",
        "Howard et al. 2017, section 3.1",
        Picture::Graph("depthwise-separable"),
        &[
            "cnnkit compare zoo:depthwise-separable-plain zoo:depthwise-separable",
            "cnnkit channels zoo:depthwise-separable"
        ]
    ),
    demo!(
        "group-conv",
        kernels::grouped,
        "a grouped conv is a full conv with a block-diagonal kernel",
        "Krizhevsky et al. 2012; Xie et al. 2017",
        Picture::Graph("group-conv"),
        &["cnnkit channels zoo:group-conv", "cnnkit compare zoo:group-conv-plain zoo:group-conv"]
    ),
    demo!(
        "shuffle-unit",
        connect::shuffle,
        "two grouped convs read all channels with a shuffle between them, one group without",
        "Zhang et al. 2018, section 3.1",
        Picture::Graph("shuffle-unit"),
        &[
            "cnnkit channels zoo:shuffle-unit-plain",
            "cnnkit channels zoo:shuffle-unit",
            "cnnkit layers channel_shuffle"
        ]
    ),
    demo!(
        "residual",
        connect::residual,
        "n linear residual modules are the sum of their 2^n paths",
        "Veit et al. 2016, section 3",
        Picture::Graph("residual"),
        &[
            "cnnkit paths zoo:residual",
            "cnnkit paths zoo:resnet50",
            "cnnkit compare zoo:residual-plain zoo:residual"
        ]
    ),
    demo!(
        "dense",
        connect::dense,
        "a dense block returns the concatenation of all that came before",
        "Huang et al. 2017, section 3",
        Picture::Graph("dense"),
        &["cnnkit paths zoo:dense", "cnnkit compare zoo:dense-plain zoo:dense"]
    ),
    demo!(
        "squeeze-excite",
        connect::gate,
        "with its gate at 1, squeeze-and-excitation is the identity",
        "Hu et al. 2018, section 3",
        Picture::Graph("squeeze-excite"),
        &[
            "cnnkit params zoo:squeeze-excite --depth all",
            "cnnkit rf zoo:squeeze-excite",
            "cnnkit layers squeeze_excite"
        ]
    ),
    demo!(
        "dilated",
        kernels::dilated,
        "a dilated conv is a conv whose kernel is stuffed with zeros",
        "Yu & Koltun 2016, section 2",
        Picture::Rates(&[&[3]]),
        &[
            "cnnkit compare zoo:dilated-plain zoo:dilated",
            "cnnkit rf zoo:dilated",
            "cnnkit gridding 1,2,4 --steps"
        ]
    ),
    demo!(
        "gridding",
        kernels::gridding,
        "[2,2,2] leaves holes, [1,2,5] leaves none",
        "Wang et al. 2018, section 3.2",
        Picture::Rates(&[&[2, 2, 2], &[1, 2, 5]]),
        &[
            "cnnkit gridding 2,2,2 --steps --plot gridding.svg",
            "cnnkit hdc-check 2,2,2",
            "cnnkit hdc-design --rf 13",
            "cnnkit gridding zoo:deeplabv3_resnet50"
        ]
    ),
    demo!(
        "deformable",
        deform::deformable,
        "offsets of 0 are a conv, whole ones a shifted conv, fractions bilinear interpolation",
        "Dai et al. 2017, section 2.1",
        Picture::Graph("deformable"),
        &[
            "cnnkit compare zoo:deformable-plain zoo:deformable zoo:deformable-modulated",
            "cnnkit layers deform_conv",
            "cnnkit rf zoo:deformable --max-offset 2"
        ]
    ),
];

/// Returns the demonstration named `name`.
pub fn find(name: &str) -> Option<&'static Demo> {
    DEMOS.iter().find(|demo| demo.name == name)
}
