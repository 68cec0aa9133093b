//! Networks that once made a claim fail, and what is to be claimed about them.

mod found;

use cnnkit::verify::{Analysis, Effort, Kind, Options};

use super::{broken, load, measure};
use found::CASES;

#[test]
fn what_was_found_stays_fixed() {
    for (name, yaml, kinds) in CASES {
        let outcome = measure(&load(yaml), &Analysis, &Options::default());
        assert!(outcome.ok(), "{name}:{yaml}\n{}", broken(&outcome));
        for kind in *kinds {
            let made = outcome.claims.iter().any(|claim| claim.claim == *kind);
            assert!(made, "{name}: no claim about {kind:?}; {:?}", outcome.notes);
        }
    }
}

/// The claim about dead weights as it is written.
fn dead(yaml: &str) -> String {
    let outcome =
        measure(&load(yaml), &Analysis, &Options { only: vec![Kind::DeadWeights], ..Options::default() });
    assert!(outcome.ok(), "{}", broken(&outcome));
    outcome.claims[0].predicted.clone()
}

/// Chen et al. 2017, section 3.3: at a rate as large as the map, a 3x3 kernel is a 1x1 kernel. By hand: 8 of its 9 taps, for
/// each pair of an output and an input channel (the claim is made with as few channels as possible).
#[test]
fn idle_taps_are_named_and_counted() {
    let rate = |rate: u64| {
        dead(&format!(
            "{{input: [1, 7, 7], layers: [{{id: atrous, conv: {{out_channels: 1, kernel: 3, dilation: {rate}, padding: {rate}}}}}]}}"
        ))
    };
    assert_eq!(rate(6), "none");
    assert_eq!(rate(7), "8 of 9 elements of atrous.weight");
    let stride = "{input: [1, 4], layers: [{id: edge, conv: {out_channels: 1, kernel: 2, padding: [[1, 0]], stride: 8}}]}";
    assert_eq!(dead(stride), "1 of 2 elements of edge.weight");
}

/// Pooling after a crop is global over the crop, which has a size and a place: conv 3x3 around the middle 8 of 24.
#[test]
fn a_crop_is_not_the_whole_input() {
    use cnnkit::analysis::field::{Interval, Options, analyse};
    let facts = |layers: &str| {
        let graph = load(&format!("{{input: [2, 24, 24], layers: [{layers}, global_avg_pool: {{}}]}}"));
        let fields = analyse(&graph, Options::default()).expect("small");
        fields.facts(&graph, graph.outputs()[0]).expect("small").remove(0)
    };
    let cropped = facts("conv: {out_channels: 2, kernel: 3, padding: 1}, crop: {size: 8}");
    assert!(!cropped.global);
    assert_eq!(cropped.axes[1].middle, Some(Interval { lo: 7, hi: 16 }));
    assert_eq!(cropped.axes[1].size, 10);
    // One column less is a part; the border that a stride leaves unread is not.
    assert!(!facts("slice: {axis: 2, start: 1}").global);
    assert!(facts("slice: {axis: 2, start: 1, step: 2}").global);
    assert!(facts("max_pool: {kernel: 2, stride: 5}").global);
    // A convolution reads again what the crop removed.
    assert!(facts("conv: {out_channels: 2, kernel: 3, padding: 1}, crop: {amount: 1}").global);
}

/// Zeros of a pad layer that stay zero are padding: at a rate of the map's size, 8 of 9 taps read nothing else.
#[test]
fn zeros_of_a_pad_layer_are_padding() {
    let behind = |layers: &str, conv: &str| {
        dead(&format!(
            "{{input: [1, 7, 7], layers: [{layers}, {{id: atrous, conv: {{out_channels: 1, kernel: 3, dilation: 7{conv}}}}}]}}"
        ))
    };
    let idle = "8 of 9 elements of atrous.weight";
    assert_eq!(behind("pad: {padding: 7}", ""), idle);
    assert_eq!(behind("pad: {padding: 3}, pad: {padding: 3}, relu: {}, pad: {padding: 1}", ""), idle);
    assert_eq!(behind("pad: {padding: 9}, crop: {amount: 2}", ""), idle);
    assert_eq!(behind("pad: {padding: 2}", ", padding: 5"), idle);
    // Other values are read, and a sigmoid, a bias or a mirrored border turn zeros into values.
    assert_eq!(behind("pad: {padding: 7, value: 0.5}", ""), "none");
    assert_eq!(behind("pad: {padding: 7}, sigmoid: {}", ""), "none");
    assert_eq!(behind("pad: {padding: 7}, conv: {out_channels: 1, kernel: 1}", ""), "none");
    assert_eq!(behind("pad: {padding: 6, mode: reflect}, pad: {padding: 1}", ""), "none");
    assert_eq!(behind("pad: {padding: 1}", ", padding: 6, padding_mode: reflect"), "none");
    // The channel that is padded and the one that is not, each with its own taps.
    let concat = "{input: [1, 3], layers: [{id: far, pad: {padding: [[3, 0]]}}, {id: near, from: input, pad: {padding: [[0, 3]]}}, \
                  {from: [far, near], concat: {}}, {id: two, conv: {out_channels: 2, kernel: 2, stride: 3, groups: GROUPS}}]}";
    assert_eq!(dead(&concat.replace("GROUPS", "1").replace("kernel: 2", "kernel: 3")), "none");
    let first =
        "{input: [1, 3], layers: [pad: {padding: [[3, 0]]}, {id: linear, linear: {out_features: 2}}]}";
    assert_eq!(dead(first), "6 of 12 elements of linear.weight");
    assert_eq!(
        dead(
            "{input: [1, 3], layers: [pad: {padding: [[3, 0]]}, {id: up, conv_transpose: {out_channels: 1, kernel: 3}}, slice: {axis: 1, end: 4}]}"
        ),
        "2 of 3 elements of up.weight"
    );
}

/// The bound on samples is measured as a bound: a claimed reach of one pixel less is found out.
#[test]
fn samples_beyond_their_claimed_reach_are_found_out() {
    use cnnkit::analysis::field::Interval;
    use cnnkit::diagnostic::Problem;
    use cnnkit::graph::{Graph, NodeId};
    use cnnkit::verify::{Box, Predict};

    struct Nearer(i128);

    impl Predict for Nearer {
        fn reachable(
            &self,
            graph: &Graph,
            node: NodeId,
            input: NodeId,
            unit: &[i128],
        ) -> Result<Option<Box>, Problem> {
            let spans = Analysis.reachable(graph, node, input, unit)?;
            let less = |span: Interval| Interval { lo: span.lo + self.0, hi: span.hi - self.0 };
            Ok(spans.map(|spans| spans.into_iter().map(|span| span.map(less)).collect()))
        }
    }

    let graph = load(
        "{input: [1, 24, 24], layers: [deform_conv: {out_channels: 1, kernel: 3, padding: 1, max_offset: 2}]}",
    );
    let options = Options { only: vec![Kind::Perturbation], ..Options::default() };
    let verdict = |predict: &(dyn Predict + Sync)| measure(&graph, predict, &options).ok();
    assert!(verdict(&Nearer(0)));
    assert!(!verdict(&Nearer(1)));
}

/// The network of the case `name`.
fn case(name: &str) -> &'static str {
    CASES.iter().find(|case| case.0 == name).expect("a case").1
}

/// Boxes of picked channels are those of these channels alone, or called a bound.
#[test]
fn boxes_behind_a_slice() {
    use cnnkit::analysis::field::{Options, analyse};
    let graph = load(case("half of a concat has the field of that half"));
    let fields = analyse(&graph, Options::default()).expect("small");
    let facts = |id: &str| {
        let node = graph.find(id).expect("a node");
        fields.facts(&graph, node).expect("small").remove(0)
    };
    let size = |id: &str| facts(id).axes[0].size;
    // The concat reads 7; its first half 1, and 3 with the convolution after it; half of the shuffled concat all 7.
    assert_eq!([size("both"), size("half"), size("local"), size("mixed")], [7, 1, 3, 7]);
    assert!(["both", "half", "local", "mixed"].iter().all(|id| !facts(id).bound));
    let graph = load(case("a slice of an unshuffled map reads some positions of each cell"));
    let fields = analyse(&graph, Options::default()).expect("small");
    assert!(fields.facts(&graph, graph.outputs()[0]).expect("small")[0].bound);
}

/// A weight that is an input is read tap by tap: those that fall on padding are not, and each phase of a transposed
/// convolution reads its own.
#[test]
fn taps_of_a_weight_that_is_an_input_are_exact() {
    for (inputs, layer, more) in [
        (
            "map: [3, 4, 4], weight: [3, 2, 3, 3]",
            "transposed: true, stride: 2, padding: 1, output_padding: 1",
            "",
        ),
        (
            "map: [4, 5, 5], weight: [4, 1, 3, 3]",
            "groups: depthwise, padding: same",
            "  - slice: {axis: 1, start: 0, end: 1}\n",
        ),
        ("map: [4, 5], weight: [4, 3, 2]", "transposed: true, stride: 2, groups: 2", ""),
        (
            "map: [2, 6], weight: [3, 2, 4]",
            "stride: 3, dilation: 2, padding: 5",
            "  - avg_pool: {kernel: 2, stride: 1}\n",
        ),
    ] {
        let yaml = format!(
            "input: {{{inputs}}}\nlayers:\n  - {{from: [map, weight], dynamic_conv: {{{layer}}}}}\n{more}"
        );
        let only = vec![Kind::Support, Kind::ReceptiveField, Kind::Perturbation];
        let options = Options { only, effort: Effort::Fast, ..Options::default() };
        let outcome = measure(&load(&yaml), &Analysis, &options);
        assert!(outcome.ok(), "{yaml}\n{}", broken(&outcome));
        let sets = outcome.claims.iter().filter(|claim| claim.claim == Kind::Support).count();
        assert!(sets >= 4, "{yaml}: {sets} sets");
    }
}
