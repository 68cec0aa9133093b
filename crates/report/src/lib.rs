//! The result of a command, as data.
//!
//! A command computes a [`Summary`]; a [`Report`] contains its views: a [`Page`] for people (titles, tables,
//! remarks, drawings), a JSON value for programs, and the exit status. Only the `render` module formats
//! numbers, so a figure has the same form in every command, and CSV and JSON have the exact integer.

pub mod blocker;
pub mod chains;
pub mod changes;
pub mod channels;
pub mod compare;
pub mod convention;
mod coverage_map;
pub mod demo;
pub mod diff;
pub mod exact;
pub mod figure;
pub mod finding;
pub mod findings;
pub mod hdc_chains;
pub mod html;
pub mod import;
pub mod imported;
pub mod init;
pub mod item;
mod json;
pub mod layers;
pub mod layout;
pub mod network;
pub mod output;
pub mod params;
pub mod paths;
mod per_axis;
pub mod plan;
pub mod reference;
pub mod render;
pub mod rf;
pub mod rules;
pub mod run;
pub mod sizes;
pub mod stream;
pub mod summary;
pub mod support;
pub mod survey;
pub mod tile;
pub mod train;
pub mod verify;
pub mod zoo;

pub mod design;
pub mod gridding;
pub mod hdc;
mod map;

use num_bigint::BigUint;
use serde::Serialize;

pub use exact::{BigCount, Decimal, Fraction};
pub use json::Json;
pub use map::{Bin, Line, Map, Panel};
pub use summary::{Entry, Envelope, Spec, Summary};

/// The output of a command: for people, for programs, and as an exit status.
#[derive(Debug, Clone)]
pub struct Report {
    /// For people: the source of terminal output, Markdown and CSV.
    pub page: Page,
    /// For programs: stable keys, plain integers.
    pub json: Json,
    /// Whether the command's own check passed (`false` for a violated HDC rule or budget).
    pub ok: bool,
    /// Whether a figure is partial because something was not analysed.
    pub partial: bool,
}

impl Report {
    /// Returns a report that passed, whose JSON is written from a typed value.
    pub fn new(page: Page, json: impl Serialize + Send + Sync + 'static) -> Self {
        Self { page, json: Json::of(json), ok: true, partial: false }
    }

    /// Returns the report of a command that prints a text and has no JSON.
    pub fn text(page: Page) -> Self {
        Self::new(page, serde_json::Value::Null)
    }

    /// Returns the same report with the verdict `ok`.
    #[must_use]
    pub fn with_verdict(mut self, ok: bool) -> Self {
        self.ok = ok;
        self
    }
}

/// A sequence of blocks, read from top to bottom.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The blocks, in order.
    pub blocks: Vec<Block>,
    /// Where the blocks of each network begin, and what it was named in the call; empty unless there are several.
    pub networks: Vec<(usize, String)>,
}

/// One element of a [`Page`].
#[derive(Debug, Clone)]
pub enum Block {
    /// A heading, with an optional remark beside it in a quiet tone.
    Title(String, Option<String>),
    /// A table.
    Table(Table),
    /// Figures: named values, aligned.
    Facts(Vec<Fact>),
    /// Named texts, aligned in the same way; they are no data.
    Definitions(Vec<Fact>),
    /// A table for programs, of what people read in another form: it is not drawn.
    Data(Table),
    /// A paragraph, wrapped to the width.
    Text(Vec<StyledText>),
    /// Lines that are printed verbatim (a map, a graph, a source file): never wrapped.
    Drawing(Vec<Vec<StyledText>>),
    /// A layer graph, drawn by the renderer.
    Network(network::Network),
    /// A coverage map, laid out by the renderer to fit its canvas.
    Map(Map),
    /// Findings, which have formats of their own.
    Findings(findings::Findings),
    /// A quiet footnote: definitions and units.
    Note(String),
}

/// A named value.
#[derive(Debug, Clone)]
pub struct Fact {
    /// Its name.
    pub name: String,
    /// The value.
    pub value: Cell,
    /// A remark beside it.
    pub remark: Option<String>,
}

/// A run of text in one tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StyledText {
    /// The text.
    pub text: String,
    /// Its meaning, which decides its colour.
    pub tone: Tone,
}

impl StyledText {
    /// Returns text in `tone`.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    /// Returns plain text.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// The meaning of a piece of text; the renderer chooses the colour. Colour is never the only carrier of
/// information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Ordinary text.
    #[default]
    Plain,
    /// Less important.
    Quiet,
    /// More important.
    Strong,
    /// A name that can be used elsewhere: an id, a command.
    Name,
    /// A check that passed.
    Good,
    /// A value that deserves attention.
    Warn,
    /// A check that failed.
    Bad,
    /// Heat, from 0 (cold) to 255 (hot), for maps.
    Heat(u8),
    /// The same scale, for glyphs whose density already shows the value.
    Shade(u8),
}

/// A table: columns, and rows of typed cells.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Its name, for `--table NAME`; tables of one name are one table for programs.
    pub name: &'static str,
    /// The columns, left to right.
    pub columns: Vec<Column>,
    /// The rows, top to bottom.
    pub rows: Vec<Row>,
}

/// A column of a [`Table`].
#[derive(Debug, Clone)]
pub struct Column {
    /// Its header for people.
    pub title: String,
    /// Its header for programs, where that of people is empty or not the only one of its kind.
    pub key: Option<&'static str>,
    /// Whether its cells stand on the right (numbers do). Others are broken into lines when the terminal is narrow.
    pub right: bool,
    /// How soon it is left out of a terminal that is too narrow: 0 never, then the highest first.
    pub optional: u8,
}

impl Column {
    /// A column of text.
    pub fn text(title: &str) -> Self {
        Self { title: title.into(), key: None, right: false, optional: 0 }
    }

    /// Returns a column of numbers.
    pub fn number(title: &str) -> Self {
        Self { title: title.into(), key: None, right: true, optional: 0 }
    }

    /// The same column with another header for programs.
    #[must_use]
    pub fn key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    /// Returns the same column, omitted in narrow terminals; a higher `rank` goes first.
    #[must_use]
    pub fn optional(mut self, rank: u8) -> Self {
        self.optional = rank;
        self
    }
}

/// A row of a [`Table`].
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// One cell per column.
    pub cells: Vec<Cell>,
    /// Whether a thin line is drawn above it (totals).
    pub rule_above: bool,
    /// Whether it is a sum or a heading, not data: omitted in CSV, so that columns add up.
    pub summary: bool,
    /// Only for programs: one of more rows than people read.
    pub hidden: bool,
}

impl Row {
    /// Returns an ordinary row.
    pub fn new(cells: Vec<Cell>) -> Self {
        Self { cells, ..Self::default() }
    }

    /// Returns a row of totals: with a line above, omitted in CSV.
    pub fn total(cells: Vec<Cell>) -> Self {
        Self { cells, rule_above: true, summary: true, hidden: false }
    }
}

/// One cell: a typed value in a tone.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// The value.
    pub value: Value,
    /// Its tone.
    pub tone: Tone,
}

/// A value with its unit, not yet formatted.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value {
    /// No value.
    #[default]
    Empty,
    /// A value that there is none of: `-`; empty in CSV.
    Missing,
    /// A count of zero that people need not see: `-`; 0 in CSV.
    Nothing,
    /// Words.
    Text(String),
    /// An exact count: `25,557,032`; in CSV `25557032`.
    Count(u64),
    /// An exact count of any size; in CSV all its digits.
    Integer(BigUint),
    /// A large count of which the magnitude matters: `4.089 G`; exact in CSV.
    Magnitude(u64),
    /// Bytes: `9.4 MiB`; exact in CSV.
    Bytes(u64),
    /// A fraction of a whole, 0 to 1: `12.3 %`; in CSV a fraction.
    Share(f64),
    /// A ratio to a reference: `0.118x`; in CSV a number.
    Factor(f64),
    /// A number with this number of decimals.
    Number(f64, usize),
    /// A difference with its sign: `+13,867,520`, `=` for none; in CSV a number.
    Change(i128, Scale),
    /// A relative difference: `+12.3 %`; in CSV a fraction.
    ChangeShare(f64),
    /// What people read, and what programs do.
    Written {
        /// For people.
        shown: String,
        /// For programs.
        exact: String,
    },
}

/// How a difference is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Every digit.
    Count,
    /// By its magnitude.
    Magnitude,
    /// As bytes.
    Bytes,
}

impl Cell {
    /// Returns text in the plain tone.
    pub fn text(text: impl Into<String>) -> Self {
        Value::Text(text.into()).into()
    }

    /// Returns text in `tone`.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { value: Value::Text(text.into()), tone }
    }

    /// Returns an exact count.
    pub fn count(count: u64) -> Self {
        Value::Count(count).into()
    }

    /// Returns an exact count of any size.
    pub fn integer(count: BigUint) -> Self {
        Value::Integer(count).into()
    }

    /// Returns a count that is shown by its magnitude.
    pub fn magnitude(count: u64) -> Self {
        Value::Magnitude(count).into()
    }

    /// Returns a number of bytes.
    pub fn bytes(bytes: u64) -> Self {
        Value::Bytes(bytes).into()
    }

    /// What people read, and what programs do.
    pub fn written(shown: impl Into<String>, exact: impl ToString) -> Self {
        Value::Written { shown: shown.into(), exact: exact.to_string() }.into()
    }

    /// Words that may be a number with commas, which programs read without them.
    pub fn figure(text: &str) -> Self {
        let digits = text.replace(',', "");
        let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if number { Self::written(text, digits) } else { Self::text(text) }
    }

    /// A value that there is none of.
    pub fn missing() -> Self {
        Self { value: Value::Missing, tone: Tone::Quiet }
    }

    /// `part` of `whole`; empty when the whole is zero.
    pub fn share(part: u64, whole: u64) -> Self {
        if whole == 0 { Self::default() } else { Value::Share(part as f64 / whole as f64).into() }
    }

    /// Returns `value / reference`; empty if `reference` is zero.
    pub fn factor(value: u64, reference: u64) -> Self {
        if reference == 0 { Self::default() } else { Value::Factor(value as f64 / reference as f64).into() }
    }

    /// Returns the same cell in another tone.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        Self { value, tone: Tone::Plain }
    }
}

impl Page {
    /// Appends a heading.
    pub fn title(&mut self, text: impl Into<String>) -> &mut Self {
        self.push(Block::Title(text.into(), None))
    }

    /// Appends a heading with a quiet remark.
    pub fn title_with(&mut self, text: impl Into<String>, remark: impl Into<String>) -> &mut Self {
        self.push(Block::Title(text.into(), Some(remark.into())))
    }

    /// Appends a table.
    pub fn table(&mut self, table: Table) -> &mut Self {
        self.push(Block::Table(table))
    }

    /// Appends a plain paragraph.
    pub fn text(&mut self, text: impl Into<String>) -> &mut Self {
        self.push(Block::Text(vec![StyledText::plain(text)]))
    }

    /// Appends a footnote.
    pub fn note(&mut self, text: impl Into<String>) -> &mut Self {
        self.push(Block::Note(text.into()))
    }

    /// Appends a text verbatim, line by line.
    pub fn source(&mut self, text: &str) -> &mut Self {
        let lines = text.lines().map(|line| vec![StyledText::plain(line)]).collect();
        self.push(Block::Drawing(lines))
    }

    /// Appends a block.
    pub fn push(&mut self, block: Block) -> &mut Self {
        self.blocks.push(block);
        self
    }
}

impl Fact {
    /// Returns a named value without a remark.
    pub fn new(name: impl Into<String>, value: impl Into<Cell>) -> Self {
        Self { name: name.into(), value: value.into(), remark: None }
    }

    /// Returns the same fact with a remark beside it.
    #[must_use]
    pub fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }
}
