//! Receptive fields of torchvision's networks against PyTorch's gradients (tests/data/rf.json).

use std::collections::BTreeMap;

use cnnkit::analysis::field::{Facts, Options, analyse};
use cnnkit::analysis::support::{Borders, support};
use cnnkit::graph::{Graph, NodeId, Op};
use cnnkit::spec::{Overrides, load};
use cnnkit::zoo::Zoo;
use serde_json::Value;

fn zoo(name: &str) -> Graph {
    let path = Zoo::path(name).unwrap_or_else(|| panic!("no spec {name}"));
    let loaded = load(&Zoo, &path, &Overrides::default());
    loaded.unwrap_or_else(|rejected| panic!("{name}: {:?}", rejected.flaws)).graph
}

fn numbers(value: &Value) -> Vec<i128> {
    value.as_array().expect("a list").iter().map(|n| i128::from(n.as_i64().expect("a number"))).collect()
}

/// `[rf_h, rf_w, jump_h, jump_w, offset_h, offset_w]`.
fn row(facts: &Facts) -> Vec<i128> {
    let sizes = facts.axes.iter().map(|axis| axis.size);
    let jumps = facts.axes.iter().map(|axis| axis.jump.to_integer());
    let starts = facts.axes.iter().map(|axis| axis.first.map_or(i128::MIN, |span| span.lo));
    sizes.chain(jumps).chain(starts).collect()
}

fn kind(op: &Op) -> Option<&'static str> {
    match op.name() {
        "conv" => Some("Conv2d"),
        "max_pool" | "avg_pool" => Some("Pool"),
        "add" => Some("add"),
        "concat" => Some("cat"),
        _ => None,
    }
}

#[test]
fn every_network_and_every_layer_agrees_with_pytorch() {
    let data: Value = serde_json::from_str(include_str!("../data/rf.json")).expect("valid JSON");
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (name, expected) in data.as_object().expect("an object").iter().filter(|(name, _)| *name != "_about")
    {
        let graph = zoo(name.split(':').next().unwrap_or(name));
        let fields = analyse(&graph, Options::default()).expect("a network of the zoo");
        let mut found: BTreeMap<(String, Vec<i128>), i64> = BTreeMap::new();
        let mut last = None;
        for (id, node) in graph.iter() {
            let facts = fields.facts(&graph, id).expect("a network of the zoo");
            let Some(facts) = facts.first().filter(|facts| facts.axes.iter().all(|axis| !axis.global)) else {
                continue;
            };
            assert!(facts.aligned, "{name}: {} is misaligned: {:?}", node.id, fields.misaligned);
            if node.shape.rank() == 3 {
                last = Some((id, facts.clone()));
            }
            if let Some(kind) = kind(&node.op) {
                *found.entry((kind.to_owned(), row(facts))).or_default() += 1;
            }
        }
        for layer in expected["layers"].as_array().expect("a list") {
            let list = layer.as_array().expect("a list");
            let kind = match list[0].as_str().expect("a kind") {
                pool if pool.contains("Pool") || pool.contains("pool") => "Pool",
                other => other,
            };
            let values: Vec<i128> =
                list[1..7].iter().map(|n| i128::from(n.as_i64().expect("a number"))).collect();
            let times = list[7].as_i64().expect("a count");
            let own = found.get(&(kind.to_owned(), values.clone())).copied().unwrap_or(0);
            // torchvision joins the one tensor at the start of a dense block; and without its image pooling, which the
            // spec has, DeepLab's head would not be global.
            let single = name.starts_with("densenet") && kind == "cat" && own + 1 == times;
            let pooled = name.ends_with("noimagepool") && values[0] > 1000;
            if single || pooled {
                continue;
            }
            compared += times;
            if own < times {
                wrong.push(format!("{name}: {times} x {kind} {values:?}, found {own}"));
            }
        }
        let whole =
            [numbers(&expected["rf"]), numbers(&expected["jump"]), numbers(&expected["offset"])].concat();
        let (_, facts) = last.expect("a feature map");
        if !name.contains(':') && row(&facts) != whole {
            wrong.push(format!("{name}: the last feature map is {whole:?}, found {:?}", row(&facts)));
        }
        if let (Some(holes), false) = (expected["holes"].as_i64(), name.contains(':')) {
            let node = facts.node;
            let region = support(&graph, node, NodeId::new(0), &[3, 5], Borders::Ignored).expect("a support");
            let hull = region.hull().expect("not empty");
            let area: i128 = hull.iter().map(cnnkit::analysis::field::Interval::size).product();
            let positions = region.positions().expect("a count");
            if area - positions != i128::from(holes) {
                wrong.push(format!("{name}: {holes} holes, found {}", area - positions));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 2350, "{compared} layers compared");
}
