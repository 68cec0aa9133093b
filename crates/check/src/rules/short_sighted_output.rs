//! CK201: an output whose receptive field is smaller than required.

use super::{Context, Family, Finding, Location, Meta, Rule, Setting, Severity};
use cnnkit_core::analysis::field::AxisFacts;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct ShortSightedOutput;

static META: Meta = Meta {
    id: "CK201",
    name: "short-sighted-output",
    family: Family::ReceptiveField,
    severity: Severity::Note,
    default: false,
    summary: "the receptive field of an output is smaller than the object or the input",
    what: "Compares the receptive field of every output, axis by axis, with the size `object` in input \
           pixels, or with the whole input if that is 0. Outputs after global pooling or a fully connected \
           layer cover everything; a gate such as squeeze-and-excitation gives context, but does not count \
           here.",
    why: "A unit whose field does not cover an object has to guess what the object is. The effective field \
          is even smaller than the box that this rule compares.",
    instead: "Enlarge the field with strides, dilation or larger kernels (`cnnkit rf` shows how much each \
              layer adds), or join an image-level branch.",
    source: "Luo et al. 2016, Understanding the Effective Receptive Field in Deep Convolutional Neural Networks; \
             Araujo, Norris & Sim 2019",
    bad: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 8, kernel: 3, padding: 1}
",
    good: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 8, kernel: 3, padding: 1}
  - global_avg_pool
",
    settings: &[Setting {
        name: "object",
        value: 0.0,
        doc: "size in input pixels that each output must cover; 0 is the whole input",
    }],
    fixes: false,
};

impl Rule for ShortSightedOutput {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        let object = context.setting("object");
        let mut outputs = facts.graph.outputs().to_vec();
        outputs.sort_unstable();
        outputs.dedup();
        for output in outputs {
            for field in facts.field(output)? {
                let input = facts.node(field.input);
                let needed =
                    |axis: usize| if object > 0.0 { object } else { input.shape.spatial()[axis] as f64 };
                let short =
                    |(axis, facts): (usize, &AxisFacts)| !facts.global && (facts.size as f64) < needed(axis);
                // Unbounded sampling may cover the object.
                if field.sampling.is_some() || !field.axes.iter().enumerate().any(short) {
                    continue;
                }
                let sizes: Vec<String> = field.axes.iter().map(|axis| axis.size.to_string()).collect();
                let wanted = if object > 0.0 {
                    format!("the object's {object} pixels")
                } else {
                    let sizes: Vec<String> = input.shape.spatial().iter().map(u64::to_string).collect();
                    format!("the {} of `{}`", sizes.join("x"), input.id)
                };
                let share = number::share(field.seen);
                let message = format!(
                    "the output `{}` reads {} positions ({share} of the input in its middle), less than {wanted}",
                    facts.node(output).id,
                    sizes.join("x")
                );
                found.push(
                    Finding::new(Location::Node(output), message)
                        .help("`cnnkit rf` shows what each layer adds; strides and dilation add most, global pooling covers everything"),
                );
            }
        }
        Ok(())
    }
}
