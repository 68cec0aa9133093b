//! The coverage map of a stack of dilated convolutions, as data.

use crate::per_axis::{extent, per_axis};
use crate::{Bin, Line, Map, Panel};
use cnnkit_core::analysis::gridding::{Gridding, Stack};
use cnnkit_core::analysis::multiplicity::Multiplicity;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::number::grouped;

/// Maximum number of layers that `--steps` shows.
pub(crate) const MOST_STEPS: usize = 12;

/// Maximum number of bins of an axis in the map; wider axes are binned, because no terminal shows more.
const MOST_BINS: u64 = 2048;

/// Returns the map after the last layer or, with `steps`, after each layer.
pub(crate) fn map(
    stack: &Stack,
    facts: &Gridding,
    lines: Option<&[Multiplicity]>,
    steps: bool,
) -> Result<Map, Problem> {
    let count = stack.layers().len();
    if !steps || count > MOST_STEPS {
        let panel = panel(facts, lines, String::new());
        return Ok(Map { panels: vec![panel] });
    }
    let mut panels = Vec::with_capacity(count);
    for layers in 1..=count {
        let facts = Gridding::of(&stack.first(layers))?;
        let lines = match lines {
            Some(_) => Some(facts.multiplicities()?),
            None => None,
        };
        let rate = stack.layers().get(layers - 1).map(|layer| per_axis(&layer.rate)).unwrap_or_default();
        panels.push(panel(&facts, lines.as_deref(), format!("layer {layers}, rate {rate}")));
    }
    Ok(Map { panels })
}

/// Returns the map of the last two axes; of three axes, the slice nearest to the middle of the first axis
/// that is read.
fn panel(facts: &Gridding, lines: Option<&[Multiplicity]>, title: String) -> Panel {
    let line = |axis: usize| line(facts, lines, axis);
    let named = |title: String| {
        let comma = if title.is_empty() { "" } else { ": " };
        format!("{title}{comma}{}", extent(&facts.size()))
    };
    match facts.axes.len() {
        0 | 1 => Panel { title: named(title), rows: None, columns: line(0) },
        2 => Panel { title: named(title), rows: Some(line(0)), columns: line(1) },
        axes => {
            let mut rows = line(axes - 2);
            let depth = line(0);
            let middle = depth.bins.len() / 2;
            let read = (0..depth.bins.len()).filter(|&i| depth.bins[i].covered > 0);
            let slice = read.min_by_key(|i| i.abs_diff(middle)).unwrap_or(middle);
            let before: u64 = depth.bins[..slice].iter().map(|bin| bin.positions).sum();
            for bin in &mut rows.bins {
                bin.log += depth.bins[slice].log;
            }
            let title = format!("{}, slice {}", named(title), grouped(before));
            Panel { title, rows: Some(rows), columns: line(axes - 1) }
        }
    }
}

fn line(facts: &Gridding, lines: Option<&[Multiplicity]>, axis: usize) -> Line {
    let Some(offsets) = facts.axes.get(axis).map(|axis| &axis.offsets) else {
        return Line { size: 0, bins: vec![] };
    };
    let size = offsets.size();
    let width = size.div_ceil(MOST_BINS).max(1);
    let bins = (0..size.div_ceil(width)).map(|i| {
        let (start, end) = (i * width, ((i + 1) * width).min(size));
        let log = lines.and_then(|lines| lines.get(axis)?.largest_log(start, end)).unwrap_or(0.0);
        Bin { positions: end - start, covered: offsets.covered_in(start, end), log }
    });
    Line { size, bins: bins.collect() }
}
