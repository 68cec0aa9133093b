//! A page for a terminal: aligned tables, colour by meaning, no wider than the canvas if possible.

use unicode_width::UnicodeWidthStr;

use crate::render::fit::{broken, lines};
use crate::render::paint::paint;
use crate::render::{Canvas, findings, heatmap, lanes, table, value};
use crate::{Block, Fact, Page, StyledText, Tone};

/// Formats `page` as text with a final newline; ANSI escapes only if `canvas.color`.
pub fn render(page: &Page, canvas: Canvas) -> String {
    let mut out = String::new();
    let mut before: Option<&Block> = None;
    for block in page.blocks.iter().filter(|block| !matches!(block, Block::Data(_))) {
        if before.is_some() && !matches!((before, block), (Some(Block::Note(_)), Block::Note(_))) {
            out.push('\n');
        }
        out += &draw(block, canvas);
        before = Some(block);
    }
    out
}

fn draw(block: &Block, canvas: Canvas) -> String {
    match block {
        Block::Title(text, remark) => {
            let title = draw_text(&[StyledText::new(text, Tone::Strong)], canvas);
            let Some(remark) = remark else { return title };
            // A remark that has no room beside the title stands below it.
            if text.width() + 2 + remark.width() > canvas.width {
                return title + &draw_text(&[StyledText::new(remark, Tone::Quiet)], canvas);
            }
            format!("{}  {}\n", title.trim_end(), paint(remark, Tone::Quiet, canvas))
        }
        Block::Table(table) => table::draw(table, canvas),
        Block::Facts(facts) | Block::Definitions(facts) => draw_facts(facts, canvas),
        Block::Data(_) => String::new(),
        Block::Text(spans) => draw_text(spans, canvas),
        Block::Drawing(lines) => draw_lines(lines, canvas),
        Block::Network(network) => lanes::render(network, canvas),
        Block::Map(map) => draw_lines(&heatmap::layout(map, canvas.width), canvas),
        Block::Findings(list) => findings::full(list, canvas),
        Block::Note(text) => broken(text, canvas.width)
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
    lines(spans, canvas.width).into_iter().fold(String::new(), |out, line| {
        // Each word carries its tone, so that a line break never splits an escape sequence.
        line.iter().fold(out, |out, piece| out + &paint(&piece.text, piece.tone, canvas)) + "\n"
    })
}

fn draw_facts(facts: &[Fact], canvas: Canvas) -> String {
    let names = facts.iter().map(|fact| fact.name.width()).max().unwrap_or(0);
    let texts: Vec<String> = facts.iter().map(|fact| value::readable(&fact.value.value)).collect();
    let values = texts.iter().filter(|text| text.width() <= 24).map(|text| text.width()).max().unwrap_or(0);
    let mut out = String::new();
    for (fact, text) in facts.iter().zip(&texts) {
        let mut start = names + 2;
        let name = fact.name.trim_end();
        let mut line = paint(name, Tone::Quiet, canvas) + &" ".repeat(names - name.width());
        line += &" ".repeat(2 + values.saturating_sub(text.width()));
        for (i, part) in broken(text, canvas.width.saturating_sub(start).max(12)).iter().enumerate() {
            if i > 0 {
                end(&mut out, &line);
                line = " ".repeat(start);
            }
            line += &paint(part, fact.value.tone, canvas);
        }
        if let Some(remark) = fact.remark.as_deref().filter(|remark| !remark.is_empty()) {
            let beside = start + values.max(text.width()) + 2;
            if canvas.width >= beside + remark.width().min(24) {
                start = beside;
                line += "  ";
            } else {
                // A remark that has no room beside the value stands below it.
                start = start.min(canvas.width / 3);
                end(&mut out, &line);
                line = " ".repeat(start);
            }
            for (i, part) in broken(remark, canvas.width - start).iter().enumerate() {
                if i > 0 {
                    end(&mut out, &line);
                    line = " ".repeat(start);
                }
                line += &paint(part, Tone::Quiet, canvas);
            }
        }
        end(&mut out, &line);
    }
    out
}

/// Appends a line without the blanks at its end.
fn end(out: &mut String, line: &str) {
    out.push_str(line.trim_end_matches(' '));
    out.push('\n');
}
