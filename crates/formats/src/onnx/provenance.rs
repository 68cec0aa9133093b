//! What a file says about where its stored tensors come from.

use std::collections::HashSet;

use super::constant::Constant;
use super::ir::Draft;
use super::proto::{GraphProto, TensorProto};
use cnnkit_core::layers::Layer;

/// The metadata in which PyTorch's newer exporter lists a module's parameters and buffers.
const SIGNATURE: &str = "pkg.torch.export.ExportedProgram.graph_signature";

/// Names of the initialisers that are no parameters by the file's own list. Without a list there are none; where a listed
/// parameter is stored under another name, whatever is not listed may come from it.
pub(super) fn no_parameters(graph: &GraphProto) -> HashSet<String> {
    let Some(list) = graph.metadata_props.iter().find(|entry| entry.key == SIGNATURE) else {
        return HashSet::new();
    };
    let targets = |kind: &str| -> HashSet<&str> {
        let target = |line: &'_ str| -> Option<(usize, usize)> {
            let at = line.find(kind)? + kind.len();
            let start = at + line[at..].find("target='")? + "target='".len();
            Some((start, start + line[start..].find('\'')?))
        };
        list.value.lines().filter_map(|line| target(line).map(|(start, end)| &line[start..end])).collect()
    };
    let (parameters, buffers) = (targets(": PARAMETER"), targets(": BUFFER"));
    let stored: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let all = !parameters.is_empty() && parameters.iter().all(|name| stored.contains(name));
    let fixed =
        stored.into_iter().filter(|name| buffers.contains(name) || (all && !parameters.contains(name)));
    fixed.map(str::to_owned).collect()
}

/// Batch norms that an exporter folded into convolutions and linear layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Folded {
    /// How many.
    pub norms: u64,
    /// Their channels, all together.
    pub channels: u64,
}

/// Counts the batch norms that PyTorch's exporter folded: weight and bias of such a layer are computed one after the other,
/// and have the exporter's numbers instead of the module's names.
pub(super) fn folded(drafts: &[Draft], tensors: &[TensorProto]) -> Folded {
    let number = |constant: &Constant| -> Option<u64> {
        let name = &tensors.get(constant.root?)?.name;
        let rest = name.strip_prefix("onnx::Conv").or_else(|| name.strip_prefix("onnx::ConvTranspose"))?;
        rest.trim_start_matches("Transpose").strip_prefix('_')?.parse().ok()
    };
    let mut seen = HashSet::new();
    let mut found = Folded::default();
    for draft in drafts {
        let (Some(Layer::Conv(_) | Layer::ConvTranspose(_)), [weight, bias]) =
            (&draft.layer, draft.weights.as_slice())
        else {
            continue;
        };
        let (Some(first), Some(second)) = (number(weight), number(bias)) else { continue };
        if first.checked_add(1) == Some(second) && seen.insert(first) {
            found.norms += 1;
            found.channels = found.channels.saturating_add(bias.elements().unwrap_or(0));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::StringStringEntryProto;

    #[test]
    fn what_the_list_of_parameters_leaves_out_is_fixed() {
        let graph = |names: &[&str]| {
            GraphProto {
            initializer: names
                .iter()
                .map(|&name| TensorProto { name: name.into(), ..TensorProto::default() })
                .collect(),
            metadata_props: vec![StringStringEntryProto {
                key: SIGNATURE.into(),
                value: "\n# inputs\np_c_weight: PARAMETER target='c.weight'\nb_win: BUFFER target='win' persistent=True\nx: USER_INPUT\n".into(),
            }],
            ..GraphProto::default()
        }
        };
        let sorted = |names: &[&str]| {
            let mut found: Vec<String> = no_parameters(&graph(names)).into_iter().collect();
            found.sort();
            found
        };
        assert_eq!(sorted(&["c.weight", "win", "val_3"]), ["val_3", "win"]);
        // The parameter is stored in another form: it may be `val_3`.
        assert_eq!(sorted(&["win", "val_3"]), ["win"]);
    }
}
