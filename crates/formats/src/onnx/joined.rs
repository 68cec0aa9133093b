//! What PyTorch's exporters put together: batch norms in convolutions, equal tensors in one.

use std::collections::{HashMap, HashSet};

use super::proto::{DataType, GraphProto, TensorProto};
use super::provenance::{SIGNATURE, is_of_module, targets};

/// What PyTorch's exporter put together: batch norms folded into convolutions, and equal tensors stored once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Joined {
    /// Batch norms.
    pub norms: u64,
    /// Their channels, all together.
    pub channels: u64,
    /// The stored tensor and the elements of each parameter that is stored as another one.
    pub copies: Vec<(String, u64)>,
}

impl Joined {
    /// Says what PyTorch counts before the export of a model with `params`; nothing if it is the same. `counts` returns whether
    /// a stored tensor is a parameter.
    pub(super) fn remark(&self, params: u64, counts: impl Fn(&str) -> bool) -> Option<String> {
        let copies: Vec<u64> =
            self.copies.iter().filter(|(of, _)| counts(of)).map(|(_, size)| *size).collect();
        let copied = copies.iter().copied().fold(0, u64::saturating_add);
        let of = |count: u64, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        let norms = of(
            self.norms,
            "batch norm is folded into a convolution",
            "batch norms are folded into convolutions",
        );
        let tied = if copies.is_empty() { "" } else { "; fewer where equal tensors were one" };
        let copies =
            of(copies.len() as u64, "tensor is stored as an equal one", "tensors are stored as equal ones");
        let what: Vec<String> = norms.into_iter().chain(copies).collect();
        let all = params.saturating_add(copied).saturating_add(self.channels);
        let plain = cnnkit_core::number::grouped(all);
        let biased = cnnkit_core::number::grouped(all.saturating_add(self.channels));
        let biased = if self.norms > 0 {
            format!(", or {biased} if those convolutions had a bias of their own")
        } else {
            String::new()
        };
        let counts = format!("before the export PyTorch counts {plain} parameters{biased}{tied}");
        (!what.is_empty()).then(|| format!("{}: {counts}", what.join(", ")))
    }
}

/// Finds what PyTorch's exporter put together. Weight and bias of a convolution with a norm have the exporter's numbers
/// instead of the module's names; an `Identity` gives an equal tensor the name of one that is not stored.
pub(super) fn joined(graph: &GraphProto) -> Joined {
    let stored: HashMap<&str, &TensorProto> =
        graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut copies: HashMap<&str, &TensorProto> = HashMap::new();
    for node in graph.node.iter().filter(|node| node.op_type == "Identity") {
        if let ([input], [output]) = (node.input.as_slice(), node.output.as_slice())
            && let Some(tensor) = stored.get(input.as_str())
        {
            copies.insert(output, tensor);
        }
    }
    let elements = |tensor: &TensorProto| {
        tensor.dims.iter().fold(1u64, |product, &size| product.saturating_mul(size.unsigned_abs()))
    };
    let mut found = Joined::default();
    let numbered = |name: &str| {
        let rest = name.strip_prefix("onnx::ConvTranspose_").or_else(|| name.strip_prefix("onnx::Conv_"));
        rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    // Any other `Identity` is an operation of the module (`clone`), or moved nothing (a flattened matrix).
    let list = graph.metadata_props.iter().find(|entry| entry.key == SIGNATURE);
    let listed = list.map(|list| targets(&list.value, ": PARAMETER"));
    let kept = |name: &str| match &listed {
        Some(listed) => listed.contains(name),
        None => {
            (is_of_module(name) || numbered(name))
                && !name.ends_with("running_mean")
                && !name.ends_with("running_var")
        }
    };
    for (_, tensor) in copies.iter().filter(|(name, tensor)| kept(name) && is_float(tensor)) {
        found.copies.push((tensor.name.clone(), elements(tensor)));
    }
    let mut seen = HashSet::new();
    for node in &graph.node {
        let ("Conv" | "ConvTranspose", [_, weight, bias]) = (node.op_type.as_str(), node.input.as_slice())
        else {
            continue;
        };
        let tensor = stored.get(bias.as_str()).or_else(|| copies.get(bias.as_str()));
        if let Some(tensor) = tensor
            && numbered(weight)
            && numbered(bias)
            && seen.insert(weight)
        {
            found.norms += 1;
            found.channels = found.channels.saturating_add(elements(tensor));
        }
    }
    found
}

/// Whether a stored tensor has numbers that may be learned.
fn is_float(tensor: &TensorProto) -> bool {
    DataType::try_from(tensor.data_type).is_ok_and(|data_type| !super::constant::is_integer(data_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::{NodeProto, StringStringEntryProto};

    /// What an `Identity` renames counts where it is a parameter of its own: neither a copied buffer nor a view.
    #[test]
    fn identities_of_operations_are_no_parameters() {
        let tensor = |name: &str| TensorProto {
            name: name.into(),
            dims: vec![5],
            data_type: DataType::Float as i32,
            ..TensorProto::default()
        };
        let identity = |from: &str, to: &str| NodeProto {
            op_type: "Identity".into(),
            input: vec![from.into()],
            output: vec![to.into()],
            ..Default::default()
        };
        let mut graph = GraphProto {
            initializer: vec![tensor("a.weight"), tensor("a.weight_u")],
            node: vec![
                identity("a.weight", "b.weight"),
                identity("a.weight", "onnx::MatMul_5"),
                identity("a.weight_u", "c.weight_u"),
            ],
            ..GraphProto::default()
        };
        let found = joined(&graph);
        assert_eq!(found.copies.len(), 2);
        let counts = |name: &str| !name.ends_with("_u");
        let remark = found.remark(5, counts).expect("a remark");
        assert!(
            remark.starts_with("1 tensor is stored as an equal one: before the export PyTorch counts 10 "),
            "{remark}"
        );
        let list = "p_a: PARAMETER target='a.weight'\n";
        graph.metadata_props = vec![StringStringEntryProto { key: SIGNATURE.into(), value: list.into() }];
        assert_eq!(joined(&graph).remark(5, counts), None);
    }
}
