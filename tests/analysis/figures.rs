//! Figures as drawings: everything lies on the page, areas and heights are the figures that they stand for, names are words.

use cnnkit::Graph;
use cnnkit::graph::Builder;
use cnnkit::report::figure::{self, Picture, Scene, Theme, growth, lengths, treemap};
use cnnkit::report::params::{By, Sort, View};
use cnnkit::report::{params, paths, rf};
use cnnkit::shape::Shape;
use cnnkit::source::Origin;
use cnnkit_core::analysis::memory::Dtype;

use crate::support::network::{layer, network, shipped};

fn view() -> View {
    View { depth: None, by: By::Block, sort: Sort::Order, top: None, batch: 1, dtype: Dtype::default() }
}

fn scenes(graph: &Graph) -> Vec<Scene> {
    let mut all = vec![figure::network::of(graph, None).expect("few connections")];
    all.extend([2, 99].map(|depth| figure::network::of(graph, Some(depth)).expect("few boxes")));
    let counts = params::summary(graph, view(), None, None);
    all.extend(
        [treemap::Area::Params, treemap::Area::Macs, treemap::Area::Bytes]
            .map(|area| treemap::of(&counts, area)),
    );
    let fields = rf::summary(graph, rf::Question::default(), None).expect("fields");
    all.extend(growth::of(&fields, graph));
    all.push(lengths::of(&paths::summary(graph, None).expect("paths")));
    all
}

fn zoo(name: &str) -> Graph {
    let file = format!("/{name}.yaml");
    shipped(&["zoo"]).into_iter().find(|(path, _)| path.ends_with(&file)).expect("a network").1
}

fn svg(scene: &Scene, theme: Theme) -> String {
    String::from_utf8(figure::draw(scene, theme, Picture::Svg).expect("SVG")).expect("UTF-8")
}

/// The numbers in the attributes of an element that are coordinates: pairs of x and y.
fn corners(node: &roxmltree::Node<'_, '_>) -> Vec<(f64, f64)> {
    let number = |name: &str| node.attribute(name).map_or(0.0, |text| text.parse::<f64>().expect("a number"));
    match node.tag_name().name() {
        "rect" => {
            let (x, y) = (number("x"), number("y"));
            assert!(number("width") >= 0.0 && number("height") >= 0.0, "{node:?}");
            vec![(x, y), (x + number("width"), y + number("height"))]
        }
        "circle" => vec![(number("cx"), number("cy"))],
        "text" => vec![(number("x"), number("y"))],
        "path" => {
            let text = node.attribute("d").expect("a path");
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            // Relative steps (cells) are bounded by their rectangles; the starts are absolute.
            let absolute =
                text.split(['h', 'v', 'z']).filter(|part| part.starts_with('M') || text.contains(['L', 'C']));
            absolute
                .flat_map(|part| {
                    let numbers: Vec<f64> = part
                        .split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
                        .filter(|text| !text.is_empty())
                        .map(|text| text.parse().expect("a number"))
                        .collect();
                    numbers
                        .chunks(2)
                        .filter(|pair| pair.len() == 2)
                        .map(|pair| (pair[0], pair[1]))
                        .collect::<Vec<_>>()
                })
                .collect()
        }
        _ => vec![],
    }
}

#[test]
fn everything_lies_on_the_page() {
    for (name, graph) in shipped(&["zoo", "techniques"]) {
        for scene in scenes(&graph) {
            let text = svg(&scene, Theme::Light);
            assert!(text.len() < 3 << 20, "{name}: {} bytes", text.len());
            let document =
                roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let inside = |at: f64, end: f64| (-0.01..=end + 0.01).contains(&at);
            for node in document.descendants().filter(roxmltree::Node::is_element) {
                for (x, y) in corners(&node) {
                    let on_page = inside(x, scene.width) && inside(y, scene.height);
                    assert!(on_page, "{name}: {node:?} leaves the page of {}", scene.title);
                }
            }
        }
    }
}

#[test]
fn figures_are_the_same_each_time() {
    for (name, graph) in shipped(&["techniques"]) {
        for (scene, again) in scenes(&graph).iter().zip(scenes(&graph)) {
            assert_eq!(svg(scene, Theme::Light), svg(&again, Theme::Light), "{name}");
        }
    }
}

#[test]
fn areas_of_a_treemap_are_proportional_to_parameters() {
    let layers = [8, 64, 32, 16].map(|count| format!("  - {{conv: {{out_channels: {count}, kernel: 3}}}}\n"));
    let graph = network(&format!("input: [3, 32, 32]\nlayers:\n{}", layers.concat()));
    let counts = params::summary(&graph, view(), None, None);
    let text = svg(&treemap::of(&counts, treemap::Area::Params), Theme::Light);
    let document = roxmltree::Document::parse(&text).expect("SVG");
    // Layers at the top level have no border around them that takes room.
    let mut ratios = Vec::new();
    for layer in counts.layers.iter().filter(|layer| layer.params > 0 && !layer.id.contains('.')) {
        let group = document.descendants().find(|node| {
            let title = node.first_element_child().filter(|child| child.has_tag_name("title"));
            title
                .and_then(|title| title.text())
                .is_some_and(|text| text.starts_with(&format!("{}, ", layer.id)))
        });
        let group = group.unwrap_or_else(|| panic!("{} is drawn", layer.id));
        let rect = group.children().find(|child| child.has_tag_name("rect")).expect("a rectangle");
        let side = |name: &str| rect.attribute(name).expect("a side").parse::<f64>().expect("a number");
        ratios.push((layer.params as f64, side("width") * side("height")));
    }
    assert!(ratios.len() == 4, "{ratios:?}");
    let scale = ratios.iter().map(|pair| pair.1).sum::<f64>() / ratios.iter().map(|pair| pair.0).sum::<f64>();
    for (params, area) in &ratios {
        // Sides are written with two decimals.
        assert!(
            (area - params * scale).abs() < 8.0,
            "{params} parameters have {area}, not {}",
            params * scale
        );
    }
}

#[test]
fn equal_blocks_in_a_row_are_drawn_once() {
    let graph = zoo("resnet50");
    let text = svg(&figure::network::of(&graph, Some(2)).expect("drawn"), Theme::Light);
    // He et al. 2016, table 1: stages of 3, 4, 6 and 3 bottlenecks, of which the first has another shortcut.
    for (times, count) in [("× 2<", 2), ("× 3<", 1), ("× 5<", 1)] {
        assert_eq!(text.matches(times).count(), count, "{times}");
    }
    assert_eq!(text.matches(">bottleneck1<").count(), 4);
    assert_eq!(text.matches(">bottleneck3<").count(), 0);
}

#[test]
fn lines_of_a_network_begin_and_end_at_boxes() {
    for (name, depth) in [("resnet18", 2), ("resnet50", 3), ("inception_v3", 2), ("unet", 2)] {
        let text = svg(&figure::network::of(&zoo(name), Some(depth)).expect("drawn"), Theme::Light);
        let document = roxmltree::Document::parse(&text).expect("SVG");
        let elements = || document.descendants().filter(roxmltree::Node::is_element);
        let boxes: Vec<Vec<(f64, f64)>> =
            elements().filter(|node| node.has_tag_name("rect")).map(|node| corners(&node)).collect();
        let lines: Vec<Vec<(f64, f64)>> = elements()
            .filter(|node| node.has_tag_name("path") && node.attribute("fill") == Some("none"))
            .map(|node| corners(&node))
            .collect();
        assert!(lines.len() > 20, "{name}");
        for (n, line) in lines.iter().enumerate() {
            for &(x, y) in &[line[0], line[line.len() - 1]] {
                let near = |a: f64, b: f64| (a - b).abs() < 0.02;
                let at_box = boxes.iter().any(|place| {
                    (near(y, place[0].1) || near(y, place[1].1)) && (place[0].0..=place[1].0).contains(&x)
                });
                let others = lines.iter().enumerate().filter(|(other, _)| *other != n);
                let at_line =
                    others.flat_map(|(_, line)| line).any(|point| near(point.0, x) && near(point.1, y));
                assert!(at_box || at_line, "{name}: a line ends at {x}, {y}, where nothing is");
            }
        }
    }
}

#[test]
fn hostile_names_are_words_in_every_figure() {
    const NAME: &str = "a]]></text><script>alert(1)</script><!--\u{1b}[31m\u{202e}&\u{0}\"'";
    let mut builder = Builder::new();
    let input = builder.input(&format!("{NAME}.in"), Shape::new([3, 16, 16]), Origin::default());
    let conv = layer("conv", "{out_channels: 4, kernel: 3}");
    let first =
        builder.layer(&format!("{NAME}.b.{NAME}"), conv.clone(), vec![input], None, Origin::default());
    let second = builder.layer(&format!("{NAME}.b.c"), conv, vec![first], None, Origin::default());
    let graph = builder.finish(NAME, vec![second]).expect("a graph");
    for scene in scenes(&graph) {
        let text = svg(&scene, Theme::Print);
        let document = roxmltree::Document::parse(&text).expect("SVG");
        for node in document.descendants().filter(roxmltree::Node::is_element) {
            let tag = node.tag_name().name();
            assert!(["svg", "title", "desc", "g", "rect", "path", "circle", "text"].contains(&tag), "{tag}");
            assert!(node.attributes().all(|attribute| !attribute.name().starts_with("on")), "{node:?}");
        }
        assert!(!document.descendants().any(|node| node.is_comment() || node.is_pi()));
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains('\u{202e}'));
        figure::draw(&scene, Theme::Print, Picture::Png).expect("pixels");
    }
}
