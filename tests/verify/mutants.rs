//! A mutated analyser: one figure is wrong by the smallest possible amount, everything else is right. The
//! claim about that figure must fail, and no unrelated claim may.

mod liar;

use std::collections::BTreeSet;

use cnnkit::analysis::gridding::Gridding;
use cnnkit::analysis::gridding::Stack;
use cnnkit::diagnostic::Problem;
use cnnkit::exec::reference::{Call, Counter};
use cnnkit::exec::run::{Kernels, Reference};
use cnnkit::exec::tensor::Tensor;
use cnnkit::graph::Op;
use cnnkit::layers::Layer;
use cnnkit::report::Report;
use cnnkit::report::gridding::{self, GriddingSummary};
use cnnkit::report::verify::Measured;
use cnnkit::verify::gridding::claims;
use cnnkit::verify::{Analysis, Kind, Options, Outcome, Predict, numerics};

use super::{broken, load, measure};
use liar::{LIES, Liar, Lie};

/// Holes in the field, groups that stay apart, running statistics, strides, a shortcut, a layer that nothing reads, and
/// data-dependent sampling; no gate.
const HOLES: &str = "
input: [4, 25, 25]
layers:
  - {id: stem, conv: {out_channels: 4, kernel: 3, padding: 2, dilation: 2, groups: 2, bias: false}}
  - batch_norm: {}
  - relu: {}
  - {id: second, conv: {out_channels: 4, kernel: 3, padding: 2, dilation: 2, groups: 2}}
  - {id: pool, max_pool: {kernel: 1, stride: 2}}
  - {id: last, conv: {out_channels: 6, kernel: 3, padding: 2, dilation: 2, groups: 2}}
  - {from: stem, id: unused, conv: {out_channels: 2, kernel: 1}}
outputs: [last]
";

/// A gate whose statistics reach everything, and a global output after it.
const GATES: &str = "
input: [4, 24, 24]
layers:
  - {id: stem, conv: {out_channels: 4, kernel: 3, padding: 1}}
  - {id: gate, squeeze_excite: {reduction: 2}}
  - {id: local, conv: {out_channels: 4, kernel: 3, stride: 2, padding: 1}}
  - {id: pool, global_avg_pool: {}}
  - {id: head, linear: {out_features: 3}}
outputs: [local, head]
";

/// Two inputs, of which one output reads one only.
const TWO: &str = "
input: {a: [3, 16, 16], b: [3, 16, 16]}
layers:
  - {from: a, id: one, conv: {out_channels: 4, kernel: 3, padding: 1}}
  - {from: b, id: other, conv: {out_channels: 4, kernel: 3, padding: 1}}
  - {id: both, from: [one, other], add: {}}
outputs: [one, both]
";

/// Samples at data-dependent positions.
const SAMPLED: &str = "
input: [4, 12, 12]
layers:
  - {id: deform, deform_conv: {out_channels: 4, kernel: 3, padding: 1}}
";

/// A sequence, with padding on both sides.
const SEQUENCE: &str = "
input: [2, 48]
layers:
  - {id: stem, conv: {out_channels: 2, kernel: 3, padding: 1}}
  - {id: last, conv: {out_channels: 2, kernel: 3, stride: 2, padding: 1}}
";

/// Returns the network in which a mutation shows, and the node that it changes.
fn stage(lie: Lie) -> (&'static str, &'static str) {
    match lie {
        Lie::OneSamplingMacMore => (SAMPLED, "deform"),
        Lie::AFieldTooMany => (TWO, "one"),
        Lie::ContextHidden => (GATES, "local"),
        Lie::NotCalledGlobal => (GATES, "head"),
        Lie::LookAheadOneMore | Lie::LookAheadOneLess | Lie::OneUnitKeptMore => (SEQUENCE, "last"),
        _ => (HOLES, "last"),
    }
}

#[test]
fn the_truth_passes() {
    for yaml in [HOLES, GATES, TWO, SAMPLED, SEQUENCE] {
        let graph = load(yaml);
        let outcome = measure(&graph, &Analysis, &Options::default());
        assert!(outcome.ok(), "{}", broken(&outcome));
        assert_eq!(outcome.notes, Vec::<String>::new(), "{yaml}");
    }
    // Each kind of claim occurs somewhere; techniques have a separate test.
    let made: BTreeSet<String> = [HOLES, GATES, SEQUENCE]
        .iter()
        .flat_map(|yaml| measure(&load(yaml), &Analysis, &Options::default()).claims)
        .map(|claim| format!("{:?}", claim.claim))
        .collect();
    let all: BTreeSet<String> =
        <Kind as clap::ValueEnum>::value_variants().iter().map(|kind| format!("{kind:?}")).collect();
    let missing: Vec<&String> = all.difference(&made).collect();
    assert_eq!(missing, ["Technique"]);
}

#[test]
fn every_lie_is_caught_by_its_claim_and_by_no_other() {
    let mut survivors = Vec::new();
    for &(lie, expected) in LIES {
        let (yaml, at) = stage(lie);
        let graph = load(yaml);
        let outcome = measure(&graph, &Liar { lie, at }, &Options::default());
        let caught: BTreeSet<String> = outcome
            .claims
            .iter()
            .filter(|claim| !claim.ok)
            .map(|claim| format!("{:?}", claim.claim))
            .collect();
        let expected: BTreeSet<String> = expected.iter().map(|kind| format!("{kind:?}")).collect();
        if caught != expected {
            survivors
                .push(format!("{lie:?}: caught by {caught:?} instead of {expected:?}\n{}", broken(&outcome)));
        }
        for claim in outcome.claims.iter().filter(|claim| !claim.ok) {
            assert_ne!(claim.predicted, claim.measured, "{lie:?}: the difference is not said");
        }
    }
    assert!(survivors.is_empty(), "{}", survivors.join("\n\n"));
}

#[test]
fn every_lie_is_told() {
    let told: BTreeSet<Lie> = LIES.iter().map(|(lie, _)| *lie).collect();
    assert_eq!(told.len(), LIES.len());
    // The last of the enumeration: a new mutation must be listed.
    assert_eq!(told.len(), Lie::ATensorReadLess as usize + 1);
}

/// `gridding --verify` and `hdc-check --verify` make these claims; a report with a false claim fails.
#[test]
fn a_report_fails_with_its_claims() {
    let stack = Stack::uniform(3, &[2, 2, 2], 2).expect("valid");
    let report = |predict: &(dyn Predict + Sync)| {
        let claims = claims(&stack, predict).expect("small").expect("narrow");
        let facts = Gridding::of(&stack).expect("small");
        let mut summary = GriddingSummary::of(&stack, &facts, gridding::Options::default()).expect("small");
        summary.verify = Some(Measured::of(claims));
        let report = Report::of(summary);
        (report.ok, report.json.value()["verify"]["ok"].clone())
    };
    assert_eq!(report(&Analysis), (true, true.into()));
    for lie in
        [Lie::OneWayMore, Lie::AWayIntoAHole, Lie::OneCoveredMore, Lie::AnotherGap, Lie::SubGridsDenied]
    {
        assert_eq!(report(&Liar { lie, at: "" }), (false, false.into()), "{lie:?}");
    }
}

/// Kernels that are the definition, but for one element of one layer.
struct Off {
    layer: &'static str,
    by: f32,
}

impl Kernels<f32> for Off {
    fn forward(
        &self,
        layer: &Layer,
        call: Call<'_, f32>,
        counter: &mut Counter,
    ) -> Result<Tensor<f32>, Problem> {
        let mut output = Reference.forward(layer, call, counter)?;
        if layer.doc().name == self.layer {
            let last = output.len() - 1;
            output.data_mut()[last] += self.by;
        }
        Ok(output)
    }
}

/// Convolutions of each way to be cut, and a linear layer on positions.
const WIDE: &str = "
input: [12, 9, 9]
layers:
  - conv: {out_channels: 36, kernel: 3, padding: 1}
  - batch_norm
  - relu
  - conv: {out_channels: 48, kernel: 3, padding: 1, groups: 6}
  - conv: {out_channels: 48, kernel: 5, padding: same, groups: depthwise}
  - conv: {out_channels: 40, kernel: [3, 1], bias: false}
  - max_pool: {kernel: 2}
  - flatten: {start_axis: 1}
  - linear: {out_features: 30}
";

/// Whole, and with the fewest channels of each layer that are ever looked at.
#[test]
fn wrong_kernels_are_found_out() {
    let options = Options::default();
    for (spec, share) in [(HOLES, 1.0), (WIDE, 1.0), (WIDE, 0.0)] {
        let graph = load(spec);
        let run = |kernels: &Off| {
            let mut outcome = Outcome::default();
            numerics::kernels(&graph, kernels, share, &options, &mut outcome).expect("it runs");
            assert_eq!(outcome.claims.len(), 1);
            outcome
        };
        let truth = run(&Off { layer: "conv", by: 0.0 });
        assert!(truth.ok(), "{:?}", truth.claims);
        let layers = graph.iter().filter_map(|(_, node)| match &node.op {
            Op::Layer(layer) => Some(layer.doc().name),
            Op::Input => None,
        });
        for layer in layers.collect::<BTreeSet<_>>() {
            assert!(!run(&Off { layer, by: 1e-4 }).ok(), "{layer}");
            assert!(!run(&Off { layer, by: f32::NAN }).ok(), "{layer}");
        }
    }
}

/// Elements that the definition computes: all, or 4 channels or groups of each layer.
#[test]
fn an_excerpt_is_as_small_as_it_says() {
    let graph = load(WIDE);
    let elements = |share: f64| {
        let mut outcome = Outcome::default();
        numerics::kernels(&graph, &Reference, share, &Options::default(), &mut outcome).expect("it runs");
        let method = outcome.claims[0].method.clone();
        method.split(" elements").next().and_then(|text| text.rsplit(' ').next()?.parse::<u64>().ok())
    };
    let whole: u64 = 81 * (3 * 36 + 48 + 48) + 63 * 40 + 12 * 40 * 2 + 40 * 30;
    assert_eq!(elements(1.0), Some(whole));
    // 4 channels; 4 of 6 groups of 8 channels; 4 of 48 groups of 1; a flatten is done whole.
    let cut = 81 * (3 * 4 + 32 + 4) + 63 * 4 + 12 * 4 + 12 * 40 + 40 * 4;
    assert_eq!(elements(0.0), Some(cut));
}

/// Figures of the graph, changed without the analysis: the executor counts independently. `falsify` is in no release build.
#[cfg(debug_assertions)]
#[test]
fn a_graph_that_states_wrong_figures_is_found_out() {
    use cnnkit::graph::Graph;
    use cnnkit::shape::Shape;

    let wrong = |change: &dyn Fn(&mut Graph), expected: Kind| {
        let mut graph = load(HOLES);
        change(&mut graph);
        let options = Options { only: vec![expected], ..Options::default() };
        let outcome = measure(&graph, &Analysis, &options);
        assert!(!outcome.ok(), "{expected:?} passes");
    };
    let last = load(HOLES).find("last").expect("the node");
    wrong(&|graph| graph.falsify(last, |_, cost| cost.macs += 1), Kind::Macs);
    wrong(&|graph| graph.falsify(last, |_, cost| cost.sampling_macs += 1), Kind::Macs);
    wrong(
        &|graph| {
            graph.falsify(last, |shape, _| {
                let mut sizes = shape.sizes().to_vec();
                sizes[1] += 1;
                *shape = Shape::new(sizes);
            });
        },
        Kind::Shapes,
    );
}

#[test]
fn tolerance_forgives_counts_and_nothing_else() {
    let graph = load(HOLES);
    let options = Options { tolerance: 0.01, ..Options::default() };
    for (lie, forgiven) in [
        (Lie::OneParameterMore, true),
        (Lie::OneMacMore, true),
        (Lie::SizeOneMore, false),
        (Lie::OneWayMore, false),
    ] {
        assert_eq!(measure(&graph, &Liar { lie, at: "last" }, &options).ok(), forgiven, "{lie:?}");
    }
}
