//! The pieces of one axis, shared by all that have the same: the largest boxes of a chain are its smallest as well, and
//! the boxes of an activation are those of its input.

use std::ops::Deref;
use std::sync::Arc;

use super::Piece;

/// Pieces; a clone shares them.
#[derive(Debug, Clone)]
pub struct Pieces<T>(Arc<Vec<Piece<T>>>);

impl<T> Pieces<T> {
    /// Returns whether both are the same by sharing; others may be equal.
    pub(super) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: Clone> Pieces<T> {
    /// Returns the pieces to change, of which others see nothing.
    pub(super) fn to_mut(&mut self) -> &mut Vec<Piece<T>> {
        Arc::make_mut(&mut self.0)
    }
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> From<Vec<Piece<T>>> for Pieces<T> {
    fn from(pieces: Vec<Piece<T>>) -> Self {
        Self(Arc::new(pieces))
    }
}

impl<T> Deref for Pieces<T> {
    type Target = [Piece<T>];

    fn deref(&self) -> &[Piece<T>] {
        &self.0
    }
}

impl<'a, T> IntoIterator for &'a Pieces<T> {
    type Item = &'a Piece<T>;
    type IntoIter = std::slice::Iter<'a, Piece<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
