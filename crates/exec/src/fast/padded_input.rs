//! The padded input of a convolution: a copy with the padding written out and, for strides, the columns sorted by
//! phase, so that every tap reads one contiguous run per row of outputs.

use rayon::prelude::*;

use super::isa::WIDEST;
use crate::reference::place;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::window::Window;

/// The source of the rest of a padded row, or of a whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// No window reads it.
    Unread,
    /// Padding.
    Fill,
    /// The input row that starts at this element of a channel.
    At(usize),
}

/// A range of padded columns: either padding, or every `step`-th input element from `from` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    len: usize,
    from: Option<usize>,
    step: usize,
}

impl Part {
    /// Fills `target` with elements of a row from `from` on.
    #[inline(always)]
    fn copy(&self, from: usize, row: &[f32], target: &mut [f32]) {
        match self.step {
            1 => copy(target, &row[from..from + self.len]),
            2 => every_other(target, &row[from..]),
            step => {
                for (i, to) in target.iter_mut().enumerate() {
                    *to = row[from + i * step];
                }
            }
        }
    }
}

/// For an axis, the position of the image that lies at this position; `None` outside it.
type Source<'a> = &'a dyn Fn(usize, i128) -> Option<usize>;

/// How windows slide over one channel.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Output positions per axis.
    pub outputs: Vec<usize>,
    /// Elements of one padded channel.
    pub plane: usize,
    /// For each tap of the window at the origin, the element that it reads.
    pub taps: Vec<usize>,
    /// Whether the input needs no padded copy.
    pub direct: bool,
    /// Elements of one input channel.
    source: usize,
    /// Distance in the padded channel between neighbouring outputs, for each axis but the last.
    steps: Vec<usize>,
    /// Elements of a padded row.
    width: usize,
    rows: Vec<Row>,
    /// For each padded row that contains input elements: where it begins, and where they lie in the input.
    data: Vec<(usize, usize)>,
    /// The parts of a row, from the first column to the last.
    parts: Vec<Part>,
    fill: f32,
}

/// Neighbouring outputs of one row, at most as many as the widest vector has elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// First output, relative to the block.
    pub to: usize,
    /// Number of outputs.
    pub len: usize,
    /// Element that the first tap reads.
    pub from: usize,
}

/// The geometry of windows of three rows of three taps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Three {
    /// Elements that the taps of the first row read.
    pub columns: [usize; 3],
    /// Distance in the padded channel between rows of taps.
    pub down: usize,
    /// Row stride of the outputs, in rows of taps: 1 or 2.
    pub rows: usize,
}

/// The geometry of windows of as many rows of taps as columns, where the row stride of the outputs is one or two rows of taps.
#[derive(Debug, Clone)]
pub(super) struct Square {
    /// Elements that the taps of the first row read.
    pub columns: Vec<usize>,
    /// Distance in the padded channel between rows of taps.
    pub down: usize,
    /// Row stride of the outputs, in rows of taps: 1 or 2.
    pub rows: usize,
}

fn size(value: u64) -> Result<usize, Problem> {
    usize::try_from(value).map_err(|_| Problem::overflow("a window"))
}

impl Frame {
    /// Returns the layout for `outputs` positions of `windows` on an image of these spatial sizes; zero padding is
    /// written as `fill`. `None` if the padded input would be out of proportion to the work.
    pub(super) fn new(
        image: &[usize],
        outputs: &[usize],
        windows: &[Window],
        mode: PaddingMode,
        fill: f32,
    ) -> Result<Option<Self>, Problem> {
        let source = |axis: usize, at: i128| place(at, image[axis], mode);
        Self::of((image, &source), outputs, windows, Some(fill))
    }

    /// As [`new`](Self::new), on another arrangement of the image: `source` says for an axis which position of the image
    /// lies where; `None` is zero.
    pub(super) fn rearranged(
        image: (&[usize], Source<'_>),
        outputs: &[usize],
        windows: &[Window],
    ) -> Result<Option<Self>, Problem> {
        Self::of(image, outputs, windows, None)
    }

    /// `fill` is `None` for a rearranged image, which is filled with zeros.
    fn of(
        (image, place): (&[usize], Source<'_>),
        outputs: &[usize],
        windows: &[Window],
        fill: Option<f32>,
    ) -> Result<Option<Self>, Problem> {
        let Some((&last, outer)) = windows.split_last() else { return Ok(None) };
        let axes = outer.len();
        // Padded elements that windows read, on each axis but the last.
        let mut sizes = Vec::with_capacity(axes);
        for (window, &outputs) in outer.iter().zip(outputs) {
            sizes.push((outputs.max(1) - 1) * size(window.stride)? + size(window.extent()?)?);
        }
        let (stride, dilation, kernel) = (size(last.stride)?, size(last.dilation)?, size(last.kernel)?);
        // Columns with the same remainder modulo the stride lie together; most kernels read only a few remainders.
        let mut phases: Vec<usize> = (0..kernel.min(stride)).map(|tap| tap * dilation % stride).collect();
        phases.sort_unstable();
        phases.dedup();
        let length = (kernel - 1) * dilation / stride + outputs[axes];
        let direct = fill.is_some()
            && stride == 1
            && last.before == 0
            && length == image[axes]
            && outer
                .iter()
                .zip(&sizes)
                .zip(image)
                .all(|((window, &read), &size)| window.before == 0 && read <= size);
        if direct {
            sizes = image[..axes].to_vec();
        }
        let width = phases.len() * length;
        let plane = sizes.iter().try_fold(width, |product, &size| product.checked_mul(size));
        let source: usize = image.iter().product();
        let reasonable = 4 * (source + outputs.iter().product::<usize>()) + 4096;
        let Some(plane) = plane.filter(|&plane| plane <= reasonable) else { return Ok(None) };
        let mut strides = vec![width; axes];
        for axis in (0..axes.saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1] * sizes[axis + 1];
        }
        let steps: Vec<usize> = outer
            .iter()
            .zip(&strides)
            .map(|(window, stride)| size(window.stride).map(|s| s * stride))
            .collect::<Result<_, _>>()?;

        let mut taps = vec![0];
        for (window, stride) in outer.iter().zip(&strides) {
            let (kernel, dilation) = (size(window.kernel)?, size(window.dilation)?);
            taps = taps
                .iter()
                .flat_map(|base| (0..kernel).map(move |tap| base + tap * dilation * stride))
                .collect();
        }
        let across = |tap: usize| {
            let phase = phases.iter().position(|&phase| phase == tap * dilation % stride).unwrap_or(0);
            phase * length + tap * dilation / stride
        };
        taps = taps.iter().flat_map(|base| (0..kernel).map(move |tap| base + across(tap))).collect();

        let mut frame = Self {
            outputs: outputs.to_vec(),
            plane,
            taps,
            direct,
            source,
            steps,
            width,
            rows: vec![],
            data: vec![],
            parts: vec![],
            fill: fill.unwrap_or(0.0),
        };
        if !direct {
            frame.rows = rows((image, place), outputs, outer, &sizes)?;
            let at = |(i, row): (usize, &Row)| match *row {
                Row::At(start) => Some((i * width, start)),
                Row::Fill | Row::Unread => None,
            };
            frame.data = frame.rows.iter().enumerate().filter_map(at).collect();
            let place = |at: usize| place(axes, (at as i128) - i128::from(last.before));
            let columns: Vec<Option<usize>> =
                phases.iter().flat_map(|phase| (0..length).map(move |i| place(i * stride + phase))).collect();
            frame.parts = parts(&columns);
        }
        Ok(Some(frame))
    }

    /// Returns the number of output positions.
    pub(super) fn positions(&self) -> usize {
        self.outputs.iter().product()
    }

    /// Returns the padded elements of `channels` channels.
    pub(super) fn elements(&self, channels: usize) -> usize {
        if self.direct { 0 } else { channels * self.plane }
    }

    /// Fills one padded channel from one input channel.
    #[inline(always)]
    pub(super) fn write(&self, source: &[f32], frame: &mut [f32]) {
        for (row, mut target) in self.rows.iter().zip(frame.chunks_exact_mut(self.width.max(1))) {
            match *row {
                Row::Fill => target.fill(self.fill),
                Row::Unread => {}
                Row::At(start) => {
                    for part in &self.parts {
                        let (own, rest) = target.split_at_mut(part.len);
                        target = rest;
                        match part.from {
                            None => own.fill(self.fill),
                            Some(from) => part.copy(from, &source[start..], own),
                        }
                    }
                }
            }
        }
    }

    /// As [`write`](Self::write), in a buffer that already contains another channel's padding.
    #[inline(always)]
    pub(super) fn rewrite(&self, source: &[f32], frame: &mut [f32]) {
        let mut offset = 0;
        for part in &self.parts {
            if let Some(from) = part.from {
                // Chosen by the length, which is the same in every row, so that each case copies whole chunks of a
                // fixed size.
                match (part.step, part.len) {
                    (1, 4..8) => self.copy_rows::<4>(part.len, (from, source), (offset, frame)),
                    (1, 8..16) => self.copy_rows::<8>(part.len, (from, source), (offset, frame)),
                    (1, 16..) => self.copy_rows::<16>(part.len, (from, source), (offset, frame)),
                    _ => {
                        for &(to, at) in &self.data {
                            let target = &mut frame[to + offset..to + offset + part.len];
                            part.copy(from, &source[at..], target);
                        }
                    }
                }
            }
            offset += part.len;
        }
    }

    #[inline(always)]
    fn copy_rows<const N: usize>(
        &self,
        len: usize,
        (from, source): (usize, &[f32]),
        (offset, frame): (usize, &mut [f32]),
    ) {
        for &(to, at) in &self.data {
            chunks::<N>(&mut frame[to + offset..to + offset + len], &source[at + from..at + from + len]);
        }
    }

    /// Returns the distance in the padded channel between rows of outputs, if they are consecutive padded rows.
    pub(super) fn follow(&self) -> Option<usize> {
        (self.steps[..] == [self.width]).then_some(self.width)
    }

    /// Returns the geometry of windows of 3 x 3 taps whose row stride is one or two rows of taps.
    pub(super) fn three(&self) -> Option<Three> {
        let (&[a, b, c, ref below @ ..], &[step]) = (&self.taps[..], &self.steps[..]) else { return None };
        let down = below.first()?.checked_sub(a)?;
        let regular = [down, 2 * down].into_iter().flat_map(|down| [a + down, b + down, c + down]);
        let rows = [1, 2].into_iter().find(|rows| rows * down == step)?;
        below.iter().copied().eq(regular).then_some(Three { columns: [a, b, c], down, rows })
    }

    /// Returns the geometry of square windows of at least 3 x 3 taps.
    pub(super) fn square(&self) -> Option<Square> {
        let &[step] = &self.steps[..] else { return None };
        let side = self.taps.len().isqrt();
        if side < 3 || side * side != self.taps.len() {
            return None;
        }
        let columns = &self.taps[..side];
        let down = self.taps[side].checked_sub(columns[0])?;
        let regular = (0..side).flat_map(|row| columns.iter().map(move |column| column + row * down));
        let rows = [1, 2].into_iter().find(|rows| rows * down == step)?;
        let regular = self.taps.iter().copied().eq(regular);
        regular.then(|| Square { columns: columns.to_vec(), down, rows })
    }

    /// Fills the padded channels of `image`, on all cores.
    pub(super) fn write_all(&self, image: &[f32], frame: &mut [f32]) {
        let channels = image.par_chunks_exact(self.source.max(1));
        // Enough work to be worth waking a thread.
        let least = (65_536 / self.plane.max(1)).max(1);
        channels
            .zip(frame.par_chunks_exact_mut(self.plane.max(1)))
            .with_min_len(least)
            .for_each(|(source, frame)| self.write(source, frame));
    }

    /// Returns the element where the window of output row `row` starts.
    #[inline(always)]
    pub(super) fn row(&self, mut row: usize) -> usize {
        let mut start = 0;
        for (axis, step) in self.steps.iter().enumerate().rev() {
            start += row % self.outputs[axis] * step;
            row /= self.outputs[axis];
        }
        start
    }

    /// Computes the runs of the outputs from `first` to `end` (exclusive).
    pub(super) fn runs(&self, first: usize, end: usize, runs: &mut Vec<Run>) {
        // Where every element is read once, in order (1 x 1 windows), rows follow each other without a gap.
        let whole = self.direct && self.plane == self.positions();
        let length = if whole { self.plane } else { self.outputs.last().copied().unwrap_or(1) };
        runs.clear();
        let mut at = first;
        while at < end {
            let (row, column) = (at / length, at % length);
            let len = (length - column).min(end - at).min(WIDEST);
            runs.push(Run { to: at - first, len, from: self.row(row) + column });
            at += len;
        }
    }
}

/// Copies in whole chunks, the last of which overlaps the one before.
#[inline(always)]
fn chunks<const N: usize>(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.as_chunks_mut::<N>().0.iter_mut().zip(from.as_chunks::<N>().0) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *to = *from;
    }
}

/// Copies few elements without a function call.
#[inline(always)]
pub(super) fn copy(to: &mut [f32], from: &[f32]) {
    match to.len() {
        0..4 => to.copy_from_slice(from),
        4..8 => chunks::<4>(to, from),
        8..16 => chunks::<8>(to, from),
        _ => chunks::<16>(to, from),
    }
}

/// Returns the source of each padded row.
fn rows(
    (image, place): (&[usize], Source<'_>),
    outputs: &[usize],
    windows: &[Window],
    sizes: &[usize],
) -> Result<Vec<Row>, Problem> {
    let mut rows = vec![Row::At(0)];
    for (axis, window) in windows.iter().enumerate() {
        let stride: usize = image[axis + 1..].iter().product();
        let mut read = vec![false; sizes[axis]];
        for output in 0..outputs[axis] {
            for tap in 0..size(window.kernel)? {
                read[output * size(window.stride)? + tap * size(window.dilation)?] = true;
            }
        }
        let at = |i: usize| match place(axis, (i as i128) - i128::from(window.before)) {
            _ if !read[i] => Row::Unread,
            None => Row::Fill,
            Some(index) => Row::At(index * stride),
        };
        let own: Vec<Row> = (0..sizes[axis]).map(at).collect();
        let join = |&outer: &Row| {
            let join = move |&own: &Row| match (outer, own) {
                (Row::Unread, _) | (_, Row::Unread) => Row::Unread,
                (Row::Fill, _) | (_, Row::Fill) => Row::Fill,
                (Row::At(outer), Row::At(own)) => Row::At(outer + own),
            };
            own.iter().map(join).collect::<Vec<_>>()
        };
        rows = rows.iter().flat_map(join).collect();
    }
    Ok(rows)
}

/// Groups columns into parts that can be copied as a whole.
fn parts(columns: &[Option<usize>]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for &column in columns {
        if let Some(part) = parts.last_mut() {
            match (part.from, column) {
                (None, None) => {
                    part.len += 1;
                    continue;
                }
                (Some(from), Some(column))
                    if column > from && (part.len == 1 || column == from + part.len * part.step) =>
                {
                    if part.len == 1 {
                        part.step = column - from;
                    }
                    part.len += 1;
                    continue;
                }
                _ => {}
            }
        }
        parts.push(Part { len: 1, from: column, step: 1 });
    }
    parts
}

/// Copies the first of every pair of `from`; the last pair may lack its second element.
#[inline(always)]
fn every_other(to: &mut [f32], from: &[f32]) {
    /// Copies in whole chunks, the last of which overlaps the one before.
    #[inline(always)]
    fn chunks<const N: usize>(to: &mut [f32], pairs: &[[f32; 2]]) {
        let last = to.len() - N;
        for at in (0..last).step_by(N).chain([last]) {
            // The length is a constant for the compiler.
            let (to, pairs) = (&mut to[at..].as_chunks_mut::<N>().0[0], &pairs[at..].as_chunks::<N>().0[0]);
            for (to, pair) in to.iter_mut().zip(pairs) {
                *to = pair[0];
            }
        }
    }
    let (pairs, rest) = from.as_chunks::<2>();
    // The compiler vectorises longer rows by itself, and better than chunks of 16.
    match to.len() {
        4..8 if pairs.len() >= to.len() => chunks::<4>(to, pairs),
        8..16 if pairs.len() >= to.len() => chunks::<8>(to, pairs),
        _ => {
            to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
            if let (Some(to), Some(from)) = (to.get_mut(pairs.len()), rest.first()) {
                *to = *from;
            }
        }
    }
}
