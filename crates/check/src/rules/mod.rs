//! Rules that judge a network: one rule, one file.
//!
//! A rule reads [`Facts`] and reports what is wrong and where; it computes nothing that an analysis could, and
//! depends on neither the text nor the output format. The caller ([`check`](crate)) locates the finding in the text,
//! counts the uses of a block that share it, applies the level and removes suppressed findings.
//!
//! Ids are grouped by family (see [`Family`]): CK0xx the spec cannot be built, CK1xx style, CK2xx receptive field,
//! CK3xx gridding, CK4xx redundancy, CK5xx cost, CK6xx expectations and budgets. An id is never reused for another
//! rule. A rule runs by default only if its finding is nearly always a mistake; the others are opt-in advice.
//!
//! Adding a rule takes a file, two lines below, and a folder `tests/rules/ID-name` with its fixtures.

mod budget;
mod spec_errors;
mod suppression;

mod batch_in_input;
mod bias_before_norm;
mod channels_last_input;
mod common_divisor;
mod degenerate_dilation;
mod dominant_layer;
mod dropped_border;
mod holes_between_rates;
mod holes_in_support;
mod idle_weights;
mod isolated_groups;
mod large_head;
mod large_kernel;
mod linear_pair;
mod m2_above_kernel;
mod misaligned_merge;
mod missing_flatten;
mod off_centre_kernel;
mod oversized_parallel_rate;
mod padded_pointwise;
mod repeated_activation;
mod repeated_norm;
mod repeated_operand;
mod severed_gradient;
mod shadowed_id;
mod shadowed_variable;
mod short_sighted_output;
mod skipped_positions;
mod squeeze_out_of_range;
mod unaligned_channels;
mod uneven_overlap;
mod unmet_expectation;
mod unproductive_tail;
mod unused_argument;
mod unused_block;
mod unused_layer;
mod unused_variable;
mod wide_kernel;

pub use budget::{FAILED_CLAIM, IDLE_BUDGET, OVER_BUDGET, WORSE_THAN_BASELINE};
pub use cnnkit_findings::{
    Edit, Facts, Family, Finding, Fix, Location, Meta, Setting, Severity, edit, quantity,
};
pub use spec_errors::{SPEC_ERRORS, of_code};
pub use suppression::{MALFORMED_SUPPRESSION, UNUSED_SUPPRESSION};

use cnnkit_core::diagnostic::Problem;

/// A rule: stateless, so that one static serves every network on every core.
pub trait Rule: Sync {
    /// Returns its metadata.
    fn meta(&self) -> &'static Meta;

    /// Adds its findings to `found`. An error is the reason why the rule could not be applied: a fact that cannot be
    /// computed for this network.
    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem>;
}

/// Every rule, by id.
pub static RULES: &[&dyn Rule] = &[
    &unused_block::UnusedBlock,                      // CK101
    &unused_variable::UnusedVariable,                // CK102
    &unused_argument::UnusedArgument,                // CK103
    &shadowed_id::ShadowedId,                        // CK104
    &shadowed_variable::ShadowedVariable,            // CK105
    &batch_in_input::BatchInInput,                   // CK106
    &channels_last_input::ChannelsLastInput,         // CK107
    &missing_flatten::MissingFlatten,                // CK108
    &short_sighted_output::ShortSightedOutput,       // CK201
    &unproductive_tail::UnproductiveTail,            // CK202
    &skipped_positions::SkippedPositions,            // CK203
    &dropped_border::DroppedBorder,                  // CK204
    &misaligned_merge::MisalignedMerge,              // CK205
    &off_centre_kernel::OffCentreKernel,             // CK206
    &padded_pointwise::PaddedPointwise,              // CK207
    &common_divisor::CommonDivisor,                  // CK301
    &m2_above_kernel::M2AboveKernel,                 // CK302
    &holes_between_rates::HolesBetweenRates,         // CK303
    &holes_in_support::HolesInSupport,               // CK304
    &degenerate_dilation::DegenerateDilation,        // CK305
    &oversized_parallel_rate::OversizedParallelRate, // CK306
    &uneven_overlap::UnevenOverlap,                  // CK307
    &bias_before_norm::BiasBeforeNorm,               // CK401
    &linear_pair::LinearPair,                        // CK402
    &repeated_activation::RepeatedActivation,        // CK403
    &repeated_norm::RepeatedNorm,                    // CK404
    &unused_layer::UnusedLayer,                      // CK405
    &severed_gradient::SeveredGradient,              // CK406
    &repeated_operand::RepeatedOperand,              // CK407
    &squeeze_out_of_range::SqueezeOutOfRange,        // CK408
    &idle_weights::IdleWeights,                      // CK409
    &large_kernel::LargeKernel,                      // CK501
    &wide_kernel::WideKernel,                        // CK502
    &isolated_groups::IsolatedGroups,                // CK503
    &unaligned_channels::UnalignedChannels,          // CK504
    &dominant_layer::DominantLayer,                  // CK505
    &large_head::LargeHead,                          // CK506
    &unmet_expectation::UnmetExpectation,            // CK601
];

/// The arguments of a rule.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The network's facts.
    pub facts: &'a Facts<'a>,
    /// The rule's settings as configured: pairs of key and value.
    pub settings: &'a [(String, f64)],
    /// The rule that is running.
    pub meta: &'static Meta,
}

impl Context<'_> {
    /// Returns the rule's setting `name`: as configured, or its default.
    pub fn setting(&self, name: &str) -> f64 {
        let configured = self.settings.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
        let declared = self.meta.settings.iter().find(|setting| setting.name == name);
        configured.or(declared.map(|setting| setting.value)).unwrap_or(f64::NAN)
    }
}

/// Returns the metadata of this id or name.
pub fn find(id_or_name: &str) -> Option<&'static Meta> {
    all().find(|meta| meta.id.eq_ignore_ascii_case(id_or_name) || meta.name == id_or_name)
}

/// Metadata of findings that come from no rule: about comments, and about a project's budgets.
pub static OTHERS: [&Meta; 6] = [
    &UNUSED_SUPPRESSION,
    &MALFORMED_SUPPRESSION,
    &OVER_BUDGET,
    &WORSE_THAN_BASELINE,
    &FAILED_CLAIM,
    &IDLE_BUDGET,
];

/// Iterates over all metadata by id: errors of a spec, rules, comments and budgets.
pub fn all() -> impl Iterator<Item = &'static Meta> {
    let mut all: Vec<&'static Meta> =
        SPEC_ERRORS.iter().chain(OTHERS).chain(RULES.iter().map(|rule| rule.meta())).collect();
    all.sort_by_key(|meta| meta.id);
    all.into_iter()
}
