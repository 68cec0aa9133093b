//! What can be expected of a network or a layer: the keys of `expect`, of budgets and of conditions on a change.

/// A quantity of a network or a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// Learnable elements, shared ones once.
    Params,
    /// Kept, not learned elements: running statistics.
    Buffers,
    /// Multiply-accumulates of one inference.
    Macs,
    /// Operations that are no multiply-accumulates.
    OtherOps,
    /// 2 x MACs + other operations.
    Flops,
    /// Peak of the activations, f32.
    Memory,
    /// All layer outputs together, f32.
    Activations,
    /// Parameters, f32.
    Weights,
    /// Layers with MACs on the longest path.
    Depth,
    /// Layers of any kind.
    Layers,
    /// Shape of the network's only output; `~` for any size.
    Output,
    /// Shape of its output; `~` for any size.
    Shape,
    /// Of a network: of its output, or of the last feature map that does not see everything.
    ReceptiveField,
    /// Input elements from one unit to the next, of the same map.
    Jump,
    /// Share of that receptive field's box that is really read, over the worst input.
    Coverage,
    /// Whether all of that box is read.
    HoleFree,
    /// Every dilated chain: the rule of Wang et al. 2018 holds, and no hole.
    Hdc,
    /// Every merge on the way joins paths with the same jump and centre.
    Aligned,
    /// Ways from an input to an output.
    Paths,
}

impl Quantity {
    /// Returns its key, its unit, and what has it.
    pub fn expectable(self) -> &'static Expectable {
        &EXPECTABLE[self as usize]
    }
}

/// Something that can be expected.
#[derive(Debug)]
pub struct Expectable {
    /// Which one it is.
    pub quantity: Quantity,
    /// Its key.
    pub name: &'static str,
    /// What its value is.
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

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A whole number; k, M, G are powers of 1000.
    Count,
    /// Bytes.
    Bytes,
    /// A shape without the batch.
    Shape,
    /// Input elements, one number for all axes or one an axis.
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
        "stored but not learned elements: running statistics",
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
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quantity_has_its_own_line() {
        for (index, expectable) in EXPECTABLE.iter().enumerate() {
            assert_eq!(expectable.quantity as usize, index, "{}", expectable.name);
            assert_eq!(expectable.quantity.expectable().name, expectable.name);
        }
        // The last variant: a variant without a line would be past the end.
        assert_eq!(Quantity::Paths as usize + 1, EXPECTABLE.len());
    }
}
