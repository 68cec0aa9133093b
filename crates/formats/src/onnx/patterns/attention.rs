//! Attention, which exporters write as a product, a scale, added terms, a softmax and a product.

use super::View;
use super::movement::reshape;
use crate::onnx::constant::Constant;
use crate::onnx::ir::Draft;
use crate::onnx::names::ModulePath;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::attention::Attention;
use cnnkit_core::layers::layer_scale::ScaleAxis;
use cnnkit_core::layers::learned_tensor::LearnedTensor;
use cnnkit_core::layers::permute::Permute;
use cnnkit_core::layers::softmax::SoftmaxAxis;
use cnnkit_core::shape::Shape;

/// Maximum number of layers between the product of queries and keys and the softmax.
const STEPS: usize = 8;
/// Tolerance of a scale that should be 1 / sqrt(d): exporters round its root to f32, once for queries and
/// once for keys.
const ROUNDING: f64 = 5e-7;
/// Names of stored tensors that are not parameters: Swin's shifted windows, and our own exported masks.
const MASKS: &[&str] = &["mask", "attn_mask"];

/// Attention, with the drafts that change with it.
pub(super) struct Attended {
    pub layer: Layer,
    pub inputs: Vec<usize>,
    pub weights: Vec<Constant>,
    pub place: ModulePath,
    /// Drafts that replace some of the removed ones: keys that are no longer transposed, queries that are
    /// scaled instead of scores, tensors that are added.
    pub beside: Vec<(usize, Draft)>,
}

/// The layers between the product of queries and keys and the softmax, the last one first.
#[derive(Debug, Clone, Default)]
struct Steps {
    /// The product of all scales of the scores.
    scale: f64,
    /// Steps that add a tensor: computed, learned or fixed.
    added: Vec<Added>,
    /// Steps that multiply all scores of a query by the same factor, with the operand that is the scores.
    factors: Vec<(usize, usize)>,
    /// A reshape that prepends axes of size 1 to the scores.
    lifted: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Added {
    /// A computed tensor.
    Term(usize),
    /// The draft of a `learned_bias`.
    Own(usize),
}

/// Matches `softmax(scale q k^T + terms) v` that ends at `index`. Its scores and weights must have no other
/// reader: where they do, as where attention maps are an output, the parts stay separate.
pub(super) fn attention(view: &View<'_>, index: usize) -> Option<Attended> {
    let Layer::Matmul(_) = view.layer(index)? else { return None };
    let &[shares, value] = view.draft(index).inputs.as_slice() else { return None };
    let Layer::Softmax(softmax) = view.layer(shares)? else { return None };
    let whole = &view.draft(shares).shape;
    if !view.single(shares) || softmax.axis != SoftmaxAxis::Last {
        return None;
    }
    let (product, mut steps) = walk(view, view.input(shares)?, STEPS)?;
    let &[query, turned] = view.draft(product).inputs.as_slice() else { return None };
    let mut beside = Vec::new();

    let query = scaled(view, query, &mut steps.scale);
    let key = turned_back(view, turned, product, &mut steps.scale, &mut beside)?;
    let features = *view.draft(query).shape.sizes().last()?;
    let query = factored(view, query, &steps, &mut beside)?;
    let (query, key) = match steps.lifted {
        None => (query, key),
        Some(at) => {
            let axes = whole.rank().checked_sub(view.draft(product).shape.rank())?;
            let query = lift(view, (query, at), axes, &mut beside);
            (query, lift(view, (key, shares), axes, &mut beside))
        }
    };
    let near = (steps.scale * (features as f64).sqrt() - 1.0).abs() < ROUNDING;

    let mut layer = Attention { scale: (!near).then_some(steps.scale), bias: None, mask: None };
    let mut inputs = vec![query, key, value];
    let (mut bias, mut mask) = (None, None);
    for &added in steps.added.iter().rev() {
        match added {
            Added::Term(term) => inputs.push(term),
            Added::Own(at) => {
                let Layer::LearnedBias(own) = view.layer(at)? else { return None };
                let weight = view.draft(at).weights.first()?;
                let shape = own.shape.clone().unwrap_or_else(|| whole.sizes().to_vec());
                // A buffer is stored like a parameter; only its name distinguishes it.
                let learned = own.learned && !MASKS.contains(&view.draft(at).place.leaf.as_str());
                let (slot, size) =
                    if learned { (&mut bias, &mut layer.bias) } else { (&mut mask, &mut layer.mask) };
                if slot.is_none() {
                    (*slot, *size) = (Some(weight.clone()), Some(shape));
                } else {
                    // A second one becomes an input: a tensor that starts a branch.
                    beside.push((at, tensor(view, at, shape, learned)));
                    inputs.push(at);
                }
            }
        }
    }

    // The final shapes, which must result in the same scores and the same products as before.
    let shape = |input: usize| {
        let new = beside.iter().find(|(slot, _)| *slot == input);
        new.map_or(&view.draft(input).shape, |(_, draft)| &draft.shape).clone()
    };
    let shapes: Vec<Shape> = inputs.iter().map(|&input| shape(input)).collect();
    let layer = Layer::Attention(layer);
    let made = &view.draft(index).shape;
    let outer = made.rank().checked_sub(2)?;
    let same = |shape: &Shape| shape.sizes().get(..outer) == made.sizes().get(..outer);
    let fits = layer.infer(&shapes).is_ok_and(|shape| shape == *made)
        && lifts(&view.draft(product).shape, whole)
        && same(whole)
        && beside.iter().all(|(slot, draft)| draft.inputs.iter().all(|input| input < slot))
        && inputs.iter().all(|&input| input < index);
    fits.then(|| Attended {
        layer,
        inputs,
        weights: bias.into_iter().chain(mask).collect(),
        place: named(&view.draft(index).place),
        beside,
    })
}

/// Returns the product of queries and keys before the scores `at`, and the steps between.
fn walk(view: &View<'_>, at: usize, left: usize) -> Option<(usize, Steps)> {
    let left = left.checked_sub(1).filter(|_| view.single(at))?;
    let draft = view.draft(at);
    let behind = |input: usize| walk(view, input, left);
    match draft.layer.as_ref()? {
        Layer::Matmul(_) => Some((at, Steps { scale: 1.0, ..Steps::default() })),
        // A term added before the scale would be scaled as well.
        Layer::Rescale(rescale) if rescale.shift == 0.0 => {
            let (product, mut steps) = behind(view.input(at)?).filter(|(_, steps)| steps.added.is_empty())?;
            steps.scale *= rescale.scale;
            Some((product, steps))
        }
        Layer::Reshape(_) => {
            let (product, mut steps) = behind(view.input(at)?)?;
            let plain = steps.added.is_empty() && steps.factors.is_empty() && steps.lifted.is_none();
            steps.lifted = Some(at);
            (plain && lifts(&view.draft(product).shape, &draft.shape)).then_some((product, steps))
        }
        Layer::LearnedBias(_) => {
            let (product, mut steps) = behind(view.input(at)?)?;
            steps.added.insert(0, Added::Own(at));
            Some((product, steps))
        }
        Layer::Add(add) if add.weights.is_none() => view.pairs(at).into_iter().find_map(|(scores, term)| {
            let (product, mut steps) = behind(scores)?;
            steps.added.insert(0, Added::Term(term));
            Some((product, steps))
        }),
        Layer::LearnedScale(_) | Layer::LayerScale(_) | Layer::Multiply(_) | Layer::Divide(_) => {
            let operands = match draft.layer {
                Some(Layer::Divide(_)) => 1,
                _ => draft.inputs.len().min(2),
            };
            (0..operands).find_map(|operand| {
                let scores = draft.inputs[operand];
                let (product, mut steps) =
                    behind(scores).filter(|(_, steps)| steps.added.is_empty() && steps.lifted.is_none())?;
                if !per_query(view, at, scores) {
                    return None;
                }
                steps.factors.insert(0, (at, operand));
                Some((product, steps))
            })
        }
        _ => None,
    }
}

/// Returns whether `at` multiplies all `scores` of a query by the same factor.
fn per_query(view: &View<'_>, at: usize, scores: usize) -> bool {
    let rank = view.draft(scores).shape.rank();
    let one = |sizes: &[u64]| sizes.len() == rank && sizes.last() == Some(&1);
    match view.layer(at) {
        Some(Layer::LearnedScale(scale)) => scale.shape.as_deref().is_some_and(one),
        Some(Layer::LayerScale(scale)) => scale.axis == ScaleAxis::Channels && rank > 1,
        _ => {
            let others = view.draft(at).inputs.iter().filter(|&&input| input != scores);
            others.copied().all(|other| one(view.draft(other).shape.sizes()))
        }
    }
}

/// Returns the input of `at` if that only scales and has no other reader, and multiplies `scale` by its
/// scale; else `at`.
fn scaled(view: &View<'_>, at: usize, scale: &mut f64) -> usize {
    match (view.layer(at), view.input(at)) {
        (Some(Layer::Rescale(own)), Some(input)) if own.shift == 0.0 && view.single(at) => {
            *scale *= own.scale;
            input
        }
        _ => at,
    }
}

/// Returns whether `to` is `from` with any number of axes of size 1 before the others.
fn lifts(from: &Shape, to: &Shape) -> bool {
    let more = to.rank().checked_sub(from.rank());
    more.is_some_and(|more| {
        to.sizes()[..more].iter().all(|&size| size == 1) && to.sizes()[more..] == *from.sizes()
    })
}

/// Adds `axes` axes of size 1 before those of `source`, in the slot of the draft `slot`.
fn lift(
    view: &View<'_>,
    (source, slot): (usize, usize),
    axes: usize,
    beside: &mut Vec<(usize, Draft)>,
) -> usize {
    let new = beside.iter().find(|(at, _)| *at == source);
    let shape = new.map_or(&view.draft(source).shape, |(_, draft)| &draft.shape);
    let shape = Shape::new([vec![1; axes], shape.sizes().to_vec()].concat());
    let layer = Some(reshape(&shape));
    beside.push((
        slot,
        Draft { layer, inputs: vec![source], shape, weights: vec![], ..view.draft(slot).clone() },
    ));
    slot
}

/// Returns the keys, one per row, of which `turned` is the transpose; if that requires another permutation,
/// it replaces a removed draft.
fn turned_back(
    view: &View<'_>,
    turned: usize,
    product: usize,
    scale: &mut f64,
    beside: &mut Vec<(usize, Draft)>,
) -> Option<usize> {
    let inner = scaled(view, turned, scale);
    if let Some(key) = turned_flat(view, inner) {
        return Some(key);
    }
    let dies = view.single(turned) && view.single(inner);
    let (source, mut axes, slot) = match (view.layer(inner), view.input(inner)) {
        (Some(Layer::Permute(permute)), Some(input)) => {
            let source = if dies { scaled(view, input, scale) } else { input };
            (source, permute.axes.clone(), if dies { inner } else { product })
        }
        _ => (inner, (0..view.draft(turned).shape.rank() as u64).collect(), product),
    };
    let last = axes.len().checked_sub(1)?;
    axes.swap(last.checked_sub(1)?, last);
    if axes.iter().copied().eq(0..axes.len() as u64) {
        return Some(source);
    }
    let layer = Layer::Permute(Permute { axes });
    let shape = layer.infer(&[view.draft(source).shape.clone()]).ok()?;
    let old = view.draft(slot).clone();
    beside.push((slot, Draft { layer: Some(layer), inputs: vec![source], shape, weights: vec![], ..old }));
    Some(slot)
}

/// Returns the keys of which `at` is the transpose through a reshape that joins all axes before the last two,
/// as PyTorch's newer exporter writes it for any number of axes.
fn turned_flat(view: &View<'_>, at: usize) -> Option<usize> {
    let Layer::Reshape(_) = view.layer(at)? else { return None };
    let permute = view.input(at)?;
    let Layer::Permute(Permute { axes }) = view.layer(permute)? else { return None };
    let flat = view.input(permute)?;
    let Layer::Reshape(_) = view.layer(flat)? else { return None };
    let key = view.input(flat)?;
    let mut order: Vec<u64> = (0..axes.len() as u64).collect();
    let last = order.len().checked_sub(1)?;
    order.swap(last.checked_sub(1)?, last);
    let turned = |sizes: &[u64]| {
        let mut sizes = sizes.to_vec();
        let last = sizes.len().checked_sub(1)?;
        sizes.swap(last.checked_sub(1)?, last);
        Some(sizes)
    };
    let (sizes, joined) = (view.draft(key).shape.sizes(), view.draft(flat).shape.sizes());
    let same = turned(sizes)? == view.draft(at).shape.sizes()
        && joined.len() >= 2
        && joined[joined.len() - 2..] == sizes[sizes.len() - 2..];
    (*axes == order && same).then_some(key)
}

/// Returns the queries, each times the factor of its scores.
fn factored(view: &View<'_>, query: usize, steps: &Steps, beside: &mut Vec<(usize, Draft)>) -> Option<usize> {
    let shape = &view.draft(query).shape;
    let mut last = query;
    for &(at, operand) in steps.factors.iter().rev() {
        let old = view.draft(at);
        let mut inputs = old.inputs.clone();
        let mut shapes: Vec<Shape> = inputs.iter().map(|&input| view.draft(input).shape.clone()).collect();
        (inputs[operand], shapes[operand]) = (last, shape.clone());
        if old.layer.as_ref()?.infer(&shapes).ok()? != *shape {
            return None;
        }
        beside.push((at, Draft { inputs, shape: shape.clone(), ..old.clone() }));
        last = at;
    }
    Some(last)
}

/// Returns the learned or fixed tensor that the `learned_bias` `at` adds, as a separate draft.
fn tensor(view: &View<'_>, at: usize, shape: Vec<u64>, learned: bool) -> Draft {
    let layer = Layer::LearnedTensor(LearnedTensor { shape: shape.clone(), learned });
    // The network's first input determines its batch size.
    Draft { layer: Some(layer), inputs: vec![0], shape: Shape::new(shape), ..view.draft(at).clone() }
}

/// Returns the module path of the second product, under a more specific name.
fn named(place: &ModulePath) -> ModulePath {
    let stem = place.leaf.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    let leaf = match stem {
        "mat_mul" | "matmul" | "bmm" | "einsum" => "attention".to_owned(),
        _ => place.leaf.clone(),
    };
    ModulePath { leaf, ..place.clone() }
}
