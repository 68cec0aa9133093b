//! Scratch buffers of the kernels, reused between calls.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapMut, MmapOptions};

/// Bytes of a cache line: loads of vectors that straddle two lines take twice the time.
const LINE: usize = 64;
/// Bytes of a huge page. A network streams through hundreds of megabytes; with pages of 4 KiB, address translation
/// takes a tenth of the time.
const PAGE: usize = 2 << 20;

/// A zeroed buffer that starts at a cache line; large ones use huge pages where the system supports them.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    memory: Memory,
    /// Elements before the first one in use.
    start: usize,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    Heap(Vec<f32>),
    Pages(MmapMut),
}

impl Default for Memory {
    fn default() -> Self {
        Self::Heap(Vec::new())
    }
}

impl Memory {
    fn elements(&self) -> &[f32] {
        match self {
            Self::Heap(elements) => elements,
            Self::Pages(pages) => bytemuck::cast_slice(pages),
        }
    }
}

impl Aligned {
    pub(super) fn new(len: usize) -> Self {
        let (memory, unit) = match Self::pages(len) {
            Some(pages) => (Memory::Pages(pages), PAGE),
            None => (Memory::Heap(vec![0.0; len + LINE / 4]), LINE),
        };
        let elements = memory.elements();
        // If the alignment cannot be computed, an unaligned start works as well.
        let start = elements.as_ptr().align_offset(unit).min(elements.len() - len);
        Self { memory, start, len }
    }

    /// Maps anonymous memory for buffers that fill a huge page.
    fn pages(len: usize) -> Option<MmapMut> {
        let bytes = len.checked_mul(4).filter(|&bytes| bytes >= PAGE)?;
        // Untouched pages take no memory.
        let pages = MmapOptions::new().len(bytes.checked_add(PAGE)?).map_anon().ok()?;
        // Only advice: a system without huge pages returns small ones.
        #[cfg(target_os = "linux")]
        let _ = pages.advise(memmap2::Advice::HugePage);
        Some(pages)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn elements(&self) -> &[f32] {
        &self.memory.elements()[self.start..self.start + self.len]
    }

    pub(super) fn elements_mut(&mut self) -> &mut [f32] {
        let all: &mut [f32] = match &mut self.memory {
            Memory::Heap(elements) => elements,
            Memory::Pages(pages) => bytemuck::cast_slice_mut(pages),
        };
        &mut all[self.start..self.start + self.len]
    }
}

/// Unused buffers, and the peak memory of all buffers.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    free: Mutex<Vec<Aligned>>,
    now: AtomicU64,
    most: AtomicU64,
}

impl Scratch {
    /// Runs `work` with `len` elements of arbitrary content.
    pub(super) fn with<T>(&self, len: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
        let mut buffer = self.take(len);
        let result = work(&mut buffer.elements_mut()[..len]);
        if let Ok(mut free) = self.free.lock() {
            free.push(buffer);
        }
        result
    }

    /// Takes the smallest sufficient buffer, else the largest, enlarged.
    fn take(&self, len: usize) -> Aligned {
        let mut buffer = {
            let Ok(mut free) = self.free.lock() else { return Aligned::new(len) };
            let fits = (0..free.len()).filter(|&i| free[i].len() >= len).min_by_key(|&i| free[i].len());
            let place = fits.or_else(|| (0..free.len()).max_by_key(|&i| free[i].len()));
            place.map(|place| free.swap_remove(place)).unwrap_or_default()
        };
        if buffer.len() < len {
            let grown = 4 * (len - buffer.len()) as u64;
            let now = self.now.fetch_add(grown, Ordering::Relaxed) + grown;
            self.most.fetch_max(now, Ordering::Relaxed);
            // Its content does not matter: allocating a new buffer is cheaper than copying.
            buffer = Aligned::new(len);
        }
        buffer
    }

    /// Returns the peak bytes of all buffers.
    pub(super) fn bytes(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}
