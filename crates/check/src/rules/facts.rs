//! What is known of one network, computed when a rule first asks, and once.
//!
//! Rules judge, analyses compute: a rule that needs a fact which is not here gets it from a new function in
//! [`analysis`](cnnkit_core::analysis) and a method here, not from arithmetic of its own.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};

use super::{Edit, edit};
use cnnkit_core::analysis::channels::{Connectivity, Seam, connectivity, seams};
use cnnkit_core::analysis::dead_weights::{self, Idle};
use cnnkit_core::analysis::dilated::{Chain, Chains, TapsValid, chains, taps_valid};
use cnnkit_core::analysis::field::{Facts as FieldFacts, Fields, Options, analyse};
use cnnkit_core::analysis::gradient::{self, Severed};
use cnnkit_core::analysis::gridding::Gridding;
use cnnkit_core::analysis::memory::{self, Peak};
use cnnkit_core::analysis::paths::{Paths, paths};
use cnnkit_core::analysis::support::{Borders, Region, support};
use cnnkit_core::analysis::totals::{self, Counts};
use cnnkit_core::analysis::unread_positions::{self, Unread};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node, NodeId, Op};
use cnnkit_core::layers::window::Window;
use cnnkit_core::layers::{AxisReach, Layer, Role};
use cnnkit_core::source::{Origin, Sources};
use cnnkit_core::spec::document::Document;
use cnnkit_core::spec::names;

/// Everything that can be known of one network; a fact that cannot be told is a [`Problem`] that says why.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// The spec as it is written; none for an imported model.
    pub document: Option<&'a Document>,
    /// The texts.
    pub sources: &'a Sources,
    consumers: OnceCell<Vec<Vec<NodeId>>>,
    live: OnceCell<Vec<bool>>,
    lends: OnceCell<Vec<bool>>,
    /// Whether the spec names layers of a kind by generated ids.
    counted: RefCell<HashMap<&'static str, bool>>,
    counts: OnceCell<Vec<Counts>>,
    fields: OnceCell<Result<Fields, Problem>>,
    chains: OnceCell<Result<Chains, Problem>>,
    taps: OnceCell<Vec<TapsValid>>,
    connectivity: OnceCell<Result<Vec<Connectivity>, Problem>>,
    seams: OnceCell<Result<Vec<Seam>, Problem>>,
    paths: OnceCell<Result<Vec<Paths>, Problem>>,
    peak: OnceCell<Option<Peak>>,
    unread: OnceCell<Result<Vec<Unread>, Problem>>,
    severed: OnceCell<Vec<Severed>>,
    idle: OnceCell<Result<Vec<Idle>, Problem>>,
}

/// A fact that was kept, or the reason why there is none.
fn kept<T>(cell: &Result<T, Problem>) -> Result<&T, Problem> {
    cell.as_ref().map_err(Clone::clone)
}

impl<'a> Facts<'a> {
    /// Nothing is computed yet.
    pub fn new(graph: &'a Graph, document: Option<&'a Document>, sources: &'a Sources) -> Self {
        Self {
            graph,
            document,
            sources,
            consumers: OnceCell::new(),
            live: OnceCell::new(),
            lends: OnceCell::new(),
            counted: RefCell::default(),
            counts: OnceCell::new(),
            fields: OnceCell::new(),
            chains: OnceCell::new(),
            taps: OnceCell::new(),
            connectivity: OnceCell::new(),
            seams: OnceCell::new(),
            paths: OnceCell::new(),
            peak: OnceCell::new(),
            unread: OnceCell::new(),
            severed: OnceCell::new(),
            idle: OnceCell::new(),
        }
    }

    /// The node with index `id`.
    pub fn node(&self, id: NodeId) -> &'a Node {
        self.graph.node(id)
    }

    /// Where the node was written.
    pub fn origin(&self, id: NodeId) -> &'a Origin {
        &self.graph.node(id).origin
    }

    /// The nodes that read `id`, in execution order; a node that reads it twice stands there twice.
    pub fn consumers(&self, id: NodeId) -> &[NodeId] {
        &self.consumers.get_or_init(|| self.graph.consumers())[id.0]
    }

    /// The only node that reads `id`, if nothing else does and it is not an output of the network.
    pub fn only_consumer(&self, id: NodeId) -> Option<NodeId> {
        match self.consumers(id) {
            [only] if !self.graph.outputs.contains(&id) => Some(*only),
            _ => None,
        }
    }

    /// The layer that `id` is; none for an input of the network.
    pub fn layer(&self, id: NodeId) -> Option<&'a Layer> {
        match &self.graph.node(id).op {
            Op::Layer(layer) => Some(layer),
            Op::Input => None,
        }
    }

    /// All layers with their nodes, in execution order.
    pub fn layers(&self) -> impl Iterator<Item = (NodeId, &'a Node, &'a Layer)> {
        self.graph.iter().filter_map(|(id, node)| match &node.op {
            Op::Layer(layer) => Some((id, node, layer)),
            Op::Input => None,
        })
    }

    /// The first reader behind `id` that `skipped` does not hold for, if each on the way has a single reader.
    pub fn next(&self, id: NodeId, skipped: impl Fn(&Layer) -> bool) -> Option<NodeId> {
        let mut at = self.only_consumer(id)?;
        while self.layer(at).is_some_and(&skipped) {
            at = self.only_consumer(at)?;
        }
        Some(at)
    }

    /// The first layer or input before `id`'s first input that `skipped` does not hold for, if it is near: many layers
    /// may read the end of one long chain.
    pub fn before(&self, id: NodeId, skipped: impl Fn(&Layer) -> bool) -> Option<NodeId> {
        const NEAR: usize = 256;
        let mut at = *self.node(id).inputs.first()?;
        for _ in 0..NEAR {
            if !self.layer(at).is_some_and(&skipped) {
                return Some(at);
            }
            at = *self.node(at).inputs.first()?;
        }
        None
    }

    /// The windows with which `id` slides over its first input, one a spatial axis; none if it does not.
    pub fn windows(&self, id: NodeId) -> Option<Vec<Window>> {
        let reaches = self.graph.reach(self.node(id));
        let mut local = reaches.iter().filter(|reach| reach.role != Role::Context);
        let reach = local.next().filter(|reach| reach.input == 0 && reach.axes.len() > 1)?;
        let windows = reach.axes.iter().enumerate().skip(1).map(|(axis, reach)| match reach {
            AxisReach::Window { by, window } if *by == axis => Some(*window),
            _ => None,
        });
        windows.collect()
    }

    /// Feature maps of which a part is never read.
    pub fn unread(&self) -> Result<&[Unread], Problem> {
        let consumers = self.consumers.get_or_init(|| self.graph.consumers());
        kept(self.unread.get_or_init(|| unread_positions::unread(self.graph, consumers))).map(Vec::as_slice)
    }

    /// Weights of which some elements act on no output.
    pub fn idle(&self) -> Result<&[Idle], Problem> {
        kept(self.idle.get_or_init(|| dead_weights::idle(self.graph))).map(Vec::as_slice)
    }

    /// Layers that keep gradients from weights.
    pub fn severed(&self) -> &[Severed] {
        self.severed.get_or_init(|| gradient::severed(self.graph))
    }

    /// Whether an output of the network depends on `id`.
    pub fn live(&self, id: NodeId) -> bool {
        self.live.get_or_init(|| {
            let mut live = vec![false; self.graph.nodes.len()];
            for output in &self.graph.outputs {
                live[output.0] = true;
            }
            for (id, node) in self.graph.iter().collect::<Vec<_>>().into_iter().rev() {
                if live[id.0] {
                    node.inputs.iter().for_each(|input| live[input.0] = true);
                }
            }
            live
        })[id.0]
    }

    /// The change of the text that removes the layer `id`, if nothing counts on the ids of its kind and it owns its weights.
    pub fn removal(&self, id: NodeId) -> Option<Edit> {
        let kind = self.layer(id)?.doc().name;
        let counted = self.document.is_none_or(|document| {
            let known = self.counted.borrow().get(kind).copied();
            known.unwrap_or_else(|| {
                let ids = self.graph.nodes.iter().map(|node| node.id.as_str());
                let last: HashSet<&str> = ids.map(|id| id.rsplit('.').next().unwrap_or(id)).collect();
                let counted = names::counts_on(document, kind, |name| last.contains(name));
                self.counted.borrow_mut().insert(kind, counted);
                counted
            })
        });
        if counted || self.shares_weights(id) {
            None
        } else {
            edit::remove_item(self.sources, self.origin(id))
        }
    }

    /// Whether `id` lends its weights to another node, or uses another's.
    pub fn shares_weights(&self, id: NodeId) -> bool {
        let lends = self.lends.get_or_init(|| {
            let mut lends = vec![false; self.graph.nodes.len()];
            self.graph.nodes.iter().filter_map(|node| node.shares).for_each(|owner| lends[owner.0] = true);
            lends
        });
        self.node(id).shares.is_some() || lends[id.0]
    }

    /// Parameters, MACs and so on of one node, batch 1.
    pub fn counts(&self, id: NodeId) -> Counts {
        self.counts.get_or_init(|| self.graph.nodes.iter().map(totals::of_node).collect())[id.0]
    }

    /// Parameters, MACs and so on of the network, batch 1.
    pub fn totals(&self) -> Counts {
        (0..self.graph.nodes.len())
            .map(|node| self.counts(NodeId(node)))
            .fold(Counts::default(), Counts::plus)
    }

    /// The step at which most memory is in use.
    pub fn peak(&self) -> Option<&Peak> {
        self.peak.get_or_init(|| memory::peak(self.graph)).as_ref()
    }

    /// The receptive fields of all nodes.
    pub fn fields(&self) -> Result<&Fields, Problem> {
        kept(self.fields.get_or_init(|| analyse(self.graph, Options::default())))
    }

    /// The receptive field of one node with respect to each input that it depends on.
    pub fn field(&self, id: NodeId) -> Result<Vec<FieldFacts>, Problem> {
        self.fields()?.facts(self.graph, id)
    }

    /// Every maximal chain of dilated convolutions.
    pub fn chains(&self) -> Result<&Chains, Problem> {
        kept(self.chains.get_or_init(|| chains(self.graph)))
    }

    /// The exact coverage of one chain.
    pub fn gridding(&self, chain: &Chain) -> Result<Gridding, Problem> {
        Gridding::of(&chain.stack()?)
    }

    /// For each dilated convolution, how many of its taps fall onto the real feature map.
    pub fn taps_valid(&self) -> &[TapsValid] {
        self.taps.get_or_init(|| taps_valid(self.graph))
    }

    /// The exact set of positions of `input` that the unit in the middle of `node` reads, borders ignored.
    pub fn support(&self, node: NodeId, input: NodeId) -> Result<Region, Problem> {
        let middle: Vec<i128> =
            self.node(node).shape.spatial().iter().map(|&size| i128::from(size / 2)).collect();
        support(self.graph, node, input, &middle, Borders::Ignored)
    }

    /// Which input channels reach which output channels, gates left out.
    pub fn connectivity(&self) -> Result<&[Connectivity], Problem> {
        kept(self.connectivity.get_or_init(|| connectivity(self.graph, false))).map(Vec::as_slice)
    }

    /// Grouped layers in a row that keep their groups apart.
    pub fn seams(&self) -> Result<&[Seam], Problem> {
        kept(self.seams.get_or_init(|| seams(self.graph))).map(Vec::as_slice)
    }

    /// The paths to each output.
    pub fn paths(&self) -> Result<&[Paths], Problem> {
        kept(self.paths.get_or_init(|| paths(self.graph))).map(Vec::as_slice)
    }
}
