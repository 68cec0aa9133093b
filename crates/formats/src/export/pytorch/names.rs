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
    "bool",
    "deform_conv2d",
    "dict",
    "enumerate",
    "float",
    "int",
    "isinstance",
    "len",
    "list",
    "max",
    "min",
    "print",
    "slice",
    "str",
    "sum",
    "tuple",
    "zip",
];

/// Attributes of `nn.Module` and `nn.Sequential`: a layer of that name must not replace them, and PyTorch refuses to add
/// it. Names that begin with `_` or `register_` are among them too.
const MODULE: &[&str] = &[
    "T_destination",
    "add_module",
    "append",
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
    "extend",
    "extra_repr",
    "float",
    "forward",
    "get_buffer",
    "get_extra_state",
    "get_parameter",
    "get_submodule",
    "half",
    "insert",
    "ipu",
    "load_state_dict",
    "modules",
    "mtia",
    "named_buffers",
    "named_children",
    "named_modules",
    "named_parameters",
    "parameters",
    "pop",
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

/// Whether `nn.Module` has, or may have, an attribute `name` of its own.
fn is_taken_by_module(name: &str) -> bool {
    MODULE.contains(&name) || name.starts_with('_') || name.starts_with("register_")
}

/// Whether `name` can be written as an attribute: `self.name`.
pub(super) fn is_attribute(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic());
    first
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !TAKEN.contains(&name)
        && !is_taken_by_module(name)
}

/// Returns a Python string literal with the value `text`: the only way that a name gets into the file as anything but a
/// word of letters, digits and `_`.
pub(super) fn literal(text: &str) -> String {
    crate::export::escape::double_quoted(text)
}

/// Returns `name` as a description shows it: without what ends one, or what a terminal or editor obeys.
pub(super) fn described(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || (' '..='~').contains(&c) && !matches!(c, '\\' | '"');
    name.chars().map(|c| if plain(c) { c } else { '_' }).collect()
}

/// Returns the expression of the module at `path` below `base`: `self.stage1.conv1`, or
/// `self.get_submodule("layer1.0")`.
pub(super) fn reach(base: &str, path: &str) -> String {
    if path.split('.').all(is_attribute) {
        return format!("{base}.{path}");
    }
    if path.split('.').any(is_taken_by_module) {
        // `get_submodule` finds the attribute of `nn.Module` first.
        return path.split('.').fold(base.to_owned(), |base, name| member(&base, name));
    }
    format!("{base}.get_submodule({})", literal(path))
}

/// The module `name` of the module `base`, whatever the name is.
fn member(base: &str, name: &str) -> String {
    if is_attribute(name) { format!("{base}.{name}") } else { format!("{base}._modules[{}]", literal(name)) }
}

/// What stands before and behind the expression that becomes the module `name` of the module `base`.
pub(super) fn assignment(base: &str, name: &str) -> (String, &'static str) {
    if is_attribute(name) || is_taken_by_module(name) {
        (format!("{} = ", member(base, name)), "")
    } else {
        (format!("{base}.add_module({}, ", literal(name)), ")")
    }
}

/// Returns a variable for the value of `name`.
pub(super) fn variable(name: &str) -> String {
    let last = name.rsplit('.').next().unwrap_or(name);
    let text: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let text = if text.starts_with(|c: char| c.is_ascii_alphabetic()) { text } else { format!("v{text}") };
    let used = TAKEN.contains(&text.as_str()) || super::support::NAMES.contains(&text.as_str());
    if used { format!("{text}_") } else { text }
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
        // `None`, `True` and `False` are no names.
        Some(_) if TAKEN.contains(&text.as_str()) => format!("{text}Net"),
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
        assert_eq!(reach("self", "half"), "self._modules[\"half\"]");
        assert_eq!(reach("self", "a.0.half"), "self.a._modules[\"0\"]._modules[\"half\"]");
        assert_eq!((class("none"), class("true")), ("NoneNet".into(), "TrueNet".into()));
        assert_eq!(assignment("self", "half"), ("self._modules[\"half\"] = ".into(), ""));
        assert_eq!(assignment("self", "0"), ("self.add_module(\"0\", ".into(), ")"));
    }

    #[test]
    fn literals_contain_no_code() {
        let hostile = "a\"),exec('x')\\\n\r\u{1b}\u{85}\u{2028}\u{202e}\u{e0001}é";
        let wanted = r#""a\"),exec('x')\\\x0a\x0d\x1b\x85\u2028\u202e\U000e0001é""#;
        assert_eq!(literal(hostile), wanted);
    }
}
