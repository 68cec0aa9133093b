//! A coverage map in characters: two columns per cell, so that it looks square, and three where numbers would touch.
//!
//! Small maps show the multiplicities themselves, larger ones shades. Colour is never the only carrier of
//! information, and nothing vanishes in scaling: a cell that covers several positions shows whether all, some or none
//! of them are read.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares are clamped to 0..=1 before they become levels"
)]

use crate::render::fit::lines;
use crate::{Bin, Line, Map, Panel, StyledText, Tone};
use cnnkit_core::number::{grouped, magnitude};

/// Maximum side of a panel in cells; a larger map would not fit on a screen.
const MOST_CELLS: usize = 60;
/// Columns between panels side by side.
const GAP: usize = 4;
const SHADES: [&str; 4] = ["░░", "▒▒", "▓▓", "██"];
const HOLE: &str = " ·";
/// What sets the entries of the legend apart.
const APART: &str = "   ";
/// The natural logarithm of the smallest number of two digits, after rounding.
const TWO_DIGITS: f64 = 2.251_291_798_606_495;
const PARTLY: &str = "::";

/// Returns the lines of `map`, at most `width` columns wide.
pub fn layout(map: &Map, width: usize) -> Vec<Vec<StyledText>> {
    let (across, down) = map.extent();
    let cells = (width / 2).clamp(1, MOST_CELLS);
    let joined = across.div_ceil(cells).max(down.div_ceil(MOST_CELLS)).max(1);
    let panels: Vec<Panel> = map
        .panels
        .iter()
        .map(|panel| Panel {
            title: panel.title.clone(),
            rows: panel.rows.as_ref().map(|line| line.joined(joined)),
            columns: panel.columns.joined(joined),
        })
        .collect();
    let scale = Scale::of(map, &panels, width);
    let mut out = Vec::new();
    let mut rest = panels.as_slice();
    while !rest.is_empty() {
        let mut taken = 1;
        let mut used = panel_width(&rest[0], &scale);
        while taken < rest.len() && used + GAP + panel_width(&rest[taken], &scale) <= width {
            used += GAP + panel_width(&rest[taken], &scale);
            taken += 1;
        }
        if !out.is_empty() {
            out.push(vec![]);
        }
        out.extend(beside(&rest[..taken], &scale));
        rest = &rest[taken..];
    }
    out.push(vec![]);
    out.extend(joined_entries(scale.legend(), width));
    out.extend(scale.remarks().iter().flat_map(|line| lines(line, width)));
    out
}

/// The mapping from values to glyphs, the same for all panels.
struct Scale {
    hottest: f64,
    /// Numbers instead of shades: each cell is one position, and all numbers have at most two digits.
    numbers: bool,
    /// Columns of a cell.
    cell: usize,
    /// Positions per cell, per axis.
    positions: u64,
    holes: bool,
    partly: bool,
}

impl Scale {
    fn of(map: &Map, panels: &[Panel], width: usize) -> Self {
        let bins = || {
            panels
                .iter()
                .flat_map(|panel| panel.columns.bins.iter().chain(panel.rows.iter().flat_map(|l| &l.bins)))
        };
        let positions = bins().map(|bin| bin.positions).max().unwrap_or(1);
        let hottest = map.hottest();
        let cell = if panels.iter().any(touches) { 3 } else { 2 };
        let widest = panels.iter().map(|panel| panel.columns.bins.len() * cell).max().unwrap_or(0);
        let numbers = positions == 1 && hottest < 99.5f64.ln() && widest <= width;
        Self {
            hottest,
            numbers,
            cell: if numbers { cell } else { 2 },
            positions,
            holes: bins().any(|bin| bin.covered == 0),
            partly: bins().any(|bin| bin.covered > 0 && bin.covered < bin.positions),
        }
    }

    fn glyph(&self, cell: Bin) -> StyledText {
        let width = self.cell;
        if cell.covered == 0 {
            return StyledText::new(format!("{HOLE:>width$}"), Tone::Bad);
        }
        if cell.covered < cell.positions {
            return StyledText::new(PARTLY, Tone::Warn);
        }
        if self.numbers {
            return StyledText::new(
                format!("{:>width$}", cell.log.exp().round()),
                Tone::Heat(self.heat(cell.log)),
            );
        }
        StyledText::new(SHADES[self.level(cell.log)], Tone::Shade(self.heat(cell.log)))
    }

    fn share(&self, log: f64) -> f64 {
        share(log, self.hottest)
    }

    fn heat(&self, log: f64) -> u8 {
        // The darkest tenth of the scale would be hard to distinguish from a black background.
        (25.0 + 230.0 * self.share(log)) as u8
    }

    fn level(&self, log: f64) -> usize {
        ((self.share(log) * SHADES.len() as f64) as usize).min(SHADES.len() - 1)
    }

    /// What the glyphs mean, entry by entry.
    fn legend(&self) -> Vec<Vec<StyledText>> {
        let quiet = |text: &str| StyledText::new(text, Tone::Quiet);
        let mut entries = Vec::new();
        if self.numbers {
            let number =
                |log: f64| StyledText::new(format!("{:>2}", log.exp().round()), Tone::Heat(self.heat(log)));
            entries.push(if self.hottest > 0.0 {
                vec![number(0.0), quiet(" … "), number(self.hottest), quiet(" read this many times")]
            } else {
                vec![number(0.0), quiet(" read once")]
            });
        } else if self.hottest > 0.0 {
            for (level, shade) in SHADES.iter().enumerate() {
                let log = log_of(level as f64 / SHADES.len() as f64, self.hottest);
                let from = format!(" {}+", magnitude(count(log)));
                let shade = StyledText::new(*shade, Tone::Shade(self.heat(log)));
                entries.push(if level == 0 {
                    vec![quiet("read "), shade, quiet(&from)]
                } else {
                    vec![shade, quiet(&from)]
                });
            }
            if let Some(last) = entries.last_mut() {
                last.push(quiet(" times"));
            }
        } else {
            entries.push(vec![StyledText::new(SHADES[3], Tone::Shade(self.heat(0.0))), quiet(" read")]);
        }
        if self.holes {
            entries.push(vec![StyledText::new(HOLE, Tone::Bad), quiet(" hole: never read")]);
        }
        if self.partly {
            entries.push(vec![StyledText::new(PARTLY, Tone::Warn), quiet(" some of the cell is never read")]);
        }
        entries
    }

    /// What a cell stands for, if not for one position.
    fn remarks(&self) -> Vec<Vec<StyledText>> {
        let quiet = |text: String| vec![StyledText::new(text, Tone::Quiet)];
        let scaled = (self.positions > 1).then(|| {
            quiet(format!(
                "scaled down: a cell is {0} positions wide and high, shaded by its largest multiplicity",
                grouped(self.positions)
            ))
        });
        scaled.into_iter().collect()
    }
}

/// Whether two numbers of `panel` would stand side by side without a blank between them.
fn touches(panel: &Panel) -> bool {
    let rows = panel.down();
    let highest = rows.iter().map(|bin| bin.log).fold(0.0, f64::max);
    let columns = &panel.columns.bins;
    columns
        .windows(2)
        .any(|pair| pair.iter().all(|bin| bin.covered > 0) && pair[1].log + highest >= TWO_DIGITS)
}

/// The entries of a legend beside each other, as many on a line as have room.
fn joined_entries(entries: Vec<Vec<StyledText>>, width: usize) -> Vec<Vec<StyledText>> {
    let mut out: Vec<Vec<StyledText>> = Vec::new();
    let mut used = 0;
    for entry in entries {
        let wide: usize = entry.iter().map(|piece| piece.text.chars().count()).sum();
        match out.last_mut() {
            Some(line) if used + APART.len() + wide <= width => {
                line.push(StyledText::plain(APART));
                line.extend(entry);
                used += APART.len() + wide;
            }
            _ => {
                out.push(entry);
                used = wide;
            }
        }
    }
    out
}

/// Returns the position on the colour scale, 0..=1, by the fourth root of the multiplicity: corners are reached once
/// and the middle by thousands of paths, so a linear scale would show nothing but the middle, and a logarithmic one a
/// plateau.
pub(crate) fn share(log: f64, hottest: f64) -> f64 {
    let whole = (hottest / 4.0).exp_m1();
    if hottest > 0.0 { ((log / 4.0).exp_m1() / whole).clamp(0.0, 1.0) } else { 1.0 }
}

/// Returns the logarithm at a position of the scale.
fn log_of(share: f64, hottest: f64) -> f64 {
    4.0 * (share * (hottest / 4.0).exp_m1()).ln_1p()
}

/// Returns the integer of at least 1 that has this logarithm.
fn count(log: f64) -> u64 {
    log.exp().ceil().max(1.0) as u64
}

fn panel_width(panel: &Panel, scale: &Scale) -> usize {
    (panel.columns.bins.len() * scale.cell).max(panel.title.chars().count())
}

/// Places panels side by side, each centred on the same middle row.
fn beside(panels: &[Panel], scale: &Scale) -> Vec<Vec<StyledText>> {
    let height = |panel: &Panel| panel.rows.as_ref().map_or(1, |line: &Line| line.bins.len());
    let highest = panels.iter().map(height).max().unwrap_or(0);
    let mut out = vec![Vec::new(); highest + 1];
    for (i, panel) in panels.iter().enumerate() {
        let gap = " ".repeat(if i > 0 { GAP } else { 0 });
        let width = panel_width(panel, scale);
        out[0].push(StyledText::plain(gap.clone()));
        out[0].push(StyledText::new(panel.title.as_str(), Tone::Quiet));
        out[0].push(StyledText::plain(" ".repeat(width - panel.title.chars().count())));
        let above = (highest - height(panel)) / 2;
        let rows = panel.down();
        for line in 0..highest {
            let spans = &mut out[line + 1];
            spans.push(StyledText::plain(gap.clone()));
            let mut used = 0;
            if let Some(&row) = line.checked_sub(above).and_then(|row| rows.get(row)) {
                spans.extend(panel.columns.bins.iter().map(|&column| scale.glyph(panel.cell(row, column))));
                used = panel.columns.bins.len() * scale.cell;
            }
            spans.push(StyledText::plain(" ".repeat(width - used)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(counts: &[u64]) -> Panel {
        let bins = counts.iter().map(|&count| Bin {
            positions: 1,
            covered: u64::from(count > 0),
            log: if count > 0 { (count as f64).ln() } else { 0.0 },
        });
        let line = Line { size: counts.len() as u64, bins: bins.collect() };
        Panel { title: "map".into(), rows: Some(line.clone()), columns: line }
    }

    fn text(map: &Map, width: usize) -> Vec<String> {
        let plain = |line: &Vec<StyledText>| line.iter().map(|span| span.text.as_str()).collect::<String>();
        layout(map, width).iter().map(|line| plain(line).trim_end().to_owned()).collect()
    }

    #[test]
    fn small_maps_show_their_numbers() {
        let map = Map { panels: vec![panel(&[1, 0, 3])] };
        let lines = text(&map, 80);
        assert_eq!(lines[1..4], [" 1 · 3", " · · ·", " 3 · 9"]);
    }

    #[test]
    fn a_hole_survives_scaling() {
        let mut counts = vec![5; 900];
        counts[450] = 0;
        let lines = text(&Map { panels: vec![panel(&counts)] }, 80);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        assert!(lines[1].contains("::"), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("a cell is 23 positions")), "{lines:#?}");
    }

    #[test]
    fn panels_stand_beside_each_other_where_they_fit() {
        let map = Map { panels: vec![panel(&[1, 1, 1]), panel(&[1, 2, 3, 2, 1])] };
        assert_eq!(text(&map, 80).len(), 1 + 5 + 2);
        assert_eq!(text(&map, 12).len(), 4 + 1 + 6 + 2);
    }
}
