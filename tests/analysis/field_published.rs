//! Receptive fields that were published: google-research/receptive_field's unit tests, papers, closed forms.

use cnnkit::analysis::field::{Facts, Fields, Options, analyse};
use cnnkit::graph::Graph;
use cnnkit::spec::files::Text;
use cnnkit::spec::{Overrides, load};

fn network(input: &str, layers: &str) -> (Graph, Fields, Facts) {
    let text = format!("input: {input}\nlayers:\n{layers}");
    let file = Text { name: "test.yaml".into(), bytes: text.clone().into_bytes() };
    let loaded = load(&file, "-", &Overrides::default())
        .unwrap_or_else(|rejected| panic!("{text}\n{:?}", rejected.flaws));
    let fields = analyse(&loaded.graph, Options::default()).expect("fields");
    let facts = fields.facts(&loaded.graph, loaded.graph.outputs()[0]).expect("facts").remove(0);
    (loaded.graph, fields, facts)
}

/// Sizes, jump and padding of both axes, and whether all merges are aligned.
fn figures(input: &str, layers: &str) -> ([i128; 2], [i128; 2], [i128; 2], bool) {
    let (_, _, facts) = network(input, layers);
    let [y, x] = &facts.axes[..] else { panic!("two axes") };
    let padding = |axis: &cnnkit::analysis::field::AxisFacts| axis.padding().expect("a first box");
    ([y.size, x.size], [y.jump.to_integer(), x.jump.to_integer()], [padding(y), padding(x)], facts.aligned)
}

/// Both branches of the unit tests' first network: 1x1 stride 4, and pad (1, 0), 3x3 stride 2, 1x1 stride 2.
fn first(window: &str) -> String {
    format!(
        "  - conv: {{out_channels: 1, kernel: 1, stride: 4}}
    id: a
  - pad: {{padding: [[1, 0], [1, 0]]}}
    from: input
  - {window}: {{OUT kernel: 3, stride: 2}}
  - {window}: {{OUT kernel: 1, stride: 2}}
    id: b
  - add: [a, b]
"
    )
    .replace("OUT ", if window == "conv" { "out_channels: 1," } else { "" })
}

#[test]
fn googles_networks_one_two_six_and_seven() {
    // receptive_field_computation_test.py; 6 adds a dropout and 7 a control dependency to network 1
    for (window, size) in [("conv", 8), ("max_pool", 8), ("conv", 16)] {
        let found = figures(&format!("[1, {size}, {size}]"), &first(window));
        assert_eq!(found, ([3, 3], [4, 4], [1, 1], true), "{window} on {size}");
    }
    let dropout = first("conv").replace("    id: b\n", "  - dropout: {}\n    id: b\n");
    assert_eq!(figures("[1, 8, 8]", &dropout), ([3, 3], [4, 4], [1, 1], true));
}

#[test]
fn googles_network_three_is_misaligned() {
    let layers = "  - conv: {out_channels: 1, kernel: 5, stride: 2, padding: [[2, 1], [2, 1]]}
    id: a
  - conv: {out_channels: 1, kernel: 3}
    from: input
  - conv: {out_channels: 1, kernel: 3, padding: [[1, 0], [1, 0]]}
    id: b
  - slice: {axis: 1, end: SIZE}
  - slice: {axis: 2, end: SIZE}
    id: c
  - add: [a, c]
";
    // Our shapes must fit, theirs need not: the second branch is cut to the first one's size.
    let (_, fields, facts) = network("[1, 9, 9]", &layers.replace("SIZE", "4"));
    assert!(!facts.aligned);
    assert_eq!(fields.misaligned.len(), 2);
    assert!(fields.misaligned[0].drifts());
}

#[test]
fn googles_network_four_depends_on_the_input_size() {
    // TensorFlow's SAME: 9x9 pads 1 on each side, 8x8 only after
    let layers = "  - conv: {out_channels: 1, kernel: 1, stride: 4}
    id: a
  - conv: {out_channels: 1, kernel: 3, stride: 2, padding: same}
    from: input
  - conv: {out_channels: 1, kernel: 1, stride: 2}
    id: b
  - add: [a, b]
";
    assert_eq!(figures("[1, 9, 9]", layers), ([3, 3], [4, 4], [1, 1], true));
    let (_, fields, facts) = network("[1, 8, 8]", layers);
    assert!(!facts.aligned);
    assert_eq!(fields.misaligned[0].offset().to_integer(), 1);
}

#[test]
fn googles_network_five_has_its_own_size_on_each_axis() {
    let layers = "  - conv: {out_channels: 1, kernel: [3, 5], stride: 2}
  - conv: {out_channels: 1, kernel: [3, 1], stride: 2}
";
    assert_eq!(figures("[1, 19, 19]", layers), ([7, 5], [4, 4], [0, 0], true));
}

#[test]
fn googles_networks_eight_and_nine() {
    let valid = first("conv").replace("  - add: [a, b]\n", "")
        + "  - add: [a, b]
  - relu: {}
    id: r
  - conv: {out_channels: 1, kernel: 1, stride: 2}
    id: c
  - pad: {padding: [[1, 0], [1, 0]]}
    from: r
  - conv: {out_channels: 1, kernel: 3, stride: 2}
    id: d
  - add: [c, d]
";
    assert_eq!(figures("[1, 24, 24]", &valid), ([11, 11], [8, 8], [5, 5], true));
    let same = "  - conv: {out_channels: 1, kernel: 1, stride: 4}
    id: a
  - conv: {out_channels: 1, kernel: 3, stride: 2, padding: same}
    from: input
  - conv: {out_channels: 1, kernel: 1, stride: 2}
    id: b
  - add: [a, b]
  - relu: {}
    id: r
  - conv: {out_channels: 1, kernel: 1, stride: 2}
    id: c
  - conv: {out_channels: 1, kernel: 3, stride: 2, padding: same}
    from: r
    id: d
  - add: [c, d]
";
    assert_eq!(figures("[1, 17, 17]", same), ([11, 11], [8, 8], [5, 5], true));
}

#[test]
fn the_context_module() {
    // Yu & Koltun 2016, table 1
    let mut layers = String::new();
    for (rate, size) in [(1, 3), (1, 5), (2, 9), (4, 17), (8, 33), (16, 65), (1, 67)] {
        layers += &format!("  - conv: {{out_channels: 2, kernel: 3, dilation: {rate}, padding: {rate}}}\n");
        assert_eq!(figures("[2, 64, 64]", &layers).0, [size, size]);
    }
}

#[test]
fn effective_fields_of_uniform_chains() {
    // Luo et al. 2016: sqrt(n (k^2 - 1) / 12); values to six digits
    for (kernel, n, std) in
        [(3, 10, 2.581_989), (5, 10, 4.472_136), (7, 10, 6.324_555), (3, 64, 6.531_973), (3, 40, 5.163_978)]
    {
        let layers = format!("  - conv: {{out_channels: 1, kernel: {kernel}, padding: same}}\n").repeat(n);
        let (_, _, facts) = network("[1, 32, 32]", &layers);
        let found = facts.axes[0].effective.expect("taps").std;
        assert!((found - std).abs() < 1e-6, "{kernel} x {n}: {found}");
    }
    // with strides and dilations each term is multiplied by jump^2 dilation^2
    let layers = "  - conv: {out_channels: 1, kernel: 3, stride: 2}
  - conv: {out_channels: 1, kernel: 5, dilation: 2, stride: 2}
  - conv: {out_channels: 1, kernel: 2, dilation: 3}
";
    let (_, _, facts) = network("[1, 64, 64]", layers);
    let expected = (8.0 / 12.0 + 4.0 * 4.0 * 24.0 / 12.0 + 16.0 * 9.0 * 3.0 / 12.0_f64).sqrt();
    let effective = facts.axes[0].effective.expect("taps");
    assert!((effective.std - expected).abs() < 1e-9);
    assert!((effective.share - (4.0 * expected / facts.axes[0].size as f64).min(1.0)).abs() < 1e-9);
}

#[test]
fn causal_stacks_are_aligned_by_their_end() {
    for name in ["tcn", "wavenet"] {
        let graph = cnnkit::Network::load(&format!("zoo:{name}")).expect("a network").graph;
        let fields = analyse(&graph, Options::default()).expect("fields");
        assert!(fields.misaligned.is_empty(), "{name}: {:?}", fields.misaligned);
    }
    // One step of look-ahead on one path is a misalignment again.
    let late = "  - conv: {out_channels: 1, kernel: 3, padding: [[1, 1]]}\n    id: a
  - {from: input, conv: {out_channels: 1, kernel: 5, padding: causal}, id: b}
  - add: [a, b]";
    let (_, fields, facts) = network("[1, 32]", late);
    assert!(!facts.aligned);
    assert_eq!(fields.misaligned[0].offset().to_integer(), 2);
}
