//! A page for a terminal: aligned tables, colour by meaning, never wider than the canvas if it can be helped.

use anstyle::{AnsiColor, Color, Effects, RgbColor, Style};
use comfy_table::{Cell as ComfyCell, CellAlignment, ColumnConstraint, ContentArrangement, Width, presets};
use unicode_width::UnicodeWidthStr;

use crate::render::{Canvas, findings, heatmap, lanes, value};
use crate::{Block, Fact, Page, StyledText, Table, Tone};

/// `page` as text with a final newline; ANSI escapes only if `canvas.color`.
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
    // Words carry their tone, so that a line break never splits an escape sequence.
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

/// `text` broken between words into lines of at most `width` columns.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].width() + 1 + word.width() > width {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
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

/// Marks the row that becomes a thin line; a private-use character cannot come from a spec's printable text.
const RULE: &str = "\u{E0C1}";
const GAP: usize = 2;

fn draw_table(table: &Table, canvas: Canvas) -> String {
    let shown = columns_that_fit(table, canvas.width);
    let mut comfy = comfy_table::Table::new();
    comfy.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    comfy.set_header(shown.iter().map(|&(i, _)| ComfyCell::new(&table.columns[i].title)).collect::<Vec<_>>());
    let rule: Vec<ComfyCell> = shown.iter().map(|_| ComfyCell::new(RULE)).collect();
    comfy.add_row(rule.clone());
    let mut tones: Vec<Option<Vec<Tone>>> = vec![None, None];
    for row in &table.rows {
        if row.rule_above {
            comfy.add_row(rule.clone());
            tones.push(None);
        }
        let lines = |&(i, width): &(usize, usize)| {
            let text = row.cells.get(i).map(|cell| value::readable(&cell.value)).unwrap_or_default();
            if table.columns[i].wrap { broken(&text, width) } else { vec![shorten(&text, width)] }
        };
        let cells: Vec<Vec<String>> = shown.iter().map(lines).collect();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or(1) {
            let text = |cell: &Vec<String>| ComfyCell::new(cell.get(line).map_or("", String::as_str));
            comfy.add_row(cells.iter().map(text).collect::<Vec<_>>());
            tones.push(Some(
                shown.iter().map(|&(i, _)| row.cells.get(i).map_or(Tone::Plain, |cell| cell.tone)).collect(),
            ));
        }
    }
    for (position, &(i, width)) in shown.iter().enumerate() {
        if let Some(column) = comfy.column_mut(position) {
            let alignment = if table.columns[i].right { CellAlignment::Right } else { CellAlignment::Left };
            column.set_cell_alignment(alignment);
            column.set_padding((0, if position + 1 == shown.len() { 0 } else { GAP as u16 }));
            let gap = if position + 1 == shown.len() { 0 } else { GAP };
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed((width + gap) as u16)));
        }
    }
    let total: usize =
        shown.iter().map(|&(_, width)| width).sum::<usize>() + GAP * shown.len().saturating_sub(1);
    let mut out = String::new();
    for (line, tones) in comfy.lines().zip(tones) {
        if line.contains(RULE) {
            out += &paint(&"─".repeat(total), Tone::Quiet, canvas);
        } else if let Some(tones) = tones {
            out += paint_columns(&line, &shown, &tones, canvas).trim_end();
        } else {
            out += &paint(line.trim_end(), Tone::Quiet, canvas);
        }
        out.push('\n');
    }
    out
}

/// Cuts `line` at the columns' borders and paints each cell in its tone.
fn paint_columns(line: &str, shown: &[(usize, usize)], tones: &[Tone], canvas: Canvas) -> String {
    if !canvas.color {
        return line.to_owned();
    }
    let mut rest = line.chars();
    let mut out = String::new();
    for (&(_, width), &tone) in shown.iter().zip(tones) {
        let mut cell = String::new();
        while cell.width() < width + GAP {
            let Some(c) = rest.next() else { break };
            cell.push(c);
        }
        // The lines that a broken cell leaves empty carry no escapes.
        let tone = if cell.trim().is_empty() { Tone::Plain } else { tone };
        out += &paint(&cell, tone, canvas);
    }
    out
}

/// The columns to draw with their widths: optional ones are left out and text is shortened until the table fits.
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
        // Shortening text by up to a third is better than losing a column.
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

/// `text` in lines of at most `width` columns, broken between words, or else behind the last dot of a name that fits.
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

/// `text` in at most `width` columns, its middle replaced by `…`: both ends of an id tell it apart.
pub fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width || width < 3 {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let head = (width - 1) / 2;
    let tail = width - 1 - head;
    let start: String = chars[..head.min(chars.len())].iter().collect();
    let end: String = chars[chars.len().saturating_sub(tail)..].iter().collect();
    format!("{start}…{end}")
}

/// `text` with the escapes of `tone`, if colour is wanted.
pub fn paint(text: &str, tone: Tone, canvas: Canvas) -> String {
    let style = style(tone);
    if !canvas.color || style == Style::new() || text.is_empty() {
        return text.to_owned();
    }
    format!("{style}{text}{style:#}")
}

fn style(tone: Tone) -> Style {
    let color = |color: AnsiColor| Style::new().fg_color(Some(Color::Ansi(color)));
    match tone {
        Tone::Plain => Style::new(),
        Tone::Quiet => Style::new().effects(Effects::DIMMED),
        Tone::Strong => Style::new().bold(),
        Tone::Name => color(AnsiColor::Cyan),
        Tone::Good => color(AnsiColor::Green),
        Tone::Warn => color(AnsiColor::Yellow),
        Tone::Bad => color(AnsiColor::Red).bold(),
        Tone::Shade(heat) => Style::new().fg_color(Some(heat_color(heat).into())),
        Tone::Heat(heat) => {
            let RgbColor(r, g, b) = heat_color(heat);
            // Dark text on light cells, light text on dark ones.
            let luminance = (u32::from(r) * 299 + u32::from(g) * 587 + u32::from(b) * 114) / 1000;
            let ink = if luminance > 140 { RgbColor(0, 0, 0) } else { RgbColor(255, 255, 255) };
            Style::new().bg_color(Some(RgbColor(r, g, b).into())).fg_color(Some(ink.into()))
        }
    }
}

/// A perceptually even scale from dark blue to light yellow (five points of matplotlib's viridis, interpolated).
pub fn heat_color(heat: u8) -> RgbColor {
    const STOPS: [[u8; 3]; 5] = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
    let position = f64::from(heat) / 255.0 * 4.0;
    let low = (position.floor() as usize).min(3);
    let mix = position - low as f64;
    let channel = |i: usize| {
        let (a, b) = (f64::from(STOPS[low][i]), f64::from(STOPS[low + 1][i]));
        (a + (b - a) * mix).round() as u8
    };
    RgbColor(channel(0), channel(1), channel(2))
}
