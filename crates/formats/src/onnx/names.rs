//! Ids for imported nodes: the exporter's names, grouped by module path, so that a table reads like the PyTorch model.
//!
//! - PyTorch's older exporter writes `/layer1/layer1.0/conv1/Conv`: each part repeats the part above it.
//! - The newer one writes the path into the node's metadata: `['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d_1']`.
//! - tf2onnx and others write `model/block1/conv/Conv2D`.
//!
//! The only node of a module gets the module's name (`layer1.0.conv1`); several nodes get the operator's name after it
//! (`layer1.0.add`).

use std::collections::{HashMap, HashSet};

use super::proto::NodeProto;

/// The module path of a node, and its own name there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModulePath {
    /// Dotted path of the module; empty at the top.
    pub module: String,
    /// The node's name within it: `add`, `relu_1`.
    pub leaf: String,
}

/// Key under which PyTorch's exporter writes the module path.
pub const SCOPES: &str = "pkg.torch.onnx.name_scopes";

/// Returns the module path of `node`, from the exporter's names.
pub fn place(node: &NodeProto) -> ModulePath {
    let scopes = node.metadata_props.iter().find(|entry| entry.key == SCOPES);
    if let Some(list) = scopes.and_then(|entry| python_list(&entry.value))
        && let Some((_, modules)) = list.split_last()
    {
        let module = modules.last().map(|module| clean(module)).unwrap_or_default();
        return ModulePath { module, leaf: operator(&node.op_type, &node.name) };
    }
    let parts: Vec<String> = node.name.split('/').map(clean).filter(|part| !part.is_empty()).collect();
    match parts.split_last() {
        None => ModulePath { module: String::new(), leaf: snake(&node.op_type) },
        Some((last, above)) => ModulePath { module: joined(above), leaf: operator(&node.op_type, last) },
    }
}

/// Returns `operator_3` for a name such as `Relu_3` or `node_relu_3`; other names unchanged.
fn operator(op_type: &str, name: &str) -> String {
    let word = snake(op_type);
    let name = clean(name);
    let bare = name.strip_prefix("node_").unwrap_or(&name);
    let number =
        bare.rsplit_once('_').map(|(_, number)| number).filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let stem = number.map_or(bare, |number| &bare[..bare.len() - number.len() - 1]);
    let squeezed = |text: &str| text.to_lowercase().replace('_', "");
    if stem.is_empty() || squeezed(stem) == squeezed(op_type) {
        return number.filter(|n| *n != "0").map_or(word.clone(), |number| format!("{word}_{number}"));
    }
    bare.to_owned()
}

/// Joins nested modules; a part that repeats the part above it (`layer1`, `layer1.0`) replaces that.
fn joined(parts: &[String]) -> String {
    let mut path: Vec<&str> = Vec::new();
    for part in parts {
        if let Some(last) = path.last()
            && part.strip_prefix(last).is_some_and(|rest| rest.starts_with('.'))
        {
            path.pop();
        }
        path.push(part);
    }
    path.join(".")
}

/// Converts `GlobalAveragePool` to `global_average_pool`.
fn snake(name: &str) -> String {
    let mut text = String::new();
    let mut before_lower = false;
    for letter in name.chars() {
        if letter.is_uppercase() && before_lower {
            text.push('_');
        }
        before_lower = letter.is_lowercase() || letter.is_ascii_digit();
        text.extend(letter.to_lowercase());
    }
    clean(&text)
}

/// Keeps letters, digits, `_`, `-` and dots, and replaces other characters by `_`. At most 200 bytes.
fn clean(text: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' };
    let text: String = text.chars().map(safe).take(200).collect();
    text.trim_matches('.').to_owned()
}

/// Parses a list of strings as Python prints it: `['', 'layer1', "a'b"]`.
fn python_list(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let (mut list, mut rest) = (Vec::new(), inner.trim_start());
    while let Some(quote @ ('\'' | '"')) = rest.chars().next() {
        let end = rest[1..].find(quote)?;
        list.push(rest[1..=end].to_owned());
        rest = rest[end + 2..].trim_start().trim_start_matches(',').trim_start();
    }
    rest.is_empty().then_some(list)
}

/// Returns ids for all paths: unique, and none equal to the path of another node's module.
pub fn ids(places: &[ModulePath], taken: &[&str]) -> Vec<String> {
    let mut members: HashMap<&str, usize> = HashMap::new();
    let mut above: HashSet<&str> = HashSet::new();
    for place in places {
        *members.entry(&place.module).or_default() += 1;
        above.extend(place.module.match_indices('.').map(|(end, _)| &place.module[..end]));
    }
    let mut used: HashSet<String> = taken.iter().map(|&name| name.to_owned()).collect();
    let mut next: HashMap<String, usize> = HashMap::new();
    let mut result = Vec::with_capacity(places.len());
    for place in places {
        let module = place.module.as_str();
        let alone = !module.is_empty() && members.get(module) == Some(&1) && !above.contains(module);
        let id = match (alone, module) {
            (true, _) => module.to_owned(),
            (false, "") => place.leaf.clone(),
            (false, _) => format!("{module}.{}", place.leaf),
        };
        let mut unique = id.clone();
        while used.contains(&unique) {
            let number = next.entry(id.clone()).or_insert(0);
            *number += 1;
            unique = format!("{id}_{number}");
        }
        used.insert(unique.clone());
        result.push(unique);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::super::proto::StringStringEntryProto;
    use super::*;

    fn node(name: &str, op_type: &str, scopes: Option<&str>) -> NodeProto {
        let entry = |value: &str| StringStringEntryProto { key: SCOPES.into(), value: value.into() };
        NodeProto {
            name: name.into(),
            op_type: op_type.into(),
            metadata_props: scopes.map(entry).into_iter().collect(),
            ..NodeProto::default()
        }
    }

    #[test]
    fn names_follow_the_modules_of_every_exporter() {
        let cases = [
            (node("/layer1/layer1.0/conv1/Conv", "Conv", None), "layer1.0.conv1", "conv"),
            (node("/layer1/layer1.0/Add", "Add", None), "layer1.0", "add"),
            (node("/layer1/layer1.0/relu_1/Relu", "Relu", None), "layer1.0.relu_1", "relu"),
            (
                node("node_conv2d_1", "Conv", Some("['', 'layer1', 'layer1.0.conv1', 'conv2d_1']")),
                "layer1.0.conv1",
                "conv2d_1",
            ),
            (node("node_add", "Add", Some("['', 'layer1.0', 'add']")), "layer1.0", "add"),
            (node("model/block1/conv/Conv2D", "Conv", None), "model.block1.conv", "Conv2D"),
            (node("Conv_17", "Conv", None), "", "conv_17"),
            (node("", "GlobalAveragePool", None), "", "global_average_pool"),
        ];
        for (node, module, leaf) in cases {
            assert_eq!(
                place(&node),
                ModulePath { module: module.into(), leaf: leaf.into() },
                "{}",
                node.name
            );
        }
    }

    #[test]
    fn a_node_alone_in_its_module_has_its_name() {
        let place = |module: &str, leaf: &str| ModulePath { module: module.into(), leaf: leaf.into() };
        let places = [
            place("conv1", "conv"),
            place("layer1.0.conv1", "conv"),
            place("layer1.0", "add"),
            place("layer1.0", "relu"),
            place("", "conv1"),
        ];
        assert_eq!(
            ids(&places, &["input"]),
            ["conv1", "layer1.0.conv1", "layer1.0.add", "layer1.0.relu", "conv1_1"]
        );
    }
}
