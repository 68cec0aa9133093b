//! Buffers that kernels need while they run, kept for the next one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Buffers at rest, and how much memory all of them took at most.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    free: Mutex<Vec<Vec<f32>>>,
    now: AtomicU64,
    most: AtomicU64,
}

impl Scratch {
    /// Runs `work` with `len` elements of any content.
    pub(super) fn with<T>(&self, len: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
        let mut buffer = self.take(len);
        let result = work(&mut buffer[..len]);
        if let Ok(mut free) = self.free.lock() {
            free.push(buffer);
        }
        result
    }

    /// The smallest buffer that is large enough; else the largest, made larger.
    fn take(&self, len: usize) -> Vec<f32> {
        let mut buffer = {
            let Ok(mut free) = self.free.lock() else { return vec![0.0; len] };
            let fits = (0..free.len()).filter(|&i| free[i].len() >= len).min_by_key(|&i| free[i].len());
            let place = fits.or_else(|| (0..free.len()).max_by_key(|&i| free[i].len()));
            place.map(|place| free.swap_remove(place)).unwrap_or_default()
        };
        if buffer.len() < len {
            let grown = 4 * (len - buffer.len()) as u64;
            let now = self.now.fetch_add(grown, Ordering::Relaxed) + grown;
            self.most.fetch_max(now, Ordering::Relaxed);
            // Its content does not matter: a new one is cheaper than a copy.
            buffer = vec![0.0; len];
        }
        buffer
    }

    /// Most bytes that there were at once.
    pub(super) fn bytes(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}
