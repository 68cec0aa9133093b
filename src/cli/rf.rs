//! `cnnkit rf`

use crate::cli::load::{Complete, SpecArgs};
use crate::cli::plot::Plot;
use crate::cli::{Failure, rates};
use cnnkit_report::Report;
use cnnkit_report::figure::{growth, support};
use cnnkit_report::imported::Figures;
use cnnkit_report::rf::{Question, RfSummary, summary};

/// Compute the receptive field of every layer
///
/// Size, jump, start and alignment of the receptive field for any graph: strides, dilations, merges, upsampling,
/// transposed and deformable convolutions, several inputs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit rf zoo:resnet50                     where the field grows, and the outputs
  cnnkit rf zoo:inception_v3 --exact         the support itself: its holes, drawn
  cnnkit rf zoo:resnet50 --node stage4 --unit 3,3
  cnnkit rf net.yaml --effective --format json
  cnnkit rf zoo:resnet50 --plot growth.svg   how the field grows; with --exact, its positions")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
    /// Show this layer only, or the last layer of this block
    #[arg(long, value_name = "ID")]
    node: Option<String>,
    /// Show every layer, not only those that change the field
    #[arg(long)]
    all: bool,
    /// Compute the exact support of the outputs (of their last feature map) or of the node, and draw its positions and holes
    #[arg(long)]
    exact: bool,
    /// Predict the effective receptive field
    #[arg(long)]
    effective: bool,
    /// Compute what this unit reads, clipped to the real input
    #[arg(long, value_name = "Y,X", value_parser = unit)]
    unit: Option<Unit>,
    /// Replace the largest offset of deformable convolutions
    #[arg(long, value_name = "PIXELS", value_parser = offset)]
    max_offset: Option<f64>,
    #[command(flatten)]
    pub plot: Plot,
}

#[derive(Debug, Clone)]
struct Unit(Vec<i128>);

fn unit(text: &str) -> Result<Unit, String> {
    let indices =
        text.split(',').map(|index| index.trim().parse().map_err(|_| format!("`{index}` is not an index")));
    Ok(Unit(indices.collect::<Result<_, _>>()?))
}

fn offset(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(pixels) if (0.0..=1e6).contains(&pixels) => Ok(pixels),
        _ => Err("expected a number of pixels, 0 or more".into()),
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let drawn = args.plot.asked(args.spec.specs.len())?;
    if drawn && !args.exact && args.node.is_some() {
        return Err(Failure::usage(
            "the figure shows how the field grows over all layers",
            "leave `--node` out, or add `--exact` to draw what the node reads",
        ));
    }
    let networks = args.spec.load_all()?;
    let mut entries = Vec::new();
    for network in &networks {
        let question = Question {
            node: args.node.as_ref().map(|id| block_end(&network.graph, id)),
            all: args.all,
            exact: args.exact,
            effective: args.effective,
            unit: args.unit.clone().map(|Unit(unit)| unit),
            max_offset: args.max_offset,
        };
        let found = summary(&network.graph, question, network.import(Figures::Dependences));
        let found = found.map_err(rates::failure)?.with_nodes(network.node_names());
        if drawn {
            args.plot.save(&figure(&found, &network.graph)?)?;
        }
        entries.push(network.entry(found));
    }
    Ok(Report::of_networks(entries))
}

/// Returns the last layer of the block `id`, or `id` itself.
fn block_end(graph: &cnnkit_core::graph::Graph, id: &str) -> String {
    let member =
        |node: &&cnnkit_core::graph::Node| node.id.strip_prefix(id).is_some_and(|rest| rest.starts_with('.'));
    match graph.find(id) {
        Some(_) => id.to_owned(),
        None => graph.nodes().iter().rev().find(member).map_or_else(|| id.to_owned(), |node| node.id.clone()),
    }
}

/// Returns the figure: the exact support, if it was asked for, else how the field grows.
fn figure(
    found: &RfSummary,
    graph: &cnnkit_core::graph::Graph,
) -> Result<cnnkit_report::figure::Scene, Failure> {
    let none = |message: &str| Failure::usage(message, "leave the figure out");
    if found.question.exact {
        let drawn = found.supports.first().and_then(|exact| support::of(exact, &found.name));
        return drawn.ok_or_else(|| none("not supported: a figure of a support without two axes"));
    }
    growth::of(found, graph)
        .ok_or_else(|| none("not supported: a figure of a network without local receptive fields"))
}
