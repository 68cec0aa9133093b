//! CK506: a fully connected layer on a flattened map.

use super::{Context, Family, Finding, Location, Meta, Rule, Setting, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct LargeHead;

static META: Meta = Meta {
    id: "CK506",
    name: "large-head",
    family: Family::Cost,
    severity: Severity::Note,
    default: false,
    summary: "a large fully connected layer after a flattened feature map",
    what: "Checks linear layers that read a flattened feature map of more than one position. Fires if they \
           have at least `params` parameters.",
    why: "One weight per position and channel makes up most of the model, overfits, and ties the network to \
          one input size. After a global average pool the layer has one weight per channel.",
    instead: "Put `- global_avg_pool` in place of the `flatten`, or pool to a smaller map first.",
    source: "Lin, Chen & Yan 2014, Network In Network, section 3.2; Szegedy et al. 2015, Going Deeper with \
             Convolutions, section 5",
    bad: "input: [512, 7, 7]
layers:
  - flatten
  - linear: {out_features: 4096}
",
    good: "input: [512, 7, 7]
layers:
  - global_avg_pool
  - linear: {out_features: 4096}
",
    settings: &[Setting {
        name: "params",
        value: 1_000_000.0,
        doc: "minimum number of parameters of such a layer",
    }],
    fixes: false,
};

impl Rule for LargeHead {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for (id, node, layer) in facts.layers() {
            let Layer::Linear(linear) = layer else { continue };
            let Some(flatten) = facts
                .before(id, Layer::passes)
                .filter(|&id| matches!(facts.layer(id), Some(Layer::Flatten(_))))
            else {
                continue;
            };
            let map = &facts.node(facts.node(flatten).inputs[0]).shape;
            let positions: u64 = map.spatial().iter().product();
            let params = facts.counts(id).params;
            if positions < 2
                || facts.node(flatten).shape.rank() != 1
                || (params as f64) < context.setting("params")
            {
                continue;
            }
            let bias = if linear.bias { linear.out_features } else { 0 };
            let pooled = map.channels() * linear.out_features + bias;
            let message = format!(
                "`{}` has {} parameters, with separate weights for every position of {map}; after a global average pool it would have {}",
                node.id,
                number::grouped(params),
                number::grouped(pooled)
            );
            found.push(
                Finding::new(Location::Argument(id, "out_features"), message)
                    .help("put `global_avg_pool` in place of `flatten`, or pool to a smaller map first"),
            );
        }
        Ok(())
    }
}
