//! Sets of input positions as bitmaps and as text, for comparing predictions with measurements.

use cnnkit_core::analysis::field::{Interval, Jump};
use cnnkit_core::analysis::support::Region;

/// Returns the positions of `region` inside an input of these sizes.
pub(super) fn raster(region: &Region, sizes: &[u64]) -> Vec<bool> {
    let elements = sizes.iter().product::<u64>();
    let mut inside = vec![false; usize::try_from(elements).unwrap_or(0)];
    for product in region.products() {
        let mut flats = vec![0usize];
        for (set, &size) in product.iter().zip(sizes) {
            let size = usize::try_from(size).unwrap_or(0);
            let indices: Vec<usize> = set
                .spans()
                .iter()
                .flat_map(|span| span.lo.max(0)..=span.hi.min(size as i128 - 1))
                .filter_map(|index| usize::try_from(index).ok())
                .collect();
            flats =
                flats.iter().flat_map(|base| indices.iter().map(move |index| base * size + index)).collect();
        }
        flats.into_iter().for_each(|flat| inside[flat] = true);
    }
    inside
}

/// Returns the bounding box and the number of the positions for which `holds` is true.
pub(super) fn hull(sizes: &[u64], holds: impl Fn(usize) -> bool) -> (Option<Vec<Interval>>, u64) {
    let mut all: Option<Vec<Interval>> = None;
    let mut count = 0;
    let elements = sizes.iter().product::<u64>();
    for flat in (0..usize::try_from(elements).unwrap_or(0)).filter(|&flat| holds(flat)) {
        count += 1;
        let mut rest = flat as u64;
        let mut at = vec![Interval { lo: 0, hi: 0 }; sizes.len()];
        for (span, &size) in at.iter_mut().zip(sizes).rev() {
            *span = Interval { lo: i128::from(rest % size), hi: i128::from(rest % size) };
            rest /= size;
        }
        all = Some(match all {
            Some(all) => all.into_iter().zip(at).map(|(a, b)| a.hull(b)).collect(),
            None => at,
        });
    }
    (all, count)
}

/// Formats the position of this flat index: `(3, 4)`.
pub(super) fn position(flat: usize, sizes: &[u64]) -> String {
    let mut rest = flat as u64;
    let mut at: Vec<String> = Vec::new();
    for &size in sizes.iter().rev() {
        at.push((rest % size.max(1)).to_string());
        rest /= size.max(1);
    }
    at.reverse();
    format!("({})", at.join(", "))
}

/// Formats `49 positions, 0 holes, in 5..11 x 5..11`.
pub(super) fn set_text(sizes: &[u64], spans: Option<&[Interval]>, count: u64) -> String {
    let Some(spans) = spans else { return "nothing".into() };
    let area: i128 = spans.iter().map(Interval::size).product();
    if count == sizes.iter().product::<u64>() {
        return format!("{count} positions, the whole input");
    }
    let bounds: Vec<String> = spans.iter().map(|span| format!("{}..{}", span.lo, span.hi)).collect();
    format!("{count} positions, {} holes, in {}", area - i128::from(count), bounds.join(" x "))
}

/// Joins the entries; equal entries are written once: `-3..3`, but `-3..3 x 0..2`.
fn once(list: Vec<String>, by: &str) -> String {
    if list.windows(2).all(|pair| pair[0] == pair[1]) {
        list.first().cloned().unwrap_or_default()
    } else {
        list.join(by)
    }
}

/// Formats `-3..3 x 0..2`, or `nothing` for an axis that reads nothing; equal axes are written once.
pub(super) fn spans_text(spans: &[Option<Interval>]) -> String {
    let one = |span: &Option<Interval>| {
        span.map_or_else(|| "nothing".to_owned(), |span| format!("{}..{}", span.lo, span.hi))
    };
    once(spans.iter().map(one).collect(), " x ")
}

/// Formats `427x427, unit 0 at -197..229, jump 32`.
pub(super) fn field_text(
    sizes: &[i128],
    first: Option<&[Option<Interval>]>,
    jumps: Option<&[Jump]>,
) -> String {
    let mut text = sizes.iter().map(i128::to_string).collect::<Vec<_>>().join("x");
    if let Some(first) = first {
        text += &format!(", unit 0 at {}", spans_text(first));
    }
    if let Some(jumps) = jumps {
        text += &format!(", jump {}", once(jumps.iter().map(Jump::to_string).collect(), " x "));
    }
    text
}
