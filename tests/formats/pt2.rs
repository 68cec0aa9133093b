//! Programs that `torch.export` wrote, against what PyTorch says of them (tests/data/pt2, written by its `make.py`).

use std::io::{Cursor, Read as _, Write as _};
use std::path::{Path, PathBuf};

use cnnkit::layers::Layer;
use cnnkit::{Graph, Network, Tensor, graph::Op};
use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The archives of both layouts, each with the file and the entry that say what the PyTorch that wrote it computes.
const ARCHIVES: &[(&str, &str, &str)] = &[
    ("small-2.15", "2.15", "small"),
    ("views-2.15", "2.15", "views"),
    ("calls-2.15", "2.15", "calls"),
    ("small-2.6", "2.6", "small"),
    ("views-2.6", "2.6", "views"),
    ("small-older", "2.15", "small"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pt2")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).expect("a file")
}

fn described(generation: &str) -> Value {
    serde_json::from_slice(&bytes(&format!("{generation}.json"))).expect("valid JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().expect("a list").iter().map(|size| size.as_u64().expect("a size") as usize).collect()
}

/// The entries of an archive.
fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).expect("an archive");
    let count = archive.len();
    let entry = |index| {
        let mut file = archive.by_index(index).expect("an entry");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("its bytes");
        (file.name().to_owned(), bytes)
    };
    (0..count).map(entry).collect()
}

fn packed(entries: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(name, SimpleFileOptions::default().compression_method(method)).expect("an entry");
        writer.write_all(bytes).expect("its bytes");
    }
    writer.finish().expect("an archive").into_inner()
}

/// The archive with the text of its program changed.
fn rewritten(bytes: &[u8], change: impl Fn(String) -> String) -> Vec<u8> {
    let mut entries = entries(bytes);
    for (name, bytes) in &mut entries {
        if name.ends_with("model.json") || name == "serialized_exported_program.json" {
            *bytes = change(String::from_utf8(std::mem::take(bytes)).expect("a text")).into_bytes();
        }
    }
    packed(&entries, CompressionMethod::Stored)
}

fn opaque(graph: &Graph) -> Vec<&str> {
    let nodes = graph.nodes().iter().filter(|node| matches!(node.op, Op::Layer(Layer::Opaque(_))));
    nodes.map(|node| node.id.as_str()).collect()
}

/// Runs the network on the example, and compares with what PyTorch computed.
fn compare_outputs(network: &Network, said: &Value, what: &str) {
    let data = numbers(&said["input"]).into_iter().map(|value| value as f32).collect();
    let input = Tensor::new(&sizes(&said["sizes"]), data).expect("the example");
    let outputs = network.run(&[input]).unwrap_or_else(|problem| panic!("{what}: {problem}"));
    let said = said["outputs"].as_array().expect("outputs");
    assert_eq!(outputs.len(), said.len(), "{what}");
    for (output, said) in outputs.iter().zip(said) {
        assert_eq!(output.sizes(), sizes(&said["sizes"]), "{what}");
        for (ours, theirs) in output.data().iter().zip(numbers(&said["values"])) {
            let distance = (f64::from(*ours) - theirs).abs();
            assert!(distance <= 1e-5 * (1.0 + theirs.abs()), "{what}: {ours} for {theirs}");
        }
    }
}

#[test]
fn pt2_of_both_layouts_counts_and_runs_as_pytorch() {
    for (what, generation, name) in ARCHIVES {
        let described = described(generation);
        let path = folder().join(format!("{what}.pt2"));
        let path = path.to_str().expect("a path");
        let network = Network::load(path).unwrap_or_else(|error| panic!("{what}: {error}"));
        let (totals, said) = (network.totals(), &described[name]);
        let figures = [totals.params, totals.buffers, totals.macs];
        let mut wanted = ["params", "buffers", "macs"].map(|key| said[key].as_u64().expect("a number"));
        // The counter of PyTorch 2.6 leaves attention on a processor out: 2 heads x 16 x 16 tokens x 4 x 2 products.
        wanted[2] += if (*generation, *name) == ("2.6", "small") { 4096 } else { 0 };
        assert_eq!(figures, wanted, "{what}: parameters, buffers, MACs");
        assert_eq!(opaque(&network.graph), Vec::<&str>::new(), "{what}");
        compare_outputs(&network, said, what);
    }
}

#[test]
fn pt2_of_two_images_in_one_axis_counts_one_and_runs_both() {
    let network = Network::from_bytes("a.pt2", bytes("images-2.15.pt2")).expect("a network");
    let (totals, described) = (network.totals(), described("2.15"));
    let said = ["params", "buffers", "macs"].map(|key| described["images"][key].as_u64().expect("a number"));
    assert_eq!([totals.params, totals.buffers, 2 * totals.macs], said);
    assert_eq!(opaque(&network.graph), Vec::<&str>::new());
    let said = &described["images"];
    let data = numbers(&said["input"]).into_iter().map(|value| value as f32).collect();
    let input = Tensor::new(&sizes(&said["sizes"]), data).expect("the example");
    let outputs = network.run(&[input]).expect("it runs");
    let said = said["outputs"].as_array().expect("outputs");
    assert_eq!(outputs.len(), said.len());
    for (output, said) in outputs.iter().zip(said) {
        // The axis of one image may stand beside the batch.
        let without_ones =
            |sizes: &[usize]| sizes.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
        assert_eq!(without_ones(output.sizes()), without_ones(&sizes(&said["sizes"])));
        for (ours, theirs) in output.data().iter().zip(numbers(&said["values"])) {
            assert!((f64::from(*ours) - theirs).abs() <= 1e-5 * (1.0 + theirs.abs()), "{ours} for {theirs}");
        }
    }
}

#[test]
fn pt2_recurrent_layers_multiply_as_pytorch_counts() {
    let network = Network::from_bytes("a.pt2", bytes("recurrent-2.15.pt2")).expect("a network");
    let (totals, described) = (network.totals(), described("2.15"));
    let said =
        ["params", "buffers", "macs"].map(|key| described["recurrent"][key].as_u64().expect("a number"));
    assert_eq!([totals.params, totals.buffers, totals.macs], said);
    // Each is opaque, with its multiply-accumulates: nothing that multiplies is left out.
    let layers = network.graph.nodes().iter();
    let macs = |node: &cnnkit::Node| match &node.op {
        Op::Layer(Layer::Opaque(opaque)) => Some((node.id.clone(), opaque.may_multiply(), node.cost.macs)),
        _ => None,
    };
    let found: Vec<_> = layers.filter_map(macs).filter(|(.., macs)| *macs > 0).collect();
    let weights = [7 * (24 * (5 + 3) + 3 * 6 + 24 * (6 + 3) + 3 * 6) * 2, 7 * 12 * (6 + 4), 3 * (4 + 3)];
    let wanted = ["lstm", "gru", "cell"];
    for ((id, multiplies, macs), (name, count)) in found.iter().zip(wanted.iter().zip(weights)) {
        assert_eq!((id.as_str(), *multiplies, *macs), (*name, false, count));
    }
    assert_eq!(found.len(), 3);
}

#[test]
fn pt2_ids_are_module_paths() {
    let network = Network::from_bytes("a.pt2", bytes("small-2.15.pt2")).expect("a network");
    for (id, layer) in [
        ("stem", "conv"),
        ("blocks.1.conv2", "conv"),
        ("blocks.0.norm1", "batch_norm"),
        ("again", "linear"),
        ("aux.weight", "learned_tensor"),
    ] {
        let node = network.graph.find(id).unwrap_or_else(|| panic!("no `{id}`"));
        assert_eq!(network.graph.node(node).op.name(), layer, "{id}");
    }
}

#[test]
fn pt2_parameter_that_nothing_reads_is_found_ck405() {
    let network = Network::from_bytes("a.pt2", bytes("small-2.15.pt2")).expect("a network");
    let found: Vec<String> = network
        .findings()
        .iter()
        .filter(|finding| finding.rule.id == "CK405")
        .map(|finding| finding.message.clone())
        .collect();
    assert!(found.iter().any(|message| message.contains("`idle`")), "{found:?}");
    // A buffer is kept, not learned: nothing is wrong with it.
    assert!(!found.iter().any(|message| message.contains("`table`")), "{found:?}");
}

#[test]
fn pt2_without_an_ending_is_told_by_its_bytes() {
    let whole = bytes("small-2.15.pt2");
    let network = Network::from_bytes("<bytes>", whole.clone()).expect("a network");
    assert_eq!(network.totals().params, 3206);
    let read = cnnkit::load::read_stream(Cursor::new(whole.clone())).expect("a stream");
    assert_eq!(read, whole);
}

#[test]
fn pt2_with_compressed_entries_is_the_same() {
    let described = described("2.15");
    let packed = packed(&entries(&bytes("small-2.15.pt2")), CompressionMethod::Deflated);
    let network = Network::from_bytes("a.pt2", packed).expect("a network");
    compare_outputs(&network, &described["small"], "compressed");
}

#[test]
fn pt2_of_another_major_version_is_refused() {
    let other = rewritten(&bytes("small-2.15.pt2"), |text| text.replace("\"major\": 8", "\"major\": 9"));
    let error = Network::from_bytes("a.pt2", other).expect_err("another version");
    assert!(error.to_string().contains("version 9 of the format"), "{error}");
}

#[test]
fn pt2_accepts_fields_of_newer_minor_versions() {
    let newer = rewritten(&bytes("small-2.15.pt2"), |text| {
        text.replace("\"metadata\": {", "\"new_field\": {\"as_new\": [1, {}]}, \"metadata\": {")
    });
    assert_eq!(Network::from_bytes("a.pt2", newer).expect("a network").totals().params, 3206);
}

#[test]
fn pt2_operator_without_a_layer_is_opaque_never_zero() {
    let other = rewritten(&bytes("small-2.15.pt2"), |text| {
        text.replace("aten.conv2d.padding", "custom.conv.default")
    });
    let network = Network::from_bytes("a.pt2", other).expect("a network");
    // Its parameters and the shape of its output are known; its products are not, and that is said.
    assert_eq!(network.totals().params, 3206);
    assert_eq!(opaque(&network.graph).len(), 4);
    let import = network.import(cnnkit::report::imported::Figures::Counts).expect("a model");
    let json = serde_json::to_value(&import).expect("JSON");
    assert!(json.to_string().contains("custom.conv"), "{json}");
}

#[test]
fn pt2_linear_map_of_a_single_number_is_opaque() {
    // What the linear map reads is the sum of everything.
    let summed = |text: String| {
        let flatten = "torch.ops.aten.flatten.using_ints";
        let at = text.rfind(flatten).expect("the layer before the head");
        let inputs = "{\"name\": \"self\", \"arg\": {\"as_tensor\": {\"name\": \"prelu\"}}, \"kind\": 1}";
        let rest = &text[at + flatten.len()..];
        let (start, end) =
            (rest.find(inputs).expect("its input") + inputs.len(), rest.find(']').expect("an end"));
        let text = format!("{}torch.ops.aten.sum.default{}{}", &text[..at], &rest[..start], &rest[end..]);
        let sizes = "\"sizes\": [";
        let at = text.find("\"flatten_1\": {").expect("its shape");
        let start = at + text[at..].find(sizes).expect("sizes") + sizes.len();
        let end = start + text[start..].find(']').expect("an end");
        format!("{}{}", &text[..start], &text[end..])
    };
    let changed = rewritten(&bytes("small-2.15.pt2"), summed);
    let network = Network::from_bytes("a.pt2", changed).expect("a network");
    let head = network.graph.node(network.graph.find("head").expect("the head"));
    assert!(format!("{:?}", head.op).contains("a linear map of a single number"), "{:?}", head.op);
}

#[test]
fn pt2_refuses_other_archives_with_advice() {
    let entry = |name: &str| vec![(name.to_owned(), b"{}".to_vec())];
    for (name, wanted) in
        [("archive/data.pkl", "`torch.save` wrote it"), ("a.txt", "without an exported program")]
    {
        let archive = packed(&entry(name), CompressionMethod::Stored);
        let error = Network::from_bytes("a.pt2", archive).expect_err("no program");
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let error = Network::from_bytes("a.pt2", b"input: [3, 8, 8]".to_vec()).expect_err("no archive");
    assert!(error.to_string().contains("not an archive of PyTorch"), "{error}");
}

#[test]
fn pt2_archive_bomb_is_refused() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    writer.start_file("a/models/model.json", options).expect("an entry");
    for _ in 0..129 {
        writer.write_all(&vec![b' '; 1 << 20]).expect("spaces");
    }
    let bomb = writer.finish().expect("an archive").into_inner();
    assert!(bomb.len() < 1 << 18);
    let error = Network::from_bytes("a.pt2", bomb).expect_err("a bomb");
    assert!(error.to_string().contains("more than 134217728 bytes"), "{error}");
}

/// The archive with what the Python package says of where its layers were written.
fn written(bytes: &[u8], source: &Value) -> Vec<u8> {
    let mut entries = entries(bytes);
    let folder = entries[0].0.split_once("/data").map_or("", |(folder, _)| folder).to_owned();
    let name = if folder.is_empty() { "extra_files".to_owned() } else { format!("{folder}/extra") };
    entries.push((format!("{name}/cnnkit_source.json"), source.to_string().into_bytes()));
    packed(&entries, CompressionMethod::Stored)
}

const PYTHON: &str = "class Net:\n    def __init__(self):\n        self.norm = N()  # cnnkit: ignore[CK405] \u{fc}\n        self.idle = P()\n        self.conv1 = C()\n";

fn python() -> Value {
    let at = |word: &str| {
        let start = PYTHON.find(word).expect("it is written");
        serde_json::json!([0, start, start + word.len()])
    };
    serde_json::json!({
        "files": [{"name": "models/net.py", "text": PYTHON}],
        "places": [
            {"at": at("Net"), "used_at": []},
            {"at": at("P()"), "used_at": []},
            {"at": at("C()"), "used_at": [["Block", at("N()")], ["Gone", [7, 0, 1]], ["Behind", [0, 5, 4]]]},
            {"at": [0, 0, 999_999], "used_at": []},
            {"at": [0, PYTHON.find('\u{fc}').map(|at| at + 1), PYTHON.len()], "used_at": []},
        ],
        "whole": 0,
        "nodes": {"conv2d_1": 2, "conv2d_2": 3, "group_norm": 4, "relu_": 99, "nothing": 0},
        "tensors": {"idle": 1, "aux.weight": 0},
    })
}

#[test]
fn pt2_places_of_python_are_those_of_findings_and_layers() {
    for name in ["small-2.15.pt2", "small-older.pt2"] {
        let network = Network::from_bytes("a.pt2", written(&bytes(name), &python())).expect("a network");
        let place = |id: &str| {
            let node = network.graph.find(id).unwrap_or_else(|| panic!("no `{id}`"));
            let origin = &network.graph.node(node).origin;
            let text = |span: cnnkit::source::Span| PYTHON[span.start..span.end].to_owned();
            (origin.span.map(text), origin.used_at.len())
        };
        assert_eq!(place("blocks.0.conv1"), (Some("C()".into()), 1), "{name}");
        // Places that are not in the text are none.
        assert_eq!((place("blocks.0.conv2"), place("blocks.0.norm2")), ((None, 0), (None, 0)), "{name}");
        let findings = network.findings();
        let idle = findings.iter().find(|finding| finding.node.as_deref() == Some("idle")).expect("CK405");
        let span = idle.span.expect("a position");
        assert_eq!(network.sources.line_column(span.source, span.start), (4, 21), "{name}");
        // A comment on a line of this network that suppresses nothing.
        assert!(findings.iter().any(|finding| finding.rule.id == "CK191"), "{name}");
    }
}

#[test]
fn pt2_flaw_of_a_layer_shows_its_line_of_python() {
    let groups = |text: String| {
        let at = text.find("group_norm.default").expect("a group norm");
        let groups = at + text[at..].find("\"as_int\": 2").expect("its groups");
        format!("{}\"as_int\": 3{}", &text[..groups], &text[groups + 11..])
    };
    let mut python = python();
    python["nodes"]["group_norm"] = 1.into();
    let changed = written(&rewritten(&bytes("small-2.15.pt2"), groups), &python);
    let error = Network::from_bytes("a.pt2", changed).expect_err("8 channels in 3 groups").to_string();
    assert!(error.contains("models/net.py:4:21"), "{error}");
}

#[test]
fn pt2_places_that_are_no_places_are_refused() {
    let other = written(&bytes("small-2.15.pt2"), &serde_json::json!({"files": 3}));
    let error = Network::from_bytes("a.pt2", other).expect_err("no places");
    assert!(error.to_string().contains("cnnkit_source.json"), "{error}");
}

/// A number between 0 and `below`, and the next state.
fn next(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % below.max(1)
}

/// A value of the program's JSON that is not taken for another: kinds of tensors, sizes, names.
const WILD: &[&str] = &[
    r#"{"as_int": 4611686018427387904}"#,
    r#"{"as_int": -1}"#,
    r#"{"as_int": 0}"#,
    r#"{"as_expr": {"expr_str": "s0*s1"}}"#,
    r#"{"as_tensor": {"name": "x"}}"#,
    r#"{"as_tensors": []}"#,
    r#"{"as_ints": [9223372036854775807, -9223372036854775808]}"#,
    r#"{"as_float": "NaN"}"#,
    r#"{"as_none": true}"#,
    "[]",
    "255",
    "null",
];

/// All values of a JSON document that satisfy `wanted`, as paths.
fn paths(value: &Value, at: &str, wanted: &dyn Fn(&str, &Value) -> bool, found: &mut Vec<String>) {
    if wanted(at, value) {
        found.push(at.to_owned());
    }
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                paths(inner, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), wanted, found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                paths(inner, &format!("{at}/{index}"), wanted, found);
            }
        }
        _ => {}
    }
}

/// The program with a few of its parts exchanged: an argument, a size, a type, a name, a list, a node.
fn disordered(text: &str, seed: u64) -> String {
    let mut state = seed;
    let mut program: Value = serde_json::from_str(text).expect("JSON");
    let kind = next(&mut state, 6);
    let wanted = |at: &str, value: &Value| match kind {
        // Arguments, sizes and whatever else has one key.
        0 => value.as_object().is_some_and(|map| map.len() == 1),
        1 => at.ends_with("/dtype") || at.ends_with("/as_scalar_type") || at.ends_with("/storage_offset"),
        2 => at.contains("/sizes/") || at.contains("/strides/"),
        // Names: of what nothing makes, of what is made later, of itself.
        3 => at.ends_with("/name"),
        4 => value.is_array(),
        _ => at.ends_with("/nodes"),
    };
    let mut found = Vec::new();
    paths(&program, "", &wanted, &mut found);
    for _ in 0..=next(&mut state, 3) {
        let Some(at) = found.get(next(&mut state, found.len())) else { break };
        let other = program.pointer(&found[next(&mut state, found.len())]).cloned().unwrap_or_default();
        let Some(value) = program.pointer_mut(at) else { continue };
        match value {
            Value::Array(list) if kind >= 4 && !list.is_empty() => {
                let (from, to) = (next(&mut state, list.len()), next(&mut state, list.len()));
                match next(&mut state, 4) {
                    0 => list.swap(from, to),
                    1 => list.truncate(from),
                    2 => list.insert(to, list[from].clone()),
                    // As many as no program has.
                    _ => list.extend(vec![list[from].clone(); next(&mut state, 20_000) / list.len()]),
                }
            }
            _ if next(&mut state, 2) == 0 => *value = other,
            _ => *value = serde_json::from_str(WILD[next(&mut state, WILD.len())]).expect("JSON"),
        }
    }
    program.to_string()
}

/// The archive with a few bytes of its headers changed: of an entry, of the directory, of its end.
fn headers(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = bytes.to_vec();
    let marks: Vec<usize> =
        (0..bytes.len() - 4).filter(|&at| bytes[at..].starts_with(b"PK") && bytes[at + 2] < 8).collect();
    for _ in 0..=next(&mut state, 3) {
        let at = marks[next(&mut state, marks.len())] + 4 + next(&mut state, 42);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = [0, 1, 0x7f, 0x80, 0xff, next(&mut state, 256) as u8][next(&mut state, 6)];
        }
    }
    bytes
}

#[test]
fn pt2_mutated_archives_never_panic() {
    let count: u64 = std::env::var("CNNKIT_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let mut originals: Vec<Vec<u8>> =
        ARCHIVES.iter().map(|(name, ..)| bytes(&format!("{name}.pt2"))).collect();
    originals.push(written(&originals[0], &python()));
    originals.push(bytes("images-2.15.pt2"));
    let words =
        ["-1", "0", "1", "99999999999", "1e400", "null", "[]", "{}", "\"x\"", "[[[[", "-9223372036854775808"];
    let (mut loaded, mut refused) = (0, 0);
    for seed in 0..count {
        let mut state = seed;
        let original = &originals[next(&mut state, originals.len())];
        let mutated = if seed % 8 == 3 {
            headers(original, seed)
        } else if seed % 8 > 4 {
            rewritten(original, |text| disordered(&text, seed))
        } else if seed % 4 == 0 {
            // Any byte of the archive.
            let mut bytes = original.clone();
            for _ in 0..=next(&mut state, 4) {
                let at = next(&mut state, bytes.len());
                bytes[at] = next(&mut state, 256) as u8;
            }
            bytes.truncate(bytes.len() - if seed % 8 == 0 { next(&mut state, 200) } else { 0 });
            bytes
        } else {
            // A number or a name of the program, in an archive whose checksums are right.
            rewritten(original, |mut text| {
                let mut state = seed;
                for _ in 0..=next(&mut state, 3) {
                    let start = next(&mut state, text.len());
                    let Some(at) = text[start..].find(|c: char| c.is_ascii_digit()).map(|at| start + at)
                    else {
                        continue;
                    };
                    let digits = text[at..].bytes().take_while(u8::is_ascii_digit).count();
                    text.replace_range(at..at + digits, words[next(&mut state, words.len())]);
                }
                text
            })
        };
        match Network::from_bytes("mutated.pt2", mutated) {
            Ok(network) => {
                loaded += 1;
                // Reading the weights must not panic either.
                let _ = network.weights();
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(loaded > 0 && refused > 0, "{loaded} loaded, {refused} refused");
}
