//! A scene: shapes and words on a page, in units of one pixel, y downwards.

use crate::figure::font::{self, Weight};
use crate::figure::theme::Paint;

/// A page with shapes.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// What it shows, for screen readers and the title of a window.
    pub title: String,
    /// The same in a sentence.
    pub description: String,
    /// The shapes, from the back to the front.
    pub items: Vec<Item>,
}

/// A shape.
#[derive(Debug, Clone)]
pub enum Item {
    /// A filled rectangle, or an outline, or both.
    Rect(Rect),
    /// Rectangles of one colour, as `[x, y, width, height]`: the cells of a map.
    Cells(Vec<[f64; 4]>, Paint),
    /// A line, an area, or both.
    Path(Path),
    /// A filled disc, or a ring.
    Circle(Circle),
    /// Words.
    Text(Text),
    /// Shapes of one thing, with its name: what a browser shows under the pointer.
    Group(String, Vec<Item>),
}

/// A rectangle.
#[derive(Debug, Clone, Copy)]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    /// Radius of the corners.
    pub radius: f64,
    /// Colour of the inside.
    pub fill: Option<Paint>,
    /// Outline.
    pub stroke: Option<Stroke>,
}

/// A line or an area.
#[derive(Debug, Clone)]
pub struct Path {
    /// Its steps; the first is a [`Step::Move`].
    pub steps: Vec<Step>,
    /// Colour of the inside.
    pub fill: Option<Paint>,
    /// The line.
    pub stroke: Option<Stroke>,
}

/// A step of a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Begins at a point.
    Move(f64, f64),
    /// A straight line to a point.
    Line(f64, f64),
    /// A cubic curve: two control points and the end.
    Curve([f64; 2], [f64; 2], [f64; 2]),
    /// A straight line to the beginning.
    Close,
}

/// A disc.
#[derive(Debug, Clone, Copy)]
pub struct Circle {
    /// Horizontal centre.
    pub x: f64,
    /// Vertical centre.
    pub y: f64,
    /// Radius.
    pub radius: f64,
    /// Colour of the inside.
    pub fill: Option<Paint>,
    /// Outline.
    pub stroke: Option<Stroke>,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Stroke {
    /// Its colour.
    pub paint: Paint,
    /// Its width.
    pub width: f64,
    /// Lengths of dashes and of the gaps between them; 0 for a line without gaps.
    pub dash: f64,
}

/// Words.
#[derive(Debug, Clone)]
pub struct Text {
    /// Where they are anchored.
    pub x: f64,
    /// The line that they stand on.
    pub y: f64,
    /// Size of the font.
    pub size: f64,
    /// Which part of them stands at `x`.
    pub anchor: Anchor,
    /// Their weight.
    pub weight: Weight,
    /// Their colour.
    pub paint: Paint,
    /// What they are.
    pub text: String,
}

/// The part of a text that stands at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its beginning.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

impl Stroke {
    /// Returns a line without gaps.
    pub fn new(paint: Paint, width: f64) -> Self {
        Self { paint, width, dash: 0.0 }
    }

    /// Returns a dashed line.
    pub fn dashed(paint: Paint, width: f64, dash: f64) -> Self {
        Self { paint, width, dash }
    }
}

impl Rect {
    /// Returns a filled rectangle.
    pub fn filled([x, y, width, height]: [f64; 4], paint: Paint) -> Self {
        Self { x, y, width, height, radius: 0.0, fill: Some(paint), stroke: None }
    }

    /// Returns an outline.
    pub fn outline([x, y, width, height]: [f64; 4], stroke: Stroke) -> Self {
        Self { x, y, width, height, radius: 0.0, fill: None, stroke: Some(stroke) }
    }
}

impl Text {
    /// Returns words of the size 12 that begin at a point.
    pub fn new(x: f64, y: f64, text: impl Into<String>) -> Self {
        Self {
            x,
            y,
            size: 12.0,
            anchor: Anchor::Start,
            weight: Weight::Regular,
            paint: Paint::Ink,
            text: text.into(),
        }
    }

    /// Returns the same words in another size.
    #[must_use]
    pub fn size(mut self, size: f64) -> Self {
        self.size = size;
        self
    }

    /// Returns the same words with another part at their position.
    #[must_use]
    pub fn anchor(mut self, anchor: Anchor) -> Self {
        self.anchor = anchor;
        self
    }

    /// Returns the same words in bold.
    #[must_use]
    pub fn bold(mut self) -> Self {
        self.weight = Weight::Bold;
        self
    }

    /// Returns the same words in another colour.
    #[must_use]
    pub fn paint(mut self, paint: Paint) -> Self {
        self.paint = paint;
        self
    }

    /// Returns the width of the words.
    pub fn width(&self) -> f64 {
        font::width(&self.text, self.size, self.weight)
    }

    /// Returns the left and the right end of the words.
    pub fn ends(&self) -> (f64, f64) {
        let width = self.width();
        let left = match self.anchor {
            Anchor::Start => self.x,
            Anchor::Middle => self.x - width / 2.0,
            Anchor::End => self.x - width,
        };
        (left, left + width)
    }
}

impl Scene {
    /// Returns an empty page.
    pub fn new(title: impl Into<String>, description: impl Into<String>) -> Self {
        Self { title: title.into(), description: description.into(), ..Self::default() }
    }

    /// Adds a shape.
    pub fn push(&mut self, item: impl Into<Item>) -> &mut Self {
        self.items.push(item.into());
        self
    }

    /// Adds a line through points.
    pub fn line(&mut self, points: &[(f64, f64)], stroke: Stroke) -> &mut Self {
        self.push(Path { steps: polyline(points), fill: None, stroke: Some(stroke) })
    }

    /// Adds a filled area with corners at points.
    pub fn area(&mut self, points: &[(f64, f64)], paint: Paint) -> &mut Self {
        let mut steps = polyline(points);
        steps.push(Step::Close);
        self.push(Path { steps, fill: Some(paint), stroke: None })
    }

    /// Adds a heading, and a quieter line below it; returns the y below both.
    pub fn heading(&mut self, x: f64, y: f64, title: &str, remark: &str) -> f64 {
        // A name of any length, which should not widen the page for ever.
        let cut =
            |text: &str, size: f64, weight: Weight| font::cut(text, size, weight, 900.0).unwrap_or_default();
        self.push(Text::new(x, y + 15.0, cut(title, 15.0, Weight::Bold)).size(15.0).bold());
        if remark.is_empty() {
            return y + 28.0;
        }
        self.push(Text::new(x, y + 33.0, cut(remark, 12.0, Weight::Regular)).paint(Paint::Quiet));
        y + 46.0
    }

    /// Widens the page so that every word and every map has room, with `margin` on the right.
    pub fn widen(&mut self, margin: f64) {
        fn right(items: &[Item]) -> f64 {
            let of = |item: &Item| match item {
                Item::Text(text) => text.ends().1,
                Item::Cells(cells, _) => cells.iter().map(|[x, _, width, _]| x + width).fold(0.0, f64::max),
                Item::Group(_, items) => right(items),
                _ => 0.0,
            };
            items.iter().map(of).fold(0.0, f64::max)
        }
        self.width = self.width.max((right(&self.items) + margin).ceil());
    }
}

/// Returns the steps of a line through points.
pub fn polyline(points: &[(f64, f64)]) -> Vec<Step> {
    let step = |(i, &(x, y)): (usize, &(f64, f64))| if i == 0 { Step::Move(x, y) } else { Step::Line(x, y) };
    points.iter().enumerate().map(step).collect()
}

impl From<Rect> for Item {
    fn from(rect: Rect) -> Self {
        Self::Rect(rect)
    }
}

impl From<Path> for Item {
    fn from(path: Path) -> Self {
        Self::Path(path)
    }
}

impl From<Circle> for Item {
    fn from(circle: Circle) -> Self {
        Self::Circle(circle)
    }
}

impl From<Text> for Item {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}
