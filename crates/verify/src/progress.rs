//! Progress of a verification. Parts advance step by step, so that the bar moves during long ones.

use std::sync::atomic::{AtomicU64, Ordering};

/// The whole bar: reported in thousandths, counted in millionths.
pub(super) struct Bar<'a> {
    done: AtomicU64,
    tell: &'a (dyn Fn(u64) + Sync),
}

impl<'a> Bar<'a> {
    pub fn new(tell: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self { done: AtomicU64::new(0), tell }
    }

    /// Starts a part of this many thousandths with this many steps.
    pub fn part(&self, thousandths: u64, steps: usize) -> Part<'_> {
        Part { bar: self, whole: thousandths * 1000, steps: (steps as u64).max(1), taken: AtomicU64::new(0) }
    }

    fn add(&self, millionths: u64) {
        let before = self.done.fetch_add(millionths, Ordering::Relaxed);
        let after = before + millionths;
        if before / 1000 != after / 1000 {
            (self.tell)(after / 1000);
        }
    }
}

/// One part; steps that were not taken count as done when it ends.
pub(super) struct Part<'a> {
    bar: &'a Bar<'a>,
    whole: u64,
    steps: u64,
    taken: AtomicU64,
}

impl Part<'_> {
    /// Counts one step.
    pub fn step(&self) {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        let at = |steps: u64| self.whole * steps.min(self.steps) / self.steps;
        self.bar.add(at(before + 1) - at(before));
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let taken = self.taken.load(Ordering::Relaxed).min(self.steps);
        self.bar.add(self.whole - self.whole * taken / self.steps);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn parts_add_up_to_the_whole_and_never_go_back() {
        let told = Mutex::new(vec![]);
        let tell = |thousandths: u64| told.lock().expect("one thread").push(thousandths);
        let bar = Bar::new(&tell);
        let part = bar.part(600, 7);
        (0..9).for_each(|_| part.step());
        drop(part);
        bar.part(400, 1000).step();
        let told = told.lock().expect("one thread");
        assert!(told.is_sorted() && told.len() >= 8, "{told:?}");
        assert_eq!(told.last(), Some(&1000));
    }
}
