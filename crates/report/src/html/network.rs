//! The data of one network in the page: the summaries of the commands, the graph, and what the drawings need.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::profile::Profile;
use super::reaches::Reaches;
use crate::findings::Findings;
use crate::imported::Import;
use crate::layout::Tree;
use crate::summary::Spec;
use crate::verify::VerifySummary;
use crate::{channels, params, paths, rf};
use cnnkit_core::analysis::field::{Options, analyse, headline};
use cnnkit_core::analysis::memory::{self, Dtype};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node, Op};
use cnnkit_core::layers::WeightRole;
use cnnkit_core::source::{Sources, Span};
use cnnkit_core::spec::expectation::{Expectation, Limit};
use cnnkit_findings::Facts;
use cnnkit_findings::quantity::{Subject, holds, measure, show_found, show_target};

/// What the page shows of a network besides what follows from its graph.
#[derive(Debug, Default)]
pub struct About {
    /// The network's name, and how the call named it.
    pub spec: Spec,
    /// What the spec says that it is; empty if it says nothing.
    pub description: String,
    /// What `cnnkit check` finds in it.
    pub findings: Findings,
    /// The claims, if it was verified.
    pub verified: Option<VerifySummary>,
    /// The times of its layers, if it was measured.
    pub profile: Option<Profile>,
    /// Remarks about sums over an imported model.
    pub counts: Option<Import>,
    /// Remarks about dependences in an imported model.
    pub dependences: Option<Import>,
}

/// One network of the page.
#[derive(Debug, Serialize)]
pub struct NetworkData {
    pub(super) spec: Spec,
    description: String,
    params: params::ParamsSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    rf: Option<Value>,
    headline: Option<Headline>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<channels::ChannelsSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paths: Option<Value>,
    pub(super) check: Findings,
    expectations: Vec<Expected>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<VerifySummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
    graph: GraphData,
    /// Parts that could not be computed, with the reason.
    pub(super) missing: BTreeMap<&'static str, String>,
    #[serde(skip)]
    partial: bool,
}

/// The field that represents the network.
#[derive(Debug, Serialize)]
struct Headline {
    node: usize,
    size: Vec<i128>,
    global: bool,
}

/// An expectation of the spec, and what was measured.
#[derive(Debug, Serialize)]
struct Expected {
    name: &'static str,
    node: Option<String>,
    limit: &'static str,
    expected: String,
    found: Option<String>,
    problem: Option<String>,
    ok: bool,
    place: Option<String>,
}

/// The graph, by index of its nodes.
#[derive(Debug, Serialize)]
struct GraphData {
    nodes: Vec<NodeData>,
    outputs: Vec<usize>,
    /// For each node, the last step at which its output is needed.
    last_uses: Vec<usize>,
    /// The blocks; none if there are too many connections to draw.
    tree: Option<Tree>,
    reaches: Reaches,
    /// What each kind of layer is, by its name in the spec language.
    kinds: BTreeMap<&'static str, Kind>,
}

#[derive(Debug, Serialize)]
struct NodeData {
    id: String,
    inputs: Vec<usize>,
    /// The shape of its output; null where an imported model does not define it.
    shape: Option<Vec<u64>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    weights: Vec<WeightData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    /// The uses of the blocks around it, innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    uses: Vec<[String; 2]>,
}

#[derive(Debug, Serialize)]
struct WeightData {
    name: &'static str,
    shape: Vec<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    buffer: bool,
}

#[derive(Debug, Serialize)]
struct Kind {
    summary: &'static str,
    formulas: Vec<[&'static str; 2]>,
    source: &'static str,
}

/// Every layer, for one image in f32.
const VIEW: params::View = params::View {
    depth: None,
    by: params::By::Layer,
    sort: params::Sort::Order,
    top: None,
    batch: 1,
    dtype: Dtype::F32,
};

impl NetworkData {
    /// Returns the network's name.
    pub fn name(&self) -> &str {
        self.spec.name.as_deref().unwrap_or("network")
    }

    /// Returns whether every claim that was measured is true.
    pub fn holds(&self) -> bool {
        self.verify.as_ref().is_none_or(|verified| verified.ok)
    }

    /// Returns whether a figure depends on an operator that is not analysed.
    pub fn partial(&self) -> bool {
        self.partial
    }

    /// Computes everything that the page shows of the network of `facts`.
    pub fn of(facts: &Facts<'_>, about: About) -> Self {
        let graph = facts.graph;
        let partial = [&about.counts, &about.dependences].into_iter().flatten().any(|import| import.partial);
        let mut missing = BTreeMap::new();
        let rf = keep(
            &mut missing,
            "rf",
            rf::summary(
                graph,
                rf::Question { all: true, ..rf::Question::default() },
                about.dependences.clone(),
            ),
        );
        let channels = keep(&mut missing, "channels", channels::summary(graph, about.dependences.clone()));
        let paths = keep(&mut missing, "paths", paths::summary(graph, about.dependences.clone()));
        let tree = Tree::of(graph);
        if tree.is_none() {
            missing.insert("graph", "not supported: a drawing of this many connections".into());
        }
        Self {
            description: about.description,
            partial,
            params: params::summary(graph, VIEW, None, about.counts),
            rf: rf.map(|rf| plain(&json!({ "layers": rf.layers, "misaligned": rf.misaligned }))),
            headline: keep(&mut missing, "rf", represents(graph)).flatten(),
            channels,
            paths: paths.map(|paths| without_fields(&paths)),
            check: about.findings,
            expectations: expectations(facts),
            verify: about.verified,
            profile: about.profile,
            graph: GraphData {
                nodes: graph.nodes().iter().map(|node| data(node, facts.sources)).collect(),
                outputs: graph.outputs().iter().map(|id| id.index()).collect(),
                last_uses: memory::last_uses(graph),
                tree,
                reaches: Reaches::of(graph),
                kinds: kinds(graph),
            },
            missing,
            spec: about.spec,
        }
    }
}

/// Returns the result, or records why there is none.
fn keep<T>(
    missing: &mut BTreeMap<&'static str, String>,
    part: &'static str,
    result: Result<T, Problem>,
) -> Option<T> {
    result.map_err(|problem| missing.insert(part, problem.message)).ok()
}

fn represents(graph: &Graph) -> Result<Option<Headline>, Problem> {
    let facts = headline(graph, &analyse(graph, Options::default())?);
    Ok(facts.map(|facts| Headline {
        node: facts.node.index(),
        size: facts.axes.iter().map(|axis| axis.size).collect(),
        global: facts.global,
    }))
}

/// Returns a value without keys that are null: the page reads an absent key in the same way.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), plain(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// Returns the paths without the distribution of fields, which the page does not show and which may be long.
fn without_fields(paths: &paths::PathsSummary) -> Value {
    let mut value = json!({ "outputs": paths.outputs, "dense_blocks": paths.dense_blocks });
    if let Some(outputs) = value["outputs"].as_array_mut() {
        for output in outputs.iter_mut().filter_map(Value::as_object_mut) {
            output.remove("fields");
        }
    }
    value
}

fn data(node: &Node, sources: &Sources) -> NodeData {
    let weight = |weight: &cnnkit_core::layers::Weight| WeightData {
        name: weight.name,
        shape: weight.shape.sizes().to_vec(),
        buffer: weight.role != WeightRole::Parameter,
    };
    NodeData {
        id: node.id.clone(),
        inputs: node.inputs.iter().map(|input| input.index()).collect(),
        shape: node.known_shape().map(|shape| shape.sizes().to_vec()),
        weights: node.weights.iter().map(weight).collect(),
        place: node.origin.span.map(|span| place(sources, span)),
        uses: node
            .origin
            .used_at
            .iter()
            .map(|(block, span)| [block.clone(), place(sources, *span)])
            .collect(),
    }
}

/// Formats `net.yaml:12:5`.
fn place(sources: &Sources, span: Span) -> String {
    let (line, column) = sources.line_column(span.source, span.start);
    format!("{}:{line}:{column}", sources.get(span.source).name)
}

fn kinds(graph: &Graph) -> BTreeMap<&'static str, Kind> {
    let layers = graph.nodes().iter().filter_map(|node| match &node.op {
        Op::Layer(layer) => Some(layer.doc()),
        Op::Input => None,
    });
    layers
        .map(|doc| {
            let formulas = doc.formulas.iter().map(|&(name, formula)| [name, formula]).collect();
            (doc.name, Kind { summary: doc.summary, formulas, source: doc.source })
        })
        .collect()
}

fn expectations(facts: &Facts<'_>) -> Vec<Expected> {
    let all = facts.document.map_or(&[][..], |document| &document.expectations);
    all.iter().map(|expectation| expected(facts, expectation)).collect()
}

fn expected(facts: &Facts<'_>, expectation: &Expectation) -> Expected {
    let quantity = expectation.expectable();
    let subject = match &expectation.node {
        None => Some(Subject::Network),
        Some((id, _)) => Subject::named(facts, id),
    };
    let found = match &subject {
        Some(subject) => measure(facts, subject, expectation.quantity).map_err(|problem| problem.message),
        None => Err("there is no such layer or block".to_owned()),
    };
    Expected {
        name: quantity.name,
        node: expectation.node.as_ref().map(|(id, _)| id.clone()),
        limit: match expectation.limit {
            Limit::Exact => "",
            Limit::Min => "at least",
            Limit::Max => "at most",
        },
        expected: show_target(quantity.unit, &expectation.target),
        ok: found.as_ref().is_ok_and(|found| holds(found, expectation.limit, &expectation.target)),
        found: found.as_ref().ok().map(|found| show_found(quantity.unit, found)),
        problem: found.err(),
        place: Some(place(facts.sources, expectation.span)),
    }
}
