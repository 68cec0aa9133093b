//! The shape of a tensor without its batch axis: `[C, L]`, `[C, H, W]`, `[C, D, H, W]`, or `[F]` after flattening.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::diagnostic::Problem;

/// Sizes of a tensor's axes, without the batch. Axis 0 is the channel axis unless a permutation moved it. Clones share
/// the sizes: each connection of a graph has its shape looked at many times.
#[derive(Clone, PartialEq, Eq, Hash, schemars::JsonSchema)]
#[schemars(transparent)]
pub struct Shape(#[schemars(with = "Vec<u64>")] Arc<[u64]>);

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.sizes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<u64>::deserialize(deserializer).map(Self::new)
    }
}

impl Shape {
    /// Returns the shape with these sizes.
    pub fn new(sizes: impl Into<Vec<u64>>) -> Self {
        Self(Arc::from(sizes.into()))
    }

    /// Returns the sizes of all axes.
    pub fn sizes(&self) -> &[u64] {
        &self.0
    }

    /// Returns the number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Returns the size of axis 0.
    pub fn channels(&self) -> u64 {
        self.0.first().copied().unwrap_or(1)
    }

    /// Returns the sizes of the axes after the first.
    pub fn spatial(&self) -> &[u64] {
        self.0.get(1..).unwrap_or(&[])
    }

    /// Returns the number of elements; an error if it exceeds 64 bits.
    pub fn elements(&self) -> Result<u64, Problem> {
        product(&self.0).ok_or_else(|| Problem::overflow(&format!("the number of elements of {self}")))
    }

    /// Returns `channels` followed by this shape's spatial sizes.
    #[must_use]
    pub fn with_channels(&self, channels: u64) -> Self {
        let mut sizes = self.0.to_vec();
        if let Some(first) = sizes.first_mut() {
            *first = channels;
        }
        Self::new(sizes)
    }
}

/// Returns the product; `None` if it exceeds 64 bits.
pub fn product(sizes: &[u64]) -> Option<u64> {
    sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size))
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Vec<u64>> for Shape {
    fn from(sizes: Vec<u64>) -> Self {
        Self(sizes.into())
    }
}

impl From<&[u64]> for Shape {
    fn from(sizes: &[u64]) -> Self {
        Self(sizes.into())
    }
}

impl<const N: usize> From<[u64; N]> for Shape {
    fn from(sizes: [u64; N]) -> Self {
        Self(sizes.into())
    }
}
