//! A scene as SVG: text stays text, numbers are short, and names are words, never markup.

use std::fmt::Write as _;

use anstyle::RgbColor;

use crate::figure::font::{FAMILIES, Weight};
use crate::figure::scene::{Anchor, Circle, Item, Path, Rect, Scene, Step, Stroke, Text};
use crate::figure::theme::{Paint, Theme};
use crate::render::safe;

/// Returns the text of the file.
pub fn write(scene: &Scene, theme: Theme) -> String {
    let (width, height) = (number(scene.width), number(scene.height));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" font-family=\"{FAMILIES}\">\n<title>{}</title>\n<desc>{}</desc>\n",
        escape(&scene.title),
        escape(&scene.description)
    );
    if let Some(paper) = theme.paper() {
        let _ = writeln!(out, "<rect width=\"{width}\" height=\"{height}\" fill=\"{}\"/>", hex(paper));
    }
    scene.items.iter().for_each(|item| self::item(&mut out, item, theme));
    out += "</svg>\n";
    safe::inert(out)
}

fn item(out: &mut String, item: &Item, theme: Theme) {
    match item {
        Item::Rect(shape) => rect(out, shape, theme),
        Item::Cells(cells, paint) => {
            let mut line = String::new();
            for [x, y, width, height] in cells {
                let (x, y, right) = (number(*x), number(*y), number(*width));
                let _ = write!(line, "M{x} {y}h{right}v{}h-{right}z", number(*height));
            }
            let _ = writeln!(out, "<path d=\"{line}\" fill=\"{}\"/>", color(theme, *paint));
        }
        Item::Path(shape) => path(out, shape, theme),
        Item::Circle(shape) => circle(out, shape, theme),
        Item::Text(words) => text(out, words, theme),
        Item::Group(name, items) => {
            let _ = writeln!(out, "<g><title>{}</title>", escape(name));
            items.iter().for_each(|item| self::item(out, item, theme));
            *out += "</g>\n";
        }
    }
}

fn rect(out: &mut String, shape: &Rect, theme: Theme) {
    let _ = write!(
        out,
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"",
        number(shape.x),
        number(shape.y),
        number(shape.width),
        number(shape.height)
    );
    if shape.radius > 0.0 {
        let _ = write!(out, " rx=\"{}\"", number(shape.radius));
    }
    finish(out, shape.fill, shape.stroke, theme);
}

fn path(out: &mut String, shape: &Path, theme: Theme) {
    let mut line = String::new();
    for step in &shape.steps {
        let _ = match *step {
            Step::Move(x, y) => write!(line, "M{} {}", number(x), number(y)),
            Step::Line(x, y) => write!(line, "L{} {}", number(x), number(y)),
            Step::Curve(a, b, to) => {
                let [a, b, to] = [a, b, to].map(|[x, y]| format!("{} {}", number(x), number(y)));
                write!(line, "C{a} {b} {to}")
            }
            Step::Close => write!(line, "z"),
        };
    }
    let _ = write!(out, "<path d=\"{line}\"");
    finish(out, shape.fill, shape.stroke, theme);
}

fn circle(out: &mut String, shape: &Circle, theme: Theme) {
    let (x, y, radius) = (number(shape.x), number(shape.y), number(shape.radius));
    let _ = write!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"");
    finish(out, shape.fill, shape.stroke, theme);
}

/// Writes the colours of a shape, and its end.
fn finish(out: &mut String, fill: Option<Paint>, stroke: Option<Stroke>, theme: Theme) {
    let inside = fill.map_or_else(|| "none".to_owned(), |paint| color(theme, paint));
    let _ = write!(out, " fill=\"{inside}\"");
    if let Some(Stroke { paint, width, dash }) = stroke {
        let _ = write!(out, " stroke=\"{}\"", color(theme, paint));
        if (width - 1.0).abs() > 1e-9 {
            let _ = write!(out, " stroke-width=\"{}\"", number(width));
        }
        if dash > 0.0 {
            let _ = write!(out, " stroke-dasharray=\"{}\"", number(dash));
        }
    }
    *out += "/>\n";
}

fn text(out: &mut String, words: &Text, theme: Theme) {
    let _ = write!(
        out,
        "<text x=\"{}\" y=\"{}\" font-size=\"{}\"",
        number(words.x),
        number(words.y),
        number(words.size)
    );
    *out += match words.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    if words.weight == Weight::Bold {
        *out += " font-weight=\"bold\"";
    }
    let _ = writeln!(out, " fill=\"{}\">{}</text>", color(theme, words.paint), escape(&words.text));
}

/// Formats a coordinate with two decimals at most, without zeros that say nothing.
fn number(value: f64) -> String {
    let text = format!("{:.2}", if value.is_finite() { value } else { 0.0 });
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

fn color(theme: Theme, paint: Paint) -> String {
    hex(theme.color(paint))
}

fn hex(RgbColor(r, g, b): RgbColor) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Returns `text` as the content of an element: visible, and without markup.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in safe::visible(text).chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // XML 1.0, section 2.2: no characters of a document.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (-0.001, "0"), (1.0, "1"), (2.5, "2.5"), (1.0 / 3.0, "0.33"), (f64::NAN, "0")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn names_are_words_in_a_drawing() {
        let hostile = "</text><script>alert(1)</script>\u{1b}[2J\u{202e}\u{ffff}\" onload='x' & \u{0}";
        let mut scene = Scene::new(hostile, hostile);
        scene.push(Text::new(0.0, 10.0, hostile));
        scene.push(Item::Group(hostile.into(), vec![]));
        let text = write(&scene, Theme::Light);
        assert!(!text.contains("<script") && !text.contains('\u{1b}') && !text.contains('\0'), "{text}");
        assert!(!text.contains('\u{202e}') && !text.contains('\u{ffff}'), "{text}");
        // Elements of the writer only: each name occurs as text.
        let elements = text.matches('<').count() - text.matches("</").count();
        assert_eq!(elements, "svg title desc rect text g title".split(' ').count(), "{text}");
        assert_eq!(text.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count(), 4);
    }
}
