//! Quantities that can be expected of a network or a layer: the keys of `expect`, of budgets and of
//! conditions on a change.

use crate::dtype::Dtype;

/// A quantity of a network or a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// Learnable elements; shared weights count once.
    Params,
    /// Stored but not learned elements: running statistics, fixed weights.
    Buffers,
    /// Elements of weights that training changes: the parameters.
    Trainable,
    /// Elements of weights with `learned: false`, a part of the buffers.
    Frozen,
    /// Multiply-accumulates of one inference.
    Macs,
    /// Operations that are not multiply-accumulates.
    OtherOps,
    /// 2 x MACs + other operations.
    Flops,
    /// Peak of the activations, f32.
    Memory,
    /// All layer outputs together, f32.
    Activations,
    /// Bytes of the parameters, f32.
    Weights,
    /// Layers with MACs on the longest path.
    Depth,
    /// Layers of any kind.
    Layers,
    /// Shape of the network's only output; `~` for any size.
    Output,
    /// Shape of its output; `~` for any size.
    Shape,
    /// Of a network: that of its output, or of the last feature map whose units do not depend on the whole
    /// input.
    ReceptiveField,
    /// Distance in input elements between neighbouring units of the same map.
    Jump,
    /// Fraction of that receptive field's box that is read, minimum over the inputs.
    Coverage,
    /// Whether all of that box is read.
    HoleFree,
    /// Whether every dilated chain satisfies the rule of Wang et al. 2018 and has no hole.
    Hdc,
    /// Whether every merge before it joins paths with the same jump and centre.
    Aligned,
    /// Number of paths from an input to an output.
    Paths,
    /// Bytes of an arena with all activations of one inference in this number format (`cnnkit plan`).
    Arena(Dtype),
}

impl Quantity {
    /// Returns its key, its unit, and whether networks and layers have it.
    pub fn expectable(self) -> &'static Expectable {
        let same = |expectable: &&Expectable| {
            std::mem::discriminant(&expectable.quantity) == std::mem::discriminant(&self)
        };
        // Each has a line, as a test checks.
        EXPECTABLE.iter().find(same).unwrap_or(&EXPECTABLE[0])
    }
}

/// Something that can be expected.
#[derive(Debug)]
pub struct Expectable {
    /// The quantity.
    pub quantity: Quantity,
    /// Its key.
    pub name: &'static str,
    /// Unit of its value.
    pub unit: Unit,
    /// Whether a network has it.
    pub network: bool,
    /// Whether a layer, or a named group of layers, has it.
    pub node: bool,
    /// Which direction is an improvement, for budgets that may only improve.
    pub better: Option<Better>,
    /// What it means.
    pub doc: &'static str,
}

/// The unit of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A whole number; k, M, G are powers of 1000.
    Count,
    /// Bytes.
    Bytes,
    /// A shape without the batch.
    Shape,
    /// Input elements, one number for all axes or one per axis.
    Length,
    /// A share from 0 to 1, or per cent.
    Share,
    /// Yes or no.
    Flag,
}

/// Which direction is an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Less is better.
    Less,
    /// More is better.
    More,
}

const fn key(
    quantity: Quantity,
    name: &'static str,
    unit: Unit,
    [network, node]: [bool; 2],
    better: Option<Better>,
    doc: &'static str,
) -> Expectable {
    Expectable { quantity, name, unit, network, node, better, doc }
}

const BOTH: [bool; 2] = [true, true];
const NETWORK: [bool; 2] = [true, false];
const NODE: [bool; 2] = [false, true];

/// All keys of `expect` but `nodes`, in the order of [`Quantity`].
pub static EXPECTABLE: &[Expectable] = &[
    key(
        Quantity::Params,
        "params",
        Unit::Count,
        BOTH,
        Some(Better::Less),
        "learnable elements, shared ones once",
    ),
    key(
        Quantity::Buffers,
        "buffers",
        Unit::Count,
        BOTH,
        Some(Better::Less),
        "stored but not learned elements: running statistics, fixed weights",
    ),
    key(
        Quantity::Trainable,
        "trainable",
        Unit::Count,
        BOTH,
        Some(Better::Less),
        "elements of weights that training changes: the parameters",
    ),
    key(
        Quantity::Frozen,
        "frozen",
        Unit::Count,
        BOTH,
        None,
        "elements of weights with `learned: false`, a part of the buffers",
    ),
    key(
        Quantity::Macs,
        "macs",
        Unit::Count,
        BOTH,
        Some(Better::Less),
        "multiply-accumulates of one inference",
    ),
    key(
        Quantity::OtherOps,
        "other_ops",
        Unit::Count,
        BOTH,
        Some(Better::Less),
        "operations that are not multiply-accumulates",
    ),
    key(Quantity::Flops, "flops", Unit::Count, BOTH, Some(Better::Less), "2 x MACs + other operations"),
    key(Quantity::Memory, "memory", Unit::Bytes, NETWORK, Some(Better::Less), "peak of the activations, f32"),
    key(
        Quantity::Activations,
        "activations",
        Unit::Bytes,
        BOTH,
        Some(Better::Less),
        "all layer outputs together, f32",
    ),
    key(Quantity::Weights, "weights", Unit::Bytes, BOTH, Some(Better::Less), "parameters, f32"),
    key(Quantity::Depth, "depth", Unit::Count, NETWORK, None, "layers with MACs on the longest path"),
    key(Quantity::Layers, "layers", Unit::Count, BOTH, None, "layers of any kind"),
    key(
        Quantity::Output,
        "output",
        Unit::Shape,
        NETWORK,
        None,
        "shape of the network's only output; `~` for any size",
    ),
    key(Quantity::Shape, "shape", Unit::Shape, NODE, None, "shape of its output; `~` for any size"),
    key(
        Quantity::ReceptiveField,
        "receptive_field",
        Unit::Length,
        BOTH,
        Some(Better::More),
        "of a network: of its output, or of the last feature map whose field is not global",
    ),
    key(
        Quantity::Jump,
        "jump",
        Unit::Length,
        BOTH,
        None,
        "input elements from one unit to the next, of the same map",
    ),
    key(
        Quantity::Coverage,
        "coverage",
        Unit::Share,
        BOTH,
        Some(Better::More),
        "share of that receptive field's box that is read, over the worst input",
    ),
    key(Quantity::HoleFree, "hole_free", Unit::Flag, BOTH, None, "whether all of that box is read"),
    key(
        Quantity::Hdc,
        "hdc",
        Unit::Flag,
        NETWORK,
        None,
        "every dilated chain passes the rule of Wang et al. 2018 and leaves no hole",
    ),
    key(
        Quantity::Aligned,
        "aligned",
        Unit::Flag,
        BOTH,
        None,
        "every merge on the way joins paths with the same jump and centre",
    ),
    key(Quantity::Paths, "paths", Unit::Count, NETWORK, None, "paths from an input to an output"),
    key(
        Quantity::Arena(Dtype::F32),
        "arena",
        Unit::Bytes,
        NETWORK,
        Some(Better::Less),
        "arena with all activations of one inference, `dtype` f32 unless given: `{max: 320KiB, dtype: i8}`",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quantity_has_its_own_line() {
        for expectable in EXPECTABLE {
            assert_eq!(expectable.quantity.expectable().name, expectable.name);
        }
        let names: std::collections::BTreeSet<&str> = EXPECTABLE.iter().map(|e| e.name).collect();
        assert_eq!(names.len(), EXPECTABLE.len());
        // The last variant has its line, so no other's is missing in between: it would return the first.
        assert_eq!(Quantity::Arena(Dtype::I8).expectable().name, "arena");
        assert_eq!(Quantity::Paths.expectable().name, "paths");
    }
}
