//! `cnnkit check` as people and CI services use it: positions, formats, exit status, projects, baselines,
//! fixes.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A folder of its own with these files.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("check").join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        let folder = Self(path);
        // Nothing above the folder is part of the project.
        folder.write("cnnkit.toml", "");
        // The root of a repository, or paths would start at the one that this test stands in.
        fs::create_dir_all(folder.0.join(".git")).expect("a folder");
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("a file")
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cnnkit"));
        command.arg("check").args(args).current_dir(&self.0).env_remove("NO_COLOR").env("COLUMNS", "80");
        // Those of the machine that runs the tests.
        command.env_remove("GITHUB_WORKSPACE").env_remove("CI_PROJECT_DIR");
        command.output().expect("the program runs")
    }

    fn status(&self, args: &[&str]) -> i32 {
        self.run(args).status.code().expect("an exit status")
    }

    fn text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.stderr.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[args, &["--format", "json"]].concat())).expect("JSON")
    }

    /// `rule line:column` of every finding.
    fn found(&self, args: &[&str]) -> Vec<String> {
        let value = self.json(args);
        let place = |finding: &Value| {
            format!("{} {}:{}", finding["rule"].as_str().expect("an id"), finding["line"], finding["column"])
        };
        value["findings"].as_array().expect("findings").iter().map(place).collect()
    }
}

const CLEAN: &str = "input: [3, 32, 32]\nlayers:\n  - conv: {out_channels: 8, kernel: 3, bias: false}\n  - batch_norm\n  - relu\n";
const BIAS: &str = "# <&> \"quotes\" and 100%\ninput: [3, 32, 32]\nlayers:\n  - conv: {out_channels: 8, kernel: 3}   # stem\n  - batch_norm\n";
const TYPO: &str = "input: [3, 32, 32]\nlayers:\n  - rellu\n  - convv: {kernel: 3}\n";
const UNMET: &str = "input: [3, 32, 32]\nlayers:\n  - conv: {out_channels: 8, kernel: 3}\nexpect:\n  params: 1   # by hand\n  macs: {max: 1k}\n";

fn mixed(name: &str) -> Folder {
    Folder::new(
        name,
        &[("clean.yaml", CLEAN), ("sub/bias.yaml", BIAS), ("typo.yaml", TYPO), ("unmet.yaml", UNMET)],
    )
}

const FORMATS: [&str; 11] =
    ["full", "table", "concise", "json", "jsonl", "csv", "markdown", "sarif", "github", "gitlab", "junit"];

#[test]
fn an_invalid_spec_fails_with_the_same_status_in_every_format() {
    let folder = mixed("status");
    assert_eq!(folder.found(&["typo.yaml"]), ["CK002 3:5", "CK002 4:5"]);
    for format in FORMATS {
        assert_eq!(folder.status(&["--format", format]), 1, "{format}");
        assert_eq!(folder.status(&["clean.yaml", "--format", format]), 0, "{format}");
        assert_eq!(folder.status(&["--exit-zero", "--format", format]), 0, "{format}");
    }
    // The limit is inclusive.
    assert_eq!(folder.status(&["sub", "--fail-on", "warning"]), 1);
    assert_eq!(folder.status(&["sub", "--fail-on", "error"]), 0);
    assert_eq!(folder.status(&["unmet.yaml", "--fail-on", "error"]), 1);
    for wrong in [
        &["missing.yaml"][..],
        &["no/*.yaml"],
        &["--select", "CK999"],
        &["--ignore", "CK002"],
        &["zoo:nothing"],
        &["--baseline", "missing.json"],
        &["--update-baseline"],
        &["--format", "dot"],
    ] {
        assert_eq!(folder.status(wrong), 2, "{wrong:?}");
    }
}

#[test]
fn rules_are_chosen_by_id_name_and_family() {
    let folder = mixed("choice");
    let bias = ["CK401 4:5"];
    for args in [
        &["sub"][..],
        &["sub", "--select", "CK401"],
        &["sub", "--select", "CK4"],
        &["sub", "--select", "redundancy"],
        &["sub", "--select", "gridding,bias-before-norm"],
        &["sub", "--select", "gridding", "--extend-select", "CK401"],
    ] {
        assert_eq!(folder.found(args), bias, "{args:?}");
    }
    for args in
        [&["sub", "--ignore", "CK401"][..], &["sub", "--select", "gridding"], &["sub", "--ignore", "all"]]
    {
        assert!(folder.found(args).is_empty(), "{args:?}");
    }
}

#[test]
fn the_json_has_the_keys_of_the_contract() {
    let value = mixed("keys").json(&[]);
    assert_eq!(
        (&value["schema"], &value["command"], &value["ok"]),
        (&1.into(), &"check".into(), &false.into())
    );
    for finding in value["findings"].as_array().expect("findings") {
        let keys = [
            "rule",
            "severity",
            "message",
            "file",
            "line",
            "column",
            "end_line",
            "end_column",
            "node",
            "help",
        ];
        for key in keys {
            assert!(finding.get(key).is_some(), "{key} is missing in {finding}");
        }
    }
    let lines = mixed("lines").text(&["--format", "jsonl"]);
    assert_eq!(lines.lines().count(), value["findings"].as_array().expect("findings").len());
    for line in lines.lines() {
        assert!(serde_json::from_str::<Value>(line).expect("JSON").is_object());
    }
}

#[test]
fn sarif_is_valid_by_the_official_schema() {
    let schema = include_str!("../data/sarif/sarif-2.1.0-rtm.5.json");
    let validator =
        jsonschema::validator_for(&serde_json::from_str(schema).expect("JSON")).expect("a schema");
    let folder = mixed("sarif");
    folder.write("a b.yaml", &BIAS.replace("# stem", "# cnnkit: ignore[CK401] as published"));
    for args in [
        &["--format", "sarif"][..],
        &["clean.yaml", "--format", "sarif"],
        &["zoo:vgg16_bn", "--format", "sarif"],
    ] {
        let value: Value = serde_json::from_str(&folder.text(args)).expect("JSON");
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{error} at {}", error.instance_path))
            .collect();
        assert!(errors.is_empty(), "{args:?}: {}", errors.join("\n"));
    }
    let value: Value = serde_json::from_str(&folder.text(&["--format", "sarif"])).expect("JSON");
    let run = &value["runs"][0];
    let results = run["results"].as_array().expect("results");
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("small")];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(result["partialFingerprints"]["cnnkit/v1"].is_string());
    }
    let suppressed =
        results.iter().find(|result| result.get("suppressions").is_some()).expect("a suppressed result");
    let place = &suppressed["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(place, "a%20b.yaml");
}

#[test]
fn junit_is_xml_with_a_failure_a_finding() {
    let folder = mixed("junit");
    let text = folder.text(&["--format", "junit"]);
    let document = roxmltree::Document::parse(&text).expect("XML");
    let root = document.root_element();
    let count = |name: &str| root.descendants().filter(|node| node.has_tag_name(name)).count();
    assert_eq!((count("testsuite"), count("testcase"), count("failure")), (4, 6, 5));
    assert_eq!((root.attribute("tests"), root.attribute("failures")), (Some("6"), Some("5")));
    // Control characters do not exist in XML.
    folder.write("typo.yaml", "input: [3, 8, 8]\nlayers:\n  - \"a\\u0007<b>&\"\n");
    let text = folder.text(&["typo.yaml", "--format", "junit"]);
    assert!(roxmltree::Document::parse(&text).is_ok(), "{text}");
}

#[test]
fn gitlab_reads_a_list_of_issues() {
    let value: Value = serde_json::from_str(&mixed("gitlab").text(&["--format", "gitlab"])).expect("JSON");
    let issues = value.as_array().expect("a list");
    let mut prints: Vec<&str> = issues.iter().filter_map(|issue| issue["fingerprint"].as_str()).collect();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!((issues.len(), prints.len()), (5, 5));
    for issue in issues {
        assert!(issue["location"]["lines"]["begin"].is_u64() && issue["description"].is_string());
        let severity = issue["severity"].as_str().expect("a severity");
        assert!(["info", "minor", "major", "critical", "blocker"].contains(&severity));
    }
}

#[test]
fn github_shows_the_worst_first_and_counts_the_rest() {
    let folder = mixed("github");
    let text = folder.text(&["--format", "github"]);
    let line = "::warning file=sub/bias.yaml,line=4,endLine=4,col=5,endColumn=8,title=CK401 bias-before-norm::the 8 biases";
    assert!(text.contains(line), "{text}");
    assert!(text.starts_with("::error "), "{text}");
    let many: String =
        (0..14).map(|_| "  - conv: {out_channels: 8, kernel: 1}\n  - batch_norm\n  - relu\n").collect();
    folder.write("many.yaml", &format!("input: [3, 8, 8]\nlayers:\n{many}"));
    let text = folder.text(&["many.yaml", "--format", "github"]);
    assert_eq!(text.matches("::warning ").count(), 10);
    assert!(text.contains("::notice ") && text.contains("4 findings more in the log"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("many.yaml:")).count(), 4);
}

#[test]
fn places_are_relative_to_the_repository_of_the_job() {
    let folder = mixed("repository");
    for variable in ["GITHUB_WORKSPACE", "CI_PROJECT_DIR"] {
        let in_job = |format: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_cnnkit"));
            command.args(["check", "bias.yaml", "--format", format]).current_dir(folder.0.join("sub"));
            command.env_remove("GITHUB_WORKSPACE").env_remove("CI_PROJECT_DIR").env(variable, &folder.0);
            String::from_utf8(command.output().expect("the program runs").stdout).expect("UTF-8")
        };
        assert!(in_job("github").contains("file=sub/bias.yaml,line=4"), "{variable}");
        assert!(in_job("sarif").contains("\"uri\": \"sub/bias.yaml\""), "{variable}");
        assert!(in_job("gitlab").contains("\"path\": \"sub/bias.yaml\""), "{variable}");
        // People are in the folder, not in the repository.
        assert!(in_job("concise").starts_with("bias.yaml:4:5:"), "{variable}");
    }
}

#[test]
fn several_formats_can_be_written_at_once() {
    let folder = mixed("several");
    let text = folder.text(&["--format", "concise", "--output", "sarif=a.sarif", "--output", "junit=b.xml"]);
    assert!(
        text.contains("sub/bias.yaml:4:5: warning[CK401]") && text.contains("checked 4 specs:"),
        "{text}"
    );
    assert!(folder.read("a.sarif").contains("\"2.1.0\"") && folder.read("b.xml").starts_with("<?xml"));
}

#[test]
fn comments_suppress_only_what_they_name_and_only_with_a_reason() {
    let cases = [
        ("# cnnkit: ignore[CK401] as published", vec![]),
        ("# cnnkit: ignore[bias-before-norm]: as published", vec![]),
        ("# cnnkit: ignore[CK401]", vec!["CK192 4:44"]),
        ("# cnnkit: ignore CK401 because", vec!["CK401 4:5", "CK192 4:52"]),
        ("# cnnkit: disable[CK401] because", vec!["CK401 4:5", "CK192 4:52"]),
        ("# noqa: CK401", vec!["CK401 4:5", "CK192 4:44"]),
        ("# cnnkit: ignore[CK301] no dilation", vec!["CK401 4:5", "CK191 4:59"]),
        ("# cnnkit: ignore[CK999] what", vec!["CK401 4:5", "CK192 4:59"]),
        ("# cnnkit: ignore[CK005] what", vec!["CK401 4:5", "CK192 4:59"]),
        ("# see CK401 in docs", vec!["CK401 4:5"]),
    ];
    for (comment, expected) in cases {
        let folder = Folder::new("comments", &[("a.yaml", &BIAS.replace("# stem", comment))]);
        assert_eq!(folder.found(&["a.yaml"]), expected, "{comment}");
    }
    // A rule that does not run reports nothing about its suppressions.
    let folder = Folder::new(
        "comments",
        &[("a.yaml", &BIAS.replace("# stem", "# cnnkit: ignore[CK401] as published"))],
    );
    assert!(folder.found(&["a.yaml", "--select", "gridding"]).is_empty());
    assert!(folder.text(&["a.yaml"]).contains("no findings; 1 suppressed"));
}

#[test]
fn a_project_sets_levels_budgets_and_exceptions() {
    let folder = mixed("project");
    folder.write(
        "cnnkit.toml",
        "exclude = [\"typo.yaml\", \"unmet.yaml\"]\n[rules]\nCK401 = \"error\"\n\n[[override]]\nspecs = [\"sub/**\"]\nrules = {CK401 = \"off\"}\n\n[[budget]]\nspecs = [\"**/*.yaml\"]\nlimit = {params = {max = \"0.2k\"}, memory = {max = \"100KiB\"}}\n",
    );
    folder.write("also.yaml", BIAS);
    assert_eq!(folder.found(&["sub"]), ["CK602 2:1"]);
    let value = folder.json(&["also.yaml"]);
    let severities: Vec<&Value> =
        value["findings"].as_array().expect("list").iter().map(|f| &f["severity"]).collect();
    assert_eq!(severities, ["error", "error"]);
    // From a folder below, the same project is found.
    let mut command = Command::new(env!("CARGO_BIN_EXE_cnnkit"));
    let output = command
        .args(["check", "bias.yaml", "--format", "concise"])
        .current_dir(folder.0.join("sub"))
        .output();
    let text = String::from_utf8(output.expect("runs").stdout).expect("UTF-8");
    assert!(text.contains("CK602") && !text.contains("CK401"), "{text}");
    assert!(folder.found(&["also.yaml", "--no-config"]) == ["CK401 4:5"]);
    // Excluded files are checked if they are named.
    assert_eq!(folder.found(&["typo.yaml"]).len(), 2);
}

#[test]
fn a_wrong_project_file_is_explained_at_its_place() {
    for (text, place, words) in [
        ("fail-on = \"worse\"\n", "1:12", "`off`, `note`, `warning` or `error`"),
        ("[rules]\nCK999 = \"off\"\n", "2:1", "there is no rule `CK999`"),
        ("[rules]\nCK002 = \"off\"\n", "2:1", "always an error"),
        ("[rules]\nselect = [\"griding\"]\n", "2:12", "did you mean `gridding`?"),
        ("[[budget]]\nspecs = [\"**\"]\nlimit = {parms = {max = 3}}\n", "3:10", "did you mean `params`?"),
        (
            "[[budget]]\nspecs = [\"**\"]\nlimit = {params = {max = \"3MB\"}}\n",
            "3:27",
            "counts are given in k, M, G",
        ),
        ("[[budget]]\nspecs = [\"**\"]\nratchet = [\"output\"]\n", "3:13", "cannot be ratcheted"),
        ("[[python]]\nmodel = \"nets:Net\"\n", "1:", "`input` is missing"),
        ("[[python]]\nmodel = \"nets:Net\"\ninput = [3, \"x\"]\n", "3:14", "expected a size"),
        ("[[python]]\nmodel = \"nets:Net\"\ninput = [3]\narg = {}\n", "4:1", "did you mean `args`?"),
        ("exclud = []\n", "1:1", "did you mean `exclude`?"),
        ("a = = 3\n", "1:", "docs/check.md"),
    ] {
        let folder = Folder::new("wrong", &[("a.yaml", CLEAN), ("cnnkit.toml", text)]);
        let output = folder.run(&[]);
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(error.contains(&format!("cnnkit.toml:{place}")) && error.contains(words), "{text}\n{error}");
    }
}

#[test]
fn a_baseline_accepts_what_was_there_and_nothing_new() {
    let folder = mixed("baseline");
    let base = ["--baseline", "base.json"];
    // A spec that cannot be built is never accepted, not even by a baseline file that lists it.
    assert_eq!(folder.status(&[&base[..], &["--update-baseline"]].concat()), 1);
    assert_eq!(folder.found(&base), ["CK002 3:5", "CK002 4:5"]);
    assert!(!folder.read("base.json").contains("CK002"));
    folder.write("typo.yaml", BIAS);
    assert_eq!(folder.status(&[&base[..], &["--update-baseline"]].concat()), 0);
    assert_eq!(folder.status(&base), 0);
    assert!(folder.text(&base).contains("no findings; 4 accepted by the baseline"));
    // Lines above have no effect; another flaw is new.
    folder.write("sub/bias.yaml", &format!("# one more line\n{BIAS}"));
    assert_eq!(folder.status(&base), 0);
    folder.write(
        "sub/bias.yaml",
        &format!("{BIAS}  - relu\n  - conv: {{out_channels: 4, kernel: 1}}\n  - batch_norm\n"),
    );
    assert_eq!(folder.found(&base), ["CK401 7:5"]);
    // Findings that no longer occur are reported, and an update of one spec keeps the others.
    folder.write("typo.yaml", CLEAN);
    assert!(folder.text(&base).contains("1 in the baseline only"));
    assert_eq!(folder.status(&["sub", "--baseline", "base.json", "--update-baseline"]), 0);
    assert_eq!(folder.status(&base), 0);
    let value: Value = serde_json::from_str(&folder.read("base.json")).expect("JSON");
    assert_eq!(value["findings"].as_object().expect("a map").len(), 3);
}

#[test]
fn a_ratchet_only_turns_one_way() {
    let folder = Folder::new(
        "ratchet",
        &[
            ("a.yaml", CLEAN),
            (
                "cnnkit.toml",
                "baseline = \"base.json\"\n[[budget]]\nspecs = [\"a.yaml\"]\nratchet = [\"params\", \"receptive_field\"]\n",
            ),
        ],
    );
    assert_eq!(folder.status(&["--update-baseline"]), 0);
    assert_eq!(folder.status(&[]), 0);
    folder.write("a.yaml", &CLEAN.replace("out_channels: 8", "out_channels: 6"));
    assert_eq!(folder.status(&[]), 0, "fewer parameters are fine");
    folder.write("a.yaml", &CLEAN.replace("out_channels: 8", "out_channels: 9"));
    assert_eq!(folder.found(&[]), ["CK603 1:1"]);
    assert!(folder.text(&[]).contains("`params` is 261, it was 232: 29 more (12.5 %)"));
    folder.write("a.yaml", &CLEAN.replace("kernel: 3", "kernel: 1"));
    assert_eq!(folder.found(&[]), ["CK603 1:1"], "a smaller field is worse");
    assert_eq!(folder.status(&["--update-baseline"]), 0);
    assert_eq!(folder.status(&[]), 0);
}

#[test]
fn fixes_keep_comments_and_layout() {
    let folder = mixed("fix");
    let diff = folder.text(&["sub", "--diff"]);
    for line in [
        "-  - conv: {out_channels: 8, kernel: 3}   # stem",
        "+  - conv: {out_channels: 8, kernel: 3, bias: false}   # stem",
    ] {
        assert!(diff.lines().any(|found| found == line), "{diff}");
    }
    assert_eq!(folder.read("sub/bias.yaml"), BIAS, "`--diff` changes nothing");
    let text = folder.text(&["sub", "--fix"]);
    assert!(text.contains("no findings; 1 fixed"), "{text}");
    assert_eq!(folder.read("sub/bias.yaml"), BIAS.replace("kernel: 3}", "kernel: 3, bias: false}"));
    assert_eq!(folder.status(&["sub"]), 0);
    // Found values are written by `--update` alone.
    folder.run(&["unmet.yaml", "--fix", "--unsafe"]);
    assert_eq!(folder.read("unmet.yaml"), UNMET);
    assert_eq!(folder.status(&["unmet.yaml", "--update"]), 0);
    let expected = UNMET.replace("params: 1 ", "params: 224 ").replace("max: 1k", "max: 194400");
    assert_eq!(folder.read("unmet.yaml"), expected);
}

#[test]
fn a_flaw_of_an_include_is_reported_once_and_fixed_on_request() {
    let blocks = "blocks:\n  unit:\n    - conv: {out_channels: 8, kernel: 3}\n    - batch_norm\n    - relu\n";
    let spec = "include: [blocks.yaml]\ninput: [3, 32, 32]\nlayers: [unit, unit]\n";
    let folder = Folder::new("included", &[("blocks.yaml", blocks), ("a.yaml", spec), ("b.yaml", spec)]);
    let value = folder.json(&[]);
    let findings = value["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 1);
    assert_eq!((&findings[0]["file"], &findings[0]["specs"][0]), (&"blocks.yaml".into(), &"b.yaml".into()));
    assert_eq!(findings[0]["also"][0], "unit2.conv1");
    folder.run(&["--fix"]);
    assert_eq!(folder.read("blocks.yaml"), blocks);
    folder.run(&["--fix", "--unsafe"]);
    assert_eq!(folder.read("blocks.yaml"), blocks.replace("kernel: 3}", "kernel: 3, bias: false}"));
    assert_eq!(folder.status(&[]), 0);
}

#[test]
fn expectations_apply_to_built_in_networks_only() {
    let folder = Folder::new("expect", &[("a.yaml", UNMET)]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_cnnkit"));
    let output = command.args(["params", "a.yaml", "--quiet"]).current_dir(&folder.0).output().expect("runs");
    assert!(output.status.success());
    folder.write("a.yaml", &UNMET.replace("params: 1 ", "parms: 1 ").replace("1k", "1kB"));
    assert_eq!(folder.found(&["a.yaml"]), ["CK002 5:3", "CK004 6:15"]);
    assert!(folder.text(&["a.yaml"]).contains("did you mean `params`?"));
}

#[test]
fn what_people_read_fits_the_terminal() {
    let folder = mixed("width");
    folder.write("zoo.yaml", "include: []\ninput: [3, 32, 32]\nlayers: []\n");
    for width in ["80", "120"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cnnkit"));
        let output =
            command.arg("check").current_dir(&folder.0).env("COLUMNS", width).output().expect("runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= width.parse().ok(), "{widest:?} columns at {width}:\n{text}");
    }
}

/// Returns the program in `folder`, for any command.
fn call(folder: &Folder, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cnnkit"));
    let output =
        command.args(args).current_dir(&folder.0).env("COLUMNS", "80").output().expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("UTF-8"))
}

fn git(folder: &Folder, args: &[&str]) {
    let name = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").args(name).args(args).current_dir(&folder.0).output().expect("git runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_change_is_shown_in_total_and_by_block_and_can_be_refused() {
    let wide = CLEAN.replace("out_channels: 8", "out_channels: 16");
    let folder = Folder::new("diff", &[("old.yaml", CLEAN), ("new.yaml", &wide)]);
    let (status, text) = call(&folder, &["diff", "old.yaml", "new.yaml", "--format", "json"]);
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status, Some(0));
    let params =
        value["quantities"].as_array().expect("a list").iter().find(|entry| entry["name"] == "params");
    // 3x3x3 weights and 2 of the norm for each of 8, then 16 channels.
    assert_eq!(params.map(|entry| (&entry["old"], &entry["new"])), Some((&232.into(), &464.into())));
    assert_eq!(value["blocks"].as_array().map(Vec::len), Some(3));
    for (condition, expected) in [
        ("params > +99%", 1),
        ("params > +100%", 0),
        ("macs > 1G", 0),
        ("memory >= +32kB", 1),
        ("receptive_field < -0", 0),
        ("parms > 3", 2),
        ("params", 2),
    ] {
        for format in ["table", "json", "csv", "markdown"] {
            let args = ["diff", "old.yaml", "new.yaml", "--fail-if", condition, "--format", format];
            let (status, text) = call(&folder, &args);
            assert_eq!(status, Some(expected), "{condition}: {text}");
        }
    }
    let (_, text) = call(&folder, &["diff", "old.yaml", "old.yaml"]);
    assert!(text.contains("no difference"), "{text}");
}

#[test]
fn a_spec_is_compared_with_itself_at_a_revision() {
    let spec = "include: [../blocks.yaml]\ninput: [3, 32, 32]\nlayers: [unit]\n";
    let block = "blocks:\n  unit:\n    - conv: {out_channels: 8, kernel: 3}\n";
    let folder = Folder::new("git", &[("specs/a.yaml", spec), ("blocks.yaml", block)]);
    git(&folder, &["init", "-q"]);
    git(&folder, &["add", "-A"]);
    git(&folder, &["commit", "-q", "-m", "first"]);
    folder.write("blocks.yaml", &block.replace("kernel: 3", "kernel: 5"));
    let args =
        ["diff", "--git", "HEAD", "specs/a.yaml", "--fail-if", "receptive_field > +1", "--format", "csv"];
    let (status, text) = call(&folder, &args);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("receptive_field,3,5,") && text.contains("params,224,608,"), "{text}");
    for wrong in [
        ["--git", "nowhere", "specs/a.yaml"],
        ["--git", "--help", "specs/a.yaml"],
        ["--git", "HEAD", "zoo:vgg16"],
    ] {
        assert_eq!(call(&folder, &[&["diff"][..], &wrong].concat()).0, Some(2), "{wrong:?}");
    }
    folder.write("specs/later.yaml", spec);
    let (status, text) = call(&folder, &["diff", "--git", "HEAD", "specs/later.yaml"]);
    assert!(status == Some(0) && text.contains("specs/later.yaml  new"), "{text}");
}

#[test]
fn a_new_project_is_clean_and_nothing_is_overwritten() {
    for (service, file) in [
        ("github", ".github/workflows/cnnkit.yml"),
        ("gitlab", ".gitlab-ci.yml"),
        ("pre-commit", ".pre-commit-config.yaml"),
    ] {
        let folder = Folder::new("init", &[]);
        fs::remove_file(folder.0.join("cnnkit.toml")).expect("the file is there");
        let (status, text) = call(&folder, &["init", "specs/net.yaml", "--ci", service]);
        assert_eq!(status, Some(0), "{text}");
        let job = folder.read(file);
        assert!(job.contains("cnnkit check"), "{job}");
        // The job installs this very version of the program, not the project that it checks.
        let version = env!("CARGO_PKG_VERSION");
        let installs = [format!("cargo install --locked cnnkit@{version}"), format!("cli:cnnkit:{version}")];
        assert!(installs.iter().any(|how| job.contains(how)) && !job.contains("--path"), "{job}");
        assert!(folder.read("specs/net.yaml").contains("params: "));
        assert!(folder.text(&["--verify"]).contains("checked 1 spec: no findings"), "{service}");
        assert_eq!(call(&folder, &["init", "specs/net.yaml"]).0, Some(2));
        let before = folder.read("cnnkit.toml");
        assert_eq!(call(&folder, &["init", "other.yaml", "--ci", service]).0, Some(0));
        assert_eq!(folder.read("cnnkit.toml"), before);
    }
}

#[test]
fn hostile_text_is_told_and_nothing_panics() {
    let start = "input: [3, 32, 32]\nlayers:\n  - conv: {out_channels: 8, kernel: 3}";
    for end in [
        " # cnnkit: …",
        " # cnnkit: ignore[",
        " # cnnkit: ignore[]",
        " # cnnkit: ignore[,é,CK401]",
        " # cnnkit: ignore-file[CK401]é",
        " # CK4é noqa",
        " # noqa: CK40",
        "\nexpect: 3\n",
        "\nexpect: [1]\n",
        "\nexpect:\n  params: é\n",
        "\nexpect:\n  params: {max: 99999999999999999999999999999999999999G}\n",
        "\nexpect:\n  output: [é, ~, 1.5]\n",
        "\nexpect:\n  nodes: {conv1: {shape: []}, '': {params: 1}, conv1.: {params: 1}}\n",
        "\nexpect:\n  receptive_field: []\n",
        "\nexpect:\n  coverage: -1%\n",
        "\nexpect:\n  macs: {max: 1, max: 2}\n",
        "\nexpect:\n  params: $nothing\n",
        "\nexpect: {params: {}}\n",
    ] {
        let folder = Folder::new("hostile", &[("a.yaml", &format!("{start}{end}"))]);
        for format in FORMATS {
            let output = folder.run(&["a.yaml", "--format", format]);
            let told = matches!(output.status.code(), Some(0 | 1)) && output.stderr.is_empty();
            assert!(told, "{end}: {}", String::from_utf8_lossy(&output.stderr));
        }
        folder.run(&["a.yaml", "--update"]);
        assert!(folder.read("a.yaml").starts_with(start), "{end}");
    }
}

#[test]
fn yaml_of_other_tools_is_no_spec_unless_it_is_named() {
    let helm = "input: foo\nreplicas: 3\n";
    let folder = Folder::new(
        "foreign",
        &[("a.yaml", CLEAN), ("values.yaml", helm), ("docker.yml", "layers: [base]\n")],
    );
    assert_eq!(folder.status(&[]), 0);
    assert_eq!(folder.json(&[])["spec"]["path"], "a.yaml");
    assert_eq!(folder.status(&["values.yaml"]), 1);
    // The schema's line settles it.
    folder.write(
        "b.yaml",
        "# yaml-language-server: $schema=../cnnkit.schema.json\ninputs: [3, 8, 8]\nlayers: [relu]\n",
    );
    assert_eq!(folder.status(&[]), 1);
}

#[test]
fn a_budget_that_matches_nothing_is_told() {
    let budget =
        |globs: &str| format!("\n[[budget]]\nspecs = [{globs}]\nlimit = {{params = {{max = \"5M\"}}}}\n");
    let folder = Folder::new("idle", &[("nets/a.yaml", CLEAN), ("b.yaml", CLEAN)]);
    folder.write("cnnkit.toml", &(budget("\"nope/**\"") + &budget("\"nets/**\"")));
    assert_eq!(folder.found(&[]), ["CK605 3:9"]);
    // A call for one file does not blame the budgets of the others; built-in specs are specs.
    assert_eq!(folder.found(&["b.yaml"]), ["CK605 3:9"]);
    folder.write("cnnkit.toml", &(budget("\"nets/**\"") + &budget("\"zoo:resnet*\"")));
    assert!(folder.found(&["b.yaml"]).is_empty());
    assert_eq!(folder.json(&["b.yaml"])["spec"]["path"], "b.yaml");
}

#[test]
fn network_of_python_needs_the_python_package() {
    let table = "[[python]]\nmodel = \"nets:Net\"\ninput = [3, 8, 8]\n";
    let listed = Folder::new("listed", &[("a.yaml", CLEAN), ("cnnkit.toml", table)]);
    let in_pyproject = format!("[project]\nname = \"x\"\n{}", table.replace("[[", "[[tool.cnnkit."));
    let without = |name: &str, text: &str| {
        let folder = Folder::new(name, &[("a.yaml", CLEAN), ("pyproject.toml", text)]);
        fs::remove_file(folder.0.join("cnnkit.toml")).expect("the file is there");
        folder
    };
    let pyproject = without("pyproject", &in_pyproject);
    let calls: [(&Folder, &[&str]); 3] =
        [(&listed, &[]), (&pyproject, &[]), (&pyproject, &["nets:Other", "--input", "3,8,8"])];
    for (folder, arguments) in calls {
        let output = folder.run(arguments);
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            error.contains("names an object of Python") && error.contains("pip install cnnkit"),
            "{error}"
        );
    }
    // What is named is checked without it, and so is a project that lists none.
    assert_eq!(listed.run(&["a.yaml"]).status.code(), Some(0));
    let other = without("other", "[tool.black]\n");
    assert_eq!(other.run(&[]).status.code(), Some(0));
}
