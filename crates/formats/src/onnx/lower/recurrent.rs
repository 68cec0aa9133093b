//! Recurrent operators, which have no layer: whether their tensors fit each other.

use super::context::{Lower, Use, Value};

/// Returns what is wrong with the sizes of a recurrent operator's tensors. PyTorch's newer exporter writes an LSTM with
/// `proj_size` as one of that hidden size, with a part of each weight and without the projection.
pub(super) fn misfit(lower: &Lower, used: Use<'_>) -> Option<String> {
    let gates = match used.node.op_type.as_str() {
        "LSTM" => 4,
        "GRU" => 3,
        "RNN" => 1,
        _ => return None,
    };
    let hidden = u64::try_from(used.attribute("hidden_size")?.i?).ok()?;
    let sizes = |index: usize| match lower.values.get(used.node.input.get(index)?)? {
        Value::Tensor(tensor) => Some(tensor.dims.clone()),
        Value::Constant(constant) => Some(constant.dims.clone()),
        Value::Unknown(_) => None,
    };
    let times = |count: u64, size: u64| size.saturating_mul(count);
    let rows = times(gates, hidden);
    // The input, the axis, and its size by the standard.
    let wanted = [
        (1, "W", 1, rows),
        (2, "R", 1, rows),
        (2, "R", 2, hidden),
        (3, "B", 1, times(2, rows)),
        (5, "initial_h", 2, hidden),
        (6, "initial_c", 2, hidden),
        (7, "P", 1, times(3, hidden)),
    ];
    wanted.into_iter().filter(|(index, ..)| *index < 6 || gates == 4).find_map(|(index, name, axis, wanted)| {
        let sizes = sizes(index)?;
        (sizes.get(axis) != Some(&wanted)).then(|| {
            format!(
                "its `{name}` is {sizes:?} for a hidden size of {hidden}, as PyTorch's exporter writes an LSTM with `proj_size`, which this operator does not have"
            )
        })
    })
}
