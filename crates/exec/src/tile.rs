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
    let whole = sizes.at(&image).ok_or_else(gone)?;
    let batch = inputs.first().map_or(1, Tensor::batch);
    let mut outputs = Vec::with_capacity(whole.outputs().len());
    for &output in whole.outputs() {
        outputs.push(Tensor::zeros(&batched(batch, &whole.node(output).shape)?));
    }
    let mut graphs: HashMap<Vec<u64>, Graph> = HashMap::new();
    let mut at = vec![0usize; spans.len()];
    loop {
        let tile: Vec<Span> = at.iter().zip(spans).map(|(&index, spans)| spans[index]).collect();
        let size: Vec<u64> = tile.iter().map(|span| span.read[1] - span.read[0]).collect();
        if !graphs.contains_key(&size) {
            graphs.insert(size.clone(), sizes.at(&size).ok_or_else(gone)?);
        }
        let graph = &graphs[&size];
        let parts = inputs.iter().map(|input| part(input, &tile)).collect();
        let results = network.on(graph)?.run(parts, kernels, |_| ())?.outputs;
        for (index, result) in results.iter().enumerate() {
            let node = whole.outputs()[index];
            let (kept, at) = kept(result, &whole, node, axes, &tile)?;
            if let Some(kept) = kept {
                outputs[index].place(&at, &kept);
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

/// Returns the kept part of a tile's output, none if it is empty, and its place in the whole output.
fn kept<S: Scalar>(
    result: &Tensor<S>,
    whole: &Graph,
    node: NodeId,
    axes: &[TileAxis],
    tile: &[Span],
) -> Result<(Option<Tensor<S>>, Vec<usize>), Problem> {
    let mut part = result.clone();
    let mut place = vec![0; part.sizes().len()];
    for (axis, span) in axes.iter().zip(tile) {
        let Track::Follows { axis, scale } = &axis.along.tracks[node.index()] else { continue };
        let unit = |position: u64| (*scale * i128::from(position)).ceil().to_integer();
        let total = whole.node(node).shape.sizes().get(*axis).map_or(0, |&size| i128::from(size));
        let (from, to) = (unit(span.core[0]).min(total), unit(span.core[1]).min(total));
        let start = unit(span.read[0]);
        if from >= to {
            return Ok((None, place));
        }
        let local = |unit: i128| usize::try_from(unit - start).map_err(|_| gone());
        let (low, high) = (local(from)?, local(to)?);
        if high > part.sizes()[axis + 1] {
            return Err(gone());
        }
        part = part.section(axis + 1, low..high);
        place[axis + 1] = usize::try_from(from).map_err(|_| gone())?;
    }
    Ok((Some(part), place))
}

fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn gone() -> Problem {
    Problem::shape("a tile does not lie inside the image, or the network does not run on it")
}
