//! An analyser that tells one lie.

use cnnkit::analysis::deployment::Plan;
use cnnkit::analysis::field::{Facts, Interval, Jump};
use cnnkit::analysis::gridding::Stack;
use cnnkit::analysis::sizes::Trial;
use cnnkit::analysis::streaming::Streaming;
use cnnkit::analysis::support::{Borders, Region, Set};
use cnnkit::analysis::tiling::{Options, Tiling};
use cnnkit::diagnostic::Problem;
use cnnkit::graph::{Graph, NodeId};
use cnnkit::shape::Shape;
use cnnkit::verify::{Analysis, Coverage, Kind, Predict};
use num_bigint::BigUint;

/// One figure each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lie {
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
    MarginOneStepMore,
    MarginOneStepLess,
    LookAheadOneMore,
    LookAheadOneLess,
    OneUnitKeptMore,
    ArenaOneMore,
    ArenaOneLess,
    ATensorReadLess,
}

pub(super) const LIES: &[(Lie, &[Kind])] = &[
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
    (Lie::MarginOneStepMore, &[Kind::Tiles]),
    (Lie::MarginOneStepLess, &[Kind::Tiles]),
    (Lie::LookAheadOneMore, &[Kind::Chunks]),
    (Lie::LookAheadOneLess, &[Kind::Chunks]),
    (Lie::OneUnitKeptMore, &[Kind::Chunks]),
    (Lie::ArenaOneMore, &[Kind::Arena]),
    (Lie::ArenaOneLess, &[Kind::Arena]),
    (Lie::ATensorReadLess, &[Kind::Kept]),
];

/// Tells `lie` about the node named `at`, or about the whole network.
pub(super) struct Liar {
    pub(super) lie: Lie,
    pub(super) at: &'static str,
}

impl Liar {
    pub(super) fn tells(&self, lie: Lie) -> bool {
        self.lie == lie
    }

    pub(super) fn about(&self, graph: &Graph, node: NodeId) -> bool {
        graph.node(node).id == self.at
    }
}

/// `region` and one more position, or without one, or moved.
pub(super) fn united(region: &Region, more: [i128; 2]) -> Region {
    let sets = region.products().into_iter().chain([more.map(|at| Set::interval(at, at)).to_vec()]);
    positions(&sets.collect::<Vec<_>>())
}

/// The union of single rows, without the library's own union.
pub(super) fn positions(products: &[Vec<Set>]) -> Region {
    let budget = cnnkit::analysis::support::Budget::default();
    products.iter().fold(Region::empty(2), |all, product| {
        all.union(&Region::product(product), &budget).expect("a small region")
    })
}

/// All elements of a tensor with these sizes but the last.
pub(super) fn all_but_last(sizes: &[u64]) -> Region {
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

pub(super) fn without_last(region: &Region) -> Region {
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
    fn tiling(&self, trial: &dyn Trial, options: &Options) -> Result<Tiling, Problem> {
        let mut tiling = Analysis.tiling(trial, options)?;
        let more = match self.lie {
            Lie::MarginOneStepMore => true,
            Lie::MarginOneStepLess => false,
            _ => return Ok(tiling),
        };
        let Some(schedule) = &mut tiling.schedule else { return Ok(tiling) };
        for ((axis, spans), size) in tiling.axes.iter_mut().zip(&mut schedule.spans).zip(&schedule.image) {
            let by = axis.step;
            let change = |margin: u64| if more { margin + by } else { margin.saturating_sub(by) };
            axis.margin = axis.margin.map(|margin| margin.map(change));
            for span in spans {
                let [start, end] = span.read;
                if start > 0 {
                    span.read[0] = if more { start.saturating_sub(by) } else { start + by };
                }
                if end < *size {
                    span.read[1] = if more { (end + by).min(*size) } else { end - by };
                }
            }
        }
        Ok(tiling)
    }

    fn streaming(&self, trial: &dyn Trial) -> Result<Streaming, Problem> {
        let mut streaming = Analysis.streaming(trial)?;
        if let Some(plan) = &mut streaming.plan {
            match self.lie {
                Lie::LookAheadOneMore => plan.look_ahead += 1,
                Lie::LookAheadOneLess => plan.look_ahead -= 1,
                Lie::OneUnitKeptMore => plan.kept[0].elements += 1,
                _ => {}
            }
        }
        Ok(streaming)
    }

    fn plan(&self, graph: &Graph) -> Plan {
        let mut plan = Analysis.plan(graph);
        match self.lie {
            Lie::ArenaOneMore => plan.arena.bytes += 1,
            Lie::ArenaOneLess => plan.arena.bytes -= 1,
            _ => {}
        }
        plan
    }

    fn read_by_gradients(&self, graph: &Graph) -> Vec<bool> {
        let mut read = Analysis.read_by_gradients(graph);
        // The input of the first convolution: that of a max pool of single elements would not be missed.
        if self.lie == Lie::ATensorReadLess {
            let first = read.iter().position(|&read| read).expect("a tensor");
            read[first] = false;
        }
        read
    }

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
