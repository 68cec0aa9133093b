//! Counts of stored tensors: each counts once, with the elements that it has in the file, in whatever form
//! layers use it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::constant::{Change, Constant, sizes};
use super::copies::Copy;
use super::proto::TensorProto;
use cnnkit_core::graph::{Builder, NodeId};
use cnnkit_core::layers::Layer;
use cnnkit_core::shape::product;

/// A weight of a node that is a stored tensor or computed from stored tensors.
struct StoredUse<'a> {
    node: usize,
    index: usize,
    constant: &'a Constant,
}

/// Declares as how many elements each node's weights count; returns the number of stored tensors that several
/// weights use. What the exporter copied counts where the original does.
pub(super) fn count(
    builder: &mut Builder,
    weights: &[Vec<Constant>],
    tensors: &[TensorProto],
    copies: &[Copy],
) -> usize {
    let originals: HashMap<usize, usize> =
        copies.iter().filter(|copy| copy.made).map(|copy| (copy.copy, copy.of)).collect();
    let original = |root: usize| {
        let mut root = root;
        // A copy may be one of a copy.
        for _ in 0..originals.len() {
            root = originals.get(&root).copied().unwrap_or(root);
        }
        root
    };
    let places = weights.iter().enumerate().flat_map(|(node, list)| {
        list.iter().enumerate().map(move |(index, constant)| StoredUse { node, index, constant })
    });
    let mut whole: BTreeMap<usize, Vec<StoredUse<'_>>> = BTreeMap::new();
    let mut computed = Vec::new();
    for place in places {
        match place.constant.root {
            Some(root) => whole.entry(root).or_default().push(place),
            None if !place.constant.sources.is_empty() => computed.push(place),
            None => {}
        }
    }
    let stored = |root: usize| {
        let tensor = tensors.get(root)?;
        product(&sizes(&tensor.dims).ok()?)
    };
    let mut counted: HashSet<usize> = whole.keys().map(|&root| original(root)).collect();
    let mut shared = HashSet::new();
    // Copies whose original no layer has.
    let mut first = HashMap::new();
    for (&root, places) in &whole {
        let of = original(root);
        if of != root && (whole.contains_key(&of) || *first.entry(of).or_insert(root) != root) {
            places.iter().for_each(|place| builder.tie(NodeId::new(place.node), place.index));
            continue;
        }
        // Channels that only fill a block up are none of the network's.
        let filled = places.iter().find_map(|place| {
            let unblocked = place.constant.view.iter().any(|change| matches!(change, Change::Unblock { .. }));
            unblocked.then(|| place.constant.elements().ok()).flatten()
        });
        if once(builder, places, filled.or_else(|| stored(root))) {
            shared.insert(root);
        }
    }
    // A weight computed from stored tensors counts as those of them that count nowhere else.
    for place in computed {
        let sources: BTreeSet<usize> = place.constant.sources.iter().map(|&root| original(root)).collect();
        let fresh: Vec<usize> = sources.iter().copied().filter(|root| !counted.contains(root)).collect();
        shared.extend(sources.iter().filter(|root| counted.contains(root)));
        let elements = fresh.iter().filter_map(|&root| stored(root)).fold(0, u64::saturating_add);
        builder.count(NodeId::new(place.node), place.index, elements);
        // A part of one table (relative positions) is not kept by the layer that adds it.
        let node = NodeId::new(place.node);
        let conv = matches!(builder.layer_of(node), Some(Layer::Conv(_)));
        if conv || place.constant.sources.len() > 1 {
            builder.compute(node, place.index);
        }
        counted.extend(fresh);
    }
    shared.len()
}

/// Makes the tensor of which all these weights are parts count once; returns whether several weights are the
/// same part.
fn once(builder: &mut Builder, places: &[StoredUse<'_>], stored: Option<u64>) -> bool {
    let mut parts: HashSet<Vec<(usize, u64, u64)>> = HashSet::new();
    let mut sum = 0u64;
    let mut shared = false;
    for place in places {
        if parts.insert(slices(place.constant)) {
            sum = sum.saturating_add(place.constant.elements().unwrap_or(u64::MAX));
        } else {
            shared = true;
        }
    }
    // Different parts of one tensor (a fused projection that is split) count separately if together they are
    // the whole tensor.
    let apart = stored == Some(sum);
    let mut seen: HashSet<Vec<(usize, u64, u64)>> = HashSet::new();
    for (number, place) in places.iter().enumerate() {
        let first = seen.insert(slices(place.constant));
        match stored {
            _ if apart && first => {}
            Some(elements) if !apart && number == 0 => {
                builder.count(NodeId::new(place.node), place.index, elements);
            }
            _ => builder.tie(NodeId::new(place.node), place.index),
        }
    }
    shared
}

/// Returns the slices that were taken of a stored tensor.
fn slices(constant: &Constant) -> Vec<(usize, u64, u64)> {
    let part = |change: &Change| match change {
        Change::Slice { axis, start, end } => Some((*axis, *start, *end)),
        _ => None,
    };
    constant.view.iter().filter_map(part).collect()
}
