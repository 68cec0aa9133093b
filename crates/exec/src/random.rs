//! Random numbers that do not depend on the machine, the number of threads or the number type.
//!
//! The generator is SplitMix64 (Steele, Lea & Flood 2014: "Fast splittable pseudorandom number generators", figure
//! 16). Each tensor has its own stream, seeded with the seed and an FNV-1a hash of the tensor's name: a tensor keeps
//! its weights when a layer is added elsewhere. Numbers are drawn in f64 and rounded to the requested type.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream(u64);

impl Stream {
    /// Returns the stream of the tensor `name`.
    pub fn new(seed: u64, name: &str) -> Self {
        let fnv = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // Two rounds decorrelate streams whose seeds or names are close.
        let mut stream = Self(seed);
        let mixed = stream.bits();
        let mut stream = Self(mixed ^ fnv);
        Self(stream.bits())
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a uniform number from 0 (inclusive) to 1 (exclusive), a multiple of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a uniform number in `-bound` to `bound`.
    pub fn within(&mut self, bound: f64) -> f64 {
        (2.0 * self.unit() - 1.0) * bound
    }

    /// Returns a standard normal number (Box & Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(2.0 * std::f64::consts::PI * self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // First outputs of the reference implementation for the state 1234567.
        let mut stream = Stream(1_234_567);
        assert_eq!(stream.bits(), 6_457_827_717_110_365_317);
        assert_eq!(stream.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut stream = Stream::new(0, "x");
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..20_000 {
            let value = stream.normal();
            sum += value;
            squares += value * value;
        }
        assert!((sum / 2e4).abs() < 0.03, "mean {sum}");
        assert!((squares / 2e4 - 1.0).abs() < 0.03, "variance {squares}");
    }
}
