//! A spec, tried at other input sizes: it is expanded anew for each size if it reads the sizes of its inputs
//! (`$in_size`).

use std::borrow::Cow;

use cnnkit_core::analysis::sizes::{AxisSizes, Sized, Trial, inputs_of};
use cnnkit_core::diagnostic::{Code, Diagnostic};
use cnnkit_core::graph::{Graph, Unbuilt};
use cnnkit_core::layers::Weight;
use cnnkit_core::shape::Shape;
use cnnkit_core::spec::Overrides;
use cnnkit_core::spec::document::Document;
use cnnkit_core::spec::expand::{expand, input_shapes};
use cnnkit_core::spec::names::reads_shapes;

/// A spec, which is expanded anew for each size if it reads the sizes of its inputs (`$in_size`).
pub struct Spec<'a> {
    document: &'a Document,
    overrides: Overrides,
    inputs: Vec<(String, Shape)>,
    /// The network at the spec's own size; none if it does not fit there.
    own: Option<Graph>,
    /// The same network from fewer connections, if it has dense blocks.
    joined: Option<Graph>,
    /// The errors at the spec's own size.
    flaws: Vec<Diagnostic>,
    /// Whether other sizes may result in another graph.
    changes: bool,
}

impl<'a> Spec<'a> {
    /// Returns the trial of a spec, which need not fit its own size; its errors if no other size could fix
    /// them.
    pub fn new(document: &'a Document, overrides: &Overrides) -> Result<Self, Vec<Diagnostic>> {
        let (own, flaws) = match expand(document, overrides) {
            Ok(graph) => (Some(graph), vec![]),
            Err(unbuilt) => (None, unbuilt.into_flaws()),
        };
        let of_size = |error: &Diagnostic| {
            matches!(
                error.code,
                Code::Shape | Code::InvalidValue | Code::Expression | Code::Overflow | Code::Limit
            )
        };
        let inputs = own.as_ref().map(inputs_of).or_else(|| input_shapes(document, overrides));
        match inputs {
            Some(inputs) if flaws.iter().all(of_size) => {
                let changes = reads_shapes(document);
                let joined = own.as_ref().and_then(|own| match own.joined() {
                    Cow::Owned(joined) => Some(joined),
                    Cow::Borrowed(_) => None,
                });
                Ok(Self { document, overrides: overrides.clone(), inputs, own, joined, flaws, changes })
            }
            _ => Err(flaws),
        }
    }

    /// Returns the errors at the spec's own size; none if it fits.
    pub fn flaws(&self) -> &[Diagnostic] {
        &self.flaws
    }

    /// Returns whether the weights depend on the size, so that each size is a different network. A spec that
    /// fits its own size keeps its weights.
    pub fn varies(&self, axes: &[AxisSizes]) -> bool {
        let near = |sizes: &AxisSizes, size: u64| {
            let (low, high) = sizes.works.around(size);
            high.or(low)
        };
        let with = |moved: Option<&AxisSizes>| -> Option<Graph> {
            let mut inputs: Vec<Vec<u64>> =
                self.inputs.iter().map(|(_, shape)| shape.sizes().to_vec()).collect();
            for sizes in axes {
                let own = near(sizes, sizes.current)?;
                let size = if moved == Some(sizes) { near(sizes, own + 1)? } else { own };
                for slot in &sizes.slots {
                    *inputs.get_mut(slot.input)?.get_mut(slot.axis + 1)? = size;
                }
            }
            let inputs: Vec<Shape> = inputs.into_iter().map(Shape::new).collect();
            self.built(&inputs).ok()
        };
        let Some(first) = with(None).filter(|_| self.own.is_none()) else { return false };
        axes.iter().filter_map(|sizes| with(Some(sizes))).any(|other| weights(&first) != weights(&other))
    }

    /// Returns the network at the spec's own size, if it fits.
    pub fn own(&self) -> Option<&Graph> {
        self.own.as_ref()
    }

    /// Returns the network with inputs of these shapes, with any weights, or its errors.
    pub fn built(&self, inputs: &[Shape]) -> Result<Graph, Vec<Diagnostic>> {
        let mut overrides = self.overrides.clone();
        let named = self.inputs.iter().zip(inputs);
        overrides.inputs = named.map(|((name, _), shape)| (name.clone(), shape.sizes().to_vec())).collect();
        expand(self.document, &overrides).map_err(Unbuilt::into_flaws)
    }
}

/// Returns the weights that are counted, in order.
fn weights(graph: &Graph) -> Vec<&Weight> {
    graph.nodes().iter().flat_map(|node| node.own_weights().map(|(_, weight)| weight)).collect()
}

impl Trial for Spec<'_> {
    fn inputs(&self) -> &[(String, Shape)] {
        &self.inputs
    }

    fn at(&self, inputs: &[Shape]) -> Option<Sized<'_>> {
        match &self.own {
            Some(own) if !self.changes => {
                let graph = self.joined.as_ref().unwrap_or(own);
                graph.reinfer(inputs).ok().map(|shapes| Sized::Reshaped(graph, shapes))
            }
            own => {
                let graph = self.built(inputs).ok()?;
                // If the spec fits its own size, other sizes must have the same weights.
                let same = own.as_ref().is_none_or(|own| weights(own) == weights(&graph));
                same.then(|| Sized::Built(Box::new(graph)))
            }
        }
    }
}
