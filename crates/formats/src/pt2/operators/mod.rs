//! From PyTorch's operators to ONNX's. One file a family of operators; [`TABLE`] is the only list.

mod activation;
mod arithmetic;
mod attention;
mod bare;
pub(super) mod call;
mod conv;
mod create;
mod norm;
mod one_image;
mod patches;
mod pool;
mod product;
mod random;
mod recurrent;
mod resize;
mod select;
mod shapes;
mod views;

use super::schema::{Argument, Node};
use call::values::Values;
use call::{Call, Outcome, Unsupported, unsupported};

pub(super) use bare::is_bare;
pub(super) use one_image::of_one_image;
pub(super) use views::{Makes, makes};

type Translate = for<'a, 'b, 'p> fn(&'a mut Call<'b, 'p>) -> Outcome;

macro_rules! operators {
    ($($translate:path => $($name:literal)*;)*) => {
        &[$($(($name, $translate as Translate),)*)*]
    };
}

/// Operators without their overloads; a form that ends in `_` writes its result into its first argument.
static TABLE: &[(&str, Translate)] = operators! {
    conv::conv => "aten.conv1d" "aten.conv2d" "aten.conv3d" "aten.convolution";
    conv::conv_transpose => "aten.conv_transpose1d" "aten.conv_transpose2d" "aten.conv_transpose3d";
    conv::deform_conv => "torchvision.deform_conv2d";
    product::linear => "aten.linear";
    product::addmm => "aten.addmm" "aten.addbmm" "aten.baddbmm";
    product::matmul => "aten.matmul" "aten.mm" "aten.bmm" "_operator.matmul";
    product::einsum => "aten.einsum";
    attention::attention => "aten.scaled_dot_product_attention";
    norm::batch_norm => "aten.batch_norm" "aten._native_batch_norm_legit_no_training" "aten.native_batch_norm"
        "aten._native_batch_norm_legit" "aten.cudnn_batch_norm" "aten._batch_norm_with_update_functional"
        "aten._batch_norm_no_update";
    norm::layer_norm => "aten.layer_norm" "aten.native_layer_norm";
    norm::group_norm => "aten.group_norm" "aten.native_group_norm";
    norm::instance_norm => "aten.instance_norm";
    norm::rms_norm => "aten.rms_norm" "aten._fused_rms_norm";
    pool::max_pool => "aten.max_pool1d" "aten.max_pool2d" "aten.max_pool3d" "aten.max_pool2d_with_indices"
        "aten.max_pool3d_with_indices" "aten.max_pool1d_with_indices";
    pool::avg_pool => "aten.avg_pool1d" "aten.avg_pool2d" "aten.avg_pool3d";
    pool::adaptive_avg_pool => "aten.adaptive_avg_pool1d" "aten.adaptive_avg_pool2d" "aten.adaptive_avg_pool3d"
        "aten._adaptive_avg_pool2d" "aten._adaptive_avg_pool3d";
    pool::adaptive_max_pool => "aten.adaptive_max_pool1d" "aten.adaptive_max_pool2d" "aten.adaptive_max_pool3d";
    activation::plain => "aten.relu" "aten.sigmoid" "aten.tanh" "aten.hardswish" "aten.mish" "aten.selu" "aten.silu"
        "aten.exp" "aten.log" "aten.sqrt" "aten.abs" "aten.erf" "aten.sin" "aten.cos" "aten.neg"
        "aten.reciprocal" "aten.special_erf" "aten.floor" "aten.ceil" "aten.round" "aten.logical_not" "aten.sign"
        "_operator.neg" "aten.isnan" "aten.absolute" "aten.negative";
    activation::relu6 => "aten.relu6";
    activation::hardtanh => "aten.hardtanh";
    activation::hardsigmoid => "aten.hardsigmoid";
    activation::clamp => "aten.clamp" "aten.clip" "aten.clamp_min" "aten.clamp_max";
    activation::leaky_relu => "aten.leaky_relu";
    activation::rrelu => "aten.rrelu";
    activation::elu => "aten.elu";
    activation::celu => "aten.celu";
    activation::gelu => "aten.gelu";
    activation::softplus => "aten.softplus";
    activation::prelu => "aten.prelu";
    activation::softmax => "aten.softmax" "aten._softmax" "aten.log_softmax" "aten._log_softmax" "aten._safe_softmax";
    activation::glu => "aten.glu";
    activation::rsqrt => "aten.rsqrt";
    activation::square => "aten.square";
    activation::log_sigmoid => "aten.log_sigmoid";
    activation::softsign => "aten.softsign";
    arithmetic::add => "aten.add" "_operator.add" "aten.__add__";
    arithmetic::sub => "aten.sub" "_operator.sub" "aten.subtract";
    arithmetic::rsub => "aten.rsub";
    arithmetic::mul => "aten.mul" "_operator.mul" "aten.multiply";
    arithmetic::div => "aten.div" "_operator.truediv" "aten.true_divide" "aten.divide";
    arithmetic::floor_divide => "aten.floor_divide" "_operator.floordiv";
    arithmetic::remainder => "aten.remainder" "_operator.mod";
    arithmetic::pow => "aten.pow" "_operator.pow";
    arithmetic::compare => "aten.eq" "aten.ne" "aten.lt" "aten.le" "aten.gt" "aten.ge" "aten.logical_and" "aten.logical_or"
        "aten.logical_xor" "aten.bitwise_and" "aten.bitwise_or" "aten.bitwise_not" "_operator.eq" "_operator.ne"
        "_operator.lt" "_operator.le" "_operator.gt" "_operator.ge" "aten.__and__" "aten.__or__" "aten.__xor__"
        "aten.bitwise_xor";
    arithmetic::extreme => "aten.maximum" "aten.minimum";
    arithmetic::mean => "aten.mean" "aten.sum" "aten.amax" "aten.amin" "aten.prod";
    arithmetic::greatest => "aten.max" "aten.min";
    arithmetic::vector_norm => "aten.linalg_vector_norm" "aten.norm" "aten.frobenius_norm";
    arithmetic::cumulative_sum => "aten.cumsum";
    arithmetic::variance => "aten.var" "aten.std" "aten.var_mean" "aten.std_mean";
    arithmetic::addcmul => "aten.addcmul";
    arithmetic::lerp => "aten.lerp";
    random::dropout => "aten.dropout" "aten.feature_dropout" "aten.alpha_dropout" "aten.feature_alpha_dropout"
        "aten.native_dropout";
    random::bernoulli => "aten.bernoulli";
    shapes::same => "aten.detach" "aten.alias" "aten.clone" "aten.contiguous" "aten.lift_fresh"
        "aten.lift_fresh_copy" "aten.positive" "aten.requires_grad" "aten.view_as_real_copy" "aten._conj" "aten.resolve_conj"
        "aten.resolve_neg" "aten.lift";
    shapes::cast => "aten.to" "aten._to_copy" "aten.type_as" "aten.float" "aten._autocast_to_full_precision" "aten.half";
    shapes::reshape => "aten.view" "aten.reshape" "aten._unsafe_view" "aten._reshape_alias";
    shapes::by_shape => "aten.flatten" "aten.unflatten" "aten.squeeze" "aten.unsqueeze" "aten.view_as" "aten.reshape_as"
        "aten.ravel" "aten.atleast_1d";
    shapes::permute => "aten.permute";
    shapes::transpose => "aten.transpose" "aten.swapaxes" "aten.swapdims" "aten.t" "aten.numpy_T" "aten.mT" "aten.matrix_H"
        "aten.adjoint";
    shapes::movedim => "aten.movedim" "aten.moveaxis";
    shapes::expand => "aten.expand" "aten.expand_as" "aten.broadcast_to";
    shapes::repeat => "aten.repeat" "aten.tile";
    shapes::repeat_interleave => "aten.repeat_interleave";
    shapes::size => "aten.sym_size" "aten.size";
    shapes::pixel_shuffle => "aten.pixel_shuffle";
    shapes::pixel_unshuffle => "aten.pixel_unshuffle";
    shapes::channel_shuffle => "aten.channel_shuffle" "aten.native_channel_shuffle";
    select::slice => "aten.slice" "aten.narrow";
    select::select => "aten.select";
    select::split => "aten.split" "aten.split_with_sizes" "aten.chunk" "aten.unsafe_chunk" "aten.unsafe_split"
        "aten.unsafe_split_with_sizes" "aten.tensor_split";
    select::unbind => "aten.unbind";
    select::cat => "aten.cat" "aten.concat" "aten.concatenate";
    select::diff => "aten.diff";
    select::stack => "aten.stack" "aten.hstack" "aten.vstack";
    select::pad => "aten.pad" "aten.constant_pad_nd" "aten.reflection_pad1d" "aten.reflection_pad2d" "aten.reflection_pad3d"
        "aten.replication_pad1d" "aten.replication_pad2d" "aten.replication_pad3d";
    patches::unfolded => "aten.im2col";
    patches::folded => "aten.col2im";
    patches::windows => "aten.unfold";
    select::roll => "aten.roll";
    select::index => "aten.index";
    select::index_select => "aten.index_select";
    select::embedding => "aten.embedding";
    select::choose => "aten.where";
    select::masked_fill => "aten.masked_fill";
    select::triangle => "aten.tril" "aten.triu";
    create::full => "aten.full" "aten.zeros" "aten.ones" "aten.new_zeros" "aten.new_ones" "aten.new_full" "aten.empty"
        "aten.new_empty" "aten.scalar_tensor";
    create::like => "aten.zeros_like" "aten.ones_like" "aten.full_like" "aten.empty_like";
    create::fill => "aten.fill" "aten.zero";
    create::copy => "aten.copy";
    create::arange => "aten.arange";
    create::linspace => "aten.linspace";
    create::meshgrid => "aten.meshgrid";
    create::eye => "aten.eye";
    resize::resize => "aten.upsample_nearest1d" "aten.upsample_nearest2d" "aten.upsample_nearest3d" "aten.upsample_linear1d"
        "aten.upsample_bilinear2d" "aten.upsample_trilinear3d" "aten.upsample_bicubic2d" "aten._upsample_nearest_exact2d"
        "aten._upsample_nearest_exact1d" "aten._upsample_nearest_exact3d";
};

/// Operators that return nothing and check something.
const CHECKS: &[&str] =
    &["aten._assert", "aten.sym_constrain", "aten._check", "prims._assert", "aten._functional_assert"];

/// Whether the operator only checks something.
pub(super) fn checks(node: &Node) -> bool {
    let (operator, _) = split(&node.target);
    node.outputs.is_empty() && CHECKS.iter().any(|prefix| operator.starts_with(prefix))
}

/// The operator and its overload: `aten.relu_` and `default` of `torch.ops.aten.relu_.default`.
pub(super) fn split(target: &str) -> (&str, &str) {
    match target.strip_prefix("torch.ops.") {
        Some(name) => name.rsplit_once('.').filter(|(name, _)| name.contains('.')).unwrap_or((name, "")),
        None => (target, ""),
    }
}

/// The operator without the mark of a form that writes its first argument, and whether it is that form.
pub(super) fn form(operator: &str) -> (&str, bool) {
    match operator.strip_suffix('_') {
        Some(name) if !name.ends_with('_') => (name, true),
        _ => (operator, false),
    }
}

/// The tensor that `call` took a view of, whose value is `whole`, after its view `name` got the value `value`.
pub(super) fn put_back(
    call: &mut Call<'_, '_>,
    name: &str,
    whole: String,
    value: String,
) -> Result<String, Unsupported> {
    views::put_back(call, name, whole, value)
}

/// Multiply-accumulates of a call that is not translated, where they are known.
pub(super) fn macs<'p>(values: &mut Values<'p>, node: &'p Node) -> Option<i64> {
    let (operator, overload) = split(&node.target);
    let complex = is_complex(values, node);
    let call = Call { node, operator, overload, values };
    let macs = recurrent::macs(&call).or_else(|| product::macs(&call))?;
    // PyTorch computes a convolution of complex numbers as three of real ones, and counts a complex product as one.
    macs.checked_mul(if complex && operator.contains("conv") { 3 } else { 1 })
}

/// The nodes of a call: a value for each tensor that it returns.
pub(super) fn translated<'p>(values: &mut Values<'p>, node: &'p Node) -> Outcome {
    let (operator, overload) = split(&node.target);
    let (operator, _) = form(operator);
    let Some((_, translate)) = TABLE.iter().find(|(name, _)| *name == operator) else {
        return unsupported("no layer for it");
    };
    if is_complex(values, node) {
        return unsupported("complex numbers");
    }
    translate(&mut Call { node, operator, overload, values })
}

/// PyTorch's numbers of the types of complex numbers.
const COMPLEX: std::ops::RangeInclusive<i64> = 9..=11;

/// Whether a call reads or returns complex numbers: a layer computes with real ones, and counts as it does.
fn is_complex(values: &Values<'_>, node: &Node) -> bool {
    let is = |name: &String| values.meta(name).is_some_and(|meta| COMPLEX.contains(&meta.dtype));
    let read = node.inputs.iter().map(|input| &input.arg);
    read.chain(&node.outputs).any(|argument| match argument {
        Argument::Tensor(name) => is(name),
        Argument::Tensors(names) => names.iter().flatten().any(is),
        _ => false,
    })
}
