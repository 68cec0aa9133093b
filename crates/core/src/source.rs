//! Texts and positions in them. A position is a byte range; line and column are computed when it is shown.

use std::sync::{Arc, OnceLock};

/// One text: a spec, an included file, or the command line's `--set`.
#[derive(Debug, Clone)]
pub struct Source {
    /// How the user named it: a path, `zoo:NAME`, `<stdin>`.
    pub name: String,
    /// Its text.
    pub text: Arc<str>,
    /// Places in it with their lines and columns, made when the first is asked for.
    places: OnceLock<Arc<[Place]>>,
}

/// A place in a text with its line and column, both from 1.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: usize,
    line: usize,
    column: usize,
}

/// Distance between known places of a long line, in characters.
const STRIDE: usize = 1024;

impl Source {
    /// Returns the start of every line, and more places inside long lines: the next of them before any place is near.
    fn places(&self) -> &[Place] {
        self.places.get_or_init(|| {
            let mut place = Place { offset: 0, line: 1, column: 1 };
            let mut places = vec![place];
            for (offset, c) in self.text.char_indices() {
                place.offset = offset + c.len_utf8();
                place.column += 1;
                if c == '\n' {
                    (place.line, place.column) = (place.line + 1, 1);
                }
                if place.column % STRIDE == 1 {
                    places.push(place);
                }
            }
            places.into()
        })
    }

    /// Returns the offset of the start of the line of `offset`.
    fn line_start(&self, offset: usize) -> usize {
        let places = self.places();
        let next = places.partition_point(|place| place.offset <= offset);
        let line = places[next.saturating_sub(1)].line;
        places[places.partition_point(|place| place.line < line)].offset
    }

    /// Returns line and column of `offset`, both from 1; the column counts characters.
    fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let places = self.places();
        let next = places.partition_point(|place| place.offset <= offset);
        let near = places[next.saturating_sub(1)];
        (near.line, near.column + self.text[near.offset..offset].chars().count())
    }
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
        self.list.push(Source { name: name.into(), text: text.into(), places: OnceLock::new() });
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
        self.get(id).line_column(offset)
    }

    /// Returns `span` with the whole of the characters in which it begins and ends, inside its text. Parsers of other crates may
    /// end a range one byte after its start, whatever stands there.
    pub fn whole(&self, span: Span) -> Span {
        let text = &self.get(span.source).text;
        let boundary = |at: &usize| text.is_char_boundary(*at);
        let start = (0..=span.start.min(text.len())).rev().find(boundary).unwrap_or(0);
        let end = (span.end.clamp(start, text.len())..=text.len()).find(boundary).unwrap_or(start);
        Span { start, end, ..span }
    }

    /// Returns the offset of the start of the line of `offset`.
    pub fn line_start(&self, id: SourceId, offset: usize) -> usize {
        self.get(id).line_start(offset)
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
    pub used_at: Arc<[(String, Span)]>,
}

impl Origin {
    /// Returns the position of argument `name`, or of the layer if the argument was not written.
    pub fn argument(&self, name: &str) -> Option<Span> {
        self.args.iter().find(|(arg, _)| arg == name).map(|&(_, span)| span).or(self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_those_of_a_count() {
        let text = format!("ab\r\nü{}\n\nx{}", "é".repeat(3000), "y".repeat(STRIDE * 2));
        let mut sources = Sources::default();
        let id = sources.add("text", text.as_str());
        for offset in (0..=text.len()).filter(|&offset| text.is_char_boundary(offset)) {
            let before = &text[..offset];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            assert_eq!(sources.line_column(id, offset), (line, column), "{offset}");
            let start = before.rfind('\n').map_or(0, |at| at + 1);
            assert_eq!(sources.line_start(id, offset), start, "{offset}");
        }
        assert_eq!(sources.line_column(id, 5), (2, 1), "inside a character");
        assert_eq!(sources.line_column(id, usize::MAX).0, 4, "behind the end");
    }

    #[test]
    fn a_range_has_whole_characters() {
        let mut sources = Sources::default();
        let source = sources.add("text", "a€b");
        let whole = |start: usize, end: usize| {
            let span = sources.whole(Span::new(source, start, end));
            (span.start, span.end)
        };
        assert_eq!(whole(1, 2), (1, 4), "ends inside of a character");
        assert_eq!(whole(2, 3), (1, 4), "begins there, too");
        assert_eq!(whole(1, 1), (1, 1), "nothing");
        assert_eq!(whole(0, 5), (0, 5));
        assert_eq!(whole(5, 9), (5, 5), "behind the end");
        assert_eq!(whole(4, 2), (4, 4), "backwards");
    }
}
