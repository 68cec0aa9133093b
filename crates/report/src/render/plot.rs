//! A coverage map as a picture: one scene of rectangles and labels, written as SVG or PNG.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares are clamped to 0..=1, pixel counts are small"
)]

use std::fmt::Write as _;

use anstyle::RgbColor;
use font8x8::UnicodeFonts as _;

use crate::render::heatmap;
use crate::render::paint::heat_color;
use crate::{Bin, Map, Panel};
use cnnkit_core::number::{grouped, magnitude};

/// The longest side of a panel, in cells; larger maps are scaled down.
pub const MOST_CELLS: usize = 160;
/// The longest side of a panel, in pixels, as far as whole cells allow.
const PANEL: u32 = 480;
const MARGIN: u32 = 24;
/// Pixels per character of the bitmap font, in both directions, before scaling.
const GLYPH: u32 = 8;

const PAPER: RgbColor = RgbColor(255, 255, 255);
const INK: RgbColor = RgbColor(30, 30, 40);
const FAINT: RgbColor = RgbColor(110, 110, 120);
const HOLE: RgbColor = RgbColor(214, 39, 40);
const HOLE_PAPER: RgbColor = RgbColor(253, 232, 230);

/// The file formats of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// Scalable vector graphics.
    Svg,
    /// Pixels.
    Png,
}

/// Draws `map` under `title` and `subtitle`, as the bytes of a file; an error only if the PNG encoder fails.
pub fn draw(map: &Map, title: &str, subtitle: &str, picture: Picture) -> Result<Vec<u8>, String> {
    let scene = Scene::of(map, title, subtitle);
    match picture {
        Picture::Svg => Ok(scene.svg().into_bytes()),
        Picture::Png => scene.png().map_err(|error| error.to_string()),
    }
}

/// Draws a region under `title` and `subtitle`: for each cell, the share of it that is read, 0 to 1.
pub fn draw_cells(
    cells: &[Vec<f64>],
    title: &str,
    subtitle: &str,
    picture: Picture,
) -> Result<Vec<u8>, String> {
    let mut scene = Scene { width: 0, height: MARGIN, rects: vec![], words: vec![] };
    scene.line(title, 2, INK);
    scene.line(subtitle, 1, FAINT);
    scene.height += 12;
    let side = cells.len().max(cells.first().map_or(0, Vec::len)).max(1);
    let size = (PANEL / u32::try_from(side).unwrap_or(PANEL)).clamp(3, 28);
    let mut y = scene.height;
    for row in cells {
        let mut x = MARGIN;
        for &share in row {
            // In parts per thousand, so that a cell with a small unread part is not drawn as fully read.
            let covered = if share >= 1.0 {
                1000
            } else {
                ((share * 1000.0) as u64).clamp(u64::from(share > 0.0), 999)
            };
            scene.cell(Bin { positions: 1000, covered, log: 1.0 }, x, y, size, 2.0);
            x += size;
        }
        scene.width = scene.width.max(x + MARGIN);
        y += size;
    }
    scene.height = y + 18;
    for (covered, text) in [(1000, "read"), (500, "partly read"), (0, "never read")] {
        scene.cell(Bin { positions: 1000, covered, log: 1.0 }, MARGIN, scene.height, 14, 2.0);
        scene.words.push(Words {
            x: MARGIN + 24,
            y: scene.height + 3,
            scale: 1,
            color: INK,
            text: text.into(),
        });
        scene.height += 20;
    }
    scene.height += MARGIN;
    scene.widen();
    match picture {
        Picture::Svg => Ok(scene.svg().into_bytes()),
        Picture::Png => scene.png().map_err(|error| error.to_string()),
    }
}

struct Scene {
    width: u32,
    height: u32,
    rects: Vec<Rect>,
    words: Vec<Words>,
}

struct Rect {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    color: RgbColor,
}

struct Words {
    x: u32,
    y: u32,
    /// Multiples of the 8-pixel font.
    scale: u32,
    color: RgbColor,
    text: String,
}

impl Scene {
    fn of(map: &Map, title: &str, subtitle: &str) -> Self {
        let mut scene = Self { width: 0, height: MARGIN, rects: vec![], words: vec![] };
        scene.line(title, 2, INK);
        scene.line(subtitle, 1, FAINT);
        scene.height += 12;
        let (across, down) = map.extent();
        let joined = across.max(down).div_ceil(MOST_CELLS).max(1);
        let cells = across.max(down).div_ceil(joined).max(1);
        let cell = (PANEL / u32::try_from(cells).unwrap_or(PANEL)).clamp(3, 28);
        let hottest = map.hottest();
        let columns = map.panels.len().clamp(1, 3);
        let mut positions = 1;
        for row in map.panels.chunks(columns) {
            let top = scene.height;
            let mut left = MARGIN;
            for panel in row {
                let panel = Panel {
                    title: panel.title.clone(),
                    rows: panel.rows.as_ref().map(|line| line.joined(joined)),
                    columns: panel.columns.joined(joined),
                };
                scene.words.push(Words { x: left, y: top, scale: 1, color: INK, text: panel.title.clone() });
                let used = scene.panel(&panel, left, top + 14, cell, hottest);
                positions =
                    positions.max(panel.columns.bins.iter().map(|bin| bin.positions).max().unwrap_or(1));
                left += used.max(u32::try_from(panel.title.len()).unwrap_or(0) * GLYPH) + MARGIN;
            }
            scene.width = scene.width.max(left);
            scene.height += 18;
        }
        scene.legend(hottest, positions, map.has_holes());
        scene.height += MARGIN;
        scene.widen();
        scene
    }

    /// Makes room for the longest line of text.
    fn widen(&mut self) {
        let words = self.words.iter();
        let right = words
            .map(|w| w.x + u32::try_from(w.text.chars().count()).unwrap_or(0) * GLYPH * w.scale + MARGIN);
        self.width = self.width.max(right.max().unwrap_or(0));
    }

    fn line(&mut self, text: &str, scale: u32, color: RgbColor) {
        self.words.push(Words { x: MARGIN, y: self.height, scale, color, text: text.to_owned() });
        self.height += GLYPH * scale + 6;
    }

    /// Draws a panel and returns its width; the scene grows as far down as it reaches.
    fn panel(&mut self, panel: &Panel, left: u32, top: u32, cell: u32, hottest: f64) -> u32 {
        let rows = panel.down();
        let (mut x, mut y) = (left, top);
        for &row in &rows {
            x = left;
            for &column in &panel.columns.bins {
                self.cell(panel.cell(row, column), x, y, cell, hottest);
                x += cell;
            }
            y += cell;
        }
        self.height = self.height.max(y);
        x - left
    }

    fn cell(&mut self, bin: Bin, x: u32, y: u32, size: u32, hottest: f64) {
        let line = u32::from(size > 5);
        let mut rect = |x, y, width, height, color| self.rects.push(Rect { x, y, width, height, color });
        let inner = size - line;
        if bin.covered == bin.positions {
            return rect(x, y, inner, inner, heat(bin.log, hottest));
        }
        if bin.covered > 0 {
            // Partly read: the heat in the upper left, the colour of holes across the rest.
            rect(x, y, inner, inner, HOLE);
            return rect(x, y, inner / 2 + 1, inner / 2 + 1, heat(bin.log, hottest));
        }
        rect(x, y, inner, inner, HOLE_PAPER);
        // A mark in the middle, so that a hole is not just a paler shade.
        let mark = (size / 3).max(1);
        rect(x + (inner - mark.min(inner)) / 2, y + (inner - mark.min(inner)) / 2, mark, mark, HOLE);
    }

    fn legend(&mut self, hottest: f64, positions: u64, holes: bool) {
        let y = self.height;
        let (bar, steps) = (160, 40);
        for step in 0..steps {
            let color = heat_color(u8::try_from(255 * step / (steps - 1)).unwrap_or(255));
            self.rects.push(Rect {
                x: MARGIN + step * bar / steps,
                y,
                width: bar / steps,
                height: 14,
                color,
            });
        }
        let most = hottest.exp().round().min(1e19) as u64;
        let most = if most < 100_000 { grouped(most) } else { magnitude(most) };
        let text = if hottest > 0.0 {
            format!("read 1 to {most} times; shades by the fourth root")
        } else {
            "read".to_owned()
        };
        self.words.push(Words { x: MARGIN + bar + 10, y: y + 3, scale: 1, color: INK, text });
        self.height += 24;
        let size = 14;
        if holes {
            self.cell(Bin { positions: 1, covered: 0, log: 0.0 }, MARGIN, self.height, size, hottest);
            let text = "hole: never read".to_owned();
            self.words.push(Words { x: MARGIN + 24, y: self.height + 3, scale: 1, color: INK, text });
            self.height += 20;
        }
        if positions > 1 {
            self.cell(Bin { positions: 2, covered: 1, log: hottest }, MARGIN, self.height, size, hottest);
            let text = format!(
                "some positions never read; a cell is {} positions wide and high",
                grouped(positions)
            );
            self.words.push(Words { x: MARGIN + 24, y: self.height + 3, scale: 1, color: INK, text });
            self.height += 20;
        }
    }

    fn svg(&self) -> String {
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" \
             font-family=\"ui-monospace, Menlo, Consolas, monospace\">\n<rect width=\"{0}\" height=\"{1}\" \
             fill=\"{2}\"/>\n",
            self.width,
            self.height,
            hex(PAPER)
        );
        for Rect { x, y, width, height, color } in &self.rects {
            let fill = hex(*color);
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{fill}\"/>"
            );
        }
        for words in &self.words {
            let text = words.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let size = GLYPH * words.scale;
            let (x, y, fill) = (words.x, words.y + size, hex(words.color));
            // 0.6 em is the advance of the usual monospaced fonts; the layout reserves a whole em of the bitmap font.
            let _ = writeln!(
                out,
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" fill=\"{fill}\">{text}</text>",
                size + size / 2
            );
        }
        out += "</svg>\n";
        out
    }

    fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut pixels = Pixels {
            width: self.width,
            height: self.height,
            bytes: vec![255; (self.width * self.height * 3) as usize],
        };
        for rect in &self.rects {
            pixels.fill(rect.x, rect.y, rect.width, rect.height, rect.color);
        }
        for words in &self.words {
            pixels.write(words);
        }
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels.bytes)?;
        writer.finish()?;
        Ok(out)
    }
}

struct Pixels {
    width: u32,
    height: u32,
    bytes: Vec<u8>,
}

impl Pixels {
    fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, color: RgbColor) {
        for row in y.min(self.height)..(y + height).min(self.height) {
            let start = ((row * self.width + x.min(self.width)) * 3) as usize;
            let end = ((row * self.width + (x + width).min(self.width)) * 3) as usize;
            for pixel in self.bytes[start..end].chunks_exact_mut(3) {
                pixel.copy_from_slice(&[color.0, color.1, color.2]);
            }
        }
    }

    fn write(&mut self, words: &Words) {
        let mut x = words.x;
        for character in words.text.chars() {
            let glyph = font8x8::BASIC_FONTS.get(character).or_else(|| font8x8::BASIC_FONTS.get('?'));
            for (row, bits) in (0..).zip(glyph.unwrap_or_default()) {
                for column in (0..GLYPH).filter(|column| bits >> column & 1 == 1) {
                    let (left, top) = (x + column * words.scale, words.y + row * words.scale);
                    self.fill(left, top, words.scale, words.scale, words.color);
                }
            }
            x += GLYPH * words.scale;
        }
    }
}

fn heat(log: f64, hottest: f64) -> RgbColor {
    heat_color((heatmap::share(log, hottest) * 255.0) as u8)
}

fn hex(RgbColor(r, g, b): RgbColor) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Line;

    fn map() -> Map {
        let bin = |covered, log| Bin { positions: 1, covered, log };
        let line = Line { size: 3, bins: vec![bin(1, 0.0), bin(0, 0.0), bin(1, 1.1)] };
        Map { panels: vec![Panel { title: "a & b".into(), rows: Some(line.clone()), columns: line }] }
    }

    #[test]
    fn the_drawing_says_where_the_holes_are() {
        let svg = String::from_utf8(draw(&map(), "2 <3", "", Picture::Svg).expect("svg")).expect("utf-8");
        // 5 of 9 cells are holes, each a pale ground with a mark; one more of each in the legend.
        assert_eq!(svg.matches(&hex(HOLE)).count(), 6);
        assert!(svg.contains("a &amp; b") && svg.contains("2 &lt;3"));
    }

    #[test]
    fn the_picture_is_a_readable_png() {
        let bytes = draw(&map(), "title", "subtitle", Picture::Png).expect("png");
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("header");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        let frame = reader.next_frame(&mut pixels).expect("pixels");
        assert!(frame.width > 100 && frame.height > 100);
        let red = pixels.chunks(3).filter(|pixel| pixel == &[HOLE.0, HOLE.1, HOLE.2]).count();
        assert!(red > 50, "{red} pixels mark holes");
    }
}
