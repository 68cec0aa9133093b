//! The program for one image of a program that was exported for several.
//!
//! Layers compute one image; the batch is an axis of the program's tensors. Where a program joins it with another axis (images
//! and heads of an attention, images and windows), no axis is the batch any more. The program for a single image has no such
//! axis to keep apart. It is the same program with other sizes if no operator mixes images: `rules` proves that operator by
//! operator, from the place of the batch in each input of a call to its place in each output.

mod given;
mod products;
mod rules;

use std::collections::HashMap;

use super::super::schema::{Argument, Dimension, Graph, Input, Node, Program, Size, TensorMeta};
use super::call::values::{Values, returned};
use super::call::{Call, Unsupported, known};
use super::{form, is_bare, split};

/// Where the images are in a tensor: element `b` of the batch has the indices `(outer * batch + b) * inside + inner` of `axis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    axis: usize,
    inside: i64,
}

/// Why a program stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The axis is no batch: what is computed for one index depends on others.
    Mixed,
    /// An operator for which there is no rule, or a call that its rule does not cover.
    Unknown,
}

impl From<Unsupported> for Stop {
    fn from(_: Unsupported) -> Self {
        Self::Unknown
    }
}

/// What a call does with the batch.
struct Step {
    /// For each tensor that it returns.
    places: Vec<Option<Place>>,
    /// Arguments with other values, by their position.
    edits: Vec<(usize, Argument)>,
}

/// What changes in a program.
#[derive(Default)]
struct Changes {
    places: HashMap<String, Place>,
    edits: Vec<(usize, usize, Argument)>,
}

/// Axes of the inputs that are the batch: of an example that has several images, the first; where that one is a sequence, the
/// second.
const AXES: [usize; 2] = [0, 1];

/// Makes the program of several images that of one, if it joins their axis with others and no operator mixes images. Returns the
/// axis of the inputs that is the batch, if that is not the first one.
pub(in crate::pt2) fn of_one_image(program: &mut Program) -> Option<usize> {
    if is_bare(program) {
        return None;
    }
    let names: Vec<String> = program
        .graph_module
        .signature
        .input_specs
        .iter()
        .filter_map(|input| match input {
            Input::User(Argument::Tensor(name)) => Some(name.clone()),
            _ => None,
        })
        .collect();
    let graph = &program.graph_module.graph;
    for axis in AXES {
        let batch = batch(graph, &names, axis)?;
        if batch == 1 {
            // Of a sequence that comes first there is only one: it stands behind its positions.
            return Some(axis).filter(|&axis| axis > 0);
        }
        let (mut changes, mut stop) = (None, Stop::Unknown);
        for repeats in [Some([0, 1]), Some([1, 0]), None] {
            match changed(graph, &names, Batch { axis, size: batch, repeats }) {
                Ok(found) => {
                    changes = Some(found);
                    break;
                }
                Err(reason) => stop = reason,
            }
        }
        match changes {
            Some(changes) if axis > 0 || joins(graph, &changes, batch) => {
                apply(&mut program.graph_module.graph, changes, batch);
                return Some(axis).filter(|&axis| axis > 0);
            }
            None if stop == Stop::Mixed => {}
            _ => return None,
        }
    }
    None
}

/// The batch whose way is followed.
#[derive(Debug, Clone, Copy)]
struct Batch {
    /// Its axis in the inputs.
    axis: usize,
    /// Number of images.
    size: i64,
    /// Axes, the likelier first, along which what is repeated as often as there are images is repeated for them; none if it is
    /// repeated for something else. The states of a recurrent layer have the batch behind their layers.
    repeats: Option<[usize; 2]>,
}

/// The size that the axis has in all inputs; none if it differs, or if the first axis has a single image.
fn batch(graph: &Graph, names: &[String], axis: usize) -> Option<i64> {
    let mut found = None;
    for name in names {
        let sizes = known(graph.tensor_values.get(name)?).ok()?;
        // A number is the same for all images.
        if sizes.is_empty() {
            continue;
        }
        let size = *sizes.get(axis)?;
        if axis > 0 && sizes.len() <= axis + 1 {
            return None;
        }
        if found.is_some_and(|found| found != size) {
            return None;
        }
        found = Some(size);
    }
    found.filter(|&size| size > 1 || (size == 1 && axis > 0))
}

fn changed(graph: &Graph, names: &[String], batch: Batch) -> Result<Changes, Stop> {
    let mut values = Values::new(graph.tensor_values.iter());
    let mut changes = Changes::default();
    for name in names {
        if values.meta(name).is_some_and(|meta| !meta.sizes.is_empty()) {
            changes.places.insert(name.clone(), Place { axis: batch.axis, inside: 1 });
        }
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        if super::checks(node) {
            continue;
        }
        let (operator, overload) = split(&node.target);
        let (operator, writes) = form(operator);
        let call = Call { node, operator, overload, values: &mut values };
        let step = rules::step(&call, &changes.places, batch)?;
        if writes && step.places.first().copied().flatten() != written(node, &changes) {
            return Err(Stop::Unknown);
        }
        for (name, place) in returned(node).into_iter().zip(step.places) {
            let (Some(name), Some(place)) = (name, place) else { continue };
            fits(&values, name, place, batch.size)?;
            changes.places.insert(name.clone(), place);
        }
        changes.edits.extend(step.edits.into_iter().map(|(place, argument)| (index, place, argument)));
    }
    Ok(changes)
}

/// The place of the batch in the tensor that `node` writes.
fn written(node: &Node, changes: &Changes) -> Option<Place> {
    match &node.inputs.first()?.arg {
        Argument::Tensor(name) => changes.places.get(name).copied(),
        _ => None,
    }
}

/// An error if a tensor has no batch at this place.
fn fits(values: &Values<'_>, name: &str, place: Place, batch: i64) -> Result<(), Stop> {
    let meta = values.meta(name).ok_or(Stop::Unknown)?;
    let sizes = known(meta)?;
    let size = sizes.get(place.axis).ok_or(Stop::Unknown)?;
    let unit = batch.checked_mul(place.inside).filter(|&unit| unit > 0).ok_or(Stop::Unknown)?;
    if size % unit == 0 && *size > 0 { Ok(()) } else { Err(Stop::Unknown) }
}

/// Whether the batch is joined with another axis somewhere.
fn joins(graph: &Graph, changes: &Changes, batch: i64) -> bool {
    changes.places.iter().any(|(name, place)| {
        let size = graph.tensor_values.get(name).and_then(|meta| meta.sizes.get(place.axis));
        size != Some(&Dimension::Known(batch))
    })
}

fn apply(graph: &mut Graph, changes: Changes, batch: i64) {
    for (name, place) in &changes.places {
        if let Some(meta) = graph.tensor_values.get_mut(name) {
            shrink(meta, *place, batch);
        }
    }
    for (node, place, argument) in changes.edits {
        if let Some(input) = graph.nodes.get_mut(node).and_then(|node| node.inputs.get_mut(place)) {
            input.arg = argument;
        }
    }
    // Literal sizes are those of what is returned.
    for node in &mut graph.nodes {
        let Some(Some(name)) = returned(node).first().copied() else { continue };
        if !changes.places.contains_key(name) {
            continue;
        }
        let sizes = graph.tensor_values.get(name).and_then(|meta| known(meta).ok());
        let (operator, _) = split(&node.target);
        let stated = rules::states_sizes(form(operator).0);
        for input in &mut node.inputs {
            if let (true, "size" | "shape", Some(sizes)) = (stated, input.name.as_str(), &sizes) {
                input.arg = Argument::Sizes(sizes.iter().map(|&size| Size::Known(size)).collect());
            }
        }
    }
}

/// The description of a tensor for one image.
fn shrink(meta: &mut TensorMeta, place: Place, batch: i64) {
    let number = |size: Option<&Dimension>| match size {
        Some(Dimension::Known(size)) => Some(*size),
        _ => None,
    };
    let own = number(meta.strides.get(place.axis)).and_then(|stride| stride.checked_mul(place.inside));
    if let Some(size) = number(meta.sizes.get(place.axis)) {
        meta.sizes[place.axis] = Dimension::Known(size / batch);
    }
    for (axis, stride) in meta.strides.iter_mut().enumerate() {
        // What lies outside of the batch comes closer.
        if let (Dimension::Known(stride), Some(own)) = (stride, own)
            && own > 0
            && axis != place.axis
            && *stride > own
            && *stride % batch == 0
        {
            *stride /= batch;
        }
    }
}
