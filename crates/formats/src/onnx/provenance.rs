//! What a file says about where its stored tensors come from.

use std::collections::HashSet;

use super::constant::Constant;
use super::ir::Draft;
use super::proto::{Dimension, DimensionValue, GraphProto, TensorProto, ValueInfoProto};
use cnnkit_core::layers::Layer;

/// How the names of a module's parameters end.
const PARAMETERS: &[&str] = &[".weight", ".bias", ".running_mean", ".running_var"];

/// The metadata in which PyTorch's newer exporter lists a module's parameters and buffers.
const SIGNATURE: &str = "pkg.torch.export.ExportedProgram.graph_signature";

/// Names of the initialisers that are no parameters by the file's own list. Without a list there are none; where a listed
/// parameter is stored under another name, whatever is not listed may come from it.
pub(super) fn no_parameters(graph: &GraphProto) -> HashSet<String> {
    let spectral = graph.initializer.iter().filter(|tensor| is_of_spectral_norm(&tensor.name, graph));
    let mut fixed: HashSet<String> = spectral.map(|tensor| tensor.name.clone()).collect();
    let Some(list) = graph.metadata_props.iter().find(|entry| entry.key == SIGNATURE) else {
        return fixed;
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
    let listed =
        stored.into_iter().filter(|name| buffers.contains(name) || (all && !parameters.contains(name)));
    fixed.extend(listed.map(str::to_owned));
    fixed
}

/// Whether a stored tensor is one of the vectors with which PyTorch's spectral norm measures a weight.
fn is_of_spectral_norm(name: &str, graph: &GraphProto) -> bool {
    let Some(stem) = name.strip_suffix("_u").or_else(|| name.strip_suffix("_v")) else { return false };
    let original = format!("{stem}_orig");
    (stem.contains("parametrizations.") && stem.ends_with('.'))
        || graph.initializer.iter().any(|tensor| tensor.name == original)
}

/// Makes stored tensors without data of the inputs that are a module's parameters, by their names: PyTorch's exporter writes
/// them so without `export_params`. Returns how many there are.
pub(super) fn parameters_among_inputs(graph: &mut GraphProto) -> usize {
    let sizes = |input: &ValueInfoProto| -> Option<(i32, Vec<i64>)> {
        let tensor = input.r#type.as_ref()?.tensor_type.as_ref()?;
        let size = |dimension: &Dimension| match dimension.value {
            Some(DimensionValue::Value(size)) if size > 0 => Some(size),
            _ => None,
        };
        Some((tensor.elem_type, tensor.shape.as_ref()?.dim.iter().map(size).collect::<Option<_>>()?))
    };
    let known = |input: &ValueInfoProto| PARAMETERS.iter().any(|leaf| input.name.ends_with(leaf));
    let found: Vec<TensorProto> = graph
        .input
        .iter()
        .filter(|input| known(input))
        .filter_map(|input| {
            let (data_type, dims) = sizes(input)?;
            Some(TensorProto { name: input.name.clone(), dims, data_type, ..TensorProto::default() })
        })
        .collect();
    // The network reads something besides.
    if found.len() == graph.input.len() {
        return 0;
    }
    let count = found.len();
    graph.initializer.extend(found);
    count
}

/// Batch norms that an exporter folded into convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Folded {
    /// How many.
    pub norms: u64,
    /// Their channels, all together.
    pub channels: u64,
    /// Elements of the biases that stand for them; equal ones are stored once.
    pub biases: u64,
}

impl Folded {
    /// The parameters before the export of a model with `params`, if its convolutions had no bias of their own, and if they
    /// had one.
    pub(super) fn before(self, params: u64) -> [u64; 2] {
        let own = params.saturating_sub(self.biases);
        [2, 3].map(|each: u64| own.saturating_add(self.channels.saturating_mul(each)))
    }
}

/// Counts the batch norms that PyTorch's exporter folded: weight and bias of such a convolution have the exporter's numbers
/// instead of the module's names.
pub(super) fn folded(drafts: &[Draft], tensors: &[TensorProto]) -> Folded {
    let numbered = |constant: &Constant| {
        let name = constant.root.and_then(|root| tensors.get(root)).map_or("", |tensor| tensor.name.as_str());
        let rest = name.strip_prefix("onnx::ConvTranspose_").or_else(|| name.strip_prefix("onnx::Conv_"));
        rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (mut weights, mut biases) = (HashSet::new(), HashSet::new());
    let mut found = Folded::default();
    for draft in drafts {
        let (Some(Layer::Conv(_) | Layer::ConvTranspose(_)), [weight, bias]) =
            (&draft.layer, draft.weights.as_slice())
        else {
            continue;
        };
        if !(numbered(weight) && numbered(bias) && weights.insert(weight.root)) {
            continue;
        }
        let channels = bias.elements().unwrap_or(0);
        found.norms += 1;
        found.channels = found.channels.saturating_add(channels);
        if biases.insert(bias.root) {
            found.biases = found.biases.saturating_add(channels);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::StringStringEntryProto;

    #[test]
    fn vectors_of_spectral_norms_are_fixed() {
        let names = [
            "c.weight_orig",
            "c.weight_u",
            "c.weight_v",
            "d.weight_v",
            "d.weight_g",
            "e.parametrizations.weight.0._u",
        ];
        let tensor = |&name: &&str| TensorProto { name: name.into(), ..TensorProto::default() };
        let graph = GraphProto { initializer: names.iter().map(tensor).collect(), ..GraphProto::default() };
        let mut found: Vec<String> = no_parameters(&graph).into_iter().collect();
        found.sort();
        // Weight norm has a `weight_v` too, which is learned.
        assert_eq!(found, ["c.weight_u", "c.weight_v", "e.parametrizations.weight.0._u"]);
    }

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
