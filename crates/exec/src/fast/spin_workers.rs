//! Keeps worker threads spinning during inference so that they do not sleep between layers.
//!
//! Between two layers that run on all threads lie microseconds of single-threaded work. An idle thread of the pool
//! goes to sleep in that time, and waking it takes as long as a small layer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Flag in the count of spinning threads: no more may join.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// How long to wait for threads to wake up.
const PATIENCE: Duration = Duration::from_millis(1);

/// How often a thread looks for work in vain before it offers its core to others: some ten microseconds.
const YIELD: u32 = 256;

#[derive(Debug, Default)]
struct State {
    /// Number of spinning threads, and [`CLOSED`].
    present: AtomicUsize,
    done: AtomicBool,
}

/// Keeps the other threads of this thread's pool awake until it is dropped.
#[derive(Debug)]
pub(super) struct Awake(Option<Arc<State>>);

impl Awake {
    /// Wakes the other threads; does nothing outside a pool.
    pub(super) fn new() -> Self {
        let others = rayon::current_num_threads() - 1;
        let Some(this) = rayon::current_thread_index().filter(|_| others > 0) else { return Self(None) };
        let state = Arc::new(State::default());
        let theirs = state.clone();
        rayon::spawn_broadcast(move |context| {
            if context.index() != this {
                look(&theirs);
            }
        });
        let start = Instant::now();
        while state.present.load(Ordering::Relaxed) < others && start.elapsed() < PATIENCE {
            std::hint::spin_loop();
        }
        // A thread could otherwise join later while it waits for a nested task of the network. It would then spin
        // until the network finishes, while the network waits for that task: a deadlock.
        state.present.fetch_or(CLOSED, Ordering::SeqCst);
        Self(Some(state))
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.done.store(true, Ordering::Release);
        }
    }
}

/// Spins and steals work until the network finishes.
fn look(state: &State) {
    if state.present.fetch_add(1, Ordering::SeqCst) & CLOSED != 0 {
        return;
    }
    let mut idle = 0u32;
    while !state.done.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            idle = 0;
            continue;
        }
        idle = idle.wrapping_add(1);
        if idle.is_multiple_of(YIELD) {
            // Another process may hold a core that this network's thread needs.
            std::thread::yield_now();
        }
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    /// Nested parallel work, many times: there is no deadlock, and no result is lost.
    #[test]
    fn work_goes_on_while_others_are_awake() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        for round in 0..200u64 {
            let sum: u64 = pool.install(|| {
                let _awake = Awake::new();
                (0..16u64).into_par_iter().map(|i| (0..i + round).into_par_iter().sum::<u64>()).sum()
            });
            let expected: u64 = (0..16).map(|i| (0..i + round).sum::<u64>()).sum();
            assert_eq!(sum, expected);
        }
    }

    #[test]
    fn outside_a_pool_and_alone_it_does_nothing() {
        assert!(Awake::new().0.is_none());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("threads");
        assert!(pool.install(|| Awake::new().0.is_none()));
    }
}
