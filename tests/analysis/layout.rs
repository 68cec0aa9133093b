//! The layout of layer graphs: over the zoo, the techniques and hand-made graphs, folded at every depth.

use std::collections::HashSet;

use crate::support::network::{layer, network, shipped};
use cnnkit::Graph;
use cnnkit::graph::Builder;
use cnnkit::report::layout::{Drawing, Placed, Shown, Spacing, Tree, place};
use cnnkit::shape::Shape;
use cnnkit::source::Origin;

fn drawn(graph: &Graph, depth: usize) -> (Tree, Drawing) {
    let tree = Tree::of(graph).expect("few connections");
    let open = tree.open_to(depth);
    let size = |item: Shown| [20.0 + 7.0 * tree.label(graph, item).len() as f64, 28.0];
    let drawing = place(&tree, &open, &size, &Spacing::default());
    (tree, drawing)
}

fn inside(inner: &Placed, outer: &Placed) -> bool {
    (0..2).all(|axis| {
        inner.at[axis] >= outer.at[axis] - 1e-6
            && inner.at[axis] + inner.size[axis] <= outer.at[axis] + outer.size[axis] + 1e-6
    })
}

fn apart(a: &Placed, b: &Placed) -> bool {
    (0..2).any(|axis| {
        a.at[axis] + a.size[axis] <= b.at[axis] + 1e-6 || b.at[axis] + b.size[axis] <= a.at[axis] + 1e-6
    })
}

/// Checks that boxes lie in their blocks and nowhere upon each other.
fn check_boxes(name: &str, tree: &Tree, drawing: &Drawing) {
    let whole = Placed { item: Shown::Block(0), open: true, at: [0.0; 2], size: drawing.size };
    let around = |item: Shown| tree.blocks.iter().position(|block| block.children.contains(&item));
    let place_of = |block: usize| {
        if block == 0 {
            whole
        } else {
            *drawing.boxes.iter().find(|placed| placed.item == Shown::Block(block)).expect("a box")
        }
    };
    let mut by_block: Vec<Vec<&Placed>> = vec![vec![]; tree.blocks.len()];
    for placed in &drawing.boxes {
        let parent = around(placed.item).expect("a block");
        assert!(inside(placed, &place_of(parent)), "{name}: {placed:?} leaves its block");
        by_block[parent].push(placed);
    }
    for boxes in by_block {
        // Sorted by their tops, only neighbours can touch.
        for (i, a) in boxes.iter().enumerate() {
            let near = boxes[i + 1..].iter().take(64);
            near.for_each(|b| assert!(apart(a, b), "{name}: {a:?} lies upon {b:?}"));
        }
    }
}

/// Checks that every connection between visible boxes is drawn, without a gap, and that nothing else is.
fn check_wires(name: &str, graph: &Graph, drawing: &Drawing, tree: &Tree) {
    let key = |point: [f64; 2]| point.map(|x| (x * 64.0).round() as i64);
    let shown = |node: usize| {
        let holds = |placed: &&Placed| match placed.item {
            Shown::Node(own) => own == node,
            Shown::Block(block) => !placed.open && tree.blocks[block].nodes.contains(&node),
        };
        drawing.boxes.iter().position(|placed| holds(&placed)).expect("every node is in a box")
    };
    let boxes: Vec<usize> = (0..graph.nodes().len()).map(shown).collect();
    for (id, node) in graph.iter() {
        for input in &node.inputs {
            let (from, to) = (boxes[input.index()], boxes[id.index()]);
            if from == to {
                continue;
            }
            let (source, target) = (&drawing.boxes[from], &drawing.boxes[to]);
            let bottom = key([source.at[0] + source.size[0] / 2.0, source.at[1] + source.size[1]]);
            let top = key([target.at[0] + target.size[0] / 2.0, target.at[1]]);
            let mut reached: HashSet<[i64; 2]> = HashSet::from([bottom]);
            let pieces: Vec<_> = drawing.wires.iter().filter(|wire| wire.node == input.index()).collect();
            loop {
                let before = reached.len();
                for wire in &pieces {
                    if reached.contains(&key(wire.points[0])) {
                        reached.insert(key(*wire.points.last().expect("points")));
                    }
                }
                if reached.len() == before {
                    break;
                }
            }
            assert!(reached.contains(&top), "{name}: no way from {} to {}", graph.node(*input).id, node.id);
        }
    }
    for wire in &drawing.wires {
        let falls = wire.points.windows(2).all(|pair| pair[0][1] <= pair[1][1] + 1e-6);
        assert!(falls, "{name}: {wire:?} rises");
    }
}

#[test]
fn layout_draws_every_connection_and_no_box_upon_another() {
    for (name, graph) in shipped(&["zoo", "techniques"]) {
        for depth in [1, 2, usize::MAX] {
            let (tree, drawing) = drawn(&graph, depth);
            check_boxes(&name, &tree, &drawing);
            check_wires(&name, &graph, &drawing, &tree);
        }
    }
}

#[test]
fn layout_of_interleaved_blocks_has_no_cycle() {
    // `a` runs, then `b`, then `a` again: two blocks of one name.
    let mut builder = Builder::new();
    let mut last = builder.input("x", Shape::new([3, 8, 8]), Origin::default());
    for id in ["a.one", "b.one", "b.two", "a.two", "a.three"] {
        last = builder.layer(id, layer("relu", "{}"), vec![last], None, Origin::default());
    }
    let graph = builder.finish("interleaved", vec![last]).expect("a network");
    let (tree, drawing) = drawn(&graph, 1);
    check_wires("interleaved", &graph, &drawing, &tree);
    let boxes: Vec<Shown> = drawing.boxes.iter().map(|placed| placed.item).collect();
    assert_eq!(boxes, [Shown::Node(0), Shown::Node(1), Shown::Block(1), Shown::Block(2)]);
}

#[test]
fn layout_keeps_a_chain_straight_beside_its_skips() {
    let resnet =
        &shipped(&["zoo"]).into_iter().find(|(name, _)| name.contains("resnet18")).expect("the network").1;
    let (_, drawing) = drawn(resnet, usize::MAX);
    let middle = |id: &str| {
        let node = resnet.find(id).unwrap_or_else(|| panic!("{id}")).index();
        let placed = drawing.boxes.iter().find(|placed| placed.item == Shown::Node(node)).expect("a box");
        placed.at[0] + placed.size[0] / 2.0
    };
    let chain: Vec<f64> = resnet
        .nodes()
        .iter()
        .filter(|node| node.id.contains("conv") && !node.id.contains("shortcut"))
        .map(|node| middle(&node.id))
        .collect();
    let spread = chain.iter().fold(0.0f64, |most, x| most.max((x - chain[0]).abs()));
    assert!(spread < 1.0, "{chain:?}");
}

#[test]
fn layout_of_too_many_connections_is_none() {
    // Every layer is read by the last one: as many lanes as the square of the layers.
    let mut text = String::from("input: [1, 2, 2]\nlayers:\n");
    let count = 700;
    for layer in 0..count {
        text += &format!("  - {{relu: , id: r{layer}}}\n");
    }
    let all: Vec<String> = (0..count).map(|layer| format!("r{layer}")).collect();
    text += &format!("  - {{add: , from: [{}]}}\n", all.join(", "));
    assert!(Tree::of(&network(&text)).is_none());
}

/// Networks whose positions the page computes again, in JavaScript: `tests/browser/place.test.mjs`.
const COMPARED: [&str; 4] = ["zoo/resnet18", "zoo/unet", "techniques/multi-kernel", "techniques/dense"];

#[test]
fn layout_of_the_page_has_the_positions_of_this_one() {
    let mut cases = Vec::new();
    for (path, graph) in shipped(&["zoo", "techniques"]) {
        let Some(name) = COMPARED.iter().find(|name| path.ends_with(&format!("{name}.yaml"))) else {
            continue;
        };
        for depth in [1, 2, usize::MAX] {
            let tree = Tree::of(&graph).expect("few connections");
            let open = tree.open_to(depth);
            let size = |shown: Shown| match shown {
                Shown::Node(node) => [40.0 + 7.0 * (node % 9) as f64, 28.0],
                Shown::Block(block) => [90.0 + 11.0 * (block % 5) as f64, 42.0],
            };
            let drawing = place(&tree, &open, &size, &Spacing::default());
            let round = |x: f64| (x * 100.0).round() / 100.0;
            let boxes: Vec<_> = drawing
                .boxes
                .iter()
                .map(|placed| [placed.at, placed.size].map(|pair| pair.map(round)))
                .collect();
            let wires: Vec<_> = drawing
                .wires
                .iter()
                .map(|wire| {
                    (
                        wire.node,
                        wire.ends,
                        wire.points.iter().map(|point| point.map(round)).collect::<Vec<_>>(),
                    )
                })
                .collect();
            cases.push(serde_json::json!({ "name": name, "open": open, "tree": tree, "size": drawing.size.map(round), "boxes": boxes, "wires": wires }));
        }
    }
    assert_eq!(cases.len(), COMPARED.len() * 3);
    cases.sort_by_key(|case| case["name"].to_string());
    let text = serde_json::to_string(&cases).expect("JSON") + "\n";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/layout.json");
    if std::env::var_os("CNNKIT_BLESS").is_some() {
        std::fs::write(file, &text).expect("the file is written");
    }
    assert!(std::fs::read_to_string(file).is_ok_and(|old| old == text), "run this test with CNNKIT_BLESS=1");
}
