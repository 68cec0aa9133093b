//! Hostile names in every format: nothing that a terminal, a CI service, a spreadsheet, a browser or Python obeys gets out.

use std::path::Path;
use std::process::Command;

use prost::Message as _;

use crate::support::program::{cnnkit, run, temporary};
use cnnkit::onnx::proto::{
    Dimension, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};

/// Names that something obeys.
pub const HOSTILE: &[&str] = &[
    "a\n::error file=README.md,line=1::pwned\n::add-mask::e\n",
    "::stop-commands::x",
    "##[error]pwned ##vso[task.setvariable variable=x]y",
    "\u{1b}]0;title\u{7}\u{1b}[2J",
    "\u{9b}31mred\u{85}next",
    "a\r\u{2028}b\u{2029}c",
    "\u{202e}drow\u{2066}x\u{200b}\u{feff}\u{e0041}",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "<img src=x onerror=alert(1)>",
    "\"),exec('x')#",
    "\\\"\"\"'''\\n",
    "`|*_[x](javascript:alert(1))",
    "${{ github.token }} $(id) `id`",
    "]]>&amp;<!--",
    "x\u{0}y",
];

/// Whether a terminal or an editor obeys `c`; a line break and a tab are layout.
pub fn is_obeyed(c: char) -> bool {
    (c.is_control() && !"\n\t".contains(c))
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// What `text` does that it must not, if anything.
fn flaw(format: &str, text: &str) -> Option<String> {
    if let Some(c) = text.chars().find(|&c| is_obeyed(c)) {
        return Some(format!("U+{:04X}", u32::from(c)));
    }
    for line in text.lines() {
        let start = line.trim_start();
        let own = ["::error ", "::warning ", "::notice ", "::group::", "::endgroup::"];
        let wanted = format == "github" && own.iter().any(|own| start.starts_with(own));
        if start.starts_with("::") && !start.starts_with(":::") && !wanted {
            return Some(format!("the command {start}"));
        }
        for mark in ["##[", "##vso["] {
            if format != "github" && line.contains(mark) {
                return Some(format!("the command {mark}"));
            }
        }
    }
    match format {
        "csv" => text
            .lines()
            .find(|line| {
                line.starts_with(['=', '@'])
                    || line.starts_with("\"=")
                    || line.contains(",=")
                    || line.contains(",@")
            })
            .map(|line| format!("the formula {line}")),
        "mermaid" | "markdown" if text.contains("<img") && !text.contains("\\<img") => Some("HTML".into()),
        "json" | "sarif" | "gitlab" => {
            serde_json::from_str::<serde_json::Value>(text).err().map(|error| error.to_string())
        }
        "jsonl" => text
            .lines()
            .find_map(|line| serde_json::from_str::<serde_json::Value>(line).err())
            .map(|error| error.to_string()),
        "junit" => roxmltree::Document::parse(text).err().map(|error| error.to_string()),
        _ => None,
    }
}

/// A model whose names are `name`, with an operator that stays opaque.
pub fn model(name: &str) -> Vec<u8> {
    let dim = |size: i64| Dimension { value: Some(DimensionValue::Value(size)) };
    let shape = TensorShapeProto { dim: [1, 3, 8, 8].map(dim).to_vec() };
    let tensor_type = TensorTypeProto { elem_type: 1, shape: Some(shape) };
    let value = |name: &str| ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type.clone()) }),
        ..ValueInfoProto::default()
    };
    let node = |op: &str, input: &str, output: &str| NodeProto {
        op_type: op.into(),
        name: name.into(),
        input: vec![input.into()],
        output: vec![output.into()],
        domain: if op == "Relu" { String::new() } else { name.into() },
        ..NodeProto::default()
    };
    let middle = format!("{name} middle");
    ModelProto {
        ir_version: 8,
        opset_import: vec![
            OperatorSetIdProto { version: 17, ..Default::default() },
            OperatorSetIdProto { domain: name.into(), version: 1 },
        ],
        graph: Some(GraphProto {
            name: name.into(),
            node: vec![node(name, name, &middle), node("Relu", &middle, &format!("{name} end"))],
            input: vec![value(name)],
            output: vec![value(&format!("{name} end"))],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
    .encode_to_vec()
}

const CALLS: &[(&str, &[&str])] = &[
    (
        "check",
        &["table", "concise", "json", "jsonl", "csv", "markdown", "sarif", "github", "gitlab", "junit"],
    ),
    ("graph", &["table", "json", "csv", "markdown", "dot", "mermaid"]),
    ("params", &["table", "json", "csv", "markdown"]),
    ("rf", &["table", "json", "csv", "markdown"]),
    ("import", &["table"]),
    ("export", &["pytorch"]),
];

/// Both streams of every call on `file`, and what they do that they must not.
fn flaws(folder: &Path, file: &str, list: &mut Vec<String>) {
    for (command, formats) in CALLS {
        for format in *formats {
            let args = [command, file, "--format", format, "--color", "never"];
            let output = cnnkit(&args).current_dir(folder).output().expect("the program runs");
            assert_ne!(output.status.code(), Some(101), "{args:?}");
            let streams = [(*format, output.stdout), ("table", output.stderr)];
            for (format, bytes) in streams {
                let text = String::from_utf8(bytes).expect("UTF-8");
                if text.is_empty() {
                    continue;
                }
                list.extend(flaw(format, &text).map(|flaw| format!("{args:?}: {flaw} in {text}")));
            }
        }
    }
}

#[test]
fn hostile_names_of_models_are_text_in_every_format() {
    let folder = temporary("names-of-models");
    let mut found = Vec::new();
    for name in HOSTILE.iter().filter(|name| !name.contains('\0')) {
        std::fs::write(folder.join("model.onnx"), model(name)).expect("a model");
        flaws(&folder, "model.onnx", &mut found);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn hostile_names_of_specs_are_refused_and_shown_as_text() {
    let folder = temporary("names-of-specs");
    let mut found = Vec::new();
    for name in HOSTILE {
        let quoted = serde_json::to_string(name).expect("JSON is YAML");
        let body = "[conv: {out_channels: 3, kernel: 3, padding: 1}, batch_norm, relu]";
        let specs = [
            format!("input: [3, 8, 8]\nblocks:\n  {quoted}: {body}\nlayers: [{quoted}, {quoted}]\n"),
            format!("input: {{{quoted}: [3, 8, 8]}}\nlayers: {body}\n"),
            format!("input: [3, 8, 8]\nlayers:\n  - branches: {{paths: {{{quoted}: {body}, b: []}}}}\n"),
            format!("input: [3, 8, 8]\nlayers:\n  - {{id: {quoted}, relu: {{}}}}\n"),
            format!("input: [3, 8, 8]\nvariables: {{{quoted}: 1}}\nlayers: {body}\n"),
            format!(
                "name: {quoted}\ndescription: {quoted}\ninput: [3, 8, 8]\nlayers: {body}\nexpect: {{params: 1}}\n"
            ),
            format!(
                "input: [3, 8, 8]\nlayers: {body}\nexpect: {{{quoted}: 1, nodes: {{{quoted}: {{params: 1}}}}}}\n"
            ),
            format!(
                "input: [3, 8, 8]\nlayers:\n  - {quoted}\n  - conv: {{{quoted}: 1}}\n  - {{relu: {{}}, from: {quoted}}}\n"
            ),
            format!("{quoted}: 1\ninput: [3, 8, 8]\nlayers: {body}\n"),
        ];
        for (number, spec) in specs.iter().enumerate() {
            std::fs::write(folder.join("net.yaml"), spec).expect("a spec");
            if number < 5 {
                let output = cnnkit(&["params", "net.yaml"]).current_dir(&folder).output().expect("a call");
                let errors = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(2), "{spec}");
                assert!(
                    ["cannot be", "YAML", "character", "expression"].iter().any(|word| errors.contains(word)),
                    "{spec}: {errors}"
                );
            }
            flaws(&folder, "net.yaml", &mut found);
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[cfg(unix)]
#[test]
fn hostile_names_of_files_are_text_in_every_format() {
    let mut found = Vec::new();
    for (number, name) in HOSTILE.iter().filter(|name| !name.contains(['/', '\0'])).enumerate() {
        let folder = temporary(&format!("names-of-files-{number}"));
        let file = format!("{name}.yaml");
        let spec = "input: [3, 8, 8]\nblocks: {b: [relu]}\nlayers: [conv: {out_channels: 3, kernel: 3}, relu, relu]\n";
        std::fs::write(folder.join(&file), spec).expect("a spec");
        flaws(&folder, ".", &mut found);
        if !name.starts_with('-') {
            flaws(&folder, &format!("./{file}"), &mut found);
        }
    }
    found.retain(|flaw| !flaw.contains("is a folder"));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A stand-in for PyTorch that refuses what it refuses: names that a module has already, dots, no name.
const TORCH: &str = r#"
import types, sys

class Module:
    training = True
    def __init__(self, *args, **kwargs):
        self.__dict__["_modules"] = {}
    def __setattr__(self, name, value):
        if isinstance(value, Module):
            self._modules[name] = value
        else:
            object.__setattr__(self, name, value)
    def __getattr__(self, name):
        if name in self.__dict__.get("_modules", {}):
            return self._modules[name]
        raise AttributeError(name)
    def add_module(self, name, module):
        if hasattr(self, name) and name not in self._modules:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name or name == "":
            raise KeyError(name)
        self._modules[name] = module
    def get_submodule(self, target):
        module = self
        for name in target.split("."):
            if not hasattr(module, name):
                raise AttributeError(name)
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"{name} is not a module")
        return module
    def __call__(self, *args):
        return self.forward(*args)
    def forward(self, *args):
        return args[0]
    def paths(self, prefix=""):
        for name, module in self._modules.items():
            yield prefix + name
            yield from module.paths(prefix + name + ".")

for name in "apply bfloat16 buffers children compile cpu cuda double eval float half modules parameters pop to train type".split():
    setattr(Module, name, lambda self, *args: self)

class Sequential(Module):
    def __init__(self, modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
    def append(self, module): pass
    def forward(self, x):
        for module in self._modules.values():
            x = module(x)
        return x

nn = types.ModuleType("torch.nn")
nn.Module, nn.Sequential = Module, Sequential
nn.__getattr__ = lambda name: type(name, (Module,), {})
functional = types.ModuleType("torch.nn.functional")
functional.__getattr__ = lambda name: (lambda *args, **kwargs: args[0])
nn.functional = functional
torch = types.ModuleType("torch")
torch.nn = nn
torch.__getattr__ = lambda name: (lambda *args, **kwargs: args[0])
for name, module in (("torch", torch), ("torch.nn", nn), ("torch.nn.functional", functional)):
    sys.modules[name] = module
"#;

/// Compiles the exported file, instantiates and calls its network; returns the paths of its modules.
fn instantiated(folder: &Path, file: &str) -> Option<Result<String, String>> {
    let script = format!(
        "{TORCH}\nimport runpy\ncompile(open({file:?}).read(), {file:?}, 'exec')\nspace = runpy.run_path({file:?})\n\
         classes = [v for v in space.values() if isinstance(v, type) and issubclass(v, Module) and v.__module__ == '<run_path>']\n\
         net = classes[-1]()\nnet(1)\nprint(sorted(net.paths()))\n"
    );
    std::fs::write(folder.join("try.py"), script).expect("a script");
    let output = Command::new("python3").arg("try.py").current_dir(folder).output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

#[test]
fn exported_python_runs_with_odd_names() {
    let folder = temporary("odd-names");
    let long = "a".repeat(77);
    let names = [
        "half",
        "forward",
        "training",
        "type",
        "pop",
        "append",
        "_modules",
        "__init__",
        "__x",
        "register_x",
        "eval",
        "0",
        "1x",
        "in",
        "None",
        "self",
        "torch",
        "F",
        "nn",
        "x",
        "len",
        "größe",
        "日本",
        "a-b",
        "class",
        "Attention",
        "add_module",
        long.as_str(),
    ];
    for name in names {
        let spec = format!(
            "name: {name:?}\ninput: [3, 8, 8]\nblocks:\n  none: [conv: {{out_channels: 3, kernel: 3, padding: 1}}, relu]\n\
             layers:\n  - {{id: {name:?}, relu: {{}}}}\n  - {{id: g, sequential: [{{id: {name:?}, relu: {{}}}}, batch_norm]}}\n  \
             - none\n  - branches: {{join: add, paths: {{{name:?}: [none], b: [relu]}}}}\n"
        );
        // A branch and a layer of one name cannot both be at the top.
        let spec = spec.replace(&format!("  - {{id: {name:?}, relu: {{}}}}\n  - {{id: g"), "  - {id: g");
        std::fs::write(folder.join("net.yaml"), &spec).expect("a spec");
        let output =
            cnnkit(&["export", "net.yaml", "-o", "net.py"]).current_dir(&folder).output().expect("a call");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let Some(result) = instantiated(&folder, "net.py") else { return };
        let text = std::fs::read_to_string(folder.join("net.py")).expect("a file");
        let paths = result.unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        assert!(paths.contains(&format!("'g.{name}'")), "{name} keeps its name in state_dict: {paths}");
    }
}

#[test]
fn exported_python_of_a_hostile_model_runs_no_code() {
    let folder = temporary("hostile-python");
    let witness = folder.join("PWNED");
    for name in HOSTILE {
        let code = name.replace("exec('x')", "open('PWNED', 'w')");
        std::fs::write(folder.join("model.onnx"), model(&code)).expect("a model");
        let args = ["import", "model.onnx", "-o", "net.yaml"];
        cnnkit(&args).current_dir(&folder).output().expect("a call");
        let args = ["export", "model.onnx", "-o", "net.py"];
        let output = cnnkit(&args).current_dir(&folder).output().expect("a call");
        if output.status.success()
            && let Some(result) = instantiated(&folder, "net.py")
        {
            result.unwrap_or_else(|error| panic!("{name:?}: {error}"));
        }
        assert!(!witness.exists(), "{name:?} ran");
    }
    assert!(!run(&["schema"]).stdout.is_empty());
}
