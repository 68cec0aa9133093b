//! CK404: a normalisation directly after a normalisation.

use super::{Context, Family, Finding, Fix, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;

/// See the module documentation.
#[derive(Debug)]
pub struct RepeatedNorm;

static META: Meta = Meta {
    id: "CK404",
    name: "repeated-norm",
    family: Family::Redundancy,
    severity: Severity::Warning,
    default: true,
    summary: "a normalisation directly after another normalisation",
    what: "Checks batch, layer, group and instance norms whose only reader, possibly after dropout, is \
           another such norm. Has a fix for two batch norms.",
    why: "The output of a norm is normalised already; normalising it again costs time and parameters, and \
          two consecutive learned scales are one. Two batch norms compute exactly what one can.",
    instead: "Keep one of the two.",
    source: "Ioffe & Szegedy 2015, Batch Normalization, section 3: normalisation, then one learned scale and \
             shift",
    bad: "input: [8, 16, 16]
layers:
  - conv: {out_channels: 8, kernel: 3, bias: false}
  - batch_norm
  - batch_norm
",
    good: "input: [8, 16, 16]
layers:
  - conv: {out_channels: 8, kernel: 3, bias: false}
  - batch_norm
",
    settings: &[],
    fixes: true,
};

impl Rule for RepeatedNorm {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for (first, _, layer) in facts.layers().filter(|(_, _, layer)| is_norm(layer)) {
            let Some(second) = facts.next(first, Layer::passes) else { continue };
            let Some(next) = facts.layer(second).filter(|next| is_norm(next)) else { continue };
            let (a, b) = (layer.doc().name, next.doc().name);
            let params = facts.counts(second).params;
            let direct = facts.only_consumer(first) == Some(second);
            // One learned scale and shift can replace two, if the first norm has them.
            let one_for_two = matches!((layer, next), (Layer::BatchNorm(one), Layer::BatchNorm(_)) if one.affine && one.track_running_stats);
            let removal =
                facts.removal(second).filter(|_| direct && one_for_two && !facts.shares_weights(first));
            let fix = removal.map(|edit| Fix {
                title: "remove the second batch norm".into(),
                edits: vec![edit],
                safe: true,
                params: -i64::try_from(params).unwrap_or(i64::MAX),
            });
            found.push(
                Finding::new(
                    Location::Node(second),
                    format!("`{b}` normalises what `{a}` has just normalised"),
                )
                .related(Location::Node(first), format!("`{a}` is here"))
                .help("keep one of the two")
                .fix(fix),
            );
        }
        Ok(())
    }
}

fn is_norm(layer: &Layer) -> bool {
    matches!(layer, Layer::BatchNorm(_) | Layer::LayerNorm(_) | Layer::GroupNorm(_) | Layer::InstanceNorm(_))
}
