//! Maps units of feature maps to input boxes and back, as anchor boxes require.

use super::family::too_large;
use super::{Field, Fields, Interval, Piece};
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, NodeId};

/// Indices of the first axis that are looked at from each end.
const MOST: i128 = 1 << 12;

impl Fields {
    /// Returns the input box of the unit `unit` of `node` (one index per spatial axis of the node): one interval per
    /// spatial axis of `input`, not clipped; `None` where the unit reads nothing.
    pub fn input_box(
        &self,
        graph: &Graph,
        node: NodeId,
        input: NodeId,
        unit: &[i128],
    ) -> Result<Vec<Option<Interval>>, Problem> {
        let field = self.dependence(graph, node, input)?;
        let mut index: Vec<i128> = std::iter::once(0).chain(unit.iter().copied()).collect();
        let sizes = graph.node(input).shape.spatial();
        let channels = i128::from(graph.node(node).shape.channels());
        let boxes = field.axes.iter().zip(sizes).map(|(axis, &size)| {
            if axis.whole {
                Some(Some(Interval { lo: 0, hi: i128::from(size) - 1 }))
            } else {
                // Where positions lie along the node's first axis (channels last), a unit has all of them.
                let over = if axis.union.iter().any(|piece| piece.by == Some(0)) { channels } else { 1 };
                let ends = (0..over.min(MOST)).chain((over - MOST).max(0)..over);
                ends.map(|first| {
                    index[0] = first;
                    axis.hull(&index)
                })
                .try_fold(None, |all: Option<Interval>, one| {
                    let one = one?;
                    Some(all.map_or(one, |all| Some(one.map_or(all, |one| all.hull(one)))))
                })
            }
        });
        boxes.collect::<Option<Vec<_>>>().ok_or_else(too_large)
    }

    /// Returns the units of `node` whose boxes intersect `region` of `input` (one interval per axis): one interval of
    /// unit indices per spatial axis of the node, inside the map. `None` if there is no such unit.
    pub fn units_seeing(
        &self,
        graph: &Graph,
        node: NodeId,
        input: NodeId,
        region: &[Interval],
    ) -> Result<Option<Vec<Interval>>, Problem> {
        let field = self.dependence(graph, node, input)?;
        let extents = graph.node(node).shape.sizes();
        let whole = |&size: &u64| Interval { lo: 0, hi: i128::from(size) - 1 };
        let mut units: Vec<Interval> = extents.iter().map(whole).collect();
        for (axis, wanted) in field.axes.iter().zip(region) {
            // A fixed piece intersects for every unit or for none; moving pieces restrict the units.
            let fixed = axis.whole
                || axis.union.iter().any(|piece| {
                    piece.by.is_none()
                        && matches!(piece.family.at(0), Some(Some(span)) if span.lo <= wanted.hi && span.hi >= wanted.lo)
                });
            if fixed {
                continue;
            }
            let mut drivers: Vec<usize> = axis.union.iter().filter_map(|piece| piece.by).collect();
            drivers.dedup();
            match drivers[..] {
                [] => return Ok(None),
                [by] => {
                    let mut meeting: Option<Interval> = None;
                    for piece in axis.union.iter().filter(|piece| piece.by == Some(by)) {
                        let more = meets(piece, *wanted, extents[by]).ok_or_else(too_large)?;
                        meeting = match (meeting, more) {
                            (Some(a), Some(b)) => Some(a.hull(b)),
                            (a, b) => a.or(b),
                        };
                    }
                    let Some(meeting) = meeting else { return Ok(None) };
                    let both =
                        Interval { lo: units[by].lo.max(meeting.lo), hi: units[by].hi.min(meeting.hi) };
                    if both.lo > both.hi {
                        return Ok(None);
                    }
                    units[by] = both;
                }
                // Two input axes follow this one: for every unit of one there is a unit of the other.
                _ => {}
            }
        }
        Ok(Some(units.split_off(1.min(units.len()))))
    }

    fn dependence(&self, graph: &Graph, node: NodeId, input: NodeId) -> Result<&Field, Problem> {
        self.of(node, input).ok_or_else(|| {
            let (node, input) = (&graph.node(node).id, &graph.node(input).id);
            Problem::new(Code::Reference, format!("`{node}` does not depend on the input `{input}`"))
        })
    }
}

/// Returns the hull of the units of one piece, inside the map, whose boxes intersect `wanted`.
fn meets(piece: &Piece<Interval>, wanted: Interval, extent: u64) -> Option<Option<Interval>> {
    let family = &piece.family;
    let last = i128::from(extent) - 1;
    let mut all: Option<Interval> = None;
    for (phase, span) in (0i128..).zip(&family.phases) {
        let Some(span) = span else { continue };
        if family.shift == 0 {
            if span.lo <= wanted.hi && span.hi >= wanted.lo {
                return Some(Some(Interval { lo: 0, hi: last }));
            }
            continue;
        }
        // hi + q * shift >= wanted.lo and lo + q * shift <= wanted.hi, and the unit is on the map.
        let from = -(span.hi.checked_sub(wanted.lo)?).div_euclid(family.shift);
        let to = wanted.hi.checked_sub(span.lo)?.div_euclid(family.shift);
        let from = from.max(0);
        let to = to.min((last - phase).div_euclid(family.period));
        if from <= to {
            let met = Interval { lo: phase + from * family.period, hi: phase + to * family.period };
            all = Some(all.map_or(met, |all| all.hull(met)));
        }
    }
    Some(all)
}
