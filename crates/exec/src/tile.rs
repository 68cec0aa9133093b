//! Runs a network tile by tile: the kept parts of all tiles, put together, are the output on the whole image.

use std::collections::HashMap;

use crate::network::Network;
use crate::run::Kernels;
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batched};
use cnnkit_core::analysis::along::Track;
use cnnkit_core::analysis::probe::Sizes;
use cnnkit_core::analysis::tiling::{Span, TileAxis};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};

/// A network that runs on tiles of an image.
pub struct Tiles<'a, S> {
    network: &'a Network<'a, S>,
    sizes: &'a Sizes<'a>,
    axes: &'a [TileAxis],
    whole: Graph,
    /// The network at the sizes of tiles: few sizes occur often.
    graphs: HashMap<Vec<u64>, Graph>,
}

/// What a tile contributes to an output: a part, and its first element in the whole, batch axis first. None if it
/// contributes nothing.
pub type Piece<S> = Option<(Tensor<S>, Vec<usize>)>;

impl<'a, S: Scalar> Tiles<'a, S> {
    /// Prepares `network` for an image of these sizes. `axes` are those of
    /// [`tiling::analyse`](cnnkit_core::analysis::tiling::analyse) for the network of `sizes`.
    pub fn new(
        network: &'a Network<'a, S>,
        sizes: &'a Sizes<'a>,
        axes: &'a [TileAxis],
        image: &[u64],
    ) -> Result<Self, Problem> {
        let whole = sizes.at(image).filter(|_| image.len() == axes.len()).ok_or_else(gone)?;
        Ok(Self { network, sizes, axes, whole, graphs: HashMap::new() })
    }

    /// Returns the network on the whole image.
    pub fn whole(&self) -> &Graph {
        &self.whole
    }

    /// Runs the network on a tile of `inputs`, which are those of the whole image, batch axis first. Returns what it
    /// contributes to each output.
    pub fn piece(
        &mut self,
        tile: &[Span],
        inputs: &[Tensor<S>],
        kernels: &impl Kernels<S>,
    ) -> Result<Vec<Piece<S>>, Problem> {
        if tile.iter().any(|span| span.read[0] >= span.read[1]) || tile.len() != self.axes.len() {
            return Err(gone());
        }
        let size: Vec<u64> = tile.iter().map(Span::length).collect();
        if !self.graphs.contains_key(&size) {
            self.graphs.insert(size.clone(), self.sizes.at(&size).ok_or_else(gone)?);
        }
        let parts = inputs.iter().map(|input| part(input, tile)).collect();
        let results = self.network.on(&self.graphs[&size])?.run(parts, kernels, |_| ())?.outputs;
        let outputs = self.whole.outputs().iter().zip(&results);
        outputs.map(|(&node, result)| kept(result, &self.whole, node, self.axes, tile)).collect()
    }
}

/// Runs `network` on the tiles `spans` (one list per axis; every combination is a tile) of `inputs`, which are those of
/// the whole image, batch axis first. Returns the network's outputs. `axes` and `spans` are those of
/// [`tiling::analyse`](cnnkit_core::analysis::tiling::analyse) for the network of `sizes`.
pub fn run<S: Scalar>(
    network: &Network<'_, S>,
    sizes: &Sizes<'_>,
    axes: &[TileAxis],
    spans: &[Vec<Span>],
    inputs: &[Tensor<S>],
    kernels: &impl Kernels<S>,
) -> Result<Vec<Tensor<S>>, Problem> {
    let image: Vec<u64> =
        spans.iter().map(|spans| spans.iter().map(|span| span.read[1]).max().unwrap_or(0)).collect();
    let mut tiles = Tiles::new(network, sizes, axes, &image)?;
    let shapes = tiles.whole.inputs().map(|(_, node)| node.shape.clone());
    if !shapes.eq(inputs.iter().map(Tensor::shape)) {
        return Err(gone());
    }
    let batch = inputs.first().map_or(1, Tensor::batch);
    let mut outputs = Vec::with_capacity(tiles.whole.outputs().len());
    for &output in tiles.whole.outputs() {
        outputs.push(Tensor::zeros(&batched(batch, &tiles.whole.node(output).shape)?));
    }
    let mut at = vec![0usize; spans.len()];
    loop {
        let tile: Vec<Span> = at.iter().zip(spans).map(|(&index, spans)| spans[index]).collect();
        let pieces = tiles.piece(&tile, inputs, kernels)?;
        for (output, piece) in outputs.iter_mut().zip(pieces) {
            if let Some((part, place)) = piece {
                output.place(&place, &part);
            }
        }
        let Some(next) = (0..at.len()).rev().find(|&axis| at[axis] + 1 < spans[axis].len()) else { break };
        at[next] += 1;
        at[next + 1..].fill(0);
    }
    Ok(outputs)
}

/// Returns what a tile reads of an input; an input without these axes is read whole.
fn part<S: Scalar>(input: &Tensor<S>, tile: &[Span]) -> Tensor<S> {
    if input.sizes().len() != tile.len() + 2 {
        return input.clone();
    }
    let cut = |part: Tensor<S>, (axis, span): (usize, &Span)| {
        part.section(axis + 2, index(span.read[0])..index(span.read[1]))
    };
    tile.iter().enumerate().fold(input.clone(), cut)
}

/// Returns the kept part of a tile's output, and its place in the whole output; none if it is empty.
fn kept<S: Scalar>(
    result: &Tensor<S>,
    whole: &Graph,
    node: NodeId,
    axes: &[TileAxis],
    tile: &[Span],
) -> Result<Piece<S>, Problem> {
    let mut part = result.clone();
    let mut place = vec![0; part.sizes().len()];
    for (axis, span) in axes.iter().zip(tile) {
        let Track::Follows { axis, scale } = &axis.along.tracks[node.index()] else { continue };
        let unit = |position: u64| (*scale * i128::from(position)).ceil().to_integer();
        let total = whole.node(node).shape.sizes().get(*axis).map_or(0, |&size| i128::from(size));
        let (from, to) = (unit(span.core[0]).min(total), unit(span.core[1]).min(total));
        let start = unit(span.read[0]);
        if from >= to {
            return Ok(None);
        }
        let local = |unit: i128| usize::try_from(unit - start).map_err(|_| gone());
        let (low, high) = (local(from)?, local(to)?);
        if high > part.sizes()[axis + 1] {
            return Err(gone());
        }
        part = part.section(axis + 1, low..high);
        place[axis + 1] = usize::try_from(from).map_err(|_| gone())?;
    }
    Ok(Some((part, place)))
}

fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn gone() -> Problem {
    Problem::shape("a tile does not lie inside the image, or the network does not run on it")
}
