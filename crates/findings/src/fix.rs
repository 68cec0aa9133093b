//! Applies fixes to files: only the tokens at fault change; comments and layout stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Checked, Edit, Located};

/// A file with some fixes applied, not yet written.
#[derive(Debug)]
pub struct Rewrite {
    /// The file.
    pub file: String,
    /// Its text as it was checked.
    pub before: Arc<str>,
    /// Its text with the fixes.
    pub after: String,
    /// The number of findings that they fix.
    pub fixes: usize,
}

/// One file's edits.
#[derive(Default)]
struct Pending {
    before: Arc<str>,
    edits: Vec<Edit>,
    fixes: usize,
}

/// Returns the fixes of the findings that `wanted` selects, file by file. Of overlapping fixes only the first is
/// applied; the others follow when the result is checked again. Built-in specs and standard input cannot be changed.
pub fn rewrites(checked: &[Checked], wanted: impl Fn(&Located) -> bool) -> Vec<Rewrite> {
    let mut files: BTreeMap<String, Pending> = BTreeMap::new();
    for spec in checked.iter().filter(|spec| !spec.path.starts_with("zoo:") && spec.path != "-") {
        for finding in spec.outcome.findings.iter().filter(|finding| wanted(finding)) {
            let Some(fix) = &finding.fix else { continue };
            let Some(first) = fix.edits.first() else { continue };
            // Fixes across several files are omitted: they would have to be written atomically.
            if fix.edits.iter().any(|edit| edit.span.source != first.span.source) {
                continue;
            }
            let source = spec.sources.get(first.span.source);
            let pending = files.entry(source.name.clone()).or_default();
            pending.before = Arc::clone(&source.text);
            let same = |a: &Edit, b: &Edit| {
                (a.span.start, a.span.end, &a.text) == (b.span.start, b.span.end, &b.text)
            };
            let fresh: Vec<&Edit> = fix
                .edits
                .iter()
                .filter(|edit| !pending.edits.iter().any(|known| same(known, edit)))
                .collect();
            if fresh.is_empty()
                || fresh.iter().any(|edit| pending.edits.iter().any(|known| touch(known, edit)))
            {
                continue;
            }
            pending.edits.extend(fresh.into_iter().cloned());
            pending.fixes += 1;
        }
    }
    let rewrite = |(file, pending): (String, Pending)| {
        let after = apply(&pending.before, &pending.edits)?;
        Some(Rewrite { file, before: pending.before, after, fixes: pending.fixes })
    };
    files.into_iter().filter_map(rewrite).collect()
}

/// Returns whether two edits share a byte or an end, so that their order would matter.
fn touch(a: &Edit, b: &Edit) -> bool {
    a.span.start <= b.span.end && b.span.start <= a.span.end
}

/// Applies all `edits` to `text`; returns `None` if two of them touch.
pub fn apply(text: &str, edits: &[Edit]) -> Option<String> {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let (mut out, mut at, mut last) = (String::new(), 0, None);
    for edit in sorted {
        // Two insertions at one position have no order.
        if edit.span.start < at || last.replace(edit.span.start) == Some(edit.span.start) {
            return None;
        }
        out += text.get(at..edit.span.start)?;
        out += &edit.text;
        at = edit.span.end;
    }
    out += text.get(at..)?;
    Some(out)
}
