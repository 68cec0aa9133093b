//! CK402: two linear layers without a nonlinearity between them.

use super::{Context, Facts, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::NodeId;
use cnnkit_core::layers::window::Window;
use cnnkit_core::layers::{Category, Layer};
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct LinearPair;

static META: Meta = Meta {
    id: "CK402",
    name: "linear-pair",
    family: Family::Redundancy,
    severity: Severity::Warning,
    default: true,
    summary: "two consecutive linear layers without an activation between them",
    what: "Checks convolutions and linear layers whose only reader, possibly after batch norm, dropout or \
           flatten, is another convolution or linear layer. Pairs that are linear on purpose are exempt: \
           depthwise and grouped layers (depthwise-separable convolutions), fewer channels between the two \
           than before and after them (linear bottlenecks, low-rank factors), a 1x1 convolution that \
           projects the output of a depthwise one (inverted residuals), kernels on different axes (1x3 then \
           3x1), transposed convolutions and shared weights.",
    why: "Consecutive linear maps are one linear map; batch norm is linear at inference and does not change \
          that. The second layer costs parameters and time and adds nothing that one layer could not \
          express, except a larger kernel.",
    instead: "Put an activation between the two, or write one layer.",
    source: "Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.1; linear on purpose: Sandler et al. \
             2018, MobileNetV2, section 3.2",
    bad: "input: [16, 32, 32]
layers:
  - conv: {out_channels: 32, kernel: 3, padding: 1}
  - conv: {out_channels: 32, kernel: 3, padding: 1}
",
    good: "input: [16, 32, 32]
layers:
  - conv: {out_channels: 32, kernel: 3, padding: 1}
  - relu
  - conv: {out_channels: 32, kernel: 3, padding: 1}
",
    settings: &[],
    fixes: false,
};

impl Rule for LinearPair {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for (first, _, layer) in facts.layers() {
            if !matches!(layer, Layer::Conv(_) | Layer::Linear(_)) {
                continue;
            }
            let Some(second) = facts.next(first, is_transparent) else { continue };
            if !matches!(facts.layer(second), Some(Layer::Conv(_) | Layer::Linear(_)))
                || is_meant(facts, first, second)
            {
                continue;
            }
            let (a, b) = (&facts.node(first).id, &facts.node(second).id);
            let message =
                format!("there is no nonlinearity between `{a}` and `{b}`: together they are one linear map");
            let mut finding = Finding::new(Location::Node(second), message)
                .related(Location::Node(first), format!("`{a}` comes before it"))
                .help("put an activation between them, or write one layer");
            if let Some(merged) = merged(facts, first, second) {
                let both = facts.counts(first).params + facts.counts(second).params;
                if merged.params < both {
                    finding = finding.help(format!(
                        "one layer with {} channels and {} computes the same with {} instead of {} parameters",
                        facts.node(second).shape.channels(),
                        merged.kernel,
                        number::grouped(merged.params),
                        number::grouped(both)
                    ));
                }
            }
            found.push(finding);
        }
        Ok(())
    }
}

/// Layers that leave a linear map linear, at inference.
fn is_transparent(layer: &Layer) -> bool {
    layer.passes() || matches!(layer, Layer::BatchNorm(_) | Layer::Flatten(_))
}

/// Returns whether the pair is restricted on purpose, as low-rank designs are.
fn is_meant(facts: &Facts<'_>, first: NodeId, second: NodeId) -> bool {
    if facts.shares_weights(first) || facts.shares_weights(second) {
        return true;
    }
    let grouped = |id: NodeId| {
        cnnkit_core::analysis::channels::groups(facts.graph, facts.node(id))
            .is_some_and(|(groups, _)| groups > 1)
    };
    let before = facts.node(facts.node(first).inputs[0]).shape.channels();
    let (between, behind) = (facts.node(first).shape.channels(), facts.node(second).shape.channels());
    let narrow = between < before.min(behind);
    // The projection of an inverted residual is linear by design, at any width (MobileNetV2, section 3.2).
    let light = |layer: &Layer| {
        matches!(layer.doc().category, Category::Activation | Category::Normalisation | Category::Gate)
    };
    let projects = facts.before(first, light).is_some_and(grouped);
    narrow || projects || grouped(first) || grouped(second) || different_axes(facts, first, second)
}

/// Returns whether both have kernels above 1, but on different axes.
fn different_axes(facts: &Facts<'_>, first: NodeId, second: NodeId) -> bool {
    let (Some(a), Some(b)) = (facts.windows(first), facts.windows(second)) else { return false };
    let wide = |windows: &[Window]| windows.iter().any(|window| window.kernel > 1);
    let both = a.iter().zip(&b).any(|(a, b)| a.kernel > 1 && b.kernel > 1);
    wide(&a) && wide(&b) && !both
}

/// The single layer that computes the same function.
struct Merged {
    kernel: String,
    params: u64,
}

/// Returns the layer that computes the same as two undilated convolutions, except at borders.
fn merged(facts: &Facts<'_>, first: NodeId, second: NodeId) -> Option<Merged> {
    let (a, b) = (facts.windows(first)?, facts.windows(second)?);
    if a.len() != b.len() || a.iter().chain(&b).any(|window| window.dilation > 1) {
        return None;
    }
    let kernel: Vec<u64> = a
        .iter()
        .zip(&b)
        .map(|(a, b)| Some(a.kernel + (b.kernel - 1).checked_mul(a.stride)?))
        .collect::<Option<_>>()?;
    let taps = kernel.iter().try_fold(1u64, |all, taps| all.checked_mul(*taps))?;
    let inputs = facts.node(facts.node(first).inputs[0]).shape.channels();
    let outputs = facts.node(second).shape.channels();
    let bias =
        [first, second].iter().any(|&id| facts.node(id).weights.iter().any(|weight| weight.name == "bias"));
    let weights = inputs.checked_mul(outputs)?.checked_mul(taps)?;
    let params = weights.checked_add(if bias { outputs } else { 0 })?;
    let taps: Vec<String> = kernel.iter().map(u64::to_string).collect();
    Some(Merged { kernel: format!("a {} kernel", taps.join("x")), params })
}
