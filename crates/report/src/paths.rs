//! The summary of `cnnkit paths`: a network as an ensemble of paths.

use num_bigint::BigUint;
use num_traits::ToPrimitive as _;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::exact::BigCount;
use crate::imported::{Import, StatusAndImport};
use crate::{Block, Cell, Column, Fact, Page, Row, StyledText, Summary, Table, Tone, Value};
use cnnkit_core::analysis::paths::{self, Distribution, Paths, Seen, dense_blocks, share};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};
use cnnkit_core::number;

/// Maximum number of rows of a chart; beyond it, neighbouring lengths share a row.
const MOST_BARS: usize = 24;
/// Columns of the longest bar.
const BAR: usize = 24;

/// The paths from the inputs to the outputs; a path is a sequence of nodes, and a node that reads the same tensor twice
/// doubles the paths.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PathsSummary {
    /// One entry per output.
    pub outputs: Vec<PathsOutput>,
    /// Blocks in which every layer reads all layers before it.
    pub dense_blocks: Vec<PathsDenseBlock>,
    /// What is not analysed.
    #[serde(flatten)]
    pub import: Option<StatusAndImport>,
    /// The network's name.
    #[serde(skip)]
    pub name: String,
}

/// The paths from all inputs to one output.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PathsOutput {
    /// Id of the output.
    pub id: String,
    /// Number of paths, exact at any size.
    #[schemars(extend("unit" = "paths"))]
    pub paths: BigCount,
    /// Number of merges of a short and a long path before the output.
    #[schemars(extend("unit" = "modules"))]
    pub residual_modules: u64,
    /// Length of the longest path; null if there are too many different lengths.
    #[schemars(extend("unit" = "layers with weights"))]
    pub depth: Option<u64>,
    /// Mean length over all paths.
    #[schemars(extend("unit" = "layers with weights"))]
    pub mean_length: Option<f64>,
    /// Fraction of the paths that cross fewer than half of the layers of the longest, from 0 to 1.
    #[schemars(extend("unit" = "share"))]
    pub short_share: Option<f64>,
    /// Paths by the number of layers with weights that they cross.
    pub lengths: Option<Vec<PathsOfLength>>,
    /// Paths by the number of residual modules whose branch they take.
    pub modules: Option<Vec<PathsOfLength>>,
    /// Paths by the size of their receptive field; null where a path has no single size.
    pub fields: Option<Vec<PathsOfField>>,
    /// The distributions themselves.
    #[serde(skip)]
    pub found: Paths,
}

/// Paths of one length.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PathsOfLength {
    /// The length: layers with weights, or residual modules.
    pub length: u64,
    /// Number of such paths, exact at any size.
    #[schemars(extend("unit" = "paths"))]
    pub paths: BigCount,
}

/// Paths with a receptive field of one size.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PathsOfField {
    /// Size of the field, one per spatial axis; `"all"` for the whole axis.
    #[schemars(extend("unit" = "input positions"))]
    pub size: Vec<PathsSize>,
    /// Number of such paths, exact at any size.
    #[schemars(extend("unit" = "paths"))]
    pub paths: BigCount,
}

/// The receptive field of a path along one axis: a number of input positions, or `"all"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(inline, with = "IntegerOrAll")]
pub struct PathsSize(pub Seen);

#[derive(JsonSchema)]
#[schemars(inline, untagged)]
#[expect(dead_code, reason = "it describes how `PathsSize` is written")]
enum IntegerOrAll {
    Size(i128),
    All(String),
}

impl Serialize for PathsSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Seen::Size(size) => serializer.serialize_i128(size),
            Seen::Whole => serializer.serialize_str("all"),
        }
    }
}

/// A block of L layers with L (L + 1) / 2 direct connections (Huang et al. 2017).
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PathsDenseBlock {
    /// Id of its first concatenation.
    pub first: String,
    /// Id of its last concatenation.
    pub last: String,
    /// Number of its layers.
    #[schemars(extend("unit" = "layers"))]
    pub layers: u64,
    /// Number of direct connections.
    #[schemars(extend("unit" = "connections"))]
    pub connections: u64,
}

/// Computes the paths of `graph`.
pub fn summary(graph: &Graph, import: Option<Import>) -> Result<PathsSummary, Problem> {
    let name = |node: NodeId| graph.node(node).id.clone();
    let all = paths::paths(graph)?;
    let dense = dense_blocks(graph);
    Ok(PathsSummary {
        outputs: all.into_iter().map(|found| output(graph, found)).collect(),
        dense_blocks: dense
            .iter()
            .map(|block| PathsDenseBlock {
                first: name(block.first),
                last: name(block.last),
                layers: block.layers,
                connections: block.connections,
            })
            .collect(),
        import: import.map(StatusAndImport::from),
        name: graph.name().to_owned(),
    })
}

fn output(graph: &Graph, found: Paths) -> PathsOutput {
    let list = |distribution: &Distribution<u64>| {
        let entry =
            |(&length, count): (&u64, &BigUint)| PathsOfLength { length, paths: BigCount(count.clone()) };
        distribution.iter().map(entry).collect()
    };
    let field = |(axes, count): (&Vec<Seen>, &BigUint)| PathsOfField {
        size: axes.iter().copied().map(PathsSize).collect(),
        paths: BigCount(count.clone()),
    };
    PathsOutput {
        id: graph.node(found.output).id.clone(),
        paths: BigCount(found.count.clone()),
        residual_modules: found.residual_modules,
        depth: found.depth(),
        mean_length: found.mean_length(),
        short_share: found.short_share(),
        lengths: found.lengths.as_ref().map(list),
        modules: found.modules.as_ref().map(list),
        fields: found.fields.as_ref().map(|fields| fields.iter().map(field).collect()),
        found,
    }
}

impl Summary for PathsSummary {
    const COMMAND: &'static str = "paths";

    fn page(&self) -> Page {
        let mut page = Page::default();
        self.outputs.iter().for_each(|output| describe(&mut page, &self.name, output));
        if !self.dense_blocks.is_empty() {
            page.title_with(
                "Dense blocks",
                "L layers have L (L + 1) / 2 direct connections (Huang et al. 2017)",
            );
            page.table(dense_table(&self.dense_blocks));
        }
        page.note("A path: a sequence of nodes from an input to an output; a node that reads the same tensor twice doubles the paths.");
        if let Some(import) = &self.import {
            import.explain(&mut page);
        }
        page
    }

    fn partial(&self) -> bool {
        self.import.as_ref().is_some_and(StatusAndImport::partial)
    }
}

/// Appends the paths to one output.
fn describe(page: &mut Page, name: &str, output: &PathsOutput) {
    let found = &output.found;
    page.title_with(format!("Paths of {name}"), format!("to {}", output.id));
    page.push(Block::Facts(facts(found)));
    if let Some(modules) = found.modules.as_ref().filter(|_| found.residual_modules > 0) {
        page.title_with("By residual modules crossed", binomial(found, modules));
        page.push(Block::Drawing(chart(modules, &found.count)));
    }
    if let Some(lengths) = found.lengths.as_ref().filter(|lengths| lengths.len() > 1) {
        page.title_with("By layers with weights", "convolutions and linear layers on the path");
        page.push(Block::Drawing(chart(lengths, &found.count)));
    }
    if let Some(fields) = found.fields.as_ref().filter(|fields| fields.len() > 1) {
        page.title_with("By receptive field", "what the single path sees");
        page.table(field_table(fields, &found.count));
    }
    if found.residual_modules > 0
        && let Some(short) = output.short_share
    {
        page.push(Block::Text(vec![StyledText::plain(format!(
            "Identity shortcuts make this an ensemble: {} of the paths cross fewer than half of the {} layers of the longest.",
            number::share(short),
            output.depth.unwrap_or(0)
        ))]));
    }
}

fn facts(found: &Paths) -> Vec<Fact> {
    let digits = found.count.to_string();
    // Beyond 40 digits the page shows the magnitude; the JSON has all digits.
    let shown = if digits.len() <= 40 {
        number::group_digits(&digits)
    } else {
        format!("{}.{}e{}", &digits[..1], &digits[1..5], digits.len() - 1)
    };
    let mut facts =
        vec![Fact::new("paths", Cell::written(shown, &found.count)).remark(power_of_two(&found.count))];
    if found.residual_modules > 0 {
        facts.push(Fact::new("residual modules", Value::Count(found.residual_modules)));
    }
    if let Some(lengths) = &found.lengths {
        let (least, most) = (lengths.keys().next().copied(), lengths.keys().next_back().copied());
        facts.push(Fact::new("shortest", Value::Count(least.unwrap_or(0))).remark("layers with weights"));
        facts.push(Fact::new("longest", Value::Count(most.unwrap_or(0))).remark("layers with weights"));
    }
    if let Some(mean) = found.mean_length() {
        facts.push(Fact::new("mean length", Value::Number(mean, 2)));
    }
    facts
}

/// Formats `= 2^16` for a power of two.
fn power_of_two(count: &BigUint) -> String {
    if count.bits() > 1 && count.count_ones() == 1 {
        format!("= 2^{}", count.bits() - 1)
    } else {
        String::new()
    }
}

/// Returns whether the lengths are binomial, as those of `n` modules in a row are.
fn binomial(found: &Paths, modules: &Distribution<u64>) -> String {
    let n = found.residual_modules;
    let mut expected = BigUint::from(1u32);
    for k in 0..=n {
        if modules.get(&k) != Some(&expected) {
            return "not binomial: the modules are not all in a row".into();
        }
        expected = expected * BigUint::from(n - k) / BigUint::from(k + 1);
    }
    format!("binomial ({n}, 1/2): every module may be taken or skipped (Veit et al. 2016)")
}

/// Draws one bar per length, or per range of lengths.
fn chart(distribution: &Distribution<u64>, total: &BigUint) -> Vec<Vec<StyledText>> {
    let (Some(&low), Some(&high)) = (distribution.keys().next(), distribution.keys().next_back()) else {
        return vec![];
    };
    let step = (high - low + 1).div_ceil(MOST_BARS as u64).max(1);
    let bars: Vec<(u64, u64, f64)> = (0..=(high - low) / step)
        .map(|i| low + i * step)
        .map(|from| {
            let to = (from + step - 1).min(high);
            let count: BigUint = distribution.range(from..=to).map(|(_, count)| count).sum();
            (from, to, share(&count, total))
        })
        .collect();
    let most = bars.iter().map(|&(_, _, share)| share).fold(0.0, f64::max);
    let label = |from: u64, to: u64| if from == to { from.to_string() } else { format!("{from}-{to}") };
    let width = bars.iter().map(|&(from, to, _)| label(from, to).len()).max().unwrap_or(0);
    bars.iter()
        .map(|&(from, to, part)| {
            let eighths = (part / most.max(f64::MIN_POSITIVE) * (BAR * 8) as f64).round() as usize;
            let tail = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
            let bar = format!("{}{tail}", "█".repeat(eighths / 8));
            // A length that has paths never has an empty bar.
            let bar = if bar.is_empty() && part > 0.0 { "▏".to_owned() } else { bar };
            vec![
                StyledText::plain(format!("{:>width$}  ", label(from, to))),
                StyledText::new(format!("{bar:<BAR$}"), Tone::Name),
                StyledText::new(format!("  {}", number::share(part)), Tone::Quiet),
            ]
        })
        .collect()
}

fn seen(axes: &[Seen]) -> String {
    let one = |axis: &Seen| match axis {
        Seen::Size(size) => size.to_string(),
        Seen::Whole => "all".into(),
    };
    axes.iter().map(one).collect::<Vec<_>>().join(" x ")
}

fn field_table(fields: &Distribution<Vec<Seen>>, total: &BigUint) -> Table {
    let mut table = Table {
        name: "fields",
        columns: vec![Column::text("receptive field"), Column::number("paths"), Column::number("share")],
        rows: vec![],
    };
    const SHOWN: usize = 16;
    let hidden = fields.len().saturating_sub(SHOWN);
    let mut list: Vec<(&Vec<Seen>, &BigUint)> = fields.iter().collect();
    if hidden > 0 {
        // The most frequent ones, in the order of their sizes.
        list.sort_by(|a, b| b.1.cmp(a.1));
        list.truncate(SHOWN);
        list.sort_by(|a, b| a.0.cmp(b.0));
    }
    for (axes, count) in list {
        let paths = count.to_u64().map_or_else(
            || Cell::written(format!("{:.3e}", count.to_f64().unwrap_or(f64::INFINITY)), count),
            Cell::count,
        );
        table.rows.push(Row::new(vec![
            Cell::text(seen(axes)),
            paths,
            Value::Share(share(count, total)).into(),
        ]));
    }
    if hidden > 0 {
        let cells = vec![Cell::toned(format!("... {hidden} rarer sizes"), Tone::Quiet)];
        table.rows.push(Row { cells, summary: true, ..Row::default() });
    }
    table
}

fn dense_table(blocks: &[PathsDenseBlock]) -> Table {
    let columns = vec![
        Column::text("first concat"),
        Column::text("last concat"),
        Column::number("layers"),
        Column::number("direct connections"),
    ];
    let row = |block: &PathsDenseBlock| {
        Row::new(vec![
            Cell::toned(&block.first, Tone::Name),
            Cell::toned(&block.last, Tone::Name),
            Cell::count(block.layers),
            Cell::count(block.connections),
        ])
    };
    Table { name: "dense_blocks", columns, rows: blocks.iter().map(row).collect() }
}
