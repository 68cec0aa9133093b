//! One output buffer that several threads fill, each its own disjoint parts.
#![expect(unsafe_code, reason = "rows cut into columns are not slices that safe code could split off")]

use std::marker::PhantomData;

/// A slice whose disjoint ranges are written concurrently.
///
/// A block of columns of a matrix is a piece of every row. Safe code can pass such blocks to threads only as one
/// slice per row, which for a network means several hundred thousand slices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared<'a> {
    start: *mut f32,
    len: usize,
    of: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a mutable borrow of plain numbers that other threads receive; callers of `part` guarantee that they
// touch disjoint ranges.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(super) fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), of: PhantomData }
    }

    /// Returns `len` elements from `first` on, or fewer at the end of the slice.
    ///
    /// # Safety
    /// No two parts that are alive at the same time may overlap.
    pub(super) unsafe fn part(&self, first: usize, len: usize) -> &'a mut [f32] {
        let first = first.min(self.len);
        let len = len.min(self.len - first);
        // SAFETY: in bounds by the two lines above; exclusive by the caller's contract; valid for the lifetime of the
        // borrow.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), len) }
    }
}
