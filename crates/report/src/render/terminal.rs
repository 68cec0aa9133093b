//! A page for a terminal: aligned tables, colour by meaning, no wider than the canvas if possible.

use unicode_width::UnicodeWidthStr;

use crate::render::fit::{shorten, wrap};
use crate::render::paint::paint;
use crate::render::{Canvas, findings, heatmap, lanes, value};
use crate::{Block, Fact, Page, StyledText, Table, Tone};

/// Formats `page` as text with a final newline; ANSI escapes only if `canvas.color`.
pub fn render(page: &Page, canvas: Canvas) -> String {
    let mut out = String::new();
    for (i, block) in page.blocks.iter().enumerate() {
        if i > 0 && !matches!((&page.blocks[i - 1], block), (Block::Note(_), Block::Note(_))) {
            out.push('\n');
        }
        out += &draw(block, canvas);
    }
    out
}

fn draw(block: &Block, canvas: Canvas) -> String {
    match block {
        Block::Title(text, remark) => {
            let remark = remark.as_ref().map(|text| paint(&format!("  {text}"), Tone::Quiet, canvas));
            format!("{}{}\n", paint(text, Tone::Strong, canvas), remark.unwrap_or_default())
        }
        Block::Table(table) => draw_table(table, canvas),
        Block::Facts(facts) => draw_facts(facts, canvas),
        Block::Text(spans) => draw_text(spans, canvas),
        Block::Drawing(lines) => draw_lines(lines, canvas),
        Block::Network(network) => lanes::render(network, canvas),
        Block::Map(map) => draw_lines(&heatmap::layout(map, canvas.width), canvas),
        Block::Findings(list) => findings::full(list, canvas),
        Block::Note(text) => wrap(text, canvas.width)
            .iter()
            .fold(String::new(), |out, line| out + &paint(line, Tone::Quiet, canvas) + "\n"),
    }
}

fn draw_lines(lines: &[Vec<StyledText>], canvas: Canvas) -> String {
    lines.iter().fold(String::new(), |out, line| {
        let line = line.iter().fold(String::new(), |out, span| out + &paint(&span.text, span.tone, canvas));
        out + line.trim_end() + "\n"
    })
}

fn draw_text(spans: &[StyledText], canvas: Canvas) -> String {
    // Each word carries its tone, so that a line break never splits an escape sequence.
    let mut out = String::new();
    let mut column = 0;
    for span in spans {
        for (i, word) in span.text.split(' ').enumerate() {
            let space = usize::from(i > 0);
            if column > 0 && column + space + word.width() > canvas.width {
                out.push('\n');
                column = 0;
            } else if space == 1 && column > 0 {
                out.push(' ');
                column += 1;
            }
            if !word.is_empty() {
                out += &paint(word, span.tone, canvas);
            }
            column += word.width();
        }
    }
    out.push('\n');
    out
}

fn draw_facts(facts: &[Fact], canvas: Canvas) -> String {
    let names = facts.iter().map(|fact| fact.name.width()).max().unwrap_or(0);
    let texts: Vec<String> = facts.iter().map(|fact| value::readable(&fact.value.value)).collect();
    let values = texts.iter().filter(|text| text.width() <= 24).map(|text| text.width()).max().unwrap_or(0);
    let mut out = String::new();
    for (fact, text) in facts.iter().zip(&texts) {
        let value = paint(text, fact.value.tone, canvas);
        out += &paint(&pad(&fact.name, names), Tone::Quiet, canvas);
        let gap = values.saturating_sub(text.width());
        match &fact.remark {
            Some(remark) => {
                let start = names + 2 + values.max(text.width()) + 2;
                let lines = wrap(remark, canvas.width.saturating_sub(start).max(24));
                let first = paint(&lines[0], Tone::Quiet, canvas);
                out += &format!("  {}{value}  {first}\n", " ".repeat(gap));
                for line in &lines[1..] {
                    out += &format!("{}{}\n", " ".repeat(start), paint(line, Tone::Quiet, canvas));
                }
            }
            None => out += &format!("  {}{value}\n", " ".repeat(gap)),
        }
    }
    out
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

const GAP: usize = 2;

fn draw_table(table: &Table, canvas: Canvas) -> String {
    let shown = columns_that_fit(table, canvas.width);
    let total: usize =
        shown.iter().map(|&(_, width)| width).sum::<usize>() + GAP * shown.len().saturating_sub(1);
    let rule = paint(&"─".repeat(total), Tone::Quiet, canvas) + "\n";
    let titles: String = (0..shown.len())
        .map(|position| aligned(&table.columns[shown[position].0].title, table, &shown, position))
        .collect();
    let mut out = paint(titles.trim_end(), Tone::Quiet, canvas) + "\n" + &rule;
    for row in &table.rows {
        if row.rule_above {
            out += &rule;
        }
        let lines = |&(i, width): &(usize, usize)| {
            let text = row.cells.get(i).map(|cell| value::readable(&cell.value)).unwrap_or_default();
            if table.columns[i].wrap { broken(&text, width) } else { vec![shorten(&text, width)] }
        };
        let cells: Vec<Vec<String>> = shown.iter().map(lines).collect();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or(1) {
            let drawn: String = cells
                .iter()
                .enumerate()
                .map(|(position, cell)| {
                    let text = cell.get(line).map_or("", String::as_str);
                    let tone = row.cells.get(shown[position].0).map_or(Tone::Plain, |cell| cell.tone);
                    // The empty lines of a wrapped cell have no escape sequences.
                    let tone = if text.trim().is_empty() { Tone::Plain } else { tone };
                    paint(&aligned(text, table, &shown, position), tone, canvas)
                })
                .collect();
            out += drawn.trim_end();
            out.push('\n');
        }
    }
    out
}

/// Formats `text` in the column at `position` of those shown, followed by the gap.
fn aligned(text: &str, table: &Table, shown: &[(usize, usize)], position: usize) -> String {
    let (column, width) = shown[position];
    let gap = if position + 1 == shown.len() { 0 } else { GAP };
    if table.columns[column].right {
        let before = " ".repeat(width.saturating_sub(text.width()));
        format!("{before}{text}{}", " ".repeat(gap))
    } else {
        pad(text, width + gap)
    }
}

/// Returns the columns to draw with their widths: optional ones are dropped and text is shortened until the table
/// fits.
fn columns_that_fit(table: &Table, width: usize) -> Vec<(usize, usize)> {
    let natural = |i: usize| {
        let cells = table.rows.iter().filter_map(|row| row.cells.get(i));
        let widest = cells.map(|cell| value::readable(&cell.value).width()).max().unwrap_or(0);
        widest.max(table.columns[i].title.width())
    };
    let mut shown: Vec<(usize, usize)> = (0..table.columns.len()).map(|i| (i, natural(i))).collect();
    let excess = |shown: &[(usize, usize)]| {
        let total = shown.iter().map(|&(_, w)| w).sum::<usize>() + GAP * shown.len().saturating_sub(1);
        total.saturating_sub(width)
    };
    while excess(&shown) > 0 {
        // Shortening text by up to a third is better than dropping a column.
        let slack: usize = shown
            .iter()
            .filter(|&&(i, _)| table.columns[i].shrink)
            .map(|&(i, w)| w - (w * 2 / 3).max(table.columns[i].title.width()).max(12).min(w))
            .sum();
        if excess(&shown) <= slack {
            break;
        }
        let candidate = shown.iter().map(|&(i, _)| i).filter(|&i| table.columns[i].optional > 0);
        let Some(drop) = candidate.max_by_key(|&i| table.columns[i].optional) else { break };
        shown.retain(|&(i, _)| i != drop);
    }
    loop {
        let excess = excess(&shown);
        let widest =
            shown.iter_mut().filter(|(i, w)| table.columns[*i].shrink && *w > 12).max_by_key(|(_, w)| *w);
        match widest {
            Some((_, w)) if excess > 0 => *w -= 1,
            _ => return shown,
        }
    }
}

/// Wraps `text` into lines of at most `width` columns, between words, or else after the last dot of a name that fits.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for mut line in wrap(text, width) {
        while line.width() > width && width > 0 {
            let fits = |end: &usize| line[..*end].width() <= width;
            let ends = line.char_indices().map(|(at, c)| at + c.len_utf8());
            let hard = ends.take_while(fits).last().unwrap_or(line.len());
            let dot = line[..hard].rfind(['.', '/']).map(|at| at + 1).filter(|&at| at > 1);
            let rest = line.split_off(dot.unwrap_or(hard));
            lines.push(std::mem::replace(&mut line, rest));
        }
        lines.push(line);
    }
    lines
}
