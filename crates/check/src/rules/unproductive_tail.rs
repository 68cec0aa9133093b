//! CK202: convolutions whose input already has a receptive field larger than the whole image.

use super::{Context, Facts, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::NodeId;
use cnnkit_core::layers::Category;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct UnproductiveTail;

static META: Meta = Meta {
    id: "CK202",
    name: "unproductive-tail",
    family: Family::ReceptiveField,
    severity: Severity::Note,
    default: false,
    summary: "convolutions after the point where every path has read the whole input",
    what: "Finds convolutions with a kernel above 1 whose input has, on the path with the smallest \
           receptive field, a field larger than the network's input on every axis: they are after the \
           border layer. Reports one finding for all of them, at the first.",
    why: "A kernel there cannot add anything new from the image. Richter et al. find that such layers \
          hardly improve the accuracy: at the same input size the network could end earlier.",
    instead: "Use larger images, or remove layers or early strides: with fewer of them the field grows more \
              slowly.",
    source: "Richter et al. 2021, Should You Go Deeper? Optimizing Convolutional Neural Network Architectures \
             without Training by Receptive Field Analysis (the border layer)",
    bad: "input: [3, 8, 8]
layers:
  - conv: {out_channels: 8, kernel: 9, padding: 4}
  - relu
  - conv: {out_channels: 8, kernel: 3, padding: 1}
",
    good: "input: [3, 16, 16]
layers:
  - conv: {out_channels: 8, kernel: 9, padding: 4}
  - relu
  - conv: {out_channels: 8, kernel: 3, padding: 1}
",
    settings: &[],
    fixes: false,
};

impl Rule for UnproductiveTail {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        let (mut tail, mut all) = (Vec::new(), 0u64);
        for (id, _, layer) in facts.layers() {
            let wide =
                facts.windows(id).is_some_and(|windows| windows.iter().any(|window| window.kernel > 1));
            if layer.doc().category != Category::Convolution || !wide {
                continue;
            }
            all += 1;
            if let Some(smallest) = beyond(facts, facts.node(id).inputs[0])? {
                tail.push((id, smallest));
            }
        }
        let Some((first, smallest)) = tail.first().cloned() else { return Ok(()) };
        let params: u64 = tail.iter().map(|(id, _)| facts.counts(*id).params).sum();
        let share = params as f64 / facts.totals().params.max(1) as f64;
        let message = format!(
            "from here on {} of {} convolutions read maps that already cover the whole input (smallest field {smallest}): {} parameters, {} of all",
            number::grouped(tail.len() as u64),
            number::grouped(all),
            number::grouped(params),
            number::share(share)
        );
        found.push(
            Finding::new(Location::Node(first), message)
                .help("use a larger input, or end the network earlier"),
        );
        Ok(())
    }
}

/// Returns the smallest field of `id`, if it exceeds every input on every axis.
fn beyond(facts: &Facts<'_>, id: NodeId) -> Result<Option<String>, Problem> {
    let mut shown = None;
    for field in facts.field(id)? {
        let sizes = facts.node(field.input).shape.spatial();
        let mut smallest = Vec::new();
        for (axis, &size) in field.axes.iter().zip(sizes) {
            // Without a smallest path, all paths cover the whole axis.
            match axis.smallest {
                Some(seen) if seen <= i128::from(size) => return Ok(None),
                Some(seen) => smallest.push(seen.to_string()),
                None => smallest.push("global".into()),
            }
        }
        shown.get_or_insert(smallest.join("x"));
    }
    Ok(shown)
}
