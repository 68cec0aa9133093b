//! One output that several threads fill, each its own parts of it.
#![expect(unsafe_code, reason = "rows cut into columns are not slices that safe code could split off")]

use std::marker::PhantomData;

/// A slice of which disjoint ranges are written at once.
///
/// A block of columns of a matrix is a piece of every row. Safe code can hand such blocks to threads only as one slice a
/// row, which for a network means several hundred thousand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared<'a> {
    start: *mut f32,
    len: usize,
    of: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a mutable borrow of plain numbers, given to other threads; what they may touch is the duty of callers
// of `part`.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(super) fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), of: PhantomData }
    }

    /// `len` elements from `first` on; fewer if there are not so many.
    ///
    /// # Safety
    /// No two parts that are alive at the same time may overlap.
    pub(super) unsafe fn part(&self, first: usize, len: usize) -> &'a mut [f32] {
        let first = first.min(self.len);
        let len = len.min(self.len - first);
        // SAFETY: inside the slice by the two lines above; alone by the caller's promise; alive as long as the borrow.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), len) }
    }
}
