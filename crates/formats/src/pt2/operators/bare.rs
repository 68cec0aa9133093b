//! Images without the batch: PyTorch's convolutions and pools take `[C, H, W]` as well as `[N, C, H, W]`.

use super::super::schema::{Argument, Dimension, Graph, Input, Node, Program};
use super::call::{Call, Unsupported, unsupported};
use super::split;

/// The image that a call reads, with the batch, and whether it had none. `spatial` is the number of spatial axes.
pub(super) fn image(call: &mut Call<'_, '_>, spatial: usize) -> Result<(String, bool), Unsupported> {
    let rank = call.rank()?;
    let input = call.first()?;
    if rank == spatial + 2 {
        return Ok((input, false));
    }
    if rank != spatial + 1 {
        return unsupported(format!("an image with {rank} axes"));
    }
    let axes = call.constant(vec![0]);
    Ok((call.emit("Unsqueeze", vec![input, axes], vec![]), true))
}

/// What a call made of an image, without the batch if the image had none.
pub(super) fn returned(call: &mut Call<'_, '_>, made: String, bare: bool) -> String {
    if !bare {
        return made;
    }
    let axes = call.constant(vec![0]);
    call.emit("Squeeze", vec![made, axes], vec![])
}

/// Number of spatial axes of a pool, which ends its name: `max_pool2d`.
pub(super) fn of_pool(operator: &str) -> Option<usize> {
    operator.bytes().find(u8::is_ascii_digit).map(|digit| usize::from(digit - b'0'))
}

/// Sizes of a tensor that `node` is given: the argument `name`, or its first.
fn sizes<'g>(graph: &'g Graph, node: &Node, name: Option<&str>) -> Option<&'g [Dimension]> {
    let found = match name {
        Some(name) => node.inputs.iter().find(|input| input.name == name),
        None => node.inputs.first(),
    };
    let Argument::Tensor(name) = &found?.arg else { return None };
    Some(&graph.tensor_values.get(name)?.sizes)
}

/// Returns whether the program's inputs have no batch, which its first operator shows that distinguishes: a convolution or pool
/// reads an image without one, and an input has as many axes; a recurrent layer or attention, in front of which PyTorch puts a
/// batch of one, reads such a batch, and an input has one axis less.
pub(in crate::pt2) fn is_bare(program: &Program) -> bool {
    let graph = &program.graph_module.graph;
    let inputs = || {
        program.graph_module.signature.input_specs.iter().filter_map(|input| match input {
            Input::User(Argument::Tensor(name)) => graph.tensor_values.get(name).map(|meta| &meta.sizes),
            _ => None,
        })
    };
    let single = |size: Option<&Dimension>| size == Some(&Dimension::Known(1));
    // Several positions, each with its features or the number of a word.
    let sequence = || {
        inputs().all(|sizes| sizes.len() < 3)
            && inputs().any(|sizes| sizes.len() == 2 && !single(sizes.first()))
    };
    let shown = |node: &Node| {
        let (operator, _) = split(&node.target);
        let read = sizes(graph, node, None)?;
        let axes = read.len();
        let spatial = match operator {
            "aten.lstm" | "aten.gru" | "aten.rnn_tanh" | "aten.rnn_relu" => {
                let first = node
                    .inputs
                    .iter()
                    .any(|input| input.arg == Argument::Bool(true) && input.name == "batch_first");
                let batch = usize::from(!first);
                return Some(axes == 3 && single(read.get(batch)) && sequence());
            }
            "aten.scaled_dot_product_attention" => {
                let keys = sizes(graph, node, Some("key"))?;
                return Some(axes == 4 && single(read.first()) && single(keys.first()) && sequence());
            }
            name if name.starts_with("aten.conv") => {
                sizes(graph, node, Some("weight"))?.len().checked_sub(2)?
            }
            name if name.starts_with("aten.") && name.contains("_pool") => of_pool(name)?,
            _ => return None,
        };
        Some(axes == spatial + 1 && inputs().any(|sizes| sizes.len() == axes))
    };
    graph.nodes.iter().find_map(shown).unwrap_or(false)
}
