//! The last filter of text that leaves the program: names of models and files, and messages with them, are text and
//! nothing else, whatever reads the output.
//!
//! - [`page`] makes characters visible that a terminal, an editor or a parser of lines would obey: control characters,
//!   line breaks inside a name, marks that reverse the direction of text.
//! - [`inert`] breaks what a CI service would take for a command of the job's log.
//! - [`json`] escapes both inside JSON, where nothing is lost.
//! - [`cell`] marks text that a spreadsheet would evaluate.

use std::borrow::Cow;

use crate::findings::{Change, Findings, Item, Skipped, Spot};
use crate::network::{Network, Node};
use crate::{Block, Cell, Fact, Map, Page, Row, StyledText, Table, Value};

/// Whether `c` is obeyed rather than shown: a control character, a separator of lines, a mark of direction, or a
/// character without a shape.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns `text` with every character that would be obeyed made visible: `␛` for ESC, `␊` for a line break, `<U+202E>`
/// for a mark without a picture.
pub fn visible(text: &str) -> Cow<'_, str> {
    shown(text, |_| false)
}

/// The same for lines of a drawing, where a tab is layout.
fn visible_line(text: &str) -> Cow<'_, str> {
    shown(text, |c| c == '\t')
}

fn shown(text: &str, allowed: fn(char) -> bool) -> Cow<'_, str> {
    let bad = |c: char| is_obeyed(c) && !allowed(c);
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match u32::from(c) {
            _ if !bad(c) => out.push(c),
            code @ 0..=0x1f => out.extend(char::from_u32(0x2400 + code)),
            0x7f => out.push('\u{2421}'),
            code => out += &format!("<U+{code:04X}>"),
        }
    }
    Cow::Owned(out)
}

/// Returns a line of a source with the same number of bytes, so that places in it stay where they are.
pub fn same_length(line: &str) -> Cow<'_, str> {
    // Control characters of one byte are drawn by whoever draws the line.
    let bad = |c: char| is_obeyed(c) && c.len_utf8() > 1;
    if !line.contains(bad) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        match (bad(c), c.len_utf8()) {
            (false, _) => out.push(c),
            (true, 2) => out.push('¤'),
            (true, 3) => out.push('\u{fffd}'),
            (true, _) => out += "\u{fffd}?",
        }
    }
    Cow::Owned(out)
}

/// Returns `text` without commands of a CI service: `::error::` at the start of a line, `##[error]` and `##vso[...]`
/// anywhere.
pub fn inert(text: String) -> String {
    let suspicious = text.contains("##") || text.lines().any(|line| command(line).is_some());
    if !suspicious {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive('\n') {
        let line = match command(line) {
            Some(rest) => format!("{}: :{rest}", &line[..line.len() - rest.len() - 2]),
            None => line.to_owned(),
        };
        out += &without_marks(&line, "# #");
    }
    out
}

/// Returns what follows the `::` that begins a command. `::: file.yaml:4:12` is a place, and names no command.
fn command(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("::").filter(|rest| !rest.starts_with(':'))
}

/// Returns `text` with `##` replaced where letters and a bracket follow it.
fn without_marks(text: &str, replacement: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("##") {
        let behind = rest[at + 2..].trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        let command = behind.starts_with('[');
        out += &rest[..at];
        out += if command { replacement } else { "#" };
        rest = &rest[if command { at + 2 } else { at + 1 }..];
    }
    out + rest
}

/// Returns JSON text with the same meaning, in which nothing is obeyed: characters that JSON leaves as they are stand in
/// its own escapes. They occur inside strings only.
pub fn json(text: &str) -> Cow<'_, str> {
    let bad = |c: char| is_obeyed(c) && c != '\n';
    if !text.contains(bad) && !text.contains("##") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if bad(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out += &format!("\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(without_marks(&out, "#\\u0023"))
}

/// Returns the text of a table's cell so that a spreadsheet shows it and evaluates nothing: with an apostrophe before
/// what would be a formula. A range such as `-3..5` is none.
pub fn cell(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '@', '\t', '\r'])
        || (text.starts_with(['+', '-']) && text.contains(['(', '!', '|']));
    if formula { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// Returns `page` with all of its text made visible.
pub fn page(page: &Page) -> Page {
    Page {
        blocks: page.blocks.iter().map(block).collect(),
        networks: page.networks.iter().map(|(start, name)| (*start, clean(name))).collect(),
    }
}

fn clean(text: &str) -> String {
    visible(text).into_owned()
}

fn block(block: &Block) -> Block {
    match block {
        Block::Title(text, remark) => Block::Title(clean(text), remark.as_deref().map(clean)),
        Block::Table(rows) => Block::Table(table(rows)),
        Block::Data(rows) => Block::Data(table(rows)),
        Block::Facts(facts) => Block::Facts(facts.iter().map(fact).collect()),
        Block::Definitions(facts) => Block::Definitions(facts.iter().map(fact).collect()),
        Block::Text(spans) => Block::Text(styled(spans, visible)),
        Block::Drawing(lines) => {
            Block::Drawing(lines.iter().map(|line| styled(line, visible_line)).collect())
        }
        Block::Network(network) => Block::Network(graph(network)),
        Block::Map(map) => Block::Map(titled(map)),
        Block::Findings(list) => Block::Findings(findings(list)),
        Block::Note(text) => Block::Note(clean(text)),
    }
}

fn fact(fact: &Fact) -> Fact {
    Fact { name: clean(&fact.name), value: value(&fact.value), remark: fact.remark.as_deref().map(clean) }
}

fn styled(spans: &[StyledText], filter: fn(&str) -> Cow<'_, str>) -> Vec<StyledText> {
    spans.iter().map(|span| StyledText::new(filter(&span.text), span.tone)).collect()
}

fn table(table: &Table) -> Table {
    let mut cleaned = table.clone();
    for column in &mut cleaned.columns {
        column.title = clean(&column.title);
    }
    let row = |row: &Row| Row { cells: row.cells.iter().map(value).collect(), ..row.clone() };
    cleaned.rows = table.rows.iter().map(row).collect();
    cleaned
}

fn value(cell: &Cell) -> Cell {
    match &cell.value {
        Value::Text(text) => Cell { value: Value::Text(clean(text)), tone: cell.tone },
        Value::Written { shown, exact } => {
            Cell { value: Value::Written { shown: clean(shown), exact: clean(exact) }, tone: cell.tone }
        }
        _ => cell.clone(),
    }
}

fn graph(network: &Network) -> Network {
    let node = |node: &Node| Node {
        id: clean(&node.id),
        settings: clean(&node.settings),
        block: clean(&node.block),
        ..node.clone()
    };
    Network { name: clean(&network.name), nodes: network.nodes.iter().map(node).collect(), ..network.clone() }
}

fn titled(map: &Map) -> Map {
    let mut cleaned = map.clone();
    for panel in &mut cleaned.panels {
        panel.title = clean(&panel.title);
    }
    cleaned
}

fn findings(list: &Findings) -> Findings {
    let skipped = |skipped: &Skipped| Skipped {
        spec: clean(&skipped.spec),
        rule: skipped.rule,
        reason: clean(&skipped.reason),
    };
    Findings {
        items: list.items.iter().map(item).collect(),
        suppressed: list.suppressed.iter().map(item).collect(),
        skipped: list.skipped.iter().map(skipped).collect(),
        specs: list.specs.iter().map(|spec| clean(spec)).collect(),
        ..list.clone()
    }
}

fn item(item: &Item) -> Item {
    let all = |texts: &[String]| texts.iter().map(|text| clean(text)).collect();
    let place = |spot: &Spot| Spot { file: clean(&spot.file), ..spot.clone() };
    Item {
        message: clean(&item.message),
        spec: clean(&item.spec),
        spot: item.spot.as_ref().map(place),
        node: item.node.as_deref().map(clean),
        also: all(&item.also),
        specs: all(&item.specs),
        related: item.related.iter().map(|(spot, remark)| (place(spot), clean(remark))).collect(),
        help: all(&item.help),
        fix: item.fix.as_ref().map(|fix| Change {
            title: clean(&fix.title),
            safe: fix.safe,
            edits: fix.edits.iter().map(|(spot, text)| (place(spot), text.clone())).collect(),
        }),
        ..item.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_obeyed_becomes_visible() {
        assert_eq!(visible("a\u{1b}[2J\r\n\u{7f}b"), "a␛[2J␍␊␡b");
        assert_eq!(visible("\u{85}\u{202e}\u{2028}\u{e0041}"), "<U+0085><U+202E><U+2028><U+E0041>");
        for plain in ["conv1", "Größe 3x3 → 5", "", "日本語 …"] {
            assert!(matches!(visible(plain), Cow::Borrowed(text) if text == plain));
        }
    }

    #[test]
    fn lines_of_a_source_keep_their_length() {
        let line = "a\u{1b}\u{85}\u{202e}\u{e0001}ü";
        let cleaned = same_length(line);
        assert_eq!(cleaned.len(), line.len());
        assert_eq!(cleaned, "a\u{1b}¤\u{fffd}\u{fffd}?ü");
    }

    #[test]
    fn commands_of_a_job_are_broken() {
        assert_eq!(inert("::error::x\n  ::add-mask::y\n".into()), ": :error::x\n  : :add-mask::y\n");
        assert_eq!(
            inert("a ##[error]b ##vso[task.setvariable]c ###[x\n".into()),
            "a # #[error]b # #vso[task.setvariable]c ## #[x\n"
        );
        for plain in ["a::b\n", " ::: net.yaml:4:12\n", "## heading\n", "nn::Conv ## [x]\n", ""] {
            assert_eq!(inert(plain.into()), plain);
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value =
            serde_json::json!({"a\u{85}": "\u{2028}\u{202e}\u{e0001}##[error]\u{7f}##", "b": ["x\ny"]});
        let pretty = serde_json::to_string_pretty(&value).expect("JSON");
        let text = json(&pretty);
        assert!(text.chars().all(|c| !is_obeyed(c) || c == '\n') && !text.contains("##["), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }

    #[test]
    fn formulas_are_marked_and_numbers_are_not() {
        for formula in ["=1+1", "@SUM(A1)", "-2+3+cmd|' /C calc'!A0", "+HYPERLINK(\"x\")", "\t=1"] {
            assert_eq!(cell(formula), format!("'{formula}"));
        }
        for plain in ["-3..5", "-", "+5 %", "-0.5", "conv1", "3 x 3", "a=b"] {
            assert_eq!(cell(plain), plain);
        }
    }
}
