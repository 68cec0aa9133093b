//! The summary of `cnnkit plan`: the memory of one inference on a small device.

use schemars::JsonSchema;
use serde::Serialize;

use crate::imported::{Import, Status};
use crate::{Block, Cell, Column, Fact, Page, Row, Summary, Table, Tone, Value};
use cnnkit_core::analysis::deployment::patches::{self, Patches};
use cnnkit_core::analysis::deployment::{Peaks, Plan, peaks, plan};
use cnnkit_core::analysis::memory::{self, Dtype};
use cnnkit_core::graph::{Graph, NodeId, Op};
use cnnkit_core::layers::Layer;
use cnnkit_core::number;

/// The memory of one inference on a small device, for a batch of one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PlanSummary {
    /// Number format of the tensors.
    pub dtype: Dtype,
    /// Whether the figures are complete.
    pub status: Status,
    /// Bytes of the arena.
    #[schemars(extend("unit" = "bytes"))]
    pub arena: u64,
    /// No arena for this order of operators is smaller: the most bytes alive or reserved at once.
    #[schemars(extend("unit" = "bytes"))]
    pub lower_bound: u64,
    /// Peaks under the habits of engines.
    pub peaks: PlanPeaks,
    /// The bytes that `--arena` gives; null without it.
    #[schemars(extend("unit" = "bytes"))]
    pub budget: Option<u64>,
    /// Whether the arena fits into `budget`, or the peak with patches; true without one.
    pub fits: bool,
    /// Ids of the layers in the order in which they run; layers that are fused run with the layer that they are next to.
    pub order: Vec<String>,
    /// Steps: the layers that run together, in order.
    pub steps: Vec<Vec<String>>,
    /// Every tensor in the arena, in order of creation.
    pub tensors: Vec<PlanTensor>,
    /// The first layers run patch by patch, as they need the least memory; null without `--patches`, or if patches save
    /// nothing.
    pub patches: Option<PlanPatches>,
    /// What is not analysed.
    #[serde(flatten)]
    pub import: Option<Import>,
    /// The network's name.
    #[serde(skip)]
    pub name: String,
    /// Whether patches were asked for.
    #[serde(skip)]
    pub patched: bool,
    /// Rows of the table that people read.
    #[serde(skip)]
    pub top: usize,
    /// Whether the order differs from that of the graph.
    #[serde(skip)]
    pub moved: bool,
    /// Whether concatenations are views; none if there are no concatenations.
    #[serde(skip)]
    pub views: Option<bool>,
}

/// Peaks of one inference by liveness, under the habits of engines.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct PlanPeaks {
    /// Nothing in place, nothing fused.
    #[schemars(extend("unit" = "bytes"))]
    pub separate: u64,
    /// Norms with stored statistics and activations overwrite their input if nothing else reads it; depthwise
    /// convolutions do, too, through a buffer of one plane.
    #[schemars(extend("unit" = "bytes"))]
    pub in_place: u64,
    /// Norms with stored statistics and activations produce no tensor of their own, concatenations are views.
    #[schemars(extend("unit" = "bytes"))]
    pub fused: u64,
    /// `fused` in the best order of operators that was found.
    #[schemars(extend("unit" = "bytes"))]
    pub reordered: u64,
    /// No order has a smaller peak than this; equal to `reordered` if the search was complete.
    #[schemars(extend("unit" = "bytes"))]
    pub reordered_bound: u64,
}

/// The first layers of a network, run on parts of the image one after the other.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PlanPatches {
    /// Id of the last layer that runs patch by patch.
    pub last: String,
    /// Number of patches along each axis.
    pub grid: Vec<usize>,
    /// Input sizes of the largest patch, margins included.
    #[schemars(extend("unit" = "input positions"))]
    pub input: Vec<u64>,
    /// What a patch reads before and after its part of the image, per axis.
    #[schemars(extend("unit" = "input positions"))]
    pub margin: Vec<[u64; 2]>,
    /// Bytes of the arena of the patch that needs the most.
    #[schemars(extend("unit" = "bytes"))]
    pub patch: u64,
    /// Bytes while the patches run: input, output of the last of these layers, and the arena of a patch.
    #[schemars(extend("unit" = "bytes"))]
    pub stage_peak: u64,
    /// Bytes of the arena of the layers behind it.
    #[schemars(extend("unit" = "bytes"))]
    pub rest_peak: u64,
    /// The larger of the two.
    #[schemars(extend("unit" = "bytes"))]
    pub peak: u64,
    /// Multiply-accumulates of all patches.
    #[schemars(extend("unit" = "MACs"))]
    pub macs: u64,
    /// Multiply-accumulates of these layers on the whole image.
    #[schemars(extend("unit" = "MACs"))]
    pub macs_whole: u64,
    /// What is computed twice, over the multiply-accumulates of the network.
    #[schemars(extend("unit" = "share"))]
    pub macs_share: f64,
}

impl PlanPatches {
    fn of(graph: &Graph, patches: &Patches) -> Self {
        let all = graph.nodes().iter().map(|node| node.cost.macs).fold(0, u64::saturating_add);
        let [macs_whole, macs] = patches.macs;
        Self {
            last: graph.node(patches.last).id.clone(),
            grid: patches.spans.iter().map(Vec::len).collect(),
            input: patches.input.clone(),
            margin: patches.tiling.axes.iter().map(|axis| axis.margin.unwrap_or_default()).collect(),
            patch: patches.patch,
            stage_peak: patches.stage_peak,
            rest_peak: patches.rest_peak,
            peak: patches.peak(),
            macs,
            macs_whole,
            macs_share: macs.saturating_sub(macs_whole) as f64 / all.max(1) as f64,
        }
    }
}

/// A tensor in the arena.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PlanTensor {
    /// Id of the layer whose value it is, or of the input.
    pub id: String,
    /// Its first byte in the arena.
    #[schemars(extend("unit" = "bytes"))]
    pub offset: u64,
    /// Its size.
    #[schemars(extend("unit" = "bytes"))]
    pub bytes: u64,
    /// Index of the first step at which its space is reserved.
    pub first: usize,
    /// Index of the last step at which its space is reserved.
    pub last: usize,
}

/// Settings of the summary.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Number format of the tensors.
    pub dtype: Dtype,
    /// Bytes that the arena may have.
    pub budget: Option<u64>,
    /// Whether the first layers may run patch by patch, with so many patches along each axis if that is given.
    pub patches: Option<Option<u64>>,
    /// Rows of the table that people read.
    pub top: usize,
}

/// Computes the summary of `graph`.
pub fn summary(graph: &Graph, view: &View, import: Option<Import>) -> PlanSummary {
    let width = view.dtype.bytes();
    let plan = plan(graph, width);
    let Peaks { in_place, fused, reordered, reordered_bound, .. } = peaks(graph, width);
    let id = |node: NodeId| graph.node(node).id.clone();
    let operators = &plan.operators.operators;
    let steps: Vec<Vec<String>> = plan
        .ordered
        .order
        .iter()
        .filter_map(|&operator| operators.get(operator))
        .map(|operator| operator.nodes.iter().map(|&node| id(node)).collect())
        .collect();
    let patches = view.patches.and_then(|per_axis| {
        let arena = plan.arena.bytes;
        patches::best(graph, &patches::Options { width, per_axis, arena, budget: view.budget })
    });
    let least = patches.as_ref().map_or(plan.arena.bytes, |patches| patches.peak().min(plan.arena.bytes));
    let separate = memory::peak(graph).map_or(0, |peak| peak.elements.saturating_mul(width));
    PlanSummary {
        dtype: view.dtype,
        status: import.as_ref().map(Import::status).unwrap_or_default(),
        arena: plan.arena.bytes,
        lower_bound: plan.arena.bound,
        peaks: PlanPeaks { separate, in_place, fused, reordered, reordered_bound },
        budget: view.budget,
        fits: view.budget.is_none_or(|budget| least <= budget),
        order: order(graph, &plan).into_iter().map(id).collect(),
        steps,
        tensors: plan
            .arena
            .tensors
            .iter()
            .map(|tensor| PlanTensor {
                id: id(tensor.node),
                offset: tensor.offset,
                bytes: tensor.bytes,
                first: tensor.first,
                last: tensor.last,
            })
            .collect(),
        patches: patches.map(|patches| PlanPatches::of(graph, &patches)),
        import,
        name: graph.name().to_owned(),
        patched: view.patches.is_some(),
        top: view.top,
        moved: plan.ordered.order.windows(2).any(|pair| pair[0] > pair[1]),
        views: graph
            .nodes()
            .iter()
            .any(|node| matches!(node.op, Op::Layer(Layer::Concat(_))))
            .then(|| plan.operators.has_views()),
    }
}

/// Returns all layers in the order in which they run. A view runs nothing: it follows its last part.
fn order(graph: &Graph, plan: &Plan) -> Vec<NodeId> {
    let mut done: Vec<bool> = graph.nodes().iter().map(|node| node.op == Op::Input).collect();
    let mut runs = vec![false; graph.nodes().len()];
    for operator in &plan.operators.operators {
        operator.nodes.iter().for_each(|node| runs[node.index()] = true);
    }
    let readers = graph.consumers();
    let mut order = Vec::with_capacity(graph.nodes().len());
    for operator in plan.ordered.order.iter().filter_map(|&operator| plan.operators.operators.get(operator)) {
        let mut next: Vec<NodeId> = operator.nodes.iter().rev().copied().collect();
        while let Some(node) = next.pop() {
            if std::mem::replace(&mut done[node.index()], true) {
                continue;
            }
            order.push(node);
            let views = readers[node.index()].iter().rev().filter(|reader| !runs[reader.index()]);
            next.extend(
                views.filter(|view| graph.node(**view).inputs.iter().all(|input| done[input.index()])),
            );
        }
    }
    order
}

impl Summary for PlanSummary {
    const COMMAND: &'static str = "plan";

    fn page(&self) -> Page {
        let mut page = Page::default();
        let dtype = self.dtype.name();
        page.title_with(&self.name, format!("memory of an inference, {dtype}, batch 1"));
        page.table(self.table());
        page.push(Block::Facts(self.facts()));
        self.patches(&mut page);
        if let Some(import) = &self.import {
            import.explain(&mut page);
        }
        if self.moved {
            page.text("The order differs from that of the spec: `--format json` lists it under `order`.");
        }
        page
    }

    fn passed(&self) -> bool {
        self.fits
    }

    fn partial(&self) -> bool {
        self.status == Status::Partial
    }

    fn footer(page: &mut Page) {
        page.note(
            "Tensors of one image, the network's inputs included; weights and the scratch memory of kernels are not. In \
             place, fused: habits that depend on the engine, as docs/deployment.md defines them. Bytes in KiB/MiB = 1024.",
        );
    }
}

impl PlanSummary {
    /// Returns the largest tensors, and for programs all others.
    fn table(&self) -> Table {
        let mut table = Table {
            name: "tensors",
            columns: vec![
                Column::text("id"),
                Column::number("offset"),
                Column::number("bytes"),
                Column::number("size").key("size_bytes").optional(3),
                Column::number("first step").key("first").optional(1),
                Column::number("last step").key("last").optional(2),
            ],
            rows: vec![],
        };
        let mut order: Vec<&PlanTensor> = self.tensors.iter().collect();
        order.sort_by_key(|tensor| std::cmp::Reverse(tensor.bytes));
        for (index, tensor) in order.iter().enumerate() {
            let cells = vec![
                Cell::toned(&tensor.id, Tone::Name),
                Cell::count(tensor.offset),
                Cell::count(tensor.bytes),
                Cell::bytes(tensor.bytes),
                Cell::count(tensor.first as u64),
                Cell::count(tensor.last as u64),
            ];
            table.rows.push(Row { hidden: index >= self.top, ..Row::new(cells) });
        }
        let more = order.len().saturating_sub(self.top);
        if more > 0 {
            let cells = vec![Cell::toned(format!("... {more} more"), Tone::Quiet)];
            table.rows.push(Row { cells, summary: true, ..Row::default() });
        }
        table
    }

    /// Adds what patches save.
    fn patches(&self, page: &mut Page) {
        let Some(patches) = &self.patches else {
            if self.patched {
                page.text(
                    "Patches save nothing: no part of the network that can be cut has the largest maps.",
                );
            }
            return;
        };
        let times = |sizes: &[u64]| sizes.iter().map(|&size| number::grouped(size)).collect::<Vec<_>>();
        let grid: Vec<u64> = patches.grid.iter().map(|&count| count as u64).collect();
        let margins: Vec<String> =
            patches.margin.iter().map(|[before, after]| format!("{before} and {after}")).collect();
        let fact =
            |name: &str, bytes: u64, remark: String| Fact::new(name, Value::Count(bytes)).remark(remark);
        page.push(Block::Facts(vec![
            Fact::new("patches", Cell::text(times(&grid).join(" x "))).remark(format!(
                "up to {}; the largest reads {}, margins {}",
                patches.last,
                times(&patches.input).join(" x "),
                margins.join(", ")
            )),
            fact(
                "while they run",
                patches.stage_peak,
                format!("input, output, and {} for a patch", number::grouped(patches.patch)),
            ),
            fact("behind them", patches.rest_peak, "the arena of the other layers".into()),
            Fact {
                remark: Some(format!("{} of the arena without patches", percent(patches.peak, self.arena))),
                ..Fact::new("with patches", Cell::count(patches.peak).tone(Tone::Strong))
            },
            Fact::new("computed again", Cell::magnitude(patches.macs.saturating_sub(patches.macs_whole)))
                .remark(format!("MACs, {:.1} % of the network's", patches.macs_share * 100.0)),
        ]));
    }

    fn facts(&self) -> Vec<Fact> {
        let peaks = &self.peaks;
        let fact = |name: &str, bytes: u64, remark: &str| {
            Fact::new(name, Value::Count(bytes)).remark(remark.to_owned())
        };
        let reordered = if peaks.reordered_bound == peaks.reordered {
            "fused, in the best order of operators: no order needs less".to_owned()
        } else {
            let bound = number::grouped(peaks.reordered_bound);
            format!("fused, in the best order that was found; none needs less than {bound}")
        };
        let habit = match self.views {
            Some(true) => "concatenations are views; ",
            Some(false) => "concatenations are copies; ",
            None => "",
        };
        let arena = if self.arena == self.lower_bound {
            format!("{habit}no smaller arena is possible in this order")
        } else {
            format!("{habit}at least {} in this order", number::grouped(self.lower_bound))
        };
        let mut facts = vec![
            fact("separate", peaks.separate, "nothing in place, nothing fused"),
            fact(
                "in place",
                peaks.in_place,
                "norms, activations and depthwise convolutions overwrite their input",
            ),
            fact(
                "fused",
                peaks.fused,
                "norms and activations have no tensor of their own, concatenations are views",
            ),
            fact("reordered", peaks.reordered, &reordered),
            Fact { remark: Some(arena), ..Fact::new("arena", Cell::count(self.arena).tone(Tone::Strong)) },
        ];
        if let Some(budget) = self.budget {
            let (text, tone) = if self.arena <= budget {
                (format!("{} are left", number::grouped(budget.saturating_sub(self.arena))), Tone::Good)
            } else if self.fits {
                ("with patches only".to_owned(), Tone::Good)
            } else {
                (format!("{} too many", number::grouped(self.arena.saturating_sub(budget))), Tone::Bad)
            };
            facts.push(Fact { remark: Some(text), ..Fact::new("budget", Cell::count(budget).tone(tone)) });
        }
        facts
    }
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.0} %", part as f64 * 100.0 / whole.max(1) as f64)
}
