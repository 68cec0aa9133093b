//! Texts and positions in them. A position is a byte range; line and column are computed when it is shown.

use std::sync::Arc;

/// One text: a spec, an included file, or the command line's `--set`.
#[derive(Debug, Clone)]
pub struct Source {
    /// How the user named it: a path, `zoo:NAME`, `<stdin>`.
    pub name: String,
    /// Its text.
    pub text: Arc<str>,
}

/// Index of a [`Source`] in its [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(u32);

/// All texts of one run.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    list: Vec<Source>,
}

impl Sources {
    /// Adds a text.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        self.list.push(Source { name: name.into(), text: text.into() });
        SourceId(u32::try_from(self.list.len() - 1).unwrap_or(u32::MAX))
    }

    /// Returns the text with index `id`.
    ///
    /// # Panics
    /// If `id` belongs to other `Sources`.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.list[id.0 as usize]
    }

    /// Iterates over all texts, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.list.iter()
    }

    /// Returns line and column of `offset`, both from 1; the column counts characters.
    pub fn line_column(&self, id: SourceId, offset: usize) -> (usize, usize) {
        let text = &self.get(id).text;
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        (line, before[start..].chars().count() + 1)
    }
}

/// A range of bytes in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The text.
    pub source: SourceId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// Returns the range `start..end` of `source`.
    pub fn new(source: SourceId, start: usize, end: usize) -> Self {
        Self { source, start, end }
    }
}

/// Where a layer of the graph was written, for messages about it. The layers of an imported model have no position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The layer's name in the spec (`conv`), the token that represents the whole layer.
    pub span: Option<Span>,
    /// The position of each argument's value.
    pub args: Vec<(String, Span)>,
    /// The uses of the blocks that contain the layer, innermost first, each with the block's name.
    pub used_at: Vec<(String, Span)>,
}

impl Origin {
    /// Returns the position of argument `name`, or of the layer if the argument was not written.
    pub fn argument(&self, name: &str) -> Option<Span> {
        self.args.iter().find(|(arg, _)| arg == name).map(|&(_, span)| span).or(self.span)
    }
}
