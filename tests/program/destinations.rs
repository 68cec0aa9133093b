//! Where output goes: the ending of a file says its format, `-` is standard output, errors are JSON for who reads JSON.

use crate::support::program::{call, temporary};

const SPEC: &str = "zoo:bottleneck";

#[test]
fn the_ending_of_the_file_decides_the_format() {
    let folder = temporary("endings");
    for (name, start) in [
        ("o.csv", "id,layer,"),
        ("o.json", "{"),
        ("o.md", "### bottleneck"),
        ("o.tex", "% \\usepackage{booktabs}"),
        ("o.txt", "bottleneck  input"),
        ("o", "bottleneck  input"),
    ] {
        let path = folder.join(name).to_string_lossy().into_owned();
        let (status, out, errors) = call(&["params", SPEC, "-o", &path]);
        assert_eq!((status, out.as_str()), (Some(0), ""), "{name}: {errors}");
        assert!(std::fs::read_to_string(&path).expect("a file").starts_with(start), "{name}");
    }
    for name in ["o.svg", "o.png", "o.xyz", "o.dot"] {
        let path = folder.join(name);
        let (status, _, errors) = call(&["channels", SPEC, "-o", &path.to_string_lossy()]);
        assert_eq!(status, Some(2), "{name}");
        assert!(errors.contains(".json, .csv, .md, .tex") && !path.exists(), "{name}: {errors}");
    }
    for (command, name) in [("gridding 2,2", "g.svg"), ("gridding 2,2", "g.png"), ("graph zoo:unet", "g.dot")]
    {
        let path = folder.join(name).to_string_lossy().into_owned();
        let words: Vec<&str> = command.split(' ').chain(["-o", &path]).collect();
        assert_eq!(call(&words).0, Some(0), "{name}");
        let bytes = std::fs::read(&path).expect("a file");
        assert!(
            ["<svg", "\u{89}PNG", "digraph"].iter().any(|start| {
                bytes.starts_with(start.as_bytes()) || bytes.starts_with(&[0x89, b'P', b'N', b'G'])
            }),
            "{name}"
        );
    }
}

#[test]
fn a_dash_is_standard_output() {
    let json = call(&["params", SPEC, "--format", "json"]).1;
    assert_eq!(call(&["params", SPEC, "--output", "json=-"]), (Some(0), json, String::new()));
    let table = call(&["params", SPEC]).1;
    assert_eq!(call(&["params", SPEC, "-o", "-"]), (Some(0), table, String::new()));
    assert!(!std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("-").exists());
}

#[test]
fn a_format_given_twice_or_unknown_is_an_error() {
    let (status, _, errors) = call(&["params", SPEC, "--output", "csv=a.csv", "--output", "csv=b.csv"]);
    assert!(status == Some(2) && errors.contains("csv is asked for twice"), "{errors}");
    let (status, _, errors) = call(&["params", SPEC, "--format", "csv", "--output", "json=-"]);
    assert!(status == Some(2) && errors.contains("both go to standard output"), "{errors}");
    let (status, _, errors) = call(&["params", SPEC, "--output", "svg=x.svg"]);
    assert!(status == Some(2) && errors.contains("the formats are table, json, csv"), "{errors}");
    let (status, _, errors) = call(&["export", SPEC, "-o", "net.xyz"]);
    assert!(status == Some(2) && errors.contains(".onnx"), "{errors}");
}

#[test]
fn errors_are_json_where_json_is_read() {
    let (status, out, errors) = call(&["params", "tests/invalid/typo_layer.yaml", "--format", "json"]);
    assert_eq!(status, Some(2));
    assert!(errors.contains("error: ") && errors.contains("rellu"), "{errors}");
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&value["schema"], &value["command"], &value["ok"]),
        (&1.into(), &"params".into(), &false.into())
    );
    let error = &value["errors"][0];
    assert_eq!((&error["code"], &error["line"], &error["column"]), (&"CK002".into(), &4.into(), &5.into()));
    assert_eq!(error["help"], serde_json::json!(["did you mean `relu`?"]));
    let (_, out, _) = call(&["params", "zoo:nothing", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(value["errors"][0]["message"], "there is no built-in spec `nothing`");
    assert_eq!(call(&["params", "zoo:nothing"]).1, "");
}
