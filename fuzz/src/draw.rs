//! Bytes as a sequence of choices: a change of one byte changes one choice, which is what a fuzzer can learn from.

/// What is left of an input.
pub struct Draw<'a>(&'a [u8]);

impl<'a> Draw<'a> {
    /// The choices in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether no choice is left: every further one is 0.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number below `end`, which is at most 256.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// One of `list`, which is not empty.
    pub fn one<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// A number from 1 that is nearly always small.
    pub fn size(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..250 => 1 + u64::from(byte % 25),
            250 => 0,
            251 => 1 << 16,
            252 => 1 << 31,
            253 => u64::MAX / 3,
            254 => u64::MAX,
            _ => 1 << (self.byte() % 64),
        }
    }
}
