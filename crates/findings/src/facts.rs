//! The facts about one network, each computed once, when a rule first requests it.
//!
//! Rules judge, analyses compute: a rule that needs another fact gets it from a new function in
//! [`analysis`](cnnkit_core::analysis) and a method here, not from arithmetic of its own.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};

use crate::{Edit, edit};
use cnnkit_core::analysis::channels::{Connectivity, Seam, connectivity, seams};
use cnnkit_core::analysis::dead_weights::{self, Idle};
use cnnkit_core::analysis::dilated::{Chain, Chains, TapsValid, chains, taps_valid};
use cnnkit_core::analysis::field::{Facts as FieldFacts, Fields, Options, analyse};
use cnnkit_core::analysis::gradient::{self, Severed};
use cnnkit_core::analysis::gridding::Gridding;
use cnnkit_core::analysis::memory::{self, Peak};
use cnnkit_core::analysis::paths::{Paths, paths};
use cnnkit_core::analysis::support::{Region, Supports};
use cnnkit_core::analysis::totals::{self, Counts};
use cnnkit_core::analysis::unread_positions::{self, Unread};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node, NodeId, Op};
use cnnkit_core::layers::window::Window;
use cnnkit_core::layers::{AxisReach, Layer, Role};
use cnnkit_core::source::{Origin, SourceId, Sources, Span};
use cnnkit_core::spec::document::Document;
use cnnkit_core::spec::names;

/// All facts about one network; a fact that cannot be computed is a [`Problem`] with the reason.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// The spec as written; `None` for an imported model.
    pub document: Option<&'a Document>,
    /// The texts.
    pub sources: &'a Sources,
    lines: OnceCell<HashSet<(SourceId, usize)>>,
    consumers: OnceCell<Vec<Vec<NodeId>>>,
    supports: OnceCell<Supports>,
    outputs: OnceCell<HashSet<NodeId>>,
    ids: OnceCell<HashMap<String, NodeId>>,
    names: OnceCell<Vec<String>>,
    live: OnceCell<Vec<bool>>,
    lends: OnceCell<Vec<bool>>,
    /// Whether the spec refers to layers of a kind by generated ids.
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

/// Returns a cached fact, or the reason why there is none.
fn kept<T>(cell: &Result<T, Problem>) -> Result<&T, Problem> {
    cell.as_ref().map_err(Clone::clone)
}

impl<'a> Facts<'a> {
    /// Returns facts of which none is computed yet.
    pub fn new(graph: &'a Graph, document: Option<&'a Document>, sources: &'a Sources) -> Self {
        Self {
            graph,
            document,
            sources,
            lines: OnceCell::new(),
            consumers: OnceCell::new(),
            supports: OnceCell::new(),
            outputs: OnceCell::new(),
            ids: OnceCell::new(),
            names: OnceCell::new(),
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

    /// Returns the node with index `id`.
    pub fn node(&self, id: NodeId) -> &'a Node {
        self.graph.node(id)
    }

    /// Returns where the node was written.
    pub fn origin(&self, id: NodeId) -> &'a Origin {
        &self.graph.node(id).origin
    }

    /// Returns the texts in which the network was written, its own first; none for a model file.
    pub fn texts(&self) -> Vec<SourceId> {
        if let Some(document) = self.document {
            return document.files.iter().map(|file| file.source).collect();
        }
        let mut texts: Vec<SourceId> = self.lines().iter().map(|&(source, _)| source).collect();
        texts.sort_unstable();
        texts.dedup();
        let own = self.whole().map(|span| span.source);
        texts.sort_by_key(|&source| Some(source) != own);
        texts
    }

    /// Returns the position of the network as a whole: the input of a spec, the class of a module.
    pub fn whole(&self) -> Option<Span> {
        match self.document {
            Some(document) => Some(document.input_span),
            None => self.graph.nodes().first()?.origin.span,
        }
    }

    /// Returns whether a comment of a text, for `line` or for all of it, is about this network alone. Other networks
    /// include the files of a spec's blocks as well, and a file of Python defines several networks.
    pub fn concerns(&self, source: SourceId, line: Option<usize>) -> bool {
        match (self.document, line) {
            (Some(document), _) => document.files.first().is_some_and(|own| own.source == source),
            (None, Some(line)) => self.lines().contains(&(source, line)),
            (None, None) => self.whole().is_some_and(|own| own.source == source),
        }
    }

    /// Returns the lines on which layers were written, or modules that contain them.
    fn lines(&self) -> &HashSet<(SourceId, usize)> {
        self.lines.get_or_init(|| {
            let spans = self.graph.nodes().iter().flat_map(|node| {
                node.origin.span.into_iter().chain(node.origin.used_at.iter().map(|(_, span)| *span))
            });
            let spans: HashSet<Span> = spans.collect();
            spans
                .into_iter()
                .map(|span| (span.source, self.sources.line_column(span.source, span.start).0))
                .collect()
        })
    }

    /// Returns the nodes that read `id`, in execution order; a node that reads it twice appears twice.
    pub fn consumers(&self, id: NodeId) -> &[NodeId] {
        &self.consumers.get_or_init(|| self.graph.consumers())[id.index()]
    }

    /// Returns the only node that reads `id`, if there is exactly one and `id` is not an output of the network.
    pub fn only_consumer(&self, id: NodeId) -> Option<NodeId> {
        match self.consumers(id) {
            [only] if !self.is_output(id) => Some(*only),
            _ => None,
        }
    }

    /// Whether the network returns `id`.
    pub fn is_output(&self, id: NodeId) -> bool {
        self.outputs.get_or_init(|| self.graph.outputs().iter().copied().collect()).contains(&id)
    }

    /// Returns the node named `name`.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        let ids = || self.graph.iter().map(|(id, node)| (node.id.clone(), id)).collect();
        self.ids.get_or_init(ids).get(name).copied()
    }

    /// Returns all ids, and the groups and blocks that are their prefixes, sorted.
    pub fn names(&self) -> &[String] {
        self.names.get_or_init(|| {
            let ids = self.graph.nodes().iter().map(|node| node.id.as_str());
            let mut names: Vec<&str> = ids.clone().collect();
            names.extend(ids.flat_map(|id| id.match_indices('.').map(move |(dot, _)| &id[..dot])));
            names.sort_unstable();
            names.dedup();
            names.into_iter().map(str::to_owned).collect()
        })
    }

    /// Returns the layer of `id`; `None` for an input of the network.
    pub fn layer(&self, id: NodeId) -> Option<&'a Layer> {
        match &self.graph.node(id).op {
            Op::Layer(layer) => Some(layer),
            Op::Input => None,
        }
    }

    /// Iterates over all layers with their nodes, in execution order.
    pub fn layers(&self) -> impl Iterator<Item = (NodeId, &'a Node, &'a Layer)> {
        self.graph.iter().filter_map(|(id, node)| match &node.op {
            Op::Layer(layer) => Some((id, node, layer)),
            Op::Input => None,
        })
    }

    /// Returns the first reader after `id` that `skipped` rejects, if each node on the way has a single reader.
    pub fn next(&self, id: NodeId, skipped: impl Fn(&Layer) -> bool) -> Option<NodeId> {
        let mut at = self.only_consumer(id)?;
        while self.layer(at).is_some_and(&skipped) {
            at = self.only_consumer(at)?;
        }
        Some(at)
    }

    /// Returns the first layer or input before `id`'s first input that `skipped` rejects, if it is near: many layers
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

    /// Returns the windows with which `id` slides over its first input, one per spatial axis; `None` if it has none.
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

    /// Returns the feature maps of which a part is never read.
    pub fn unread(&self) -> Result<&[Unread], Problem> {
        let consumers = self.consumers.get_or_init(|| self.graph.consumers());
        kept(self.unread.get_or_init(|| unread_positions::unread(self.graph, consumers))).map(Vec::as_slice)
    }

    /// Returns the weights of which some elements act on no output.
    pub fn idle(&self) -> Result<&[Idle], Problem> {
        kept(self.idle.get_or_init(|| dead_weights::idle(self.graph))).map(Vec::as_slice)
    }

    /// Returns the layers that block gradients from reaching weights.
    pub fn severed(&self) -> &[Severed] {
        self.severed.get_or_init(|| gradient::severed(self.graph))
    }

    /// Returns whether an output of the network depends on `id`.
    pub fn live(&self, id: NodeId) -> bool {
        self.live.get_or_init(|| {
            let mut live = vec![false; self.graph.nodes().len()];
            for output in self.graph.outputs() {
                live[output.index()] = true;
            }
            for (id, node) in self.graph.iter().collect::<Vec<_>>().into_iter().rev() {
                if live[id.index()] {
                    node.inputs.iter().for_each(|input| live[input.index()] = true);
                }
            }
            live
        })[id.index()]
    }

    /// Returns the edit that removes the layer `id`, if nothing depends on the ids of its kind and it owns its
    /// weights.
    pub fn removal(&self, id: NodeId) -> Option<Edit> {
        let kind = self.layer(id)?.doc().name;
        let counted = self.document.is_none_or(|document| {
            let known = self.counted.borrow().get(kind).copied();
            known.unwrap_or_else(|| {
                let ids = self.graph.nodes().iter().map(|node| node.id.as_str());
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

    /// Returns whether another node uses the weights of `id`, or it uses another's.
    pub fn shares_weights(&self, id: NodeId) -> bool {
        let lends = self.lends.get_or_init(|| {
            let mut lends = vec![false; self.graph.nodes().len()];
            self.graph
                .nodes()
                .iter()
                .filter_map(|node| node.shares)
                .for_each(|owner| lends[owner.index()] = true);
            lends
        });
        self.node(id).shares.is_some() || lends[id.index()]
    }

    /// Returns parameters, MACs and so on of one node, batch 1.
    pub fn counts(&self, id: NodeId) -> Counts {
        self.counts.get_or_init(|| self.graph.nodes().iter().map(totals::of_node).collect())[id.index()]
    }

    /// Returns parameters, MACs and so on of the network, batch 1.
    pub fn totals(&self) -> Counts {
        (0..self.graph.nodes().len())
            .map(|node| self.counts(NodeId::new(node)))
            .fold(Counts::default(), Counts::plus)
    }

    /// Returns the step with the largest memory use.
    pub fn peak(&self) -> Option<&Peak> {
        self.peak.get_or_init(|| memory::peak(self.graph)).as_ref()
    }

    /// Returns the receptive fields of all nodes.
    pub fn fields(&self) -> Result<&Fields, Problem> {
        kept(self.fields.get_or_init(|| analyse(self.graph, Options::default())))
    }

    /// Returns the receptive field of one node with respect to each input that it depends on.
    pub fn field(&self, id: NodeId) -> Result<Vec<FieldFacts>, Problem> {
        self.fields()?.facts(self.graph, id)
    }

    /// Returns every maximal chain of dilated convolutions.
    pub fn chains(&self) -> Result<&Chains, Problem> {
        kept(self.chains.get_or_init(|| chains(self.graph)))
    }

    /// Returns the exact coverage of one chain.
    pub fn gridding(&self, chain: &Chain) -> Result<Gridding, Problem> {
        Gridding::of(&chain.stack()?)
    }

    /// Returns, for each dilated convolution, how many of its taps lie on the feature map.
    pub fn taps_valid(&self) -> &[TapsValid] {
        self.taps.get_or_init(|| taps_valid(self.graph))
    }

    /// Returns the exact set of positions of `input` that the unit in the middle of `node` reads, borders ignored.
    pub fn support(&self, node: NodeId, input: NodeId) -> Result<Region, Problem> {
        let middle: Vec<i128> =
            self.node(node).shape.spatial().iter().map(|&size| i128::from(size / 2)).collect();
        self.supports.get_or_init(|| Supports::new(self.graph)).of(self.graph, node, input, &middle)
    }

    /// Returns which input channels reach which output channels, without gates.
    pub fn connectivity(&self) -> Result<&[Connectivity], Problem> {
        kept(self.connectivity.get_or_init(|| connectivity(self.graph, false))).map(Vec::as_slice)
    }

    /// Returns pairs of consecutive grouped layers that keep their groups isolated.
    pub fn seams(&self) -> Result<&[Seam], Problem> {
        kept(self.seams.get_or_init(|| seams(self.graph))).map(Vec::as_slice)
    }

    /// Returns the paths to each output.
    pub fn paths(&self) -> Result<&[Paths], Problem> {
        kept(self.paths.get_or_init(|| paths(self.graph))).map(Vec::as_slice)
    }
}
