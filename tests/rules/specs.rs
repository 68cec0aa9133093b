//! Our own specs under the default rules.

use std::fs;
use std::path::{Path, PathBuf};

use cnnkit::check::{self, Selection};
use cnnkit::spec::files::Disk;
use cnnkit::spec::{self, Overrides};

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            out.push(path);
        }
    }
}

#[test]
fn shipped_specs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut specs = Vec::new();
    for folder in ["zoo", "techniques", "slim"] {
        files(&root.join("specs").join(folder), &mut specs);
    }
    specs.sort();
    let mut all = Vec::new();
    for path in specs {
        let name = path.to_string_lossy().into_owned();
        let Ok(loaded) = spec::load(&Disk::of(&name), &name, &Overrides::default()) else { continue };
        let selection = match std::env::var("CNNKIT_RULE") {
            Ok(id) => Selection::only(&id),
            Err(_) => Selection::default(),
        };
        let outcome = check::network(&loaded, &selection);
        let short = path.strip_prefix(root).expect("below").display().to_string();
        for finding in &outcome.findings {
            let place = finding.span.map(|span| {
                let (line, column) = loaded.sources.line_column(span.source, span.start);
                format!(
                    "{}:{line}:{column}",
                    loaded.sources.get(span.source).name.rsplit('/').next().unwrap_or("")
                )
            });
            all.push(format!(
                "{short} {} {place:?} {:?} +{} {}",
                finding.rule.id,
                finding.node,
                finding.also.len(),
                finding.message
            ));
        }
        all.extend(
            outcome
                .skipped
                .iter()
                .map(|skipped| format!("{short} {} skipped {}", skipped.rule.id, skipped.problem)),
        );
    }
    println!("{}", all.join("\n"));
}
