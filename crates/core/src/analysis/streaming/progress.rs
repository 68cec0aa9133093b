//! Progress of a stream: which units of a node can be computed from a prefix of its operands, and which units of the
//! operands later ones still need.

use crate::analysis::along::{Border, Edge};

/// What a layer reads beyond the two ends of an operand along the axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Elements at the start that units which read beyond it need.
    pub start: i128,
    /// Elements at the end that units which read beyond it need.
    pub end: i128,
    /// Units at the end that read only what is known and yet are not there, because the layer cuts them off: a
    /// transposed convolution with padding, a crop. They are held back until more elements come.
    pub cut: i128,
}

/// Returns what `edge` needs at the ends of an operand of `inputs` units, for a node of `outputs` units.
pub fn ends(edge: &Edge, inputs: u64, outputs: u64) -> Option<Ends> {
    let inside = |distance: i128| match edge.border {
        _ if distance <= 0 => 0,
        Border::Padding => 0,
        Border::Mirrored => distance + 1,
        Border::Repeated => 1,
    };
    let after = edge.relation.at(i128::from(outputs) - 1)?.last().unwrap_or(0) - (i128::from(inputs) - 1);
    let ends = Ends { start: inside(-edge.relation.at(0)?.first), end: inside(after), cut: 0 };
    let cut = (ready(edge, ends, i128::from(inputs)) - i128::from(outputs)).max(0);
    Some(Ends { cut, ..ends })
}

/// Returns how many units, from the first on, can be computed if the first `known` units of the operand are.
pub fn ready(edge: &Edge, ends: Ends, known: i128) -> i128 {
    if known <= 0 || known < ends.start {
        return 0;
    }
    let relation = &edge.relation;
    let mut units = i128::MAX;
    for (phase, reads) in (0i128..).zip(&relation.reads) {
        let Some(last) = reads.last() else { continue };
        let rounds = (known - 1 - last).div_euclid(relation.advance);
        units = units.min(phase.saturating_add((rounds + 1).saturating_mul(relation.period)));
    }
    // A relation in which no phase reads anything says nothing about time: as many units as there are periods.
    if units == i128::MAX {
        units = known.div_euclid(relation.advance) * relation.period;
    }
    (units - ends.cut).max(0)
}

/// Returns the first unit of the operand that the units from `done` on need, if `known` units of it are computed.
pub fn needed(edge: &Edge, ends: Ends, done: i128, known: i128) -> i128 {
    let relation = &edge.relation;
    let mut first = known;
    for (phase, reads) in (0i128..).zip(&relation.reads) {
        if reads.count == 0 {
            continue;
        }
        // The next unit of this phase.
        let rounds = -(phase - done).div_euclid(relation.period);
        first = first.min(reads.first + rounds * relation.advance);
    }
    first.min(known - ends.end).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::relation::{Link, Relation};
    use crate::graph::NodeId;
    use crate::layers::window::Window;
    use crate::layers::{AxisReach, Taps};

    fn relations() -> Vec<Relation> {
        let window =
            |kernel, stride, dilation, before, after| Window { kernel, stride, dilation, before, after };
        let reaches = [
            AxisReach::Window { by: 1, window: window(3, 1, 4, 8, 0) },
            AxisReach::Window { by: 1, window: window(4, 3, 1, 1, 1) },
            AxisReach::Window { by: 1, window: window(1, 4, 1, 0, 0) },
            AxisReach::Transposed { by: 1, window: window(4, 2, 1, 1, 1) },
            AxisReach::Transposed { by: 1, window: window(2, 3, 1, 0, 0) },
            AxisReach::Resize { by: 1, input: 2, output: 3, taps: Taps::Linear, align_corners: false },
            AxisReach::Resize { by: 1, input: 5, output: 15, taps: Taps::Nearest, align_corners: false },
        ];
        let relation = |reach: &AxisReach| match Link::new(reach) {
            Ok(Link::By(relation)) => relation,
            other => panic!("{other:?}"),
        };
        reaches.iter().map(relation).collect()
    }

    #[test]
    fn progress_is_what_trying_every_unit_finds() {
        let none = Ends { start: 0, end: 0, cut: 0 };
        for relation in relations() {
            let reads = |u: i128| relation.at(u).expect("small numbers");
            for known in 1..40 {
                let complete = |u: i128| reads(u).last().is_none_or(|last| last < known);
                let first_open = (0..400).find(|&u| !complete(u)).expect("an end");
                let edge =
                    Edge { operand: NodeId::new(0), relation: relation.clone(), border: Border::Padding };
                let done = ready(&edge, none, known);
                // Gaps at the border of what can be computed may be counted or not: they read nothing.
                assert_eq!(done, first_open, "{relation:?} at {known}");
                let expected = (done..done + 400)
                    .filter(|&u| reads(u).count > 0)
                    .map(|u| reads(u).first.clamp(0, known))
                    .min();
                assert_eq!(Some(needed(&edge, none, done, known)), expected, "{relation:?} at {known}");
            }
        }
    }
}
