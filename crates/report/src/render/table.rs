//! A table for a terminal: aligned columns, or one record below the other where the columns do not fit.
//!
//! Nothing is cut. A table that is too wide is narrowed in this order: titles are broken into lines, cells of text are,
//! optional columns are left out and named below the table; what is still too wide is written as records.

use unicode_width::UnicodeWidthStr;

use crate::render::fit::{broken, words, wrap};
use crate::render::paint::paint;
use crate::render::{Canvas, value};
use crate::{Column, Row, Table, Tone};

/// Columns between two columns of a table.
const GAP: usize = 2;
/// The widest that a column is made where nothing limits it: a longer cell stands out of its column, instead of blanks in
/// every other row (the ids of thousands of branches beside one join).
const WIDE: usize = 400;
/// The narrowest that a column of text is made while a column can be left out instead, and at last.
const NARROW: [usize; 2] = [16, 10];

/// Draws `table` with a final newline.
pub(super) fn draw(table: &Table, canvas: Canvas) -> String {
    let width = if canvas.tables { canvas.width } else { usize::MAX };
    let mut shown: Vec<usize> = (0..table.columns.len()).collect();
    loop {
        let optional = shown.iter().copied().filter(|&i| table.columns[i].optional > 0);
        let next = optional.max_by_key(|&i| table.columns[i].optional);
        let narrow = NARROW[usize::from(next.is_none())];
        if let Some(layout) = Layout::fit(table, &shown, width, narrow) {
            return layout.draw(table, canvas) + &left_out(table, &shown, canvas);
        }
        match next {
            Some(drop) => shown.retain(|&i| i != drop),
            None => return records(table, canvas),
        }
    }
}

/// The columns that are drawn, with their widths.
struct Layout {
    columns: Vec<(usize, usize)>,
    /// Whether a cell that is wider than its column is broken into lines.
    breaks: bool,
}

impl Layout {
    /// The columns `shown` in at most `width`, texts not narrower than `narrow`; none if they do not fit.
    fn fit(table: &Table, shown: &[usize], width: usize, narrow: usize) -> Option<Self> {
        let mut widths: Vec<usize> = shown.iter().map(|&i| natural(table, i)).collect();
        let gaps = GAP * shown.len().saturating_sub(1);
        let excess = |widths: &[usize]| (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
        // Titles first: a second line of them costs less than one in every row.
        let title = |i: usize| words(&table.columns[i].title).map(UnicodeWidthStr::width).max().unwrap_or(0);
        let floors: [Vec<usize>; 2] = [
            shown.iter().map(|&i| cells(table, i).max(title(i))).collect(),
            shown
                .iter()
                .map(|&i| {
                    if table.columns[i].right {
                        cells(table, i).max(title(i))
                    } else {
                        cells(table, i).min(narrow.max(longest_part(table, i))).max(title(i))
                    }
                })
                .collect(),
        ];
        for floor in &floors {
            while excess(&widths) > 0 {
                let slack = (0..widths.len()).filter(|&at| widths[at] > floor[at]);
                let Some(widest) = slack.max_by_key(|&at| widths[at]) else { break };
                widths[widest] -= 1;
            }
        }
        let breaks = width < usize::MAX;
        if !breaks {
            widths.iter_mut().for_each(|width| *width = (*width).min(WIDE));
        }
        let columns = shown.iter().copied().zip(widths).collect();
        let layout = Self { columns, breaks };
        (excess(&layout.widths()) == 0).then_some(layout)
    }

    fn widths(&self) -> Vec<usize> {
        self.columns.iter().map(|&(_, width)| width).collect()
    }

    fn draw(&self, table: &Table, canvas: Canvas) -> String {
        let total: usize = self.columns.iter().map(|&(_, width)| width).sum::<usize>()
            + GAP * self.columns.len().saturating_sub(1);
        let rule = paint(&"─".repeat(total), Tone::Quiet, canvas) + "\n";
        let titles = |&(i, width): &(usize, usize)| broken(&table.columns[i].title, width);
        let titles: Vec<Vec<String>> = self.columns.iter().map(titles).collect();
        let mut out = String::new();
        let height = titles.iter().map(Vec::len).max().unwrap_or(1);
        for line in 0..height {
            // Short titles stand on the last line, next to their column.
            let text = |title: &Vec<String>| {
                (line + title.len())
                    .checked_sub(height)
                    .and_then(|at| title.get(at))
                    .cloned()
                    .unwrap_or_default()
            };
            let texts: Vec<String> = titles.iter().map(text).collect();
            let drawn: String =
                texts.iter().enumerate().map(|(at, text)| self.aligned(text, table, at)).collect();
            out += &(paint(drawn.trim_end(), Tone::Quiet, canvas) + "\n");
        }
        out += &rule;
        for row in table.rows.iter().filter(|row| !row.hidden) {
            if row.rule_above {
                out += &rule;
            }
            out += &self.row(row, table, canvas);
        }
        out
    }

    fn row(&self, row: &Row, table: &Table, canvas: Canvas) -> String {
        let lines = |&(i, width): &(usize, usize)| {
            let text = text(row, i);
            if self.breaks || text.width() <= width { broken(&text, width) } else { vec![text] }
        };
        let cells: Vec<Vec<String>> = self.columns.iter().map(lines).collect();
        let mut out = String::new();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or(1) {
            let mut drawn = String::new();
            let mut end = 0;
            for (at, cell) in cells.iter().enumerate() {
                let text = cell.get(line).map_or("", String::as_str);
                // The lines that a broken cell leaves empty carry no escapes, nor does what pads a cell.
                if text.trim().is_empty() {
                    drawn += &self.aligned("", table, at);
                    continue;
                }
                let tone = row.cells.get(self.columns[at].0).map_or(Tone::Plain, |cell| cell.tone);
                let (before, after) = self.padding(text, table, at);
                drawn += &" ".repeat(before);
                drawn += &paint(text, tone, canvas);
                end = drawn.len();
                drawn += &" ".repeat(after);
            }
            out += &drawn[..end];
            out.push('\n');
        }
        out
    }

    /// Blanks before and behind `text` in the column at a place of those drawn, the gap included.
    fn padding(&self, text: &str, table: &Table, at: usize) -> (usize, usize) {
        let (column, width) = self.columns[at];
        let gap = if at + 1 == self.columns.len() { 0 } else { GAP };
        let fill = width.saturating_sub(text.width());
        if table.columns[column].right { (fill, gap) } else { (0, fill + gap) }
    }

    fn aligned(&self, text: &str, table: &Table, at: usize) -> String {
        let (before, after) = self.padding(text, table, at);
        format!("{}{text}{}", " ".repeat(before), " ".repeat(after))
    }
}

/// Each row as a record of `title  value` lines.
fn records(table: &Table, canvas: Canvas) -> String {
    let title = |column: &Column| column.title.trim().width();
    let titles = table.columns.iter().skip(1).map(title).max().unwrap_or(0);
    let room = canvas.width.saturating_sub(titles + 2 * GAP).max(NARROW[1]);
    let mut out = String::new();
    for (position, row) in table.rows.iter().filter(|row| !row.hidden).enumerate() {
        if position > 0 {
            out += &paint(&"─".repeat(titles + 2 * GAP), Tone::Quiet, canvas);
            out.push('\n');
        }
        for (i, column) in table.columns.iter().enumerate() {
            let text = text(row, i);
            if text.trim().is_empty() {
                continue;
            }
            let tone = row.cells.get(i).map_or(Tone::Plain, |cell| cell.tone);
            if i == 0 {
                for line in broken(&text, canvas.width) {
                    out += &(paint(&line, tone, canvas) + "\n");
                }
                continue;
            }
            let mut name = column.title.trim();
            for line in broken(text.trim_start(), room) {
                out += &" ".repeat(GAP);
                out += &paint(name, Tone::Quiet, canvas);
                out += &" ".repeat(titles - name.width() + GAP);
                out += &(paint(&line, tone, canvas) + "\n");
                name = "";
            }
        }
    }
    out
}

/// Names the columns that were left out.
fn left_out(table: &Table, shown: &[usize], canvas: Canvas) -> String {
    let hidden = (0..table.columns.len()).filter(|i| !shown.contains(i));
    let name = |i: usize| table.columns[i].key.unwrap_or(table.columns[i].title.trim());
    let names: Vec<&str> = hidden.map(name).collect();
    if names.is_empty() {
        return String::new();
    }
    let text =
        format!("left out for want of room: {} (a wider terminal or --format csv has all)", names.join(", "));
    wrap(&text, canvas.width)
        .iter()
        .fold(String::new(), |out, line| out + &paint(line, Tone::Quiet, canvas) + "\n")
}

fn text(row: &Row, column: usize) -> String {
    row.cells.get(column).map(|cell| value::readable(&cell.value)).unwrap_or_default()
}

/// The longest part of a cell that reads badly when it is broken, up to a limit.
fn longest_part(table: &Table, column: usize) -> usize {
    const MOST: usize = 16;
    let rows = table.rows.iter().filter(|row| !row.hidden);
    let longest = |row: &Row| {
        let text = text(row, column);
        text.split([' ', '.', '/', '_', '-']).map(|part| part.width() + 1).max().unwrap_or(0)
    };
    rows.map(longest).max().unwrap_or(0).min(MOST)
}

fn natural(table: &Table, column: usize) -> usize {
    cells(table, column).max(table.columns[column].title.width())
}

fn cells(table: &Table, column: usize) -> usize {
    let rows = table.rows.iter().filter(|row| !row.hidden);
    rows.map(|row| text(row, column).width()).max().unwrap_or(0)
}
