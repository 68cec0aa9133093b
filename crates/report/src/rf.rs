//! The summary of `cnnkit rf`: receptive fields, layer by layer and for the outputs.

mod page;
mod unit;

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::exact::Fraction;
use crate::imported::{Import, StatusAndImport};
use crate::support::{self, Exact};
use crate::{Page, Summary};
use cnnkit_core::analysis::field::Interval;
use cnnkit_core::analysis::field::family::Jump;
use cnnkit_core::analysis::field::{
    AxisFacts, Facts, Fields, Misaligned, Options, PathEnd, Sampling, analyse,
};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::{Graph, NodeId, Op};
use cnnkit_core::shape::Shape;

pub use unit::RfUnit;

/// The options of a call.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Restricts the layers to this node.
    pub node: Option<String>,
    /// Whether to show every layer, not only those that change the field.
    pub all: bool,
    /// Whether to compute the exact support of the outputs (or of the node).
    pub exact: bool,
    /// Whether to predict the effective field.
    pub effective: bool,
    /// Index of a unit whose positions are computed.
    pub unit: Option<Vec<i128>>,
    /// Largest offset of data-dependent sampling, in pixels.
    pub max_offset: Option<f64>,
}

/// Receptive fields with respect to each input, for the outputs and for every layer. An input position is the
/// index of an element of the input along one spatial axis.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RfSummary {
    /// The fields of the outputs, one entry per input on which an output depends.
    pub outputs: Vec<RfLayer>,
    /// The fields of all layers in execution order, or of the one that `--node` names.
    pub layers: Vec<RfLayer>,
    /// Merges whose operands have different jumps or centres.
    pub misaligned: Vec<RfMerge>,
    /// What one unit reads, with `--unit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Vec<RfUnit>>,
    /// What is not analysed.
    #[serde(flatten)]
    pub import: Option<StatusAndImport>,
    /// The network's name.
    #[serde(skip)]
    pub name: String,
    /// The shapes of its inputs.
    #[serde(skip)]
    pub inputs: Vec<Shape>,
    /// The options of the call.
    #[serde(skip)]
    pub question: Question,
    /// The exact supports, for drawing.
    #[serde(skip)]
    pub supports: Vec<Exact>,
}

/// The receptive field of a layer with respect to one input; arrays have one entry per spatial axis.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RfLayer {
    /// The layer's id.
    pub id: String,
    /// Name of the model's node from which the layer was made; absent for a spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Id of the input.
    pub input: String,
    /// Size of the box, the largest over all units; the input's size if the field is global.
    #[schemars(extend("unit" = "input positions"))]
    pub size: Vec<i128>,
    /// Size of the smallest path's box; null if every path reads the whole axis.
    #[schemars(extend("unit" = "input positions"))]
    pub smallest: Vec<Option<i128>>,
    /// Distance between neighbouring units (effective stride); a fraction is a string: `"1/2"`.
    #[schemars(extend("unit" = "input positions"))]
    pub jump: Vec<Fraction>,
    /// Effective padding: how far unit 0 starts before the input; null if it reads nothing.
    #[schemars(extend("unit" = "input positions"))]
    pub padding: Vec<Option<i128>>,
    /// First and last index that unit 0 reads, padding positions included; null if it reads nothing.
    #[schemars(extend("unit" = "input positions"))]
    pub first: Vec<Option<[i128; 2]>>,
    /// Whether the field is the whole input.
    pub global: bool,
    /// Whether a gate or statistics over the whole map act on the layer as well.
    pub global_context: bool,
    /// Whether all merges before it are aligned.
    pub aligned: bool,
    /// True if the box is only an upper bound, else absent.
    #[serde(skip_serializing_if = "is_false")]
    pub bound: bool,
    /// Whether the size depends on the unit.
    pub varies: bool,
    /// How far the units read before and after the positions that they stand on (unit u on `u * jump`, rounded down), the
    /// worst over all units; null if the field is the whole axis or empty.
    #[schemars(extend("unit" = "input positions"))]
    pub reach: Vec<Option<[i128; 2]>>,
    /// Fraction of the input in the field of the unit in the middle of the map, from 0 to 1.
    #[schemars(extend("unit" = "share"))]
    pub seen: f64,
    /// Bound on data-dependent sampling; absent if there is no such sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<RfSampling>,
    /// The predicted effective field, with `--effective`; null where it is not defined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<Vec<Option<RfEffective>>>,
    /// Number of positions of the exact support, with `--exact`.
    #[schemars(extend("unit" = "input positions"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions: Option<i128>,
    /// Positions of the box that are not read, with `--exact`.
    #[schemars(extend("unit" = "input positions"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holes: Option<i128>,
    /// All facts about the field.
    #[serde(skip)]
    pub facts: Facts,
    /// The layer and its settings, as text.
    #[serde(skip)]
    pub layer: String,
    /// Whether it is an output of the network.
    #[serde(skip)]
    pub returned: bool,
    /// Whether the page shows it.
    #[serde(skip)]
    pub shown: bool,
}

/// Bound on the positions of data-dependent sampling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RfSampling {
    /// No bound: a layer declares none.
    Unbounded,
    /// At most a box of these sizes, one per axis.
    #[schemars(extend("unit" = "input positions"))]
    Within(Vec<i128>),
}

/// The predicted effective field along one axis.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct RfEffective {
    /// Standard deviation of the taps' positions for uniform weights.
    #[schemars(extend("unit" = "input positions"))]
    pub std: f64,
    /// Fraction of the box within two standard deviations to each side, from 0 to 1.
    #[schemars(extend("unit" = "share"))]
    pub share: f64,
}

/// A merge whose operands are not aligned along one axis.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RfMerge {
    /// Id of the merging layer.
    pub id: String,
    /// Id of the input.
    pub input: String,
    /// Index of the spatial axis of that input, from 0.
    pub axis: usize,
    /// The largest distance between two operands' centres at unit 0; a fraction is a string: `"1/2"`.
    #[schemars(extend("unit" = "input positions"))]
    pub offset: Fraction,
    /// Whether the jumps differ, so that the operands drift apart.
    pub drifts: bool,
    /// The operands.
    pub paths: Vec<RfPath>,
}

/// An operand of a misaligned merge.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RfPath {
    /// Id of the operand.
    pub id: String,
    /// Its jump at the merge; a fraction is a string: `"1/2"`.
    #[schemars(extend("unit" = "input positions"))]
    pub jump: Fraction,
    /// Centre of its unit 0, in input positions, with pixel centres at whole numbers; a fraction is a string: `"1/2"`.
    #[schemars(extend("unit" = "input positions"))]
    pub centre: Fraction,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde needs")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Computes the receptive fields of `graph`.
pub fn summary(graph: &Graph, question: Question, import: Option<Import>) -> Result<RfSummary, Problem> {
    let fields = analyse(graph, Options { max_offset: question.max_offset })?;
    let target = question.node.as_ref().map(|id| find(graph, id)).transpose()?;
    let all = AllFacts::new(graph, &fields)?;
    let merges = fields.misaligned_at();
    let nodes = targets(graph, &all, target);
    let supports = if question.exact { support::exact(graph, &nodes)? } else { vec![] };
    let known: HashMap<(NodeId, NodeId), &Exact> =
        supports.iter().map(|exact| ((exact.node, exact.input), exact)).collect();
    let layer = |facts: &Facts| {
        let shown = target.is_some()
            || question.all
            || merges.contains_key(&facts.node)
            || changes(graph, &all, facts);
        let exact = known.get(&(facts.node, facts.input)).copied();
        let returned = all.returned[facts.node.index()];
        RfLayer { shown, returned, ..of_layer(graph, facts, question.effective, exact) }
    };
    let asked = match target {
        Some(node) => all.of(node),
        None => &all.list,
    };
    Ok(RfSummary {
        outputs: graph.outputs().iter().flat_map(|&output| all.of(output)).map(layer).collect(),
        layers: asked.iter().map(layer).collect(),
        misaligned: fields.misaligned.iter().map(|found| merge(graph, found)).collect(),
        unit: question.unit.as_ref().map(|unit| unit::read_by(graph, &fields, &nodes, unit)).transpose()?,
        import: import.map(StatusAndImport::from),
        name: graph.name().to_owned(),
        inputs: graph.inputs().map(|(_, node)| node.shape.clone()).collect(),
        question,
        supports,
    })
}

/// The facts of all layers, in order.
struct AllFacts {
    list: Vec<Facts>,
    /// For each node, the index of its first facts; one more at the end.
    starts: Vec<usize>,
    /// For each node, whether the network returns it.
    returned: Vec<bool>,
}

impl AllFacts {
    fn new(graph: &Graph, fields: &Fields) -> Result<Self, Problem> {
        let (mut list, mut starts) = (Vec::new(), vec![0]);
        for (id, node) in graph.iter() {
            if node.op != Op::Input {
                list.extend(fields.facts(graph, id)?);
            }
            starts.push(list.len());
        }
        Ok(Self { list, starts, returned: graph.returned() })
    }

    /// Returns the facts of one node, in the order of the inputs.
    fn of(&self, node: NodeId) -> &[Facts] {
        let index = node.index();
        &self.list[self.starts[index]..self.starts[index + 1]]
    }

    /// Returns the facts of one node with respect to one input.
    fn about(&self, node: NodeId, input: NodeId) -> Option<&Facts> {
        let list = self.of(node);
        list.binary_search_by_key(&input, |facts| facts.input).ok().map(|index| &list[index])
    }
}

fn find(graph: &Graph, id: &str) -> Result<NodeId, Problem> {
    graph.find(id).ok_or_else(|| {
        let ids: Vec<&str> = graph.nodes().iter().map(|node| node.id.as_str()).collect();
        let close = cnnkit_core::diagnostic::suggest(id, ids.iter().copied());
        Problem::new(Code::UnknownName, format!("there is no layer `{id}`")).help(
            close.map_or("`cnnkit graph` lists all ids".to_owned(), |close| {
                format!("did you mean `{close}`?")
            }),
        )
    })
}

/// Returns whether the field differs from that of the layer's first input: a window, an output.
fn changes(graph: &Graph, all: &AllFacts, facts: &Facts) -> bool {
    if all.returned[facts.node.index()] {
        return true;
    }
    let before = graph.node(facts.node).inputs.first();
    let before = before.and_then(|node| all.about(*node, facts.input));
    let same = |other: &Facts| {
        other.global == facts.global
            && other.global_context == facts.global_context
            && other.axes.iter().map(key).eq(facts.axes.iter().map(key))
    };
    !before.is_some_and(same)
}

fn key(axis: &AxisFacts) -> (i128, Option<i128>, Jump, Option<Interval>) {
    (axis.size, axis.smallest, axis.jump, axis.first)
}

/// Returns the nodes for `--exact` and `--unit`: the requested one, else the outputs; an output whose field
/// is global is replaced by the last feature map whose field is not.
fn targets(graph: &Graph, all: &AllFacts, asked: Option<NodeId>) -> Vec<NodeId> {
    if let Some(node) = asked {
        return vec![node];
    }
    let bounded = |facts: &Facts| !facts.global && facts.axes.iter().all(|axis| axis.size > 0);
    let mut last = None;
    let nearest: Vec<Option<NodeId>> = graph
        .iter()
        .map(|(id, node)| {
            if !node.shape.spatial().is_empty() && all.of(id).iter().any(bounded) {
                last = Some(id);
            }
            last
        })
        .collect();
    let mut nodes: Vec<NodeId> =
        graph.outputs().iter().filter_map(|output| nearest[output.index()]).collect();
    nodes.dedup();
    nodes
}

/// Returns the first and the last index.
fn ends(interval: Option<Interval>) -> Option<[i128; 2]> {
    interval.map(|interval| [interval.lo, interval.hi])
}

fn of_layer(graph: &Graph, facts: &Facts, effective: bool, exact: Option<&Exact>) -> RfLayer {
    let axes = &facts.axes;
    let node = graph.node(facts.node);
    let settings = if let Op::Layer(layer) = &node.op { layer.describe() } else { String::new() };
    let deviation =
        |axis: &AxisFacts| axis.effective.map(|found| RfEffective { std: found.std, share: found.share });
    RfLayer {
        id: node.id.clone(),
        node: None,
        input: graph.node(facts.input).id.clone(),
        size: axes.iter().map(|axis| axis.size).collect(),
        smallest: axes.iter().map(|axis| axis.smallest).collect(),
        jump: axes.iter().map(|axis| Fraction(axis.jump)).collect(),
        padding: axes.iter().map(AxisFacts::padding).collect(),
        first: axes.iter().map(|axis| ends(axis.first)).collect(),
        global: facts.global,
        global_context: facts.global_context,
        aligned: facts.aligned,
        bound: facts.bound,
        varies: axes.iter().any(|axis| axis.varies),
        reach: axes.iter().map(|axis| axis.reach).collect(),
        seen: facts.seen,
        sampling: facts.sampling.as_ref().map(|sampling| match sampling {
            Sampling::Unbounded => RfSampling::Unbounded,
            Sampling::Within(sizes) => RfSampling::Within(sizes.clone()),
        }),
        effective: effective.then(|| axes.iter().map(deviation).collect()),
        positions: exact.map(|exact| exact.positions),
        holes: exact.map(|exact| exact.holes),
        facts: facts.clone(),
        layer: format!("{} {settings}", node.op.name()).trim_end().to_owned(),
        returned: false,
        shown: true,
    }
}

fn merge(graph: &Graph, found: &Misaligned) -> RfMerge {
    let path = |end: &PathEnd| RfPath {
        id: graph.node(end.node).id.clone(),
        jump: Fraction(end.jump),
        centre: Fraction(end.centre),
    };
    RfMerge {
        id: graph.node(found.node).id.clone(),
        input: graph.node(found.input).id.clone(),
        axis: found.axis,
        offset: Fraction(found.offset()),
        drifts: found.drifts(),
        paths: found.paths.iter().map(path).collect(),
    }
}

impl RfSummary {
    /// Returns the same with the names of the nodes in the model's file, one per node of the graph.
    #[must_use]
    pub fn with_nodes(mut self, names: &[Option<String>]) -> Self {
        for layer in self.layers.iter_mut().chain(&mut self.outputs) {
            layer.node = names.get(layer.facts.node.index()).cloned().flatten();
        }
        self
    }
}

impl Summary for RfSummary {
    const COMMAND: &'static str = "rf";

    fn page(&self) -> Page {
        page::of(self)
    }

    fn partial(&self) -> bool {
        self.import.as_ref().is_some_and(StatusAndImport::partial)
    }
}
