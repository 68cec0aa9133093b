//! Sets of source channels, one per channel of a node, and how a layer combines them.

mod bits;
mod runs;
mod settled;

pub use bits::Bits;
pub(in crate::analysis) use bits::either;
pub use runs::{Run, Runs};
pub(in crate::analysis) use settled::Settled;

use std::rc::Rc;

use crate::analysis::relation::Link;
use crate::diagnostic::{Code, Problem};
use crate::layers::AxisReach;

/// Maximum number of sets of one node.
const MAX_SETS: u64 = 1 << 17;

pub(in crate::analysis) fn too_many() -> Problem {
    Problem::new(Code::Limit, "not supported: this network has too many different sets of channels")
        .help("look at a part of it")
}

/// Returns the sets of the channels of a layer that reads `runs` along the channel axis; an error if there
/// are too many.
pub(super) fn pulled(runs: &Runs, axis: &AxisReach, operand: u64, channels: u64) -> Result<Runs, Problem> {
    match *axis {
        AxisReach::Blocks { by: 0, outputs: 1, inputs: 1 } => Ok(runs.slice(0, channels)),
        AxisReach::Blocks { by: 0, outputs, inputs } => {
            let mut out = Runs::default();
            let groups = channels.checked_div(outputs).unwrap_or(0);
            if groups > MAX_SETS {
                return Err(too_many());
            }
            for group in 0..groups {
                out.push(outputs, runs.joined(group.saturating_mul(inputs), inputs));
            }
            Ok(out)
        }
        AxisReach::Window { by: 0, window } if window.kernel == 1 && window.stride == 1 => {
            Ok(runs.shifted(window.before, channels))
        }
        AxisReach::Shuffle { by: 0, groups, size } => {
            if runs.is_uniform() {
                return Ok(runs.clone());
            }
            if size > MAX_SETS {
                return Err(too_many());
            }
            let each = size.checked_div(groups).unwrap_or(0).max(1);
            let mut out = Runs::default();
            for u in 0..size {
                out.push(1, runs.joined((u % groups.max(1)) * each + u / groups.max(1), 1));
            }
            Ok(out)
        }
        AxisReach::Table { by: 0, ref indices } => {
            if indices.len() as u64 > MAX_SETS {
                return Err(too_many());
            }
            let mut out = Runs::default();
            for &index in indices {
                out.push(1, runs.joined(index, 1));
            }
            Ok(out)
        }
        _ => match Link::new(axis)? {
            Link::First => {
                let mut out = Runs::default();
                out.push(channels, runs.joined(0, 1));
                Ok(out)
            }
            Link::By(relation) if relation.by == 0 => {
                if channels > MAX_SETS {
                    return Err(too_many());
                }
                let mut out = Runs::default();
                for u in 0..i128::from(channels) {
                    let reads = relation.at(u).ok_or_else(too_many)?;
                    let set = if reads.step == 1 {
                        let from = reads.first.clamp(0, i128::from(operand));
                        let to = reads.first.saturating_add(reads.count).clamp(from, i128::from(operand));
                        runs.joined(u64::try_from(from).unwrap_or(0), u64::try_from(to - from).unwrap_or(0))
                    } else {
                        let mut set: Option<Rc<Bits>> = None;
                        for t in 0..reads.count.min(i128::from(operand)) {
                            if let Ok(index) = u64::try_from(reads.first + reads.step * t) {
                                set = either(set, runs.joined(index, 1));
                            }
                        }
                        set
                    };
                    out.push(1, set);
                }
                Ok(out)
            }
            _ => {
                let mut out = Runs::default();
                out.push(channels, runs.joined(0, operand));
                Ok(out)
            }
        },
    }
}
