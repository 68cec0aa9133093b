//! Recurrent layers: not followed step by step, but what they multiply is known.

use super::super::schema::Argument;
use super::call::{Call, known};

/// Operators that multiply each of their matrices with a vector of every step: whole layers, and single steps.
const RECURRENT: &[&str] = &[
    "aten.lstm",
    "aten.gru",
    "aten.rnn_tanh",
    "aten.rnn_relu",
    "aten.lstm_cell",
    "aten.gru_cell",
    "aten.rnn_tanh_cell",
    "aten.rnn_relu_cell",
];

/// Multiply-accumulates of a recurrent layer, for the whole batch: each step of each sequence multiplies every matrix once, in
/// all layers and directions.
pub(super) fn macs(call: &Call<'_, '_>) -> Option<i64> {
    if !RECURRENT.contains(&call.operator) {
        return None;
    }
    let dims = call.dims().ok()?;
    let (_, positions) = dims.split_last()?;
    let steps = positions.iter().try_fold(1i64, |steps, &size| steps.checked_mul(size))?;
    let mut elements = 0i64;
    // The input and the states before it are no weights.
    for argument in
        call.node.inputs.iter().filter(|argument| !matches!(argument.name.as_str(), "input" | "data" | "hx"))
    {
        let names: Vec<&String> = match &argument.arg {
            Argument::Tensor(name) => vec![name],
            Argument::Tensors(names) => names.iter().flatten().collect(),
            _ => continue,
        };
        for name in names {
            if let [rows, columns] = known(call.values.meta(name)?).ok()?.as_slice() {
                elements = elements.checked_add(rows.checked_mul(*columns)?)?;
            }
        }
    }
    steps.checked_mul(elements)
}
