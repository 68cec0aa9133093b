//! Window positions: which input elements each window reads, enumerated instead of computed in closed form.

use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::window::Window;

/// A window that slides over an image: for each position, the element that each tap reads.
#[derive(Debug, Clone)]
pub struct Sliding {
    /// Spatial sizes of the image.
    pub image: Vec<usize>,
    /// Positions per axis.
    pub outputs: Vec<usize>,
    /// For each axis, position and tap: the index in the image times the axis's stride; `None` on zero padding.
    places: Vec<Vec<Option<usize>>>,
}

impl Sliding {
    /// Returns all positions at which the windows fit on the padded `image`. With `ceil_mode`, the last window may
    /// extend beyond if it starts inside the image or the padding before it (PyTorch's rule).
    ///
    /// The positions are found by trying them one after another, because the closed form in the layer is checked
    /// against this.
    pub fn new(
        image: &[usize],
        windows: &[Window],
        mode: PaddingMode,
        ceil_mode: bool,
    ) -> Result<Self, Problem> {
        let mut outputs = Vec::with_capacity(image.len());
        for (&size, window) in image.iter().zip(windows) {
            let extent = i128::from(window.extent()?);
            let end = i128::from(size as u64) + i128::from(window.after);
            let mut positions = 0;
            loop {
                let first = i128::from(positions) * i128::from(window.stride) - i128::from(window.before);
                let fits = first + extent <= end;
                // One step earlier, the window ended before the end of the padding.
                let incomplete =
                    first + extent - i128::from(window.stride) < end && first < i128::from(size as u64);
                if !(fits || ceil_mode && incomplete) {
                    break;
                }
                positions += 1;
            }
            outputs.push(usize::try_from(positions).map_err(|_| Problem::overflow("the output size"))?);
        }
        Self::at(image, &outputs, windows, mode)
    }

    /// Returns a given number of positions of the windows on `image`.
    pub fn at(
        image: &[usize],
        outputs: &[usize],
        windows: &[Window],
        mode: PaddingMode,
    ) -> Result<Self, Problem> {
        let mut places = Vec::with_capacity(image.len());
        for (axis, window) in windows.iter().enumerate() {
            let stride: usize = image[axis + 1..].iter().product();
            let mut table = Vec::new();
            for position in 0..outputs[axis] {
                for tap in 0..window.kernel {
                    let index = i128::from(position as u64) * i128::from(window.stride)
                        - i128::from(window.before)
                        + i128::from(tap) * i128::from(window.dilation);
                    table.push(place(index, image[axis], mode).map(|index| index * stride));
                }
            }
            places.push(table);
        }
        Ok(Self { image: image.to_vec(), outputs: outputs.to_vec(), places })
    }

    /// Returns the number of positions.
    pub fn positions(&self) -> usize {
        self.outputs.iter().product()
    }

    /// Returns the elements of one channel of the image.
    pub fn plane(&self) -> usize {
        self.image.iter().product()
    }

    /// Computes the element that each tap reads at `position` (both row-major); `None` on zero padding.
    pub fn read(&self, position: usize, taps: &mut Vec<Option<usize>>) {
        taps.clear();
        taps.push(Some(0));
        let mut rest = position;
        let mut left: usize = self.outputs.iter().product();
        for (axis, table) in self.places.iter().enumerate() {
            left /= self.outputs[axis];
            let index = rest / left;
            rest %= left;
            let kernel = table.len() / self.outputs[axis];
            let row = &table[index * kernel..(index + 1) * kernel];
            let before = taps.len();
            for start in 0..before {
                let base = taps[start];
                taps.extend(row.iter().map(|place| Some(base? + (*place)?)));
            }
            taps.drain(..before);
        }
    }
}

/// Returns the element that index `index` of a padded axis of `size` elements reads; `None` on zeros.
pub(crate) fn place(index: i128, size: usize, mode: PaddingMode) -> Option<usize> {
    let size = i128::from(size as u64);
    let inside = match mode {
        PaddingMode::Zeros => index,
        // 1 -> -1, 2 -> -2: the border element itself is not repeated.
        PaddingMode::Reflect if index < 0 => -index,
        PaddingMode::Reflect if index >= size => 2 * (size - 1) - index,
        PaddingMode::Reflect => index,
        PaddingMode::Replicate => index.clamp(0, size - 1),
        PaddingMode::Circular => index.rem_euclid(size),
    };
    usize::try_from(inside).ok().filter(|_| inside < size)
}

/// Computes the indices on each axis of the flat row-major index `flat`.
pub(super) fn unravel(flat: usize, sizes: &[usize], indices: &mut [usize]) {
    let mut rest = flat;
    for (index, &size) in indices.iter_mut().zip(sizes).rev() {
        *index = rest % size.max(1);
        rest /= size.max(1);
    }
}

/// Returns the flat row-major index of `indices`.
pub(super) fn ravel(indices: &[usize], sizes: &[usize]) -> usize {
    indices.iter().zip(sizes).fold(0, |flat, (&index, &size)| flat * size + index)
}

/// Converts `u64` sizes to `usize`.
pub(super) fn sizes(values: &[u64]) -> Result<Vec<usize>, Problem> {
    let one = |&value: &u64| usize::try_from(value).map_err(|_| Problem::overflow("a size"));
    values.iter().map(one).collect()
}

/// Converts `usize` sizes to `u64`.
pub(super) fn wide(values: &[usize]) -> Vec<u64> {
    values.iter().map(|&value| value as u64).collect()
}
