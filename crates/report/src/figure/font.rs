//! The font of figures: Arimo, whose letters are as wide as those of Arial, Helvetica and Liberation Sans, so that a
//! layout made with it fits in whichever of them a viewer has.

use std::sync::OnceLock;

use ttf_parser::Face;
#[cfg(feature = "pictures")]
use ttf_parser::{GlyphId, OutlineBuilder};
use unicode_width::UnicodeWidthChar as _;

/// Fonts that a viewer tries, in this order.
pub const FAMILIES: &str = "Helvetica, Arial, Liberation Sans, Arimo, sans-serif";

/// Height of a capital letter, in sizes.
pub const CAPITAL: f64 = 0.716;

/// The weight of a font.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Running text.
    Regular,
    /// Headings.
    Bold,
}

fn face(weight: Weight) -> Option<&'static Face<'static>> {
    static REGULAR: OnceLock<Option<Face<'static>>> = OnceLock::new();
    static BOLD: OnceLock<Option<Face<'static>>> = OnceLock::new();
    match weight {
        Weight::Regular => REGULAR
            .get_or_init(|| Face::parse(include_bytes!("../../fonts/Arimo-Regular.ttf"), 0).ok())
            .as_ref(),
        Weight::Bold => {
            BOLD.get_or_init(|| Face::parse(include_bytes!("../../fonts/Arimo-Bold.ttf"), 0).ok()).as_ref()
        }
    }
}

/// Returns the width of `text` in a font of this size; of a letter that the font lacks, a guess.
pub fn width(text: &str, size: f64, weight: Weight) -> f64 {
    text.chars().map(|letter| advance(letter, weight)).sum::<f64>() * size
}

/// Returns the width of a letter, in sizes.
fn advance(letter: char, weight: Weight) -> f64 {
    let known = face(weight).and_then(|face| {
        let advance = face.glyph_hor_advance(face.glyph_index(letter)?)?;
        Some(f64::from(advance) / f64::from(face.units_per_em()))
    });
    // A letter of another script, in whichever font the viewer finds: as wide as high, or half of that.
    known.unwrap_or_else(|| 0.6 * letter.width().unwrap_or(1) as f64)
}

/// Returns `text`, cut at the end where it is wider than `room`; none if not even one letter fits.
pub fn cut(text: &str, size: f64, weight: Weight, room: f64) -> Option<String> {
    if width(text, size, weight) <= room {
        return Some(text.to_owned());
    }
    let mut left = room - width("…", size, weight);
    let fits = |letter: &char| {
        left -= advance(*letter, weight) * size;
        left >= 0.0
    };
    let kept: String = text.chars().take_while(fits).collect();
    (!kept.is_empty()).then(|| format!("{kept}…"))
}

/// Draws the outlines of `text`, which begins at (`x`, `y`), into `to`.
#[cfg(feature = "pictures")]
pub fn outline(text: &str, (mut x, y): (f64, f64), size: f64, weight: Weight, to: &mut dyn OutlineBuilder) {
    let Some(face) = face(weight) else { return };
    for letter in text.chars() {
        let glyph = face.glyph_index(letter).unwrap_or(GlyphId(0));
        let scale = size / f64::from(face.units_per_em());
        let mut placed = Placed { to, x, y, scale };
        face.outline_glyph(glyph, &mut placed);
        x += advance(letter, weight) * size;
    }
}

/// An outline in units of the font, moved to its place on a page whose y goes downwards.
#[cfg(feature = "pictures")]
struct Placed<'a> {
    to: &'a mut dyn OutlineBuilder,
    x: f64,
    y: f64,
    scale: f64,
}

#[cfg(feature = "pictures")]
impl Placed<'_> {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (self.x + f64::from(x) * self.scale, self.y - f64::from(y) * self.scale);
        (x as f32, y as f32)
    }
}

#[cfg(feature = "pictures")]
impl OutlineBuilder for Placed<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.to.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.to.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.to.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.to.curve_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.to.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_helvetica() {
        // Widths of Helvetica's AFM file, in thousandths: H 722, e 556, l 222, space 278; bold H 722, i 278.
        assert!((width("Hell ", 1000.0, Weight::Regular) - (722.0 + 556.0 + 444.0 + 278.0)).abs() < 2.0);
        assert!((width("Hi", 1000.0, Weight::Bold) - 1000.0).abs() < 2.0);
    }

    #[test]
    fn a_name_is_cut_to_its_room() {
        assert_eq!(cut("conv1", 10.0, Weight::Regular, 100.0).as_deref(), Some("conv1"));
        let cut = cut("layer1.0.conv1", 10.0, Weight::Regular, 40.0).expect("some letters fit");
        assert!(cut.ends_with('…') && cut.starts_with("lay"), "{cut}");
        assert!(width(&cut, 10.0, Weight::Regular) <= 40.0);
        assert_eq!(super::cut("conv1", 10.0, Weight::Regular, 5.0), None);
    }
}
