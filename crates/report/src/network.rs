//! A network as a drawing: its nodes, the connections between them, and the blocks that contain them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use crate::imported::{Import, StatusAndImport};
use crate::{Block, Cell, Column, Page, Row, Summary, Table};
use cnnkit_core::graph::{Graph, Op};
use cnnkit_core::number::counted;

/// A layer graph, ready to be drawn.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "GraphSummary")]
pub struct Network {
    /// The network's name.
    #[serde(skip)]
    pub name: String,
    /// Nodes in execution order.
    #[serde(serialize_with = "each")]
    #[schemars(with = "Vec<Node>")]
    pub nodes: Arc<[Node]>,
    /// The connections, each from a node to a node that reads it.
    pub edges: Edges,
    /// Ids of the network's outputs.
    pub outputs: Vec<String>,
    /// What is not analysed.
    #[serde(flatten)]
    pub import: Option<StatusAndImport>,
}

/// A node of a layer graph.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "GraphNode")]
pub struct Node {
    /// Its id.
    pub id: String,
    /// The layer's name in the spec language; `input`, or `block` for several layers drawn as one node.
    pub op: &'static str,
    /// Its settings in a few words; for a block, the number of its layers.
    pub settings: String,
    /// The shape of its output, without the batch.
    pub shape: Vec<u64>,
    /// Indices of the nodes that it reads.
    #[serde(skip)]
    pub inputs: Vec<usize>,
    /// The block that contains it; empty at the top level.
    pub block: String,
    /// Its role.
    #[serde(skip)]
    pub part: Part,
    /// Whether it is an output of the network.
    pub output: bool,
}

/// The role of a node, which determines its mark in a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// An input of the network.
    Input,
    /// A layer with weights, or a block that has one.
    Weighted,
    /// A layer without weights.
    Plain,
}

/// A connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "GraphEdge")]
pub struct Edge<'a> {
    /// Id of the node that is read.
    pub from: &'a str,
    /// Id of the node that reads.
    pub to: &'a str,
}

/// All connections of a network: those that its nodes state, made when they are asked for. A dense block has as many as
/// the square of its layers.
#[derive(Debug, Clone)]
pub struct Edges(Arc<[Node]>);

impl Edges {
    /// Iterates over the connections, in the order of the nodes that read.
    pub fn iter(&self) -> impl Iterator<Item = Edge<'_>> {
        let nodes = &self.0;
        nodes
            .iter()
            .flat_map(move |to| to.inputs.iter().map(move |&from| Edge { from: &nodes[from].id, to: &to.id }))
    }
}

impl Serialize for Edges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl JsonSchema for Edges {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Edges".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<Edge<'static>>::json_schema(generator)
    }
}

fn each<S: Serializer>(nodes: &Arc<[Node]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(nodes.iter())
}

impl Network {
    /// Returns `graph` with blocks below `depth` levels drawn as one node each.
    pub fn of(graph: &Graph, depth: usize) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        // The index of each node of the graph in the drawing.
        let mut place = Vec::with_capacity(graph.nodes().len());
        let mut sizes: Vec<u64> = Vec::new();
        // What the block that is drawn last reads.
        let mut known: HashSet<usize> = HashSet::new();
        let returned = graph.returned();
        for (id, node) in graph.iter() {
            let path: Vec<&str> = node.id.split('.').collect();
            let folded = path.len() > depth.max(1) && node.op != Op::Input;
            let name = if folded { path[..depth.max(1)].join(".") } else { node.id.clone() };
            let weighted = !node.weights.is_empty();
            let mut inputs: Vec<usize> = node.inputs.iter().map(|input| place[input.index()]).collect();
            let output = returned[id.index()];
            // Only consecutive nodes are folded, which cannot create a cycle.
            if folded && let Some(last) = nodes.last_mut().filter(|last| last.op == BLOCK && last.id == name)
            {
                let index = place[id.index() - 1];
                inputs.retain(|&input| input != index && !known.contains(&input));
                known.extend(&inputs);
                last.inputs.append(&mut inputs);
                last.shape = node.shape.sizes().to_vec();
                last.output |= output;
                if weighted {
                    last.part = Part::Weighted;
                }
                sizes[index] += 1;
                place.push(index);
                continue;
            }
            inputs.dedup();
            known.clear();
            if folded {
                known.extend(&inputs);
            }
            place.push(nodes.len());
            sizes.push(1);
            let settings = match &node.op {
                Op::Layer(layer) if !folded => layer.describe(),
                _ => String::new(),
            };
            nodes.push(Node {
                op: if folded { BLOCK } else { node.op.name() },
                settings,
                shape: node.shape.sizes().to_vec(),
                inputs,
                // An input is in no block, whatever it is called: PyTorch's exporter says `input.1`.
                block: name
                    .rsplit_once('.')
                    .filter(|_| node.op != Op::Input)
                    .map_or(String::new(), |(block, _)| block.to_owned()),
                part: match (&node.op, weighted) {
                    (Op::Input, _) => Part::Input,
                    (_, true) => Part::Weighted,
                    (_, false) => Part::Plain,
                },
                output,
                id: name,
            });
        }
        for (node, size) in nodes.iter_mut().zip(sizes).filter(|(node, _)| node.op == BLOCK) {
            node.settings = format!("of {size} layer{}", if size == 1 { "" } else { "s" });
        }
        Self::with_edges(graph.name().to_owned(), nodes)
    }

    /// Returns the same network with what is not analysed of it.
    #[must_use]
    pub fn with_import(self, import: Option<Import>) -> Self {
        Self { import: import.map(StatusAndImport::from), ..self }
    }

    fn with_edges(name: String, nodes: Vec<Node>) -> Self {
        let outputs = nodes.iter().filter(|node| node.output).map(|node| node.id.clone()).collect();
        let nodes: Arc<[Node]> = nodes.into();
        Self { name, edges: Edges(Arc::clone(&nodes)), outputs, nodes, import: None }
    }

    /// Returns the network as a table, for formats without drawings.
    pub fn table(&self) -> Table {
        let columns = ["id", "layer", "settings", "reads", "output"].map(Column::text).to_vec();
        let row = |node: &Node| {
            let reads: Vec<&str> = node.inputs.iter().map(|&input| self.nodes[input].id.as_str()).collect();
            Row::new(vec![
                Cell::text(&node.id),
                Cell::text(node.op),
                Cell::text(&node.settings),
                Cell::text(reads.join(" ")),
                Cell::text(node.shape_text()),
            ])
        };
        Table { name: "nodes", columns, rows: self.nodes.iter().map(row).collect() }
    }
}

impl Summary for Network {
    const COMMAND: &'static str = "graph";

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.title_with(&self.name, counted(self.nodes.len() as u64, "node"));
        page.push(Block::Network(self.clone()));
        page
    }

    fn partial(&self) -> bool {
        self.import.as_ref().is_some_and(StatusAndImport::partial)
    }
}

const BLOCK: &str = "block";

impl Node {
    /// Formats `[64, 56, 56]`.
    pub fn shape_text(&self) -> String {
        format!("[{}]", self.shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
    }

    /// Formats `conv 64 k7 s2 p3`.
    pub fn label(&self) -> String {
        if self.settings.is_empty() { self.op.to_owned() } else { format!("{} {}", self.op, self.settings) }
    }
}
