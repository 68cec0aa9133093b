//! The kinds of layers that figures tell apart, and their colours.

/// A kind of layers: what they are called together, and the index of their tint.
pub const KINDS: [(&str, usize); 5] = [
    ("convolutions", 0),
    ("linear layers and attention", 4),
    ("norms", 2),
    ("activations and pools", 5),
    ("other layers", 3),
];

/// Returns the index in [`KINDS`] of a layer by its name in the spec language.
pub fn of(op: &str) -> usize {
    let has = |words: &[&str]| words.iter().any(|word| op.contains(word));
    match op {
        _ if has(&["conv"]) => 0,
        _ if has(&["linear", "matmul", "attention", "embedding"]) => 1,
        _ if has(&["norm"]) => 2,
        _ if has(&["pool", "elu", "swish", "sigmoid", "softmax", "softplus", "tanh", "silu", "mish"]) => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cnnkit_core::layers::KINDS as LAYERS;

    #[test]
    fn kinds_of_layers_are_those_of_their_names() {
        for (op, kind) in [
            ("conv", 0),
            ("transposed_conv", 0),
            ("deformable_conv", 0),
            ("linear", 1),
            ("batch_norm", 2),
            ("relu", 3),
            ("max_pool", 3),
            ("add", 4),
            ("concat", 4),
        ] {
            assert_eq!(KINDS[of(op)].0, KINDS[kind].0, "{op}");
        }
        // No layer is drawn as something that it is not because a word occurs in its name.
        let wrong = LAYERS.iter().map(|layer| layer.doc.name).filter(|name| {
            (of(name) == 2) != (name.ends_with("norm") || name.contains("norm"))
                || name.contains("shuffle") && of(name) != 4
        });
        assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
