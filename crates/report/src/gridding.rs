//! `cnnkit gridding RATES`: the map, the figures, and their explanation.

use num_bigint::BigUint;
use num_traits::One as _;
use schemars::JsonSchema;
use serde::Serialize;

use crate::coverage_map::{MOST_STEPS, map};
use crate::exact::BigCount;
use crate::per_axis::{extent, per_axis};
use crate::summary::Summary;
use crate::verify::Measured;
use crate::{Block, Cell, Column, Fact, Map, Page, Row, StyledText, Table, Tone, Value};
use cnnkit_core::analysis::gridding::{Bound, Gridding, Layer, Stack, criterion};
use cnnkit_core::analysis::multiplicity::Multiplicity;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::number::{grouped, integer, share};

/// Multiplicities of wider axes are listed only on request.
const MOST_LISTED: u64 = 100_000;
/// Wider axes are listed for nobody: each position takes some 24 bytes, and as many again as text.
const MOST_ASKED: u64 = 1 << 22;
/// Maximum number of additions for multiplicities without a request: a fraction of a second.
const UNASKED_WORK: u64 = 1 << 26;

/// Settings of what is shown in addition to the figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether to show the map after each layer.
    pub steps: bool,
    /// Whether to list the multiplicities, of up to 4,194,304 positions of an axis.
    pub multiplicity: bool,
}

/// What `cnnkit gridding RATES` computes about a stack of dilated convolutions.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GriddingSummary {
    /// The kernel size: one value if all layers agree, else one per layer.
    pub kernel: PerLayer,
    /// The kernel size of each layer.
    pub kernels: Vec<PerAxis>,
    /// The dilation rate of each layer, from the input to the output.
    pub rates: Vec<PerAxis>,
    /// The stride of each layer.
    pub strides: Vec<PerAxis>,
    /// Number of spatial axes.
    pub axes: usize,
    /// Input positions between neighbouring outputs, per axis.
    #[schemars(extend("unit" = "positions"))]
    pub jump: Vec<u64>,
    /// Size of the receptive field's bounding box, per axis.
    #[schemars(extend("unit" = "positions"))]
    pub size: Vec<u64>,
    /// Positions of the box that are read.
    #[schemars(extend("unit" = "positions"))]
    pub covered: BigCount,
    /// Positions that are read, per axis.
    #[schemars(extend("unit" = "positions"))]
    pub covered_per_axis: Vec<u64>,
    /// Positions of the box.
    #[schemars(extend("unit" = "positions"))]
    pub total: BigCount,
    /// `covered / total`.
    #[schemars(extend("unit" = "share"))]
    pub coverage: f64,
    /// Largest distance between neighbouring positions that are read, on any axis; 1 means no hole.
    #[schemars(extend("unit" = "positions"))]
    pub max_gap: u64,
    /// Largest distance between neighbouring positions that are read, per axis.
    #[schemars(extend("unit" = "positions"))]
    pub max_gap_per_axis: Vec<u64>,
    /// Whether every position of the box is read.
    pub hole_free: bool,
    /// Classes of outputs that share no input; null if no two outputs share any.
    #[schemars(extend("unit" = "grids"))]
    pub sub_grids: Option<BigCount>,
    /// Number of paths through the taps of the kernels: the sum of all multiplicities.
    pub paths: BigCount,
    /// The smallest rate that leaves a hole, and the largest that would fit in its place; null if no rate does.
    pub breaks: Option<Breaks>,
    /// `partial` if the multiplicities are too large to list without a request.
    pub status: Listed,
    /// For each position of an axis, the number of paths from it to the output; null if not listed.
    pub multiplicity: Option<Vec<Vec<BigCount>>>,
    /// Keys that a partial summary omits, each with the option that includes it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The figures after each layer, with `--steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
    /// The comparison with a run on an impulse, with `--verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Measured>,
    /// The coverage map.
    #[serde(skip)]
    pub map: Map,
    /// Classes of outputs that share no input, per axis; none if no two outputs share any.
    #[serde(skip)]
    pub classes: Vec<Option<u64>>,
    /// The largest multiplicity of all positions; none if it was not computed.
    #[serde(skip)]
    largest: Option<BigUint>,
}

/// One number for all axes, or one per axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum PerAxis {
    /// All axes agree.
    Same(u64),
    /// One per axis.
    Each(Vec<u64>),
}

/// One value for all layers, or one per layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum PerLayer {
    /// All layers agree.
    Same(PerAxis),
    /// One per layer.
    Each(Vec<PerAxis>),
}

/// A rate that leaves holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Breaks {
    /// The rate, times the strides before it.
    pub rate: u64,
    /// The largest rate that would leave no hole in its place.
    pub largest: u64,
}

/// Whether all multiplicities are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Listed {
    /// All multiplicities are listed.
    Complete,
    /// The multiplicities are omitted.
    Partial,
}

/// The figures of the first layers of a stack.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Step {
    /// Number of layers, from the input.
    pub layer: usize,
    /// Size of the box, per axis.
    #[schemars(extend("unit" = "positions"))]
    pub size: Vec<u64>,
    /// Positions of the box that are read.
    #[schemars(extend("unit" = "positions"))]
    pub covered: BigCount,
    /// Positions of the box.
    #[schemars(extend("unit" = "positions"))]
    pub total: BigCount,
    /// `covered / total`.
    #[schemars(extend("unit" = "share"))]
    pub coverage: f64,
    /// Largest distance between neighbouring positions that are read, on any axis.
    #[schemars(extend("unit" = "positions"))]
    pub max_gap: u64,
    /// Whether every position of the box is read.
    pub hole_free: bool,
}

impl From<Bound> for Breaks {
    fn from(bound: Bound) -> Self {
        Self { rate: bound.step, largest: bound.largest }
    }
}

impl PerAxis {
    /// Formats `2`, or `2x1` where the axes differ.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Same(value) => value.to_string(),
            Self::Each(values) => per_axis(values),
        }
    }

    /// Formats `3x3`: one number for each of `axes` axes.
    fn product(&self, axes: usize) -> String {
        let values = match self {
            Self::Same(value) => vec![*value; axes],
            Self::Each(values) => values.clone(),
        };
        values.iter().map(u64::to_string).collect::<Vec<_>>().join("x")
    }

    fn largest(&self) -> u64 {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values.iter().copied().max().unwrap_or(0),
        }
    }
}

impl GriddingSummary {
    /// Returns the summary of `stack`, whose coverage is `facts`.
    pub fn of(stack: &Stack, facts: &Gridding, options: Options) -> Result<Self, Problem> {
        let lines = lines(facts, options.multiplicity)?;
        let map = map(stack, facts, lines.as_deref(), options.steps)?;
        let kernels = layered(stack, |layer| &layer.kernel);
        // One number where all layers agree, as in most calls.
        let kernel = match kernels.as_slice() {
            [first, rest @ ..] if rest.iter().all(|kernel| kernel == first) => PerLayer::Same(first.clone()),
            _ => PerLayer::Each(kernels.clone()),
        };
        let widest = facts.size().into_iter().max().unwrap_or(0);
        let digits = facts.paths().bits() / 3 + 1;
        let listed =
            options.multiplicity || (widest <= MOST_LISTED && digits.saturating_mul(widest) <= 1 << 23);
        let largest = lines.as_ref().map(|lines| lines.iter().map(Multiplicity::largest).product());
        let lines = lines.filter(|_| listed);
        let left_out = match &lines {
            Some(_) => vec![],
            None => vec!["multiplicity: large; ask with --multiplicity".to_owned()],
        };
        Ok(Self {
            kernel,
            kernels,
            rates: Self::rates_of(stack),
            strides: layered(stack, |layer| &layer.stride),
            axes: stack.axes(),
            jump: facts.axes.iter().map(|axis| axis.jump).collect(),
            size: facts.size(),
            covered: BigCount(facts.covered()),
            covered_per_axis: facts.axes.iter().map(|axis| axis.offsets.covered()).collect(),
            total: BigCount(facts.total()),
            coverage: facts.coverage(),
            max_gap: facts.max_gap(),
            max_gap_per_axis: facts.axes.iter().map(|axis| axis.offsets.max_gap()).collect(),
            hole_free: facts.hole_free(),
            sub_grids: facts.sub_grids().map(BigCount),
            paths: BigCount(facts.paths()),
            breaks: broken(facts)?.map(Breaks::from),
            status: if lines.is_some() { Listed::Complete } else { Listed::Partial },
            multiplicity: lines
                .map(|lines| lines.iter().map(|line| line.iter().map(BigCount).collect()).collect()),
            left_out,
            steps: if options.steps { Some(steps(stack)?) } else { None },
            verify: None,
            map,
            classes: facts.axes.iter().map(|axis| axis.sub_grids).collect(),
            largest,
        })
    }

    /// Returns the dilation rate of each layer of `stack`.
    pub(crate) fn rates_of(stack: &Stack) -> Vec<PerAxis> {
        layered(stack, |layer| &layer.rate)
    }

    /// Formats `rates 2, 2, 2`.
    pub fn name(&self) -> String {
        let rates: Vec<String> = self.rates.iter().take(12).map(PerAxis::text).collect();
        let more = self.rates.len().saturating_sub(12);
        let more = if more > 0 { format!(" and {} more", grouped(more as u64)) } else { String::new() };
        format!("rates {}{more}", rates.join(", "))
    }

    /// Formats the result in one line: `3x3 kernels: box 13 x 13, 49 of 169 covered (29.0 %)`.
    pub fn sentence(&self) -> String {
        let (covered, total) = (integer(&self.covered.0), integer(&self.total.0));
        let (size, coverage) = (extent(&self.size), share(self.coverage));
        format!("{}: box {size}, {covered} of {total} covered ({coverage})", self.kernels())
    }

    /// Formats `3x3 kernels, strided`.
    fn kernels(&self) -> String {
        let mut kinds: Vec<String> = Vec::new();
        for kernel in &self.kernels {
            let kind = kernel.product(self.axes);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let strided = self.strides.iter().any(|stride| stride.largest() > 1);
        let axes = if self.axes == 1 { " on 1 axis" } else { "" };
        format!("{} kernels{axes}{}", kinds.join(", "), if strided { ", strided" } else { "" })
    }

    fn figures(&self) -> Vec<Fact> {
        let missed = &self.total.0 - &self.covered.0;
        let tone = if self.hole_free { Tone::Good } else { Tone::Bad };
        let mut out = vec![
            Fact::new("box", Cell::text(extent(&self.size))),
            Fact::new("positions in the box", Cell::integer(self.total.0.clone())),
            Fact::new("covered", Cell::integer(self.covered.0.clone())),
            Fact::new("coverage", Cell::from(Value::Share(self.coverage)).tone(tone)),
            Fact::new("holes", Cell::integer(missed).tone(tone)),
            Fact::new("largest gap", Cell::count(self.max_gap).tone(tone)).remark(if self.hole_free {
                "no hole"
            } else {
                "between neighbouring covered positions of an axis"
            }),
        ];
        out.push(match &self.sub_grids {
            Some(BigCount(grids)) if grids.is_one() => {
                Fact::new("sub-grids", Cell::count(1)).remark("all outputs are linked by shared inputs")
            }
            Some(BigCount(grids)) => Fact::new("sub-grids", Cell::integer(grids.clone()).tone(Tone::Bad))
                .remark("classes of outputs that share no input"),
            None => {
                Fact::new("sub-grids", Cell::text("one per output")).remark("no two outputs share an input")
            }
        });
        if let Some(largest) = &self.largest {
            out.push(Fact::new("largest multiplicity", Cell::integer(largest.clone())));
        }
        out
    }

    fn verdict(&self) -> Vec<StyledText> {
        if self.hole_free {
            return vec![
                StyledText::new("hole-free", Tone::Good),
                StyledText::plain(": every position of the box reaches the output"),
            ];
        }
        let mut out = vec![
            StyledText::new("gridding", Tone::Bad),
            StyledText::plain(format!(": {} of the box is never read", share(1.0 - self.coverage))),
        ];
        if let Some(Breaks { rate, largest }) = self.breaks {
            let strided = self.jump.iter().any(|&jump| jump > 1);
            let step = if strided {
                format!("taps {} input positions apart leave holes", grouped(rate))
            } else {
                format!("rate {} leaves holes", grouped(rate))
            };
            let most = grouped(largest);
            out.push(StyledText::plain(format!("; {step}, at most {most} fits beside the smaller ones")));
        }
        out
    }

    fn steps_table(&self, steps: &[Step]) -> Table {
        let columns = vec![
            Column::number("layer"),
            Column::text("kernel"),
            Column::text("rate"),
            Column::text("box"),
            Column::number("covered"),
            Column::number("coverage"),
            Column::number("largest gap"),
        ];
        let row = |((step, kernel), rate): ((&Step, &PerAxis), &PerAxis)| {
            let tone = if step.hole_free { Tone::Good } else { Tone::Bad };
            Row::new(vec![
                Cell::count(step.layer as u64),
                Cell::text(kernel.product(self.axes)),
                Cell::text(rate.text()),
                Cell::text(extent(&step.size)),
                Cell::integer(step.covered.0.clone()),
                Cell::from(Value::Share(step.coverage)).tone(tone),
                Cell::count(step.max_gap),
            ])
        };
        Table {
            name: "steps",
            columns,
            rows: steps.iter().zip(&self.kernels).zip(&self.rates).map(row).collect(),
        }
    }
}

impl Summary for GriddingSummary {
    const COMMAND: &'static str = "gridding";

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.title_with(format!("Gridding of {}", self.name()), self.kernels());
        page.push(Block::Map(self.map.clone()));
        if self.largest.is_none() {
            page.note("shaded alike: multiplicities this large are counted only with --multiplicity");
        }
        if let Some(steps) = &self.steps {
            page.table(self.steps_table(steps));
        }
        page.push(Block::Facts(self.figures()));
        page.push(Block::Text(self.verdict()));
        page.note(
            "a position's multiplicity is the number of ways through the kernels' taps; coverage = covered / box; \
             a gap of 1 is no hole",
        );
        if let Some(measured) = &self.verify {
            measured.section(&mut page);
        }
        page
    }

    fn passed(&self) -> bool {
        self.verify.as_ref().is_none_or(|measured| measured.ok)
    }

    fn partial(&self) -> bool {
        self.status == Listed::Partial
    }
}

/// Computes the figures after each layer.
fn steps(stack: &Stack) -> Result<Vec<Step>, Problem> {
    let count = stack.layers().len().min(MOST_STEPS);
    let step = |layer: usize| {
        let facts = Gridding::of(&stack.first(layer))?;
        Ok(Step {
            layer,
            size: facts.size(),
            covered: BigCount(facts.covered()),
            total: BigCount(facts.total()),
            coverage: facts.coverage(),
            max_gap: facts.max_gap(),
            hole_free: facts.hole_free(),
        })
    };
    (1..=count).map(step).collect()
}

/// Returns one number per layer where all axes agree, else one list per layer.
fn layered(stack: &Stack, of: impl Fn(&Layer) -> &Vec<u64>) -> Vec<PerAxis> {
    let alike = |values: &[u64]| values.iter().all(|value| Some(value) == values.first());
    let all = stack.layers().iter().all(|layer| alike(of(layer)));
    let one = |layer: &Layer| match of(layer).first() {
        Some(&value) if all => PerAxis::Same(value),
        _ => PerAxis::Each(of(layer).clone()),
    };
    stack.layers().iter().map(one).collect()
}

fn lines(facts: &Gridding, asked: bool) -> Result<Option<Vec<Multiplicity>>, Problem> {
    let widest = facts.size().into_iter().max().unwrap_or(0);
    if asked && widest > MOST_ASKED {
        let (widest, most) = (grouped(widest), grouped(MOST_ASKED));
        let message =
            format!("not supported: multiplicities of {widest} positions; at most {most} are listed");
        return Err(Problem::new(Code::Limit, message).help("leave `--multiplicity` out"));
    }
    if asked || facts.multiplicity_cost() <= UNASKED_WORK {
        return match facts.multiplicities() {
            Err(problem) if asked => Err(problem),
            lines => Ok(lines.ok()),
        };
    }
    Ok(None)
}

/// Returns the smallest step that leaves a hole, on the first axis that has one.
fn broken(facts: &Gridding) -> Result<Option<Bound>, Problem> {
    for axis in &facts.axes {
        if let Some(bound) = criterion(&axis.combs)?.into_iter().find(|bound| !bound.holds()) {
            return Ok(Some(bound));
        }
    }
    Ok(None)
}
