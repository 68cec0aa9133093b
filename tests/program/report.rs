//! `cnnkit report`: what is written, what is refused, and what names cannot do; `tests/browser` looks at the page itself.

use crate::names::{HOSTILE, is_obeyed, model};
use crate::support::program::{call, cnnkit, json, json_and_status, temporary};
use cnnkit::Network;
use cnnkit::zoo::Zoo;

/// The data of a page.
fn data(page: &str) -> serde_json::Value {
    let from = page.split("id=\"data\">").nth(1).expect("the data");
    serde_json::from_str(from.split("</script>").next().expect("its end")).expect("JSON")
}

#[test]
fn report_of_every_zoo_network_is_whole_and_small() {
    for (_, name) in Zoo::names().into_iter().filter(|(folder, _)| *folder == "zoo") {
        let page = Network::load(&format!("zoo:{name}")).expect("a network").html();
        assert!(page.len() < 2 << 20, "{name} has {} bytes", page.len());
        let network = &data(&page)["networks"][0];
        assert_eq!(network["missing"], serde_json::json!({}), "{name}");
        assert_eq!(network["spec"]["name"], name);
        let known = network["graph"]["nodes"].as_array().expect("nodes").len();
        assert_eq!(network["graph"]["reaches"]["nodes"].as_array().expect("a list").len(), known);
        // Nothing of the zoo exceeds what the page can compose.
        let kinds = network["graph"]["reaches"]["kinds"].as_array().expect("a list");
        assert!(kinds.iter().all(|kind| !kind["axes"].is_null() || kind.get("axes").is_none()), "{name}");
    }
}

#[test]
fn report_names_are_text() {
    let folder = temporary("report-names");
    let more =
        ["</script><script>alert(1)</script>", "</SCRIPT ><img src=x onerror=alert(1)>", "<!--<script>"];
    for name in HOSTILE.iter().chain(&more).filter(|name| !name.contains('\0')) {
        std::fs::write(folder.join("model.onnx"), model(name)).expect("a model");
        let output = cnnkit(&["report", "model.onnx", "-o", "page.html"])
            .current_dir(&folder)
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let page = std::fs::read_to_string(folder.join("page.html")).expect("a page");
        let lower = page.to_lowercase();
        assert_eq!((lower.matches("<script").count(), lower.matches("</script").count()), (2, 2), "{name}");
        assert!(!lower.contains("<img") && !lower.contains("<!--"), "{name}");
        assert!(!page.contains(is_obeyed), "{name}");
        assert!(data(&page)["networks"][0]["graph"]["nodes"][0]["id"].is_string());
    }
}

#[test]
fn report_refuses_what_it_cannot_write() {
    for (args, message) in [
        (&["report", "zoo:residual"][..], "a report is a file, and none is named"),
        (&["report", "zoo:residual", "-o", "a.csv"], "writes no .csv file"),
        (
            &["report", "zoo:residual", "zoo:dense", "--diff", "zoo:dense", "-o", "a.html"],
            "`--diff` compares one",
        ),
        (&["report", "zoo:residual", "--picture", "Cargo.toml", "-o", "a.html"], "cannot read `Cargo.toml`"),
        (&["report", "zoo:nothing", "-o", "a.html"], "there is no built-in spec"),
    ] {
        let (status, _, errors) = call(args);
        assert_eq!(status, Some(2), "{args:?}");
        assert!(errors.contains(message), "{args:?}: {errors}");
    }
}

#[test]
fn report_has_findings_expectations_and_claims() {
    let folder = temporary("report-checks");
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let spec = "description: a net\ninput: [3, 16, 16]\nlayers:\n  - conv: {out_channels: 4, kernel: 3}\n  - batch_norm\n\
                expect: {params: 1, output: [4, 14, 14]}\n";
    std::fs::write(path("net.yaml"), spec).expect("a spec");
    let summary = json(&["report", &path("net.yaml"), "--verify", "-o", &path("net.html")]);
    assert_eq!(
        summary["networks"][0]["findings"],
        json_and_status(&["check", &path("net.yaml")]).1["findings"].as_array().expect("a list").len()
    );
    let page = std::fs::read_to_string(path("net.html")).expect("a page");
    assert_eq!(summary["bytes"], page.len());
    let network = &data(&page)["networks"][0];
    assert_eq!(network["description"], "a net");
    let met: Vec<_> =
        network["expectations"].as_array().expect("a list").iter().map(|one| one["ok"].clone()).collect();
    assert_eq!(met, [false, true]);
    assert!(network["verify"]["claims"].as_array().is_some_and(|claims| claims.len() > 3));
    let place = network["graph"]["nodes"][1]["place"].as_str().expect("a place");
    assert!(place.ends_with("net.yaml:4:5"), "{place}");
}

#[test]
fn report_has_no_finding_that_the_baseline_accepts() {
    let folder = temporary("report-baseline");
    let spec = "input: [3, 16, 16]\nlayers:\n  - conv: {out_channels: 4, kernel: 3}\n  - batch_norm\n";
    std::fs::write(folder.join("net.yaml"), spec).expect("a spec");
    std::fs::write(folder.join("cnnkit.toml"), "baseline = \"base.json\"\n").expect("a project");
    let run = |args: &[&str]| {
        let output = cnnkit(args).current_dir(&folder).output().expect("the program runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    // A baseline that is named and missing is an error, as it is for `check`.
    let _ = std::fs::remove_file(folder.join("base.json"));
    assert_eq!(run(&["report", "net.yaml", "-o", "-"]), "");
    run(&["check", "net.yaml", "--update-baseline"]);
    let page = run(&["report", "net.yaml", "-o", "-"]);
    let check = &data(&page)["networks"][0]["check"];
    assert_eq!(check["findings"], serde_json::json!([]));
    assert_eq!(check["summary"]["accepted"], 1);
}

#[test]
fn report_goes_to_standard_output_and_is_the_same_again() {
    let (status, first, _) = call(&["report", "zoo:dense", "-o", "-"]);
    assert_eq!(status, Some(0));
    assert!(first.starts_with("<!DOCTYPE html>") && first.trim_end().ends_with("</html>"));
    assert_eq!(call(&["report", "zoo:dense", "-o", "-"]).1, first);
}

#[test]
fn report_contains_the_picture_decoded_and_encoded_again() {
    let folder = temporary("report-picture");
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    assert_eq!(call(&["gridding", "1,2,3", "--plot", &path("picture.png")]).0, Some(0));
    assert_eq!(
        call(&["report", "zoo:dense", "--picture", &path("picture.png"), "-o", &path("page.html")]).0,
        Some(0)
    );
    let page = data(&std::fs::read_to_string(path("page.html")).expect("a page"));
    assert!(page["picture"].as_str().is_some_and(|url| url.starts_with("data:image/jpeg;base64,/9j/")));
}
