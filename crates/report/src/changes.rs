//! What `--diff` says: the changes that fixes would make, as a unified diff.

use similar::{ChangeTag, TextDiff};

use super::{Block, Page, Report, StyledText, Tone};
use crate::findings::counted;
use cnnkit_check::Rewrite;

/// Lines around a change.
const CONTEXT: usize = 3;

/// The changes; not all is well if there are any.
pub fn report(rewrites: &[Rewrite]) -> Report {
    let mut page = Page::default();
    let (mut text, mut fixes) = (String::new(), 0);
    for rewrite in rewrites {
        let lines = unified(rewrite);
        text += &lines.iter().flatten().map(|span| span.text.as_str()).collect::<Vec<_>>().join("\n");
        text.push('\n');
        fixes += rewrite.fixes;
        page.push(Block::Drawing(lines));
    }
    let summary = match fixes {
        0 => "nothing to change".to_owned(),
        fixes => format!("{} in {}, not yet made", counted(fixes, "change"), counted(rewrites.len(), "file")),
    };
    page.text(summary);
    let json = serde_json::json!({
        "schema": 1, "command": "check", "spec": {"name": null, "path": null},
        "diff": text, "fixes": fixes, "ok": fixes == 0,
    });
    Report { page, json, ok: fixes == 0 }
}

fn unified(rewrite: &Rewrite) -> Vec<Vec<StyledText>> {
    let diff = TextDiff::from_lines(&*rewrite.before, rewrite.after.as_str());
    let line = |text: String, tone| vec![StyledText::new(text, tone)];
    let mut lines = vec![
        line(format!("--- {}", rewrite.file), Tone::Strong),
        line(format!("+++ {}", rewrite.file), Tone::Strong),
    ];
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        lines.push(line(hunk.header().to_string(), Tone::Name));
        for change in hunk.iter_changes() {
            let (sign, tone) = match change.tag() {
                ChangeTag::Delete => ('-', Tone::Bad),
                ChangeTag::Insert => ('+', Tone::Good),
                ChangeTag::Equal => (' ', Tone::Plain),
            };
            lines.push(line(format!("{sign}{}", change.value().trim_end_matches(['\n', '\r'])), tone));
        }
    }
    lines
}
