//! The role of a constant that an operator reads: weight, buffer or setting. Used only for nodes that are not
//! analysed; layers declare their own weights.

/// The role of a constant input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Learned: a parameter.
    Weight,
    /// An operand: learned if it has more than one number; a single number would be a setting.
    Operand,
    /// The state in which a recurrent layer begins: learned, unless it is zero.
    State,
    /// Stored, not learned: running statistics, windows.
    Buffer,
    /// Not a tensor of the network: sizes, scales, bounds, indices.
    Setting,
}

/// Returns the role of input `index` of `operator` if it is a constant.
pub(super) fn slot(operator: &str, index: usize) -> Slot {
    let among = |list: &[usize]| if list.contains(&index) { Slot::Weight } else { Slot::Setting };
    match operator {
        "BatchNormalization" if index > 2 => Slot::Buffer,
        "STFT" => Slot::Buffer,
        "LSTM" | "GRU" | "RNN" if matches!(index, 5 | 6) => Slot::State,
        "LSTM" | "GRU" | "RNN" => among(&[1, 2, 3, 7]),
        "QLinearConv" => among(&[3, 8]),
        "QLinearMatMul" => among(&[0, 3]),
        "QGemm" => among(&[3, 6]),
        "ConvInteger" | "MatMulInteger" => among(&[0, 1]),
        "DequantizeLinear" | "QuantizeLinear" | "RoiAlign" | "MaxRoiPool" | "Clip" => among(&[0]),
        "MatMulNBits" | "MatMulBnb4" | "Gather" | "GatherElements" | "GatherND" | "Scatter"
        | "ScatterElements" | "ScatterND" | "Slice" | "Tile" | "Expand" | "Reshape" | "Squeeze"
        | "Unsqueeze" | "Transpose" | "Flatten" | "Split" | "Identity" | "Cast" | "CastLike" | "Pad"
        | "TopK" | "ArgMax" | "ArgMin" | "CumSum" | "OneHot" | "Trilu" | "Compress" | "DepthToSpace"
        | "SpaceToDepth" | "Upsample" | "Resize" | "GridSample" | "ReverseSequence" | "CenterCropPad"
        | "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1" | "ReduceL2"
        | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceSumSquare" => match (operator, index) {
            ("ScatterElements" | "ScatterND" | "Scatter", 2) | (_, 0) => Slot::Operand,
            ("MatMulNBits" | "MatMulBnb4", 1) => Slot::Weight,
            _ => Slot::Setting,
        },
        "NonMaxSuppression" | "Range" | "ConstantOfShape" | "AffineGrid" | "Shape" | "Size" | "EyeLike"
        | "If" | "Loop" | "Scan" | "DFT" | "HannWindow" | "HammingWindow" | "BlackmanWindow"
        | "MelWeightMatrix" | "Col2Im" | "Dropout" | "Equal" | "Less" | "LessOrEqual" | "Greater"
        | "GreaterOrEqual" => Slot::Setting,
        "Conv"
        | "ConvTranspose"
        | "DeformConv"
        | "FusedConv"
        | "NhwcConv"
        | "Gemm"
        | "FusedGemm"
        | "BatchNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "LayerNormalization"
        | "RMSNormalization"
        | "PRelu" => Slot::Weight,
        _ => Slot::Operand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_no_weights() {
        let cases = [
            ("Conv", 1, Slot::Weight),
            ("BatchNormalization", 1, Slot::Weight),
            ("BatchNormalization", 3, Slot::Buffer),
            ("Resize", 2, Slot::Setting),
            ("GRU", 2, Slot::Weight),
            ("GRU", 5, Slot::State),
            ("LSTM", 4, Slot::Setting),
            ("QLinearConv", 1, Slot::Setting),
            ("QLinearConv", 3, Slot::Weight),
            ("QuantizeLinear", 1, Slot::Setting),
            ("ConvInteger", 1, Slot::Weight),
            ("Gather", 0, Slot::Operand),
            ("Clip", 1, Slot::Setting),
        ];
        for (operator, index, expected) in cases {
            assert_eq!(slot(operator, index), expected, "{operator} {index}");
        }
    }
}
