//! Terminal colours of tones and heats.

use anstyle::{AnsiColor, Color, Effects, RgbColor, Style};

use crate::Tone;
use crate::render::Canvas;

/// Wraps `text` in the escapes of `tone`, if colour is enabled.
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

/// Returns a colour of a perceptually even scale from dark blue to light yellow (five points of matplotlib's
/// viridis, interpolated).
fn heat_color(heat: u8) -> RgbColor {
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
