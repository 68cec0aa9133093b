//! Attention as basic operators, in the pattern that PyTorch's exporters write and importers recognise.

use super::emit::{Layer as Out, Value, int};
use cnnkit_core::layers::Io;
use cnnkit_core::layers::attention::{Attention, OPERANDS};

/// Returns the broadcast shape of two values.
fn joined(a: &[u64], b: &[u64]) -> Vec<u64> {
    a.iter().zip(b).map(|(&a, &b)| a.max(b)).collect()
}

pub(super) fn write(out: &mut Out<'_>, layer: &Attention, inputs: &[Value], io: Io<'_>) {
    let [query, key, value, more @ ..] = inputs else { return };
    let rank = query.sizes.len();
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(rank - 2, rank - 1);
    let turned = out.transposed("keys", key, &order);
    let mut sizes = joined(&query.sizes, &turned.sizes);
    (sizes[rank - 2], sizes[rank - 1]) = (query.sizes[rank - 2], turned.sizes[rank - 1]);
    let names = vec![query.name.clone(), turned.name];
    let mut scores = out.before("scores", "MatMul", names, vec![], sizes);
    let factor = layer.factor(query.sizes[rank - 1]);
    if factor != 1.0 {
        let scale = out.scalar("scale", factor);
        let sizes = scores.sizes.clone();
        scores = out.before("scaled", "Mul", vec![scores.name, scale], vec![], sizes);
    }
    for (index, term) in more.iter().enumerate() {
        let sizes = joined(&scores.sizes, &term.sizes);
        let part = format!("added{}", OPERANDS + index);
        scores = out.before(&part, "Add", vec![scores.name, term.name.clone()], vec![], sizes);
    }
    for (name, part, own) in [("bias", "biased", &layer.bias), ("mask", "masked", &layer.mask)] {
        if let Some(own) = own {
            let (sizes, weight) = (joined(&scores.sizes, own), out.weight(name));
            scores = out.before(part, "Add", vec![scores.name, weight], vec![], sizes);
        }
    }
    let sizes = scores.sizes.clone();
    let shares = out.before("shares", "Softmax", vec![scores.name], vec![int("axis", -1)], sizes);
    out.last("MatMul", vec![shares.name, value.name.clone()], vec![], io.output.sizes());
}
