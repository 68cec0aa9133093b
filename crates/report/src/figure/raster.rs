//! A scene as PNG, with smooth edges.

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint as Ink, PathBuilder, Pixmap, StrokeDash, Transform,
};
use ttf_parser::OutlineBuilder;

use crate::figure::font;
use crate::figure::scene::{Anchor, Circle, Item, Path, Rect, Scene, Step, Stroke, Text};
use crate::figure::theme::{Paint, Theme};
use crate::render::safe;

/// Pixels per unit of the scene, both ways.
const SCALE: f64 = 2.0;
/// The largest number of pixels.
const MOST_PIXELS: f64 = (1u64 << 25) as f64;

/// Returns the bytes of the file.
pub fn write(scene: &Scene, theme: Theme) -> Result<Vec<u8>, String> {
    let area = (scene.width * scene.height).max(1.0);
    // A larger drawing has fewer pixels per unit, as long as its words can be read.
    let scale = SCALE.min((MOST_PIXELS / area).sqrt());
    let (width, height) = ((scene.width * scale).ceil() as u32, (scene.height * scale).ceil() as u32);
    let too_large = || {
        format!(
            "not supported: a drawing of {:.0} x {:.0} in pixels, in which no word could be read",
            scene.width, scene.height
        )
    };
    if scale < 0.75 {
        return Err(too_large());
    }
    let mut pixels = Pixmap::new(width, height).ok_or_else(too_large)?;
    if let Some(paper) = theme.paper() {
        pixels.fill(Color::from_rgba8(paper.0, paper.1, paper.2, 255));
    } else {
        pixels.fill(Color::WHITE);
    }
    let mut canvas = Canvas { pixels, theme, transform: Transform::from_scale(scale as f32, scale as f32) };
    canvas.items(&scene.items);
    // Every pixel is opaque: premultiplied colours are the colours.
    encode(canvas.pixels.data(), width, height).map_err(|error| error.to_string())
}

fn encode(bytes: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(bytes)?;
    writer.finish()?;
    Ok(out)
}

struct Canvas {
    pixels: Pixmap,
    theme: Theme,
    transform: Transform,
}

impl Canvas {
    fn items(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Rect(shape) => self.rect(shape),
                Item::Cells(cells, paint) => {
                    for [x, y, width, height] in cells {
                        self.rect(&Rect::filled([*x, *y, *width, *height], *paint));
                    }
                }
                Item::Path(shape) => self.path(shape),
                Item::Circle(shape) => self.circle(shape),
                Item::Text(words) => self.text(words),
                Item::Group(_, items) => self.items(items),
            }
        }
    }

    fn rect(&mut self, shape: &Rect) {
        let Rect { x, y, width, height, radius, fill, stroke } = *shape;
        let radius = radius.min(width / 2.0).min(height / 2.0);
        let mut steps = vec![];
        if radius > 0.0 {
            // The distance of a control point that makes a quarter of a circle.
            let bend = radius * (1.0 - 0.552_284_75);
            let (right, low) = (x + width, y + height);
            steps.extend([
                Step::Move(x + radius, y),
                Step::Line(right - radius, y),
                Step::Curve([right - bend, y], [right, y + bend], [right, y + radius]),
                Step::Line(right, low - radius),
                Step::Curve([right, low - bend], [right - bend, low], [right - radius, low]),
                Step::Line(x + radius, low),
                Step::Curve([x + bend, low], [x, low - bend], [x, low - radius]),
                Step::Line(x, y + radius),
                Step::Curve([x, y + bend], [x + bend, y], [x + radius, y]),
            ]);
        } else {
            steps.extend([Step::Move(x, y), Step::Line(x + width, y), Step::Line(x + width, y + height)]);
            steps.push(Step::Line(x, y + height));
        }
        steps.push(Step::Close);
        self.path(&Path { steps, fill, stroke });
    }

    fn path(&mut self, shape: &Path) {
        let mut path = PathBuilder::new();
        for step in &shape.steps {
            match *step {
                Step::Move(x, y) => path.move_to(x as f32, y as f32),
                Step::Line(x, y) => path.line_to(x as f32, y as f32),
                Step::Curve(a, b, to) => {
                    let [a, b, to] = [a, b, to].map(|[x, y]| (x as f32, y as f32));
                    path.cubic_to(a.0, a.1, b.0, b.1, to.0, to.1);
                }
                Step::Close => path.close(),
            }
        }
        self.draw(path, shape.fill, shape.stroke);
    }

    fn circle(&mut self, shape: &Circle) {
        let mut path = PathBuilder::new();
        path.push_circle(shape.x as f32, shape.y as f32, shape.radius as f32);
        self.draw(path, shape.fill, shape.stroke);
    }

    fn draw(&mut self, path: PathBuilder, fill: Option<Paint>, stroke: Option<Stroke>) {
        let Some(path) = path.finish() else { return };
        if let Some(paint) = fill {
            self.pixels.fill_path(&path, &ink(self.theme, paint), FillRule::Winding, self.transform, None);
        }
        if let Some(Stroke { paint, width, dash }) = stroke {
            let dash = (dash > 0.0).then(|| StrokeDash::new(vec![dash as f32; 2], 0.0)).flatten();
            let stroke = tiny_skia::Stroke {
                width: width as f32,
                dash,
                line_cap: LineCap::Butt,
                line_join: LineJoin::Miter,
                ..tiny_skia::Stroke::default()
            };
            self.pixels.stroke_path(&path, &ink(self.theme, paint), &stroke, self.transform, None);
        }
    }

    fn text(&mut self, words: &Text) {
        let shown = Text { text: safe::visible(&words.text).into_owned(), ..words.clone() };
        let left = match shown.anchor {
            Anchor::Start => shown.x,
            Anchor::Middle | Anchor::End => shown.ends().0,
        };
        let mut outlines = Outlines(PathBuilder::new());
        font::outline(&shown.text, (left, shown.y), shown.size, shown.weight, &mut outlines);
        self.draw(outlines.0, Some(shown.paint), None);
    }
}

fn ink(theme: Theme, paint: Paint) -> Ink<'static> {
    let color = theme.color(paint);
    let mut ink = Ink::default();
    ink.set_color_rgba8(color.0, color.1, color.2, 255);
    ink.anti_alias = true;
    ink
}

/// Outlines of letters as a path.
struct Outlines(PathBuilder);

impl OutlineBuilder for Outlines {
    fn move_to(&mut self, x: f32, y: f32) {
        self.0.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.0.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.0.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.0.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.0.close();
    }
}
