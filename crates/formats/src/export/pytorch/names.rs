//! Names in Python: classes, variables, attributes.

use std::collections::HashSet;

/// Words that cannot be a name, or that have a meaning in the file.
const TAKEN: &[&str] = &[
    "False",
    "None",
    "True",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "class",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "is",
    "lambda",
    "nonlocal",
    "not",
    "or",
    "pass",
    "raise",
    "return",
    "try",
    "while",
    "with",
    "yield",
    "self",
    "torch",
    "nn",
    "F",
    "super",
    "range",
    "OrderedDict",
];

/// Attributes of `nn.Module` that a layer of that name would shadow.
const MODULE: &[&str] = &[
    "T_destination",
    "add_module",
    "apply",
    "bfloat16",
    "buffers",
    "call_super_init",
    "children",
    "compile",
    "cpu",
    "cuda",
    "double",
    "dump_patches",
    "eval",
    "extra_repr",
    "float",
    "forward",
    "get_buffer",
    "get_extra_state",
    "get_parameter",
    "get_submodule",
    "half",
    "ipu",
    "load_state_dict",
    "modules",
    "mtia",
    "named_buffers",
    "named_children",
    "named_modules",
    "named_parameters",
    "parameters",
    "register_buffer",
    "register_forward_hook",
    "register_module",
    "register_parameter",
    "requires_grad_",
    "set_extra_state",
    "set_submodule",
    "share_memory",
    "state_dict",
    "to",
    "to_empty",
    "train",
    "training",
    "type",
    "xpu",
    "zero_grad",
];

/// Returns whether `name` can be written as an attribute: `self.name`.
pub(super) fn is_attribute(name: &str) -> bool {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !TAKEN.contains(&name)
        && !MODULE.contains(&name)
        && !name.starts_with("__")
}

/// Returns the expression of the module at `path` below `base`: `self.stage1.conv1`, or
/// `self.get_submodule("layer1.0")`.
pub(super) fn reach(base: &str, path: &str) -> String {
    if path.split('.').all(is_attribute) {
        return format!("{base}.{path}");
    }
    format!("{base}.get_submodule(\"{path}\")")
}

/// Returns a variable for the value of `name`.
pub(super) fn variable(name: &str) -> String {
    let last = name.rsplit('.').next().unwrap_or(name);
    let text: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let text = if text.starts_with(|c: char| c.is_ascii_alphabetic()) { text } else { format!("v{text}") };
    if TAKEN.contains(&text.as_str()) { format!("{text}_") } else { text }
}

/// Converts `basic_block` to `BasicBlock`; a name that begins with a digit gets the prefix `Net`.
pub(super) fn class(name: &str) -> String {
    let mut text = String::new();
    let mut upper = true;
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => {
                text.push(if upper { c.to_ascii_uppercase() } else { c });
                upper = false;
            }
            _ => upper = true,
        }
    }
    match text.chars().next() {
        None => "Net".into(),
        Some(first) if first.is_ascii_digit() => format!("Net{text}"),
        Some(_) => text,
    }
}

/// Returns `name`, numbered if it is in `taken`, and adds it there.
pub(super) fn unique(name: String, taken: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
    let free = free.unwrap_or(name);
    taken.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_python() {
        assert_eq!(
            (class("basic_block"), class("3d-unet"), class("_")),
            ("BasicBlock".into(), "Net3dUnet".into(), "Net".into())
        );
        assert_eq!(
            (variable("a.branch1"), variable("0"), variable("in")),
            ("branch1".into(), "v0".into(), "in_".into())
        );
        assert_eq!(reach("self", "stage1.conv1"), "self.stage1.conv1");
        assert_eq!(reach("self", "layer1.0"), "self.get_submodule(\"layer1.0\")");
        assert_eq!(reach("self", "half"), "self.get_submodule(\"half\")");
    }
}
