//! Shuffles, which exporters write as reshape, transpose, reshape.

use super::{Match, View};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::channel_shuffle::ChannelShuffle;
use cnnkit_core::layers::pixel_shuffle::PixelShuffle;
use cnnkit_core::shape::Shape;

/// Returns the start of a reshape, a permutation and a reshape: the draft, its shape, the expanded shape, the
/// permutation.
fn folded<'a>(view: &View<'a>, index: usize) -> Option<(usize, &'a Shape, &'a [u64], &'a [u64])> {
    let Layer::Reshape(_) = view.layer(index)? else { return None };
    let moved = view.input(index).filter(|&at| view.single(at))?;
    let Layer::Permute(permute) = view.layer(moved)? else { return None };
    let open = view.input(moved).filter(|&at| view.single(at))?;
    let Layer::Reshape(_) = view.layer(open)? else { return None };
    let x = view.input(open)?;
    Some((x, &view.draft(x).shape, view.draft(open).shape.sizes(), &permute.axes))
}

/// Matches `[C, ...] -> [g, C / g, ...] -> [C / g, g, ...] -> [C, ...]`.
pub(super) fn channel_shuffle(view: &View<'_>, index: usize) -> Option<Match> {
    let (x, shape, open, axes) = folded(view, index)?;
    let swapped = axes.len() == open.len()
        && axes[..2.min(axes.len())] == [1, 0]
        && axes[2..].iter().copied().eq(2..axes.len() as u64);
    // One group, or groups of one channel, need no shuffle.
    let fits = swapped
        && open[0] > 1
        && open[1] > 1
        && open.len() == shape.rank() + 1
        && open[0].checked_mul(open[1]) == Some(shape.channels())
        && open[2..] == *shape.spatial()
        && view.draft(index).shape == *shape;
    let layer = Layer::ChannelShuffle(ChannelShuffle { groups: open[0] });
    fits.then(|| Match { layer, inputs: vec![x], weights: vec![], named: index })
}

/// Matches `[C r r, H, W] -> [C, r, r, H, W] -> [C, H, r, W, r] -> [C, H r, W r]`.
pub(super) fn pixel_shuffle(view: &View<'_>, index: usize) -> Option<Match> {
    let (x, shape, open, axes) = folded(view, index)?;
    let &[channels, r, other, h, w] = open else { return None };
    let made = Shape::new([channels, h.checked_mul(r)?, w.checked_mul(r)?]);
    let fits = r == other
        && axes == [0, 3, 1, 4, 2]
        && shape.rank() == 3
        && *shape.spatial() == [h, w]
        && view.draft(index).shape == made;
    let layer = Layer::PixelShuffle(PixelShuffle { upscale_factor: r });
    fits.then(|| Match { layer, inputs: vec![x], weights: vec![], named: index })
}
