//! Stored tensors that an exporter made of others by moving their elements: the transposed copy of a tied weight is no
//! parameter of its own.
//!
//! What the exporter writes about a folded tensor is believed, where it names one that is stored too. Else the elements
//! decide: all of them, bit for bit, in some order of the axes. Most pairs already differ in the first or the last element,
//! which no order of the axes moves, so hardly anything is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::constant::{Constant, sizes, steps};
use super::lower::Lower;
use super::proto::{DataType, TensorProto};
use super::source::ModelSource;
use super::weights::bytes_at;
use cnnkit_core::shape::product;

/// Fewest elements of a tensor that is compared: fewer may be equal by accident.
const FEWEST: u64 = 8;
/// Fewest different numbers in a tensor that is compared: new weights of norms and biases are all equal.
const FEWEST_VALUES: usize = 4;
/// Most elements of a tensor that are compared one by one; of a larger one, as many as this places.
const ALL: u64 = 1 << 24;
const PLACES: u64 = 4096;
/// Places that are compared first.
const FIRST: u64 = 64;
/// Most axes longer than 1, and most tensors with which one is compared.
const MOST_AXES: usize = 4;
const MOST_TRIES: usize = 32;

/// A stored tensor with the elements of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    /// Which tensor it is.
    pub copy: usize,
    /// The tensor with the same elements.
    pub of: usize,
    /// Whether the exporter made it, so that it does not count.
    pub made: bool,
}

/// A tensor to compare.
struct Stored<'a> {
    index: usize,
    tensor: &'a TensorProto,
    /// Its sizes, without axes of one element.
    dims: Vec<u64>,
    /// Bytes of an element.
    width: u64,
    made: bool,
}

/// Returns which of the stored tensors of which these weights are made are copies of others of them.
pub(super) fn of_weights(weights: &[Vec<Constant>], lower: &Lower, source: &ModelSource) -> Vec<Copy> {
    let learned = weights.iter().flatten().filter(|weight| lower.is_learned(weight));
    let roots = learned.flat_map(|weight| weight.root.iter().chain(&weight.sources).copied());
    let used: BTreeSet<usize> = roots.filter(|root| !lower.fixed.contains(root)).collect();
    find(&lower.tensors, &used, |name| lower.exporters.contains(name), &lower.folded, source)
}

/// Returns which of the tensors `used` are copies of others of them. `made` returns whether the exporter made a tensor, by
/// its name; `folded` from which tensors it did, as far as the file says it.
pub(super) fn find(
    tensors: &[TensorProto],
    used: &BTreeSet<usize>,
    made: impl Fn(&str) -> bool,
    folded: &HashMap<String, Vec<String>>,
    source: &ModelSource,
) -> Vec<Copy> {
    let named: HashMap<&str, usize> = used
        .iter()
        .filter_map(|&index| Some((tensors.get(index)?.name.as_str(), index)))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let mut found = Vec::new();
    let mut groups: BTreeMap<(i32, u64), Vec<Stored<'_>>> = BTreeMap::new();
    for &index in used {
        let Some(tensor) = tensors.get(index) else { continue };
        // What was folded from a tensor that is stored too counts there.
        if let Some([of]) = folded.get(&tensor.name).map(Vec::as_slice)
            && let Some(&of) = named.get(of.as_str()).filter(|of| **of != index)
        {
            found.push(Copy { copy: index, of, made: true });
            continue;
        }
        let Some(stored) = Stored::new(index, tensor, made(&tensor.name)) else { continue };
        groups.entry((tensor.data_type, stored.count())).or_default().push(stored);
    }
    for group in groups.into_values().filter(|group| group.len() > 1) {
        let mut corners: BTreeMap<Vec<u8>, Vec<Stored<'_>>> = BTreeMap::new();
        for stored in group {
            if let Some(both) = stored.corners(source) {
                corners.entry(both).or_default().push(stored);
            }
        }
        for mut alike in corners.into_values().filter(|alike| alike.len() > 1) {
            // Tensors with the module's names are what others are copies of.
            alike.sort_by_key(|stored| (stored.made, stored.index));
            let mut originals: Vec<Stored<'_>> = Vec::new();
            for stored in alike {
                let same = |of: &&Stored<'_>| stored.may_be(of, folded) && stored.is_copy_of(of, source);
                match originals.iter().take(MOST_TRIES).find(same) {
                    Some(of) => found.push(Copy { copy: stored.index, of: of.index, made: stored.made }),
                    None => originals.push(stored),
                }
            }
        }
    }
    found
}

impl<'a> Stored<'a> {
    fn new(index: usize, tensor: &'a TensorProto, made: bool) -> Option<Self> {
        let width = match DataType::try_from(tensor.data_type).ok()? {
            DataType::Float => 4,
            DataType::Double => 8,
            DataType::Float16 | DataType::Bfloat16 => 2,
            _ => return None,
        };
        let mut dims = sizes(&tensor.dims).ok()?;
        dims.retain(|&size| size != 1);
        let enough = product(&dims).is_some_and(|count| count >= FEWEST);
        (enough && dims.len() <= MOST_AXES).then_some(Self { index, tensor, dims, width, made })
    }

    fn count(&self) -> u64 {
        product(&self.dims).unwrap_or(0)
    }

    /// Returns `count` elements from `first` on; none if the file has them in another form, or not at all.
    fn elements(&self, first: u64, count: u64, source: &ModelSource) -> Option<Vec<u8>> {
        bytes_at(self.tensor, first.checked_mul(self.width)?, count.checked_mul(self.width)?, source)
    }

    /// Returns the first and the last element.
    fn corners(&self, source: &ModelSource) -> Option<Vec<u8>> {
        let last = self.elements(self.count().checked_sub(1)?, 1, source)?;
        Some([self.elements(0, 1, source)?, last].concat())
    }

    /// Returns whether the file leaves it open that both come from one parameter.
    fn may_be(&self, other: &Self, folded: &HashMap<String, Vec<String>>) -> bool {
        let Some(from) = folded.get(&self.tensor.name) else { return true };
        match folded.get(&other.tensor.name) {
            Some(theirs) => theirs.iter().any(|name| from.contains(name)),
            None => other.made || from.contains(&other.tensor.name),
        }
    }

    /// Returns whether the elements are those of `other` in some order of its axes. Equal tensors in the same order are
    /// parameters of their own, unless one has the module's name and the exporter made the other.
    fn is_copy_of(&self, other: &Self, source: &ModelSource) -> bool {
        // The one with more axes may be turned; the other one may be reshaped after that.
        let (fine, turned) = if self.dims.len() > other.dims.len() { (other, self) } else { (self, other) };
        let orders = permutations(turned.dims.len()).into_iter().filter(|order| {
            let moved = order.iter().enumerate().any(|(place, &axis)| place != axis);
            moved || self.made && !other.made
        });
        let mut first: Option<Vec<(u64, Vec<u8>)>> = None;
        for order in orders {
            let places = first.get_or_insert_with(|| fine.spread(FIRST, source).unwrap_or_default());
            let different: BTreeSet<&[u8]> = places.iter().map(|(_, element)| element.as_slice()).collect();
            if different.len() < FEWEST_VALUES {
                return false;
            }
            let sizes: Vec<u64> = order.iter().map(|&axis| turned.dims[axis]).collect();
            let at = |flat: u64| moved(flat, &sizes, &turned.dims, &order);
            let all_at = |places: &[(u64, Vec<u8>)]| {
                places.iter().all(|(flat, own)| turned.elements(at(*flat), 1, source).as_ref() == Some(own))
            };
            if !all_at(places) {
                continue;
            }
            let equal = if self.count() > ALL {
                fine.spread(PLACES, source).is_some_and(|places| all_at(&places))
            } else {
                fine.is_equal(turned, at, source)
            };
            if equal {
                return true;
            }
        }
        false
    }

    /// Returns elements from all over the tensor, with their places.
    fn spread(&self, wanted: u64, source: &ModelSource) -> Option<Vec<(u64, Vec<u8>)>> {
        let count = self.count();
        let step = (count / wanted).max(1);
        // Not in step with a row.
        let place = |number: u64| number * step + number * 7 % step;
        let places = (0..count.min(wanted)).map(place).filter(|&flat| flat < count);
        places.map(|flat| Some((flat, self.elements(flat, 1, source)?))).collect()
    }

    /// Compares all elements: each with the one of `other` at the place that `at` returns.
    fn is_equal(&self, other: &Self, at: impl Fn(u64) -> u64, source: &ModelSource) -> bool {
        let count = self.count();
        let (Some(own), Some(theirs)) = (self.elements(0, count, source), other.elements(0, count, source))
        else {
            return false;
        };
        let width = self.width as usize;
        (0u64..).zip(own.chunks(width)).all(|(flat, element)| {
            let place = at(flat) as usize * width;
            theirs.get(place..place + width) == Some(element)
        })
    }
}

/// Returns where the element at `flat` of a tensor of the sizes `dims` is in one of the sizes `other`, whose axis `order[a]`
/// is axis `a`.
fn moved(flat: u64, dims: &[u64], other: &[u64], order: &[usize]) -> u64 {
    let steps = steps(other);
    let (mut rest, mut at) = (flat, 0);
    for (&size, &axis) in dims.iter().zip(order).rev() {
        at += rest % size * steps[axis] as u64;
        rest /= size;
    }
    at
}

/// Returns all orders of so many axes.
fn permutations(axes: usize) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for _ in 0..axes {
        all = all
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                let left = (0..axes).filter(|axis| !order.contains(axis)).collect::<Vec<_>>();
                left.into_iter().map(move |axis| [order.as_slice(), &[axis]].concat())
            })
            .collect();
    }
    all
}

/// Says what was found; nothing if nothing was.
pub(super) fn remarks(copies: &[Copy], tensors: &[TensorProto]) -> Vec<String> {
    let name = |index: usize| tensors.get(index).map_or("", |tensor| tensor.name.as_str());
    let elements = |copies: &[&Copy]| {
        let count = |copy: &&Copy| sizes(&tensors.get(copy.copy)?.dims).ok().and_then(|dims| product(&dims));
        copies.iter().filter_map(count).fold(0u64, u64::saturating_add)
    };
    let of = |made: bool| copies.iter().filter(|copy| copy.made == made).collect::<Vec<_>>();
    let text = |copies: &[&Copy], end: &str| {
        let first = copies.first()?;
        let numbers = cnnkit_core::number::grouped(elements(copies));
        let (is, copy) = (name(first.copy), name(first.of));
        Some(match copies.len() {
            1 => format!("`{is}` has the {numbers} elements of `{copy}`: {end}"),
            count => format!(
                "{count} stored tensors, `{is}` among them, have the elements of others, {numbers} in all: {end}"
            ),
        })
    };
    let made = text(&of(true), "not counted again, as the exporter made them of tied weights");
    let own = text(&of(false), "transposed, but counted again, as they are stored under names of their own");
    made.into_iter().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
        let raw_data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: DataType::Float as i32,
            raw_data: raw_data.into(),
            ..TensorProto::default()
        }
    }

    fn found(tensors: &[TensorProto], folded: &[(&str, &str)]) -> Vec<Copy> {
        let source = ModelSource::Memory { name: "m".into(), bytes: vec![].into() };
        let folded = folded.iter().map(|&(name, of)| (name.to_owned(), vec![of.to_owned()])).collect();
        let used = (0..tensors.len()).collect();
        find(tensors, &used, |name| name.starts_with("onnx::"), &folded, &source)
    }

    #[test]
    fn transposed_copies_are_found_and_constants_are_not() {
        let values: Vec<f32> = (0..12u8).map(|value| f32::from(value * value)).collect();
        let turned: Vec<f32> = (0..12).map(|flat| values[flat % 3 * 4 + flat / 3]).collect();
        let mut other = turned.clone();
        other.swap(5, 6);
        let ones = vec![1.0; 12];
        let tensors = [
            tensor("a.weight", &[3, 4], &values),
            tensor("onnx::MatMul_1", &[4, 3], &turned),
            tensor("onnx::Conv_2", &[4, 3, 1, 1], &turned),
            tensor("onnx::MatMul_3", &[4, 3], &other),
            // Turned and then reshaped, as spectral norm does.
            tensor("onnx::MatMul_5", &[2, 6], &turned),
            tensor("n.weight", &[12], &ones),
            tensor("onnx::Mul_4", &[12], &ones),
            // The module's own names: equal ones are separate parameters, transposed ones are worth a remark.
            tensor("b.weight", &[3, 4], &values),
            tensor("c.weight", &[4, 3], &turned),
        ];
        let copy = |copy, of, made| Copy { copy, of, made };
        let mut copies = found(&tensors, &[]);
        copies.sort_by_key(|copy| copy.copy);
        assert_eq!(copies, [copy(1, 0, true), copy(2, 0, true), copy(4, 0, true), copy(8, 0, false)]);
        // Without data, what the exporter wrote decides.
        let empty = tensors.map(|tensor| TensorProto { raw_data: vec![].into(), ..tensor });
        assert_eq!(
            found(&empty, &[("onnx::MatMul_1", "a.weight"), ("onnx::MatMul_3", "z")]),
            [copy(1, 0, true)]
        );
    }

    #[test]
    fn an_order_of_axes_maps_every_element() {
        // Axis a of the copy is axis order[a] of the original.
        let (dims, other, order) = ([4, 2, 3], [2, 3, 4], [2, 0, 1]);
        let all: BTreeSet<u64> = (0..24).map(|flat| moved(flat, &dims, &other, &order)).collect();
        assert_eq!(all, (0..24).collect());
        // [1, 1, 2] of the copy is [1, 2, 1] of the original.
        assert_eq!(moved(6 + 3 + 2, &dims, &other, &order), 12 + 8 + 1);
    }
}
