//! Figures of the program: the pictures of the documentation are those that their calls draw, and what `-o` and `--plot` do.

use std::path::Path;

use crate::support::program::{call, json, temporary};

/// Calls in the `sh` blocks of the documentation that draw a picture of it: their words, and the file.
fn documented() -> Vec<(Vec<String>, String)> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut pages: Vec<_> =
        std::fs::read_dir(docs).expect("docs").map(|page| page.expect("readable").path()).collect();
    pages.retain(|page| page.extension().is_some_and(|ending| ending == "md"));
    pages.sort();
    let mut calls = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("readable");
        for line in text.lines().filter(|line| line.starts_with("cnnkit ")) {
            let words: Vec<String> = line.split(' ').skip(1).map(str::to_owned).collect();
            if let Some(file) = words.iter().find(|word| word.starts_with("docs/images/")).cloned() {
                calls.push((words, file));
            }
        }
    }
    calls
}

#[test]
fn pictures_of_the_documentation_are_what_their_calls_draw() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = temporary("documented-figures");
    let calls = documented();
    let mut files: Vec<String> = Vec::new();
    for (words, file) in &calls {
        let drawn = folder.join(Path::new(file).file_name().expect("a name"));
        let to = drawn.to_string_lossy().into_owned();
        let words: Vec<&str> =
            words.iter().map(|word| if word == file { to.as_str() } else { word }).collect();
        let (status, out, errors) = call(&words);
        assert_eq!((status, out.as_str()), (Some(0), ""), "{words:?}: {errors}");
        let fresh = std::fs::read(&drawn).expect("a picture");
        if std::env::var_os("CNNKIT_BLESS").is_some() {
            std::fs::create_dir_all(root.join("docs/images")).expect("a folder");
            std::fs::write(root.join(file), &fresh).expect("writable");
        }
        let kept = std::fs::read(root.join(file)).unwrap_or_default();
        assert!(fresh == kept, "{file} is out of date; run CNNKIT_BLESS=1 cargo test --test program figures");
        files.push(file.clone());
    }
    let mut kept: Vec<String> = std::fs::read_dir(root.join("docs/images"))
        .expect("docs/images")
        .map(|file| format!("docs/images/{}", file.expect("readable").file_name().to_string_lossy()))
        // The others are photographs of the page that `report` writes.
        .filter(|file| Path::new(file).extension().is_some_and(|end| end == "svg"))
        .collect();
    kept.sort();
    files.sort();
    files.dedup();
    assert_eq!(kept, files, "every picture has its call");
}

#[test]
fn figures_are_drawn_instead_of_the_report_or_beside_it() {
    let folder = temporary("figures");
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    for (i, words) in [
        "graph zoo:bottleneck",
        "params zoo:bottleneck",
        "rf zoo:bottleneck",
        "rf zoo:dilated --exact",
        "gridding 1,2",
        "gridding zoo:dilated",
        "paths zoo:residual",
        "hdc-design --layers 2",
    ]
    .iter()
    .enumerate()
    {
        let words: Vec<&str> = words.split(' ').collect();
        let (svg, png) = (path(&format!("{i}.svg")), path(&format!("{i}.PNG")));
        let (status, out, errors) = call(&[&words[..], &["-o", &svg]].concat());
        assert_eq!((status, out.as_str()), (Some(0), ""), "{words:?}: {errors}");
        let report = call(&words).1;
        let (status, out, errors) = call(&[&words[..], &["--plot", &png, "--theme", "dark"]].concat());
        assert_eq!((status, out), (Some(0), report), "{words:?}: {errors}");
        let text = std::fs::read_to_string(&svg).expect("SVG");
        roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let mut reader = png::Decoder::new(std::io::Cursor::new(std::fs::read(&png).expect("PNG")))
            .read_info()
            .expect("PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        reader.next_frame(&mut pixels).expect("pixels");
        // The page of the dark theme, and light words on it.
        assert_eq!(pixels[..3], [0x0d, 0x11, 0x17], "{words:?}");
        assert!(pixels.chunks(4).any(|pixel| pixel[..3] == [0xe6, 0xed, 0xf3]), "{words:?}");
    }
    let (status, out, _) = call(&["params", "zoo:bottleneck", "--format", "csv", "-o", &path("both.svg")]);
    assert!(status == Some(0) && out.starts_with("id,layer,"), "{out}");
}

#[test]
fn figures_that_cannot_be_drawn_are_refused() {
    for (words, says) in [
        ("params zoo:unet zoo:vgg16 -o x.svg", "a figure shows one network, not 2"),
        ("rf zoo:unet --plot x.pdf", "cannot tell the format of `x.pdf`"),
        ("rf zoo:unet -o x.pdf", "rsvg-convert -f pdf"),
        ("rf zoo:unet -o x.bmp", "its endings are .txt, .json, .csv, .md, .tex, .svg, .png"),
        ("rf zoo:unet --plot y.svg -o x.svg", "`x.svg` would be a second figure"),
        ("rf zoo:unet --node conv1 -o x.svg", "leave `--node` out"),
        ("channels zoo:unet -o x.svg", "`cnnkit channels` writes no .svg file"),
        ("hdc-design --survey 2,3 -o x.svg", "a survey has no figure"),
        ("gridding 1,2 --theme pink", "light, dark, print"),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let (status, _, errors) = call(&words);
        assert!(status == Some(2) && errors.contains(says), "{words:?}: {errors}");
        for file in ["x.svg", "x.pdf", "x.bmp"] {
            assert!(!Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(), "{words:?} wrote {file}");
        }
    }
}

#[test]
fn netron_finds_the_figures_of_every_node() {
    let folder = temporary("netron");
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let model = path("net.onnx");
    assert_eq!(call(&["export", "zoo:squeezenet1_1", "-o", &model, "-q"]).0, Some(0));
    for command in ["params", "rf"] {
        let report = json(&[command, &model]);
        let (status, out, errors) = call(&[command, &model, "--format", "netron"]);
        assert_eq!(status, Some(0), "{errors}");
        let attachment: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(attachment["signature"], "netron:attachment");
        let layers = report["layers"].as_array().expect("layers");
        let items = attachment["metrics"].as_array().expect("metrics");
        let mut seen = std::collections::HashSet::new();
        for item in items {
            // Netron drops an item without these, and keeps the last of two with one name.
            let [kind, target, name] =
                ["kind", "target", "name"].map(|key| item[key].as_str().expect("a text"));
            assert!(seen.insert((kind, target, name)), "{item} occurs twice");
            assert!(!target.contains('\n') && ["model", "node"].contains(&kind), "{item}");
            assert!(kind == "model" || layers.iter().any(|layer| layer["node"] == target), "{item}");
        }
        let of = |name: &'static str| {
            items.iter().filter(move |item| item["kind"] == "node" && item["name"] == name)
        };
        if command == "params" {
            let sum = |name: &'static str| {
                of(name).map(|item| item["value"].as_u64().expect("a count")).sum::<u64>()
            };
            assert_eq!(sum("parameters"), report["totals"]["params"]);
            assert_eq!(sum("MACs"), report["totals"]["macs"]);
        } else {
            let last = of("receptive field").next_back().expect("fields");
            assert_eq!(last["value"], "global");
            assert_eq!(of("receptive field").next().expect("fields")["value"], "3 x 3");
        }
    }
    let (status, _, errors) = call(&["params", &model, "zoo:unet", "--format", "netron"]);
    assert!(status == Some(2) && errors.contains("about one model"), "{errors}");
}

#[test]
fn latex_has_every_table_of_every_command() {
    for words in [
        "params zoo:bottleneck",
        "rf zoo:dilated --exact --effective",
        "graph zoo:bottleneck",
        "compare zoo:bottleneck zoo:bottleneck-plain",
        "sizes zoo:bottleneck",
        "channels zoo:shuffle-unit",
        "paths zoo:dense",
        "gridding 1,2 --steps",
        "gridding zoo:dilated",
        "hdc-check 1,2,5",
        "hdc-design --layers 2",
        "run zoo:bottleneck --input 256,4,4",
        "verify zoo:bottleneck --input 256,4,4",
        "zoo",
        "layers",
        "layers conv",
        "rules",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let (_, _, errors) = call(&[&words[..], &["--table", "no", "--format", "csv"]].concat());
        let names = errors.split("its tables are ").nth(1).unwrap_or_else(|| panic!("{words:?}: {errors}"));
        for name in names.lines().next().expect("a line").split(", ") {
            let (_, out, errors) =
                call(&[&words[..], &["--table", name.trim(), "--format", "latex"]].concat());
            assert!(out.contains("\\begin{tabular}"), "{words:?} {name}: {out}{errors}");
        }
    }
}
