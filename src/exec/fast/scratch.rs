//! Buffers that kernels need while they run, kept for the next one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Elements of a cache line: vectors that lie across two take twice the time.
const LINE: usize = 16;

/// So many elements, the first of a cache line first.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    data: Vec<f32>,
    start: usize,
}

impl Aligned {
    pub(super) fn new(len: usize) -> Self {
        let data = vec![0.0; len + LINE];
        // Where it cannot be known, the first element does as well.
        let start = data.as_ptr().align_offset(4 * LINE).min(LINE);
        Self { data, start }
    }

    pub(super) fn len(&self) -> usize {
        self.data.len().saturating_sub(LINE)
    }

    pub(super) fn elements(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len()]
    }

    pub(super) fn elements_mut(&mut self) -> &mut [f32] {
        let end = self.start + self.len();
        &mut self.data[self.start..end]
    }
}

/// Buffers at rest, and how much memory all of them took at most.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    free: Mutex<Vec<Aligned>>,
    now: AtomicU64,
    most: AtomicU64,
}

impl Scratch {
    /// Runs `work` with `len` elements of any content.
    pub(super) fn with<T>(&self, len: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
        let mut buffer = self.take(len);
        let result = work(&mut buffer.elements_mut()[..len]);
        if let Ok(mut free) = self.free.lock() {
            free.push(buffer);
        }
        result
    }

    /// The smallest buffer that is large enough; else the largest, made larger.
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
            // Its content does not matter: a new one is cheaper than a copy.
            buffer = Aligned::new(len);
        }
        buffer
    }

    /// Most bytes that there were at once.
    pub(super) fn bytes(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}
