//! Totality: every rule is documented and tested, and its documentation is true.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use cnnkit::check::{self, Selection};
use cnnkit::diagnostic::{Code, Rejected};
use cnnkit::rules::{
    Family, MALFORMED_SUPPRESSION, Meta, RULES, SPEC_ERRORS, UNUSED_SUPPRESSION, all, of_code,
};
use cnnkit::spec::files::Text;
use cnnkit::spec::{self, Overrides};

#[test]
fn ids_and_names_obey_the_convention() {
    let (mut ids, mut names) = (HashSet::new(), HashSet::new());
    for meta in all() {
        assert!(ids.insert(meta.id), "{} is given twice", meta.id);
        assert!(names.insert(meta.name), "{} is given twice", meta.name);
        let digits = meta.id.strip_prefix("CK").unwrap_or_default();
        assert!(digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()), "{}", meta.id);
        assert!(meta.id.starts_with(meta.family.prefix()), "{} is not of {}", meta.id, meta.family.name());
        let kebab = meta.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        assert!(kebab && meta.name.starts_with(|c: char| c.is_ascii_lowercase()), "{}", meta.name);
        assert!(Family::ALL.iter().all(|family| family.name() != meta.name), "{} is a family", meta.name);
    }
    let sorted: Vec<&str> = RULES.iter().map(|rule| rule.meta().id).collect();
    assert!(sorted.is_sorted(), "RULES is not in the order of the ids: {sorted:?}");
}

#[test]
fn every_rule_is_documented() {
    for meta in all() {
        let id = meta.id;
        for (field, text) in [("what", meta.what), ("why", meta.why), ("instead", meta.instead)] {
            assert!(
                text.len() > 15 && text.ends_with('.'),
                "{id}: `{field}` is not made of sentences: {text}"
            );
        }
        assert!(!meta.source.is_empty(), "{id}: no source");
        let summary = meta.summary;
        assert!(!summary.ends_with('.') && !summary.starts_with(char::is_uppercase), "{id}: {summary}");
        for setting in meta.settings {
            assert!(!setting.doc.is_empty() && setting.value.is_finite(), "{id}: {}", setting.name);
        }
    }
}

fn load(text: &str) -> Result<spec::Loaded, Box<Rejected>> {
    let files = Text { name: "example".into(), bytes: text.into() };
    spec::load(&files, "example", &Overrides::default())
}

fn fires(meta: &Meta, text: &str) -> bool {
    let loaded = load(text).unwrap_or_else(|rejected| panic!("{}: {:?}", meta.id, rejected.flaws));
    let comment = RULES.iter().all(|rule| rule.meta().id != meta.id);
    let selection = if comment { Selection::default() } else { Selection::only(meta.id) };
    let outcome = check::network(&loaded, &selection);
    assert!(outcome.skipped.is_empty(), "{}: {:?}", meta.id, outcome.skipped);
    outcome.findings.iter().any(|finding| finding.rule.id == meta.id)
}

#[test]
fn every_example_shows_what_it_claims() {
    let comments = [&UNUSED_SUPPRESSION, &MALFORMED_SUPPRESSION];
    for meta in RULES.iter().map(|rule| rule.meta()).chain(comments) {
        assert!(fires(meta, meta.bad), "{}: the bad example is not found", meta.id);
        assert!(!fires(meta, meta.good), "{}: the good example is found", meta.id);
    }
    for meta in SPEC_ERRORS.iter().filter(|meta| meta.id != Code::Io.id()) {
        let rejected =
            load(meta.bad).err().unwrap_or_else(|| panic!("{}: the bad example is valid", meta.id));
        let codes: Vec<&str> = rejected.flaws.iter().map(|error| of_code(error.code).id).collect();
        assert!(codes.contains(&meta.id), "{}: {codes:?}", meta.id);
        assert!(load(meta.good).is_ok(), "{}", meta.id);
    }
}

#[test]
fn every_rule_has_fixtures_and_every_fixture_a_rule() {
    let mut folders = HashSet::new();
    for meta in RULES.iter().map(|rule| rule.meta()) {
        folders.insert(super::folder(meta));
        for kind in ["fires", "silent", "allowed"] {
            assert!(!super::fixtures(meta, kind).is_empty(), "{}: no {kind}*.yaml", meta.id);
        }
        let fixed = super::fixtures(meta, "fixed");
        assert_eq!(
            meta.fixes,
            !fixed.is_empty(),
            "{}: a rule with fixes has fixed*.yaml, others have none",
            meta.id
        );
        for (path, _) in fixed {
            let name = path.file_name().expect("a name").to_string_lossy().replace("fixed", "fires");
            assert!(path.with_file_name(&name).exists(), "{}: there is no {name}", path.display());
        }
    }
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules")).expect("a folder") {
        let path = entry.expect("an entry").path();
        assert!(!path.is_dir() || folders.contains(&path), "{} belongs to no rule", path.display());
    }
}

/// `docs/rules.md`: the documentation of every rule.
fn page() -> String {
    let mut page = String::from(
        "# Rules\n\n<!-- Written by `CNNKIT_BLESS=1 cargo test --test rules`, from crates/check/src/rules: change it there. -->\n\n\
         What `cnnkit check` looks for. A rule runs by default only if what it finds is nearly always a mistake; the others \
         are advice: `--select CK202`. `# cnnkit: ignore[CK203] the reason` accepts a finding.\n",
    );
    for family in Family::ALL {
        let metas: Vec<&Meta> = all().filter(|meta| meta.family == family).collect();
        if metas.is_empty() {
            continue;
        }
        page += &format!("\n## {}xx: {}\n\n", family.prefix(), family.summary());
        page += "| id | name | level | runs | fix | finds |\n| --- | --- | --- | --- | --- | --- |\n";
        for meta in &metas {
            let runs = if meta.default { "by default" } else { "if asked for" };
            let fix = if meta.fixes { "yes" } else { "" };
            let (id, anchor, level) = (meta.id, meta.id.to_lowercase(), meta.severity.name());
            page += &format!(
                "| [{id}](#{anchor}-{}) | `{}` | {level} | {runs} | {fix} | {} |\n",
                meta.name, meta.name, meta.summary
            );
        }
        for meta in metas {
            page += &format!("\n### {} `{}`\n\n", meta.id, meta.name);
            page += &format!("**What it does.** {}\n\n**Why it is bad.** {}\n\n", meta.what, meta.why);
            if !meta.bad.is_empty() {
                page += &format!("```yaml\n# found\n{}```\n\n", meta.bad);
            }
            page += &format!("**Use instead.** {}\n\n", meta.instead);
            if meta.family != Family::Spec {
                page += &format!("```yaml\n# fine\n{}```\n\n", meta.good);
            }
            for setting in meta.settings {
                page += &format!(
                    "**Setting** `{}` (default {}): {}.\n\n",
                    setting.name, setting.value, setting.doc
                );
            }
            page += &format!("**Source.** {}.\n", meta.source.trim_end_matches('.'));
        }
    }
    page
}

#[test]
fn the_page_of_the_rules_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let current = page();
    if std::env::var_os("CNNKIT_BLESS").is_some() {
        fs::write(&path, &current).expect("writing the page");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == current, "run `CNNKIT_BLESS=1 cargo test --test rules`");
}
