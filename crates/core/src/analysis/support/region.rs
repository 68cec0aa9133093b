//! Sets of positions in several dimensions, compact as long as they are unions of few products.
//!
//! A region groups the indices of its first axis by their content on the other axes: disjoint row sets, each with its
//! own region of one dimension less, all different. This form is canonical: equal regions are equal values, a product
//! is one part, and the cross that Inception's 1x7 and 7x1 branches leave is three. A union costs the product of the
//! numbers of parts, times their intervals.

use super::Budget;
use super::set::Set;
use crate::analysis::field::Interval;
use crate::analysis::field::family::too_large;
use crate::diagnostic::Problem;

/// A set of positions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Region {
    /// Number of axes.
    rank: usize,
    /// Disjoint row sets with their contents; at rank 0, any part means the one point.
    parts: Vec<(Set, Region)>,
}

impl Region {
    /// Returns the empty region in `rank` dimensions.
    pub fn empty(rank: usize) -> Self {
        Self { rank, parts: vec![] }
    }

    /// Returns the product of `sets`; empty if one of them is.
    pub fn product(sets: &[Set]) -> Self {
        match sets {
            [] => Self { rank: 0, parts: vec![(Set::default(), Self::empty(0))] },
            [first, rest @ ..] => {
                let rest = Self::product(rest);
                let parts =
                    if first.is_empty() || rest.is_empty() { vec![] } else { vec![(first.clone(), rest)] };
                Self { rank: sets.len(), parts }
            }
        }
    }

    /// Returns the number of axes.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Returns whether it has no position.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Builds a region from disjoint row sets with their contents, which are all different.
    pub(super) fn of_parts(rank: usize, mut parts: Vec<(Set, Self)>) -> Self {
        parts.retain(|(rows, rest)| !rows.is_empty() && !rest.is_empty());
        parts.sort_by(|(a, _), (b, _)| a.spans().cmp(b.spans()));
        Self { rank, parts }
    }

    /// Returns the positions of all channels: the region without its first axis.
    pub fn without_channels(&self, budget: &Budget) -> Result<Self, Problem> {
        let nothing = Self::empty(self.rank.saturating_sub(1));
        self.parts.iter().try_fold(nothing, |all, (_, rest)| all.union(rest, budget))
    }

    /// Returns the indices along the first axis.
    pub fn channels(&self, budget: &Budget) -> Result<Set, Problem> {
        self.parts.iter().try_fold(Set::default(), |all, (rows, _)| all.union(rows, budget))
    }

    /// Returns disjoint row sets, with the content of each on the other axes.
    pub fn parts(&self) -> &[(Set, Self)] {
        &self.parts
    }

    /// Returns its decomposition into disjoint products.
    pub fn products(&self) -> Vec<Vec<Set>> {
        let mut all = Vec::new();
        self.collect(&mut Vec::new(), &mut all);
        all
    }

    fn collect(&self, prefix: &mut Vec<Set>, all: &mut Vec<Vec<Set>>) {
        if self.rank == 0 {
            if !self.is_empty() {
                all.push(prefix.clone());
            }
            return;
        }
        for (rows, rest) in &self.parts {
            prefix.push(rows.clone());
            rest.collect(prefix, all);
            prefix.pop();
        }
    }

    /// Returns the number of positions.
    pub fn positions(&self) -> Result<i128, Problem> {
        if self.rank == 0 {
            return Ok(i128::from(!self.is_empty()));
        }
        self.parts.iter().try_fold(0i128, |sum, (rows, rest)| {
            let rest = rest.positions()?;
            rows.len().checked_mul(rest).and_then(|more| sum.checked_add(more)).ok_or_else(too_large)
        })
    }

    /// Returns the smallest interval on each axis; `None` if the region is empty.
    pub fn hull(&self) -> Option<Vec<Interval>> {
        if self.rank == 0 {
            return (!self.is_empty()).then(Vec::new);
        }
        let mut all: Option<Vec<Interval>> = None;
        for (rows, rest) in &self.parts {
            let mut spans = vec![rows.hull()?];
            spans.extend(rest.hull()?);
            all = Some(match all {
                Some(all) => all.into_iter().zip(spans).map(|(a, b)| a.hull(b)).collect(),
                None => spans,
            });
        }
        all
    }

    /// Returns the union.
    pub fn union(&self, other: &Self, budget: &Budget) -> Result<Self, Problem> {
        if self == other || other.is_empty() {
            return Ok(self.clone());
        }
        if self.is_empty() {
            return Ok(other.clone());
        }
        let mut parts = self.parts.clone();
        for (rows, rest) in &other.parts {
            parts = add(parts, rows.clone(), rest, budget)?;
        }
        Ok(Self { rank: self.rank, parts: grouped(parts, budget)? })
    }

    /// Returns how much of each cell of a grid over `window` is covered, for drawing: row by row, 0 to 1.
    pub fn densities(&self, window: &[Interval], rows: usize, columns: usize) -> Vec<Vec<f64>> {
        let mut grid = vec![vec![0.0; columns]; rows];
        let [.., high, wide] = plane(window);
        let (cells_y, cells_x) = (cells(high, rows), cells(wide, columns));
        for (ys, rest) in &self.parts {
            let inner = if self.rank == 1 { &[(ys.clone(), Self::empty(0))][..] } else { &rest.parts[..] };
            let share = |set: &Set, cells: &[Interval]| -> Vec<f64> {
                cells.iter().map(|cell| set.count_in(*cell) as f64 / cell.size() as f64).collect()
            };
            let vertical = if self.rank == 1 { vec![1.0; rows] } else { share(ys, &cells_y) };
            for (xs, _) in inner {
                let horizontal = share(xs, &cells_x);
                for (line, y) in grid.iter_mut().zip(&vertical).filter(|(_, y)| **y > 0.0) {
                    line.iter_mut().zip(&horizontal).for_each(|(cell, x)| *cell += y * x);
                }
            }
        }
        grid
    }
}

/// Returns the plane to draw: a line counts as a plane of one row.
fn plane(window: &[Interval]) -> [Interval; 2] {
    let one = Interval { lo: 0, hi: 0 };
    match *window {
        [wide] => [one, wide],
        [high, wide, ..] => [high, wide],
        [] => [one, one],
    }
}

/// Returns `count` nonempty cells of nearly equal size that cover `span`.
fn cells(span: Interval, count: usize) -> Vec<Interval> {
    let n = count.max(1) as i128;
    let at = |i: i128| span.lo + span.size() * i / n;
    (0..n).map(|i| Interval { lo: at(i), hi: (at(i + 1) - 1).max(at(i)) }).collect()
}

/// Returns `parts` with `rest` added to the content of `rows`.
fn add(
    parts: Vec<(Set, Region)>,
    mut rows: Set,
    rest: &Region,
    budget: &Budget,
) -> Result<Vec<(Set, Region)>, Problem> {
    if rest.rank == 0 && rows.is_empty() {
        // Rank 0: the one point.
        return Ok(vec![(rows, rest.clone())]);
    }
    let mut out = Vec::with_capacity(parts.len() + 2);
    for (old, sub) in parts {
        let both = if rows.is_empty() { Set::default() } else { old.intersection(&rows, budget)? };
        if both.is_empty() {
            out.push((old, sub));
            continue;
        }
        let joined = sub.union(rest, budget)?;
        if joined == sub {
            out.push((old.clone(), sub));
        } else {
            let apart = old.difference(&rows, budget)?;
            if !apart.is_empty() {
                out.push((apart, sub));
            }
            out.push((both, joined));
        }
        rows = rows.difference(&old, budget)?;
    }
    if !rows.is_empty() {
        out.push((rows, rest.clone()));
    }
    Ok(out)
}

/// Joins parts with equal contents, in order of their first row.
fn grouped(parts: Vec<(Set, Region)>, budget: &Budget) -> Result<Vec<(Set, Region)>, Problem> {
    let mut out: Vec<(Set, Region)> = Vec::with_capacity(parts.len());
    for (rows, rest) in parts {
        budget.spend(out.len())?;
        match out.iter_mut().find(|(_, other)| *other == rest) {
            Some((all, _)) => *all = all.union(&rows, budget)?,
            None => out.push((rows, rest)),
        }
    }
    out.sort_by(|(a, _), (b, _)| a.spans().cmp(b.spans()));
    Ok(out)
}
