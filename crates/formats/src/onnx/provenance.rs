//! What a file says about where its stored tensors come from.

use std::collections::{HashMap, HashSet};

use super::proto::{DataType, Dimension, DimensionValue, GraphProto, TensorProto, ValueInfoProto};

/// How the names of a module's parameters end.
const PARAMETERS: &[&str] = &[".weight", ".bias", ".running_mean", ".running_var"];

/// The metadata in which PyTorch's newer exporter lists a module's parameters and buffers.
pub(super) const SIGNATURE: &str = "pkg.torch.export.ExportedProgram.graph_signature";

/// The metadata in which it lists what a stored tensor was computed from.
const FOLDED: &str = "pkg.onnxscript.optimizer.folded_from";

/// The metadata in which it writes the traced operation from which a node comes.
const TRACED: &str = "pkg.torch.onnx.fx_node";

/// Names of the initialisers that are no parameters by the file's own list. Without a list there are none; where a listed
/// parameter is stored under another name, whatever is not listed may come from it.
pub(super) fn no_parameters(graph: &GraphProto) -> HashSet<String> {
    let spectral = graph.initializer.iter().filter(|tensor| is_of_spectral_norm(&tensor.name, graph));
    let mut fixed: HashSet<String> = spectral.map(|tensor| tensor.name.clone()).collect();
    let Some(list) = graph.metadata_props.iter().find(|entry| entry.key == SIGNATURE) else {
        return fixed;
    };
    let (parameters, buffers) = (targets(&list.value, ": PARAMETER"), targets(&list.value, ": BUFFER"));
    let stored: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let all = !parameters.is_empty() && parameters.iter().all(|name| stored.contains(name));
    let listed =
        stored.into_iter().filter(|name| buffers.contains(name) || (all && !parameters.contains(name)));
    fixed.extend(listed.map(str::to_owned));
    // Initial states, masks and grids are computed from no parameter.
    fixed.extend(folded(graph).into_iter().filter(|(_, from)| from.is_empty()).map(|(name, _)| name));
    fixed
}

/// Returns the module's parameters from which PyTorch's newer exporter computed a stored tensor, for each of which the file
/// says it.
pub(super) fn folded(graph: &GraphProto) -> HashMap<String, Vec<String>> {
    let Some(list) = graph.metadata_props.iter().find(|entry| entry.key == SIGNATURE) else {
        return HashMap::new();
    };
    let parameters = targets(&list.value, ": PARAMETER");
    if parameters.is_empty() {
        return HashMap::new();
    }
    let stored: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let of = |value: &ValueInfoProto| {
        let list = value.metadata_props.iter().find(|entry| entry.key == FOLDED)?;
        // ['a.weight', 'val_3']
        let names = list.value.split('\'').skip(1).step_by(2).filter(|name| parameters.contains(name));
        Some((value.name.clone(), names.map(str::to_owned).collect()))
    };
    graph.value_info.iter().filter(|value| stored.contains(value.name.as_str())).filter_map(of).collect()
}

/// Returns the initialisers that an exporter made: those that are not in the list of a module's parameters and buffers;
/// without a list, those with names that no module gives.
pub(super) fn exporters(graph: &GraphProto) -> HashSet<String> {
    let list = graph.metadata_props.iter().find(|entry| entry.key == SIGNATURE);
    let listed = list.map(|list| (targets(&list.value, ": PARAMETER"), targets(&list.value, ": BUFFER")));
    let made = |name: &str| match &listed {
        Some((parameters, buffers)) => !parameters.contains(name) && !buffers.contains(name),
        None => {
            name.contains("::")
                || name.starts_with("val_")
                || name.starts_with('/')
                || name.starts_with("const_fold_opt__")
        }
    };
    graph.initializer.iter().map(|tensor| &tensor.name).filter(|name| made(name)).cloned().collect()
}

/// Names of the initialisers that PyTorch's newer exporter numbered (`val_85`), where it lists the module's parameters.
pub(super) fn made(graph: &GraphProto) -> HashSet<String> {
    if !graph.metadata_props.iter().any(|entry| entry.key == SIGNATURE) {
        return HashSet::new();
    }
    let numbered = |name: &str| {
        name.strip_prefix("val_").is_some_and(|rest| rest.chars().all(|digit| digit.is_ascii_digit()))
    };
    let names = graph.initializer.iter().map(|tensor| &tensor.name);
    names.filter(|name| numbered(name)).cloned().collect()
}

/// Names of the initialisers of one element that are parameters of a PyTorch module: by the file's own list, else by their
/// names, which are the module's. Numbers that the exporter stored have names of its own (`onnx::Mul_12`, `val_3`).
pub(super) fn single_parameters(graph: &GraphProto, producer: &str) -> HashSet<String> {
    let list = graph.metadata_props.iter().find(|entry| entry.key == SIGNATURE);
    let listed = list.map(|list| targets(&list.value, ": PARAMETER"));
    let named = |name: &str| producer == "pytorch" && is_of_module(name);
    let single = graph.initializer.iter().filter(|tensor| {
        let float = matches!(
            DataType::try_from(tensor.data_type),
            Ok(DataType::Float | DataType::Float16 | DataType::Bfloat16 | DataType::Double)
        );
        float && tensor.dims.iter().all(|&size| size == 1)
    });
    let known = single.filter(|tensor| match &listed {
        Some(listed) => listed.contains(tensor.name.as_str()),
        None => named(&tensor.name),
    });
    known.map(|tensor| tensor.name.clone()).collect()
}

/// Whether a name is one that a module gives, not an exporter.
pub(super) fn is_of_module(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !name.starts_with("val_")
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

/// Operations after which a tensor has the elements of those of which it was made, by the names of their values; and those that
/// make what only has a shape (the states of a recurrent layer).
const MOVES: &[&str] = &[
    "alias",
    "cat",
    "clone",
    "concat",
    "contiguous",
    "detach",
    "empty",
    "flatten",
    "full",
    "getitem",
    "movedim",
    "ones",
    "permute",
    "reshape",
    "select",
    "slice",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "t",
    "to",
    "transpose",
    "unsqueeze",
    "val",
    "view",
    "zeros",
];

/// Says that weights were computed from several parameters each when the model was exported, by more than moving elements
/// (weight norm): only the results are stored, and nothing says how many elements the parameters had.
pub(super) fn computed(graph: &GraphProto) -> Option<String> {
    let listed = graph.metadata_props.iter().find(|entry| entry.key == SIGNATURE)?;
    let parameters = targets(&listed.value, ": PARAMETER");
    let stored: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    // `mul_1` is the second `mul`.
    let operation = |name: &str| -> String {
        let end = name.rfind('_').filter(|&at| name[at + 1..].bytes().all(|byte| byte.is_ascii_digit()));
        name[..end.unwrap_or(name.len())].trim_start_matches('_').to_owned()
    };
    let moves = |name: &str| MOVES.contains(&operation(name).as_str());
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for value in graph.value_info.iter().filter(|value| stored.contains(value.name.as_str())) {
        let Some(list) = value.metadata_props.iter().find(|entry| entry.key == FOLDED) else { continue };
        let names = list.value.split('\'').skip(1).step_by(2);
        let (sources, steps): (Vec<&str>, Vec<&str>) = names.partition(|name| parameters.contains(name));
        let gone = sources.iter().any(|source| !stored.contains(source));
        if sources.len() > 1 && gone && !(moves(&value.name) && steps.into_iter().all(moves)) {
            found.push((&value.name, sources));
        }
    }
    let (name, sources) = found.first()?;
    let shown: Vec<String> = sources.iter().take(3).map(|source| format!("`{source}`")).collect();
    let more = if sources.len() > 3 { " and others" } else { "" };
    let shown = shown.join(" and ") + more;
    let what = match found.len() {
        1 => format!("the stored tensor `{name}` from {shown}, which are not stored"),
        count => format!(
            "{count} stored tensors from parameters that are not stored, `{name}` from {shown} for one"
        ),
    };
    Some(format!(
        "the exporter computed {what}: what is stored counts, and before the export PyTorch counts those parameters; `optimize=False` at the export keeps them"
    ))
}

/// Says that parameters of the file's list, which its nodes used before the export, are in no stored tensor of their own;
/// nothing if all are, or if the file does not say what its tensors were computed from.
pub(super) fn unstored(graph: &GraphProto) -> Option<String> {
    let list = graph.metadata_props.iter().find(|entry| entry.key == SIGNATURE)?;
    let folded = folded(graph);
    let made = exporters(graph);
    // Other tools (quantisers, optimisers) store weights under names of their own.
    let weight = |tensor: &&TensorProto| {
        let settings = matches!(
            DataType::try_from(tensor.data_type),
            Ok(DataType::Int64 | DataType::Int32 | DataType::Bool)
        );
        !settings && tensor.dims.iter().any(|&size| size > 1)
    };
    let known = |name: &str| {
        // The bias of a convolution into which a norm was folded.
        let bias = name.strip_suffix("_bias").is_some_and(|of| !made.contains(of));
        !made.contains(name) || folded.contains_key(name) || bias
    };
    if !graph.initializer.iter().filter(weight).all(|tensor| known(&tensor.name)) {
        return None;
    }
    let mut stored: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    stored.extend(folded.values().flatten().map(String::as_str));
    let texts = graph.node.iter().flat_map(|node| &node.metadata_props).filter(|entry| entry.key == TRACED);
    let used: HashSet<&str> =
        texts.flat_map(|entry| entry.value.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')).collect();
    let listed = || list.value.lines().filter_map(|line| line.split_once(": PARAMETER target='"));
    // The value that stands for a tied parameter is used nowhere.
    let absent = |(value, rest): (&'_ str, &'_ str)| {
        let name = rest.split('\'').next()?;
        (used.contains(value) && !stored.contains(name)).then(|| name.to_owned())
    };
    let missing: Vec<String> = listed().filter_map(absent).collect();
    let all = listed().count();
    let why = "norms are folded into convolutions, equal tensors are stored once, or the exporter dropped them (an LSTM's projection); PyTorch counts more before the export";
    Some(match missing.as_slice() {
        [] => return None,
        [one] => {
            format!("1 of the {all} parameters that the file lists, `{one}`, is no stored tensor: {why}")
        }
        [first, ..] => format!(
            "{} of the {all} parameters that the file lists, `{first}` among them, are no stored tensors: {why}",
            missing.len()
        ),
    })
}

/// Returns the entries of a kind in the list of a module's parameters and buffers.
pub(super) fn targets<'a>(list: &'a str, kind: &str) -> HashSet<&'a str> {
    let target = |line: &str| -> Option<(usize, usize)> {
        let at = line.find(kind)? + kind.len();
        let start = at + line[at..].find("target='")? + "target='".len();
        Some((start, start + line[start..].find('\'')?))
    };
    list.lines().filter_map(|line| target(line).map(|(start, end)| &line[start..end])).collect()
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
    fn what_is_computed_from_no_parameter_is_fixed() {
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
        let value = |name: &str, from: &str| ValueInfoProto {
            name: name.into(),
            metadata_props: vec![entry(FOLDED, from)],
            ..ValueInfoProto::default()
        };
        let tensor = |&name: &&str| TensorProto { name: name.into(), ..TensorProto::default() };
        let graph = GraphProto {
            initializer: ["val_1", "val_2", "b", "val_4"].iter().map(tensor).collect(),
            value_info: vec![
                value("val_1", "['val_0', 'zeros']"),
                value("val_2", "['a', 't']"),
                value("val_3", "[]"),
            ],
            metadata_props: vec![entry(SIGNATURE, "p_a: PARAMETER target='a'\np_b: PARAMETER target='b'\n")],
            ..GraphProto::default()
        };
        // `a` is stored in another form, so that `val_4`, of which the file says nothing, may be it.
        assert_eq!(no_parameters(&graph), HashSet::from(["val_1".to_owned()]));
        assert_eq!(folded(&graph)["val_2"], ["a"]);
        assert_eq!(exporters(&graph).len(), 3);
    }

    #[test]
    fn parameters_without_a_tensor_are_named() {
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
        let tensor = |&name: &&str| TensorProto { name: name.into(), ..TensorProto::default() };
        let list = ["a", "b", "c", "d"].map(|name| format!("p_{name}: PARAMETER target='{name}'\n")).concat();
        let traced = entry(TRACED, "%y = call_function[target=linear](args = (%x, %p_a, %p_b, %p_c))");
        let graph = GraphProto {
            initializer: ["a", "val_1"].iter().map(tensor).collect(),
            value_info: vec![ValueInfoProto {
                name: "val_1".into(),
                metadata_props: vec![entry(FOLDED, "['b']")],
                ..ValueInfoProto::default()
            }],
            node: vec![super::super::proto::NodeProto { metadata_props: vec![traced], ..Default::default() }],
            metadata_props: vec![entry(SIGNATURE, &list)],
            ..GraphProto::default()
        };
        // `d` is used by no node: it is tied to another one.
        let remark = unstored(&graph).expect("a remark");
        assert!(remark.starts_with("1 of the 4 parameters that the file lists, `c`, is"), "{remark}");
    }

    /// Weight norm: 216 products of a direction and a length are stored, not the 8 lengths. A packed projection is moved only.
    #[test]
    fn weights_computed_from_several_parameters_are_named() {
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
        let tensor = |&name: &&str| TensorProto { name: name.into(), ..TensorProto::default() };
        let value = |name: &str, from: &str| ValueInfoProto {
            name: name.into(),
            metadata_props: vec![entry(FOLDED, from)],
            ..ValueInfoProto::default()
        };
        let list = ["g", "v", "q", "k"].map(|name| format!("p_{name}: PARAMETER target='{name}'\n")).concat();
        let graph = |stored: &[&str]| GraphProto {
            initializer: stored.iter().map(tensor).collect(),
            value_info: vec![
                value("mul_1", "['g', 'v', 'div', 'linalg_vector_norm', 'val_3']"),
                // The weights of a recurrent layer, and the shape of the state in which it begins.
                value("val_9", "['q', 'k', 'val_1', 'zeros_1']"),
            ],
            metadata_props: vec![entry(SIGNATURE, &list)],
            ..GraphProto::default()
        };
        let remark = computed(&graph(&["mul_1", "val_9"])).expect("a remark");
        assert!(
            remark.starts_with(
                "the exporter computed the stored tensor `mul_1` from `g` and `v`, which are not"
            ),
            "{remark}"
        );
        assert_eq!(computed(&graph(&["val_9"])), None);
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
