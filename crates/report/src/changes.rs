//! `cnnkit check --diff`: the changes that fixes would make, as a unified diff.

use schemars::JsonSchema;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::{Block, Page, StyledText, Tone};
use crate::findings::counted;
use crate::summary::Summary;
use cnnkit_findings::Rewrite;

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// What `cnnkit check --diff` shows: the changes that fixes would make.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChangesSummary {
    /// The changes as a unified diff.
    pub diff: String,
    /// Number of fixes.
    pub fixes: usize,
    /// Whether there is nothing to change.
    pub ok: bool,
    /// The diff of each file, line by line.
    #[serde(skip)]
    files: Vec<Vec<Vec<StyledText>>>,
}

impl ChangesSummary {
    /// Returns the summary of `rewrites`.
    pub fn of(rewrites: &[Rewrite]) -> Self {
        let files: Vec<Vec<Vec<StyledText>>> = rewrites.iter().map(unified).collect();
        let text = |lines: &Vec<Vec<StyledText>>| {
            lines.iter().flatten().map(|part| part.text.as_str()).collect::<Vec<_>>().join("\n") + "\n"
        };
        let fixes = rewrites.iter().map(|rewrite| rewrite.fixes).sum();
        Self { diff: files.iter().map(text).collect(), fixes, ok: fixes == 0, files }
    }
}

impl Summary for ChangesSummary {
    const COMMAND: &'static str = "check";

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.blocks.extend(self.files.iter().cloned().map(Block::Drawing));
        page.text(match self.fixes {
            0 => "nothing to change".to_owned(),
            fixes => {
                format!("{} in {}, not yet made", counted(fixes, "change"), counted(self.files.len(), "file"))
            }
        });
        page
    }

    fn passed(&self) -> bool {
        self.ok
    }
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
