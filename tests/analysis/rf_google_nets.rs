//! The small networks with several paths on which Google's receptive field library tests itself (Araujo,
//! Norris & Sim 2019; google-research/receptive_field, `receptive_field_computation_test.py`), with its
//! expected numbers.

use cnnkit::analysis::field::{Facts, Fields, Jump, Options, analyse};
use cnnkit::graph::Graph;
use cnnkit::spec::files::Text;
use cnnkit::spec::{Overrides, load};

/// The field of the output of `layers` on one square channel.
fn field(size: u64, layers: &str) -> (Facts, Fields, Graph) {
    let spec =
        format!("input: [1, {size}, {size}]\ndefaults: {{conv: {{out_channels: 1}}}}\nlayers:{layers}");
    let files = Text { name: "net".into(), bytes: spec.into() };
    let graph = match load(&files, "net", &Overrides::default()) {
        Ok(loaded) => loaded.graph,
        Err(rejected) => panic!("{:?}", rejected.flaws),
    };
    let fields = analyse(&graph, Options::default()).expect("supported");
    let facts = fields.facts(&graph, graph.outputs()[0]).expect("no overflow").remove(0);
    (facts, fields, graph)
}

/// Size, stride and padding, the same on both axes, of an aligned network.
#[track_caller]
fn aligned(size: u64, layers: &str, expected: (i128, i128, i128)) {
    let (facts, fields, _) = field(size, layers);
    assert!(facts.aligned && fields.misaligned.is_empty(), "{:?}", fields.misaligned);
    for axis in &facts.axes {
        let found = (axis.size, axis.jump, axis.padding());
        assert_eq!(found, (expected.0, Jump::from_integer(expected.1), Some(expected.2)));
    }
}

/// The library raises an error; here the merge is named.
#[track_caller]
fn misaligned(size: u64, layers: &str, drifts: bool, offset: Jump) {
    let (facts, fields, graph) = field(size, layers);
    assert!(!facts.aligned);
    assert_eq!(fields.misaligned.len(), 2, "one merge, on both axes");
    for merge in &fields.misaligned {
        assert_eq!(graph.node(merge.node).op.name(), "add");
        assert_eq!((merge.drifts(), merge.offset()), (drifts, offset));
    }
}

const NET_1: &str = "
  - {id: l1, conv: {kernel: 1, stride: 4}}
  - {from: input, pad: {padding: [[1, 0], [1, 0]]}}
  - conv: {kernel: 3, stride: 2}
  - {id: l3, conv: {kernel: 1, stride: 2}}
  - add: [l1, l3]
  - {id: l4, relu: {}}";

const NET_4: &str = "
  - {id: l1, conv: {kernel: 1, stride: 4}}
  - {from: input, conv: {kernel: 3, stride: 2, padding: same}}
  - conv: {kernel: 1, stride: 2}
  - add: [l1, previous]
  - relu";

#[test]
fn network_1_has_two_aligned_paths() {
    aligned(16, NET_1, (3, 4, 1));
}

#[test]
fn network_2_pools_instead() {
    let layers = "
  - {id: l1, conv: {kernel: 1, stride: 4}}
  - {from: input, pad: {padding: [[1, 0], [1, 0]]}}
  - max_pool: {kernel: 3, stride: 2}
  - max_pool: {kernel: 1, stride: 2}
  - add: [l1, previous]
  - relu";
    aligned(16, layers, (3, 4, 1));
}

#[test]
fn network_3_joins_different_strides() {
    let layers = "
  - pad: {padding: [[2, 1], [2, 1]]}
  - {id: l1, conv: {kernel: 5, stride: 2}}
  - {from: input, conv: {kernel: 3}}
  - conv: {kernel: 3}
  - add: [l1, previous]
  - relu";
    // At size 8, both paths have maps of the same size; unit 0 is centred at 0 and at 2.
    misaligned(8, layers, true, Jump::from_integer(2));
}

#[test]
fn network_4_is_aligned_at_odd_sizes_only() {
    // Without a size, the library leaves its padding and its alignment open; our graphs always have one.
    aligned(9, NET_4, (3, 4, 1));
    misaligned(8, NET_4, false, Jump::from_integer(1));
    let (facts, ..) = field(8, NET_4);
    assert!(facts.axes.iter().all(|axis| (axis.size, axis.jump) == (3, Jump::from_integer(4))));
}

#[test]
fn network_5_is_not_square() {
    let (facts, ..) =
        field(16, "\n  - conv: {kernel: [3, 5], stride: 2}\n  - conv: {kernel: [3, 1], stride: 2}\n  - relu");
    let found: Vec<_> = facts.axes.iter().map(|axis| (axis.size, axis.jump, axis.padding())).collect();
    let four = Jump::from_integer(4);
    assert_eq!(found, [(7, four, Some(0)), (5, four, Some(0))], "y, x");
}

#[test]
fn network_6_has_a_dropout() {
    let layers = NET_1.replace("  - add: [l1, l3]", "  - dropout\n  - add: [l1, previous]");
    assert!(layers.contains("dropout"));
    aligned(16, &layers, (3, 4, 1));
}

#[test]
fn network_7_is_the_first_at_8_pixels() {
    // There it has an assertion as a control dependency, which a spec does not have.
    aligned(8, NET_1, (3, 4, 1));
}

#[test]
fn network_8_joins_twice() {
    let layers = format!(
        "{NET_1}
  - {{id: l5, conv: {{kernel: 1, stride: 2}}}}
  - {{from: l4, pad: {{padding: [[1, 0], [1, 0]]}}}}
  - conv: {{kernel: 3, stride: 2}}
  - add: [l5, previous]
  - relu"
    );
    aligned(32, &layers, (11, 8, 5));
}

#[test]
fn network_9_joins_twice_with_same_padding() {
    let layers = "
  - {id: l1, conv: {kernel: 1, stride: 4, padding: same}}
  - {from: input, conv: {kernel: 3, stride: 2, padding: same}}
  - conv: {kernel: 1, stride: 2, padding: same}
  - add: [l1, previous]
  - {id: l4, relu: {}}
  - {id: l5, conv: {kernel: 1, stride: 2, padding: same}}
  - {from: l4, conv: {kernel: 3, stride: 2, padding: same}}
  - add: [l5, previous]
  - relu";
    aligned(17, layers, (11, 8, 5));
}
