//! A mutated analyser: one figure is wrong by the smallest possible amount, everything else is right. The
//! claim about that figure must fail, and no unrelated claim may.

use std::collections::BTreeSet;

use cnnkit::analysis::field::{Facts, Interval, Jump};
use cnnkit::analysis::gridding::Gridding;
use cnnkit::analysis::gridding::Stack;
use cnnkit::analysis::support::{Borders, Region, Set};
use cnnkit::diagnostic::Problem;
use cnnkit::exec::reference::{Call, Counter};
use cnnkit::exec::run::{Kernels, Reference};
use cnnkit::exec::tensor::Tensor;
use cnnkit::graph::{Graph, NodeId, Op};
use cnnkit::layers::Layer;
use cnnkit::report::Report;
use cnnkit::report::gridding::{self, GriddingSummary};
use cnnkit::report::verify::Measured;
use cnnkit::shape::Shape;
use cnnkit::verify::gridding::claims;
use cnnkit::verify::{Analysis, Coverage, Kind, Options, Outcome, Predict, numerics};
use num_bigint::BigUint;

use super::{broken, load, measure};

/// One figure each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lie {
    OneParameterMore,
    OneParameterLess,
    OneBufferMore,
    ADeadWeightMore,
    ADeadWeightHidden,
    AnIdleElementMore,
    AnotherShape,
    AMissingShape,
    OneMacMore,
    OneMacLess,
    MacsOfTwoNodesSwapped,
    OneSamplingMacMore,
    OneActivationMore,
    OnePeakElementMore,
    AnotherPeakStep,
    NoPeak,
    SizeOneMore,
    SizeOneLess,
    OneAxisOneMore,
    AnotherJump,
    AnotherStart,
    AnotherEnd,
    AnotherMiddle,
    AnotherShare,
    CalledGlobal,
    NotCalledGlobal,
    NoField,
    AFieldTooMany,
    ContextHidden,
    ContextInvented,
    OnePositionMore,
    OnePositionLess,
    OneHoleFilled,
    MovedByOne,
    OnePositionMoreAtTheBorder,
    OneChannelMore,
    OneChannelLess,
    AChannelRowTooMany,
    NoChannels,
    OneWayMore,
    AWayIntoAHole,
    OnePositionOfTheBoxLess,
    OneCoveredMore,
    AnotherGap,
    AnotherNumberOfSubGrids,
    SubGridsDenied,
}

const LIES: &[(Lie, &[Kind])] = &[
    (Lie::OneParameterMore, &[Kind::Parameters]),
    (Lie::OneParameterLess, &[Kind::Parameters]),
    (Lie::OneBufferMore, &[Kind::Parameters]),
    (Lie::ADeadWeightMore, &[Kind::DeadWeights]),
    (Lie::ADeadWeightHidden, &[Kind::DeadWeights]),
    (Lie::AnIdleElementMore, &[Kind::DeadWeights]),
    (Lie::AnotherShape, &[Kind::Shapes]),
    (Lie::AMissingShape, &[Kind::Shapes]),
    (Lie::OneMacMore, &[Kind::Macs]),
    (Lie::OneMacLess, &[Kind::Macs]),
    (Lie::MacsOfTwoNodesSwapped, &[Kind::Macs]),
    (Lie::OneSamplingMacMore, &[Kind::Macs]),
    (Lie::OneActivationMore, &[Kind::Memory]),
    (Lie::OnePeakElementMore, &[Kind::Memory]),
    (Lie::AnotherPeakStep, &[Kind::Memory]),
    (Lie::NoPeak, &[Kind::Memory]),
    (Lie::SizeOneMore, &[Kind::ReceptiveField]),
    (Lie::SizeOneLess, &[Kind::ReceptiveField]),
    (Lie::OneAxisOneMore, &[Kind::ReceptiveField]),
    (Lie::AnotherJump, &[Kind::ReceptiveField]),
    (Lie::AnotherStart, &[Kind::ReceptiveField]),
    (Lie::AnotherEnd, &[Kind::ReceptiveField]),
    (Lie::AnotherMiddle, &[Kind::ReceptiveField]),
    (Lie::AnotherShare, &[Kind::ReceptiveField]),
    (Lie::CalledGlobal, &[Kind::ReceptiveField]),
    (Lie::NotCalledGlobal, &[Kind::ReceptiveField]),
    (Lie::NoField, &[Kind::ReceptiveField]),
    (Lie::AFieldTooMany, &[Kind::ReceptiveField]),
    (Lie::ContextHidden, &[Kind::Context]),
    (Lie::ContextInvented, &[Kind::Context]),
    // The last position of the claimed field is one of those that are perturbed.
    (Lie::OnePositionMore, &[Kind::Support, Kind::Perturbation]),
    (Lie::OnePositionLess, &[Kind::Support, Kind::Perturbation]),
    (Lie::OneHoleFilled, &[Kind::Support]),
    (Lie::MovedByOne, &[Kind::Support, Kind::Perturbation]),
    (Lie::OnePositionMoreAtTheBorder, &[Kind::Support]),
    (Lie::OneChannelMore, &[Kind::Channels]),
    (Lie::OneChannelLess, &[Kind::Channels]),
    (Lie::AChannelRowTooMany, &[Kind::Channels]),
    (Lie::NoChannels, &[Kind::Channels]),
    (Lie::OneWayMore, &[Kind::Gridding]),
    (Lie::AWayIntoAHole, &[Kind::Gridding]),
    (Lie::OnePositionOfTheBoxLess, &[Kind::Gridding]),
    (Lie::OneCoveredMore, &[Kind::Gridding]),
    (Lie::AnotherGap, &[Kind::Gridding]),
    (Lie::AnotherNumberOfSubGrids, &[Kind::Gridding]),
    (Lie::SubGridsDenied, &[Kind::Gridding]),
];

/// Tells `lie` about the node named `at`, or about the whole network.
struct Liar {
    lie: Lie,
    at: &'static str,
}

impl Liar {
    fn tells(&self, lie: Lie) -> bool {
        self.lie == lie
    }

    fn about(&self, graph: &Graph, node: NodeId) -> bool {
        graph.node(node).id == self.at
    }
}

/// `region` and one more position, or without one, or moved.
fn united(region: &Region, more: [i128; 2]) -> Region {
    let sets = region.products().into_iter().chain([more.map(|at| Set::interval(at, at)).to_vec()]);
    positions(&sets.collect::<Vec<_>>())
}

/// The union of single rows, without the library's own union.
fn positions(products: &[Vec<Set>]) -> Region {
    let budget = cnnkit::analysis::support::Budget::default();
    products.iter().fold(Region::empty(2), |all, product| {
        all.union(&Region::product(product), &budget).expect("a small region")
    })
}

/// All elements of a tensor with these sizes but the last.
fn all_but_last(sizes: &[u64]) -> Region {
    let budget = cnnkit::analysis::support::Budget::default();
    let last = |size: u64| Set::interval(i128::from(size) - 1, i128::from(size) - 1);
    (0..sizes.len()).fold(Region::empty(sizes.len()), |all, axis| {
        // The last index on the axes before this one, any but the last on it.
        let sets = sizes.iter().enumerate().map(|(i, &size)| match i.cmp(&axis) {
            std::cmp::Ordering::Less => last(size),
            std::cmp::Ordering::Equal => Set::below(size - 1),
            std::cmp::Ordering::Greater => Set::below(size),
        });
        all.union(&Region::product(&sets.collect::<Vec<_>>()), &budget).expect("a small region")
    })
}

fn without_last(region: &Region) -> Region {
    let mut products = region.products();
    let last = products.pop().expect("not empty");
    let (rows, columns) = (&last[0], &last[1]);
    let row = rows.hull().expect("a row").hi;
    let column = columns.hull().expect("a column").hi;
    let all = |set: &Set| -> Vec<i128> { set.spans().iter().flat_map(|span| span.lo..=span.hi).collect() };
    for y in all(rows) {
        for x in all(columns).into_iter().filter(|&x| (y, x) != (row, column)) {
            products.push(vec![Set::interval(y, y), Set::interval(x, x)]);
        }
    }
    positions(&products)
}

impl Predict for Liar {
    fn parameters(&self, graph: &Graph) -> (u64, u64) {
        let (params, buffers) = Analysis.parameters(graph);
        match self.lie {
            Lie::OneParameterMore => (params + 1, buffers),
            Lie::OneParameterLess => (params - 1, buffers),
            Lie::OneBufferMore => (params, buffers + 1),
            _ => (params, buffers),
        }
    }

    fn used(&self, graph: &Graph) -> Result<Vec<Vec<Region>>, Problem> {
        let mut used = Analysis.used(graph)?;
        let weight = |id: &str| &graph.node(graph.find(id).expect("the node")).weights[0];
        match self.lie {
            Lie::ADeadWeightMore => {
                used[graph.find("stem").expect("the node").index()][0] =
                    Region::empty(weight("stem").shape.rank());
            }
            Lie::AnIdleElementMore => {
                let at = graph.find("stem").expect("the node").index();
                let sizes = weight("stem").shape.sizes();
                used[at][0] = all_but_last(sizes);
            }
            Lie::ADeadWeightHidden => {
                let dead = graph.find("unused").expect("the node");
                let sizes = weight("unused").shape.sizes();
                used[dead.index()][0] =
                    Region::product(&sizes.iter().map(|&size| Set::below(size)).collect::<Vec<_>>());
            }
            _ => {}
        }
        Ok(used)
    }

    fn shapes(&self, graph: &Graph) -> Vec<Shape> {
        let mut shapes = Analysis.shapes(graph);
        let last = shapes.len() - 1;
        match self.lie {
            Lie::AnotherShape => {
                let mut sizes = shapes[last].sizes().to_vec();
                sizes[0] += 1;
                shapes[last] = Shape::new(sizes);
            }
            Lie::AMissingShape => drop(shapes.pop()),
            _ => {}
        }
        shapes
    }

    fn macs(&self, graph: &Graph) -> Vec<u64> {
        let mut macs = Analysis.macs(graph);
        let at = graph.find(self.at).expect("the node").index();
        match self.lie {
            Lie::OneMacMore => macs[at] += 1,
            Lie::OneMacLess => macs[at] -= 1,
            Lie::MacsOfTwoNodesSwapped => macs.swap(at, 0),
            _ => {}
        }
        macs
    }

    fn sampling(&self, graph: &Graph) -> Vec<u64> {
        let mut sampling = Analysis.sampling(graph);
        if self.tells(Lie::OneSamplingMacMore) {
            sampling[graph.find(self.at).expect("the node").index()] += 1;
        }
        sampling
    }

    fn activations(&self, graph: &Graph) -> u64 {
        Analysis.activations(graph) + u64::from(self.tells(Lie::OneActivationMore))
    }

    fn peak(&self, graph: &Graph) -> Option<(u64, NodeId)> {
        let (elements, step) = Analysis.peak(graph)?;
        match self.lie {
            Lie::OnePeakElementMore => Some((elements + 1, step)),
            Lie::AnotherPeakStep => Some((elements, NodeId::new(step.index() - 1))),
            Lie::NoPeak => None,
            _ => Some((elements, step)),
        }
    }

    fn facts(&self, graph: &Graph, node: NodeId) -> Result<Vec<Facts>, Problem> {
        let mut all = Analysis.facts(graph, node)?;
        if !self.about(graph, node) {
            return Ok(all);
        }
        let Some(facts) = all.first_mut() else { return Ok(all) };
        let moved = |span: Option<Interval>, lo: i128, hi: i128| {
            span.map(|span| Interval { lo: span.lo + lo, hi: span.hi + hi })
        };
        let axis = &mut facts.axes[0];
        match self.lie {
            Lie::SizeOneMore => facts.axes.iter_mut().for_each(|axis| axis.size += 1),
            Lie::SizeOneLess => facts.axes.iter_mut().for_each(|axis| axis.size -= 1),
            Lie::OneAxisOneMore => axis.size += 1,
            Lie::AnotherJump => axis.jump += Jump::new(1, 2),
            Lie::AnotherStart => axis.first = moved(axis.first, -1, 0),
            Lie::AnotherEnd => axis.first = moved(axis.first, 0, 1),
            Lie::AnotherMiddle => axis.middle = moved(axis.middle, 1, 1),
            Lie::AnotherShare => facts.seen *= 1.001,
            Lie::CalledGlobal => facts.global = true,
            Lie::NotCalledGlobal => {
                facts.global = false;
                facts.axes.iter_mut().for_each(|axis| axis.global = false);
            }
            Lie::NoField => all.clear(),
            Lie::AFieldTooMany => {
                let other = graph.inputs().find(|(id, _)| *id != facts.input).expect("two inputs").0;
                let more = Facts { input: other, ..facts.clone() };
                all.push(more);
            }
            Lie::ContextHidden => facts.global_context = false,
            Lie::ContextInvented => facts.global_context = true,
            _ => {}
        }
        Ok(all)
    }

    fn support(
        &self,
        graph: &Graph,
        node: NodeId,
        input: NodeId,
        unit: &[i128],
        borders: Borders,
    ) -> Result<Region, Problem> {
        let region = Analysis.support(graph, node, input, unit, borders)?;
        if !self.about(graph, node) {
            return Ok(region);
        }
        let corner = unit.iter().all(|&index| index == 0);
        let hull = region.hull().expect("it reads something");
        Ok(match self.lie {
            Lie::OnePositionMore if !corner => united(&region, [hull[0].hi + 1, hull[1].lo]),
            Lie::OneHoleFilled if !corner => united(&region, [hull[0].lo + 1, hull[1].lo + 1]),
            Lie::OnePositionMoreAtTheBorder if corner && borders == Borders::Real => {
                united(&region, [hull[0].hi + 1, hull[1].lo])
            }
            Lie::OnePositionLess if !corner => without_last(&region),
            Lie::MovedByOne if !corner => {
                let by_one = |set: &Set| {
                    Set::of(set.spans().iter().map(|s| Interval { lo: s.lo + 1, hi: s.hi + 1 }).collect())
                };
                let all = region.products();
                positions(
                    &all.iter()
                        .map(|product| vec![by_one(&product[0]), product[1].clone()])
                        .collect::<Vec<_>>(),
                )
            }
            _ => region,
        })
    }

    fn channels(
        &self,
        graph: &Graph,
        source: NodeId,
        node: NodeId,
    ) -> Result<Option<Vec<Vec<u64>>>, Problem> {
        let Some(mut all) = Analysis.channels(graph, source, node)? else { return Ok(None) };
        let of = graph.node(source).shape.channels();
        match self.lie {
            Lie::OneChannelMore => {
                let row = &mut all[0];
                let more = (0..of).find(|channel| !row.contains(channel)).expect("groups stay apart");
                row.push(more);
                row.sort_unstable();
            }
            Lie::OneChannelLess => drop(all.last_mut().expect("a channel").pop()),
            Lie::AChannelRowTooMany => all.push(vec![0]),
            Lie::NoChannels => return Ok(None),
            _ => {}
        }
        Ok(Some(all))
    }

    fn multiplicities(&self, stack: &Stack) -> Result<Vec<Vec<BigUint>>, Problem> {
        let mut lines = Analysis.multiplicities(stack)?;
        match self.lie {
            Lie::OneWayMore => lines[0][0] += 1u8,
            Lie::AWayIntoAHole => lines[1][1] += 1u8,
            Lie::OnePositionOfTheBoxLess => drop(lines[1].pop()),
            _ => {}
        }
        Ok(lines)
    }

    fn coverage(&self, stack: &Stack) -> Result<Vec<Coverage>, Problem> {
        let mut axes = Analysis.coverage(stack)?;
        match self.lie {
            Lie::OneCoveredMore => axes[1].covered += 1,
            Lie::AnotherGap => axes[1].max_gap -= 1,
            Lie::AnotherNumberOfSubGrids => axes[1].sub_grids = axes[1].sub_grids.map(|count| count - 1),
            Lie::SubGridsDenied => axes[1].sub_grids = None,
            _ => {}
        }
        Ok(axes)
    }
}

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

/// Returns the network in which a mutation shows, and the node that it changes.
fn stage(lie: Lie) -> (&'static str, &'static str) {
    match lie {
        Lie::OneSamplingMacMore => (SAMPLED, "deform"),
        Lie::AFieldTooMany => (TWO, "one"),
        Lie::ContextHidden => (GATES, "local"),
        Lie::NotCalledGlobal => (GATES, "head"),
        _ => (HOLES, "last"),
    }
}

#[test]
fn the_truth_passes() {
    for yaml in [HOLES, GATES, TWO, SAMPLED] {
        let graph = load(yaml);
        let outcome = measure(&graph, &Analysis, &Options::default());
        assert!(outcome.ok(), "{}", broken(&outcome));
        assert_eq!(outcome.notes, Vec::<String>::new(), "{yaml}");
    }
    // Each kind of claim occurs somewhere; techniques have a separate test.
    let made: BTreeSet<String> = [HOLES, GATES]
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
    assert_eq!(told.len(), Lie::SubGridsDenied as usize + 1);
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
        (report.ok, report.json["verify"]["ok"].clone())
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

/// Figures of the graph, changed without the analysis: the executor counts independently.
#[test]
fn a_graph_that_states_wrong_figures_is_found_out() {
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
