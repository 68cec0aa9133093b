//! One-layer cases that other counters get wrong (torchinfo, fvcore, ptflops, thop, calflops, torchprofile
//! and onnx-tool were measured), with the true figure derived beside each. All maps are 32 x 32 = 1,024
//! positions unless noted.

use cnnkit::layers::{Cost, Io, Weight, WeightRole};
use cnnkit::shape::Shape;

use crate::support::network::layer;

const MAP: [u64; 3] = [16, 32, 32];

fn facts(name: &str, args: &str, input: &[u64]) -> (Shape, Vec<Weight>, Cost) {
    let layer = layer(name, args);
    let inputs = [Shape::from(input)];
    let output = layer.infer(&inputs).expect("it fits");
    let io = Io { inputs: &inputs, output: &output };
    let (weights, cost) = (layer.weights(io).expect("weights"), layer.cost(io).expect("cost"));
    (output, weights, cost)
}

fn macs(name: &str, args: &str, input: &[u64]) -> u64 {
    facts(name, args, input).2.macs
}

fn params(name: &str, args: &str, input: &[u64]) -> u64 {
    let (_, weights, _) = facts(name, args, input);
    let learned = weights.iter().filter(|weight| weight.role == WeightRole::Parameter);
    learned.map(|weight| weight.shape.elements().expect("small")).sum()
}

#[test]
fn a_bias_is_no_mac() {
    // 32 * 1,024 outputs, each of 16 * 9 taps; torchinfo, ptflops and onnx-tool add the 32,768 biases.
    let plain = macs("conv", "{out_channels: 32, kernel: 3, padding: 1, bias: false}", &MAP);
    assert_eq!(plain, 32 * 1024 * 16 * 9);
    assert_eq!(plain, 4_718_592);
    let (_, _, biased) = facts("conv", "{out_channels: 32, kernel: 3, padding: 1}", &MAP);
    assert_eq!((biased.macs, biased.ops.arithmetic), (4_718_592, 32_768));
}

#[test]
fn padding_same_counts() {
    // fvcore and torchprofile lack the operator and print 0; calflops pads an even kernel by too little (x0.94).
    let odd = "{out_channels: 32, kernel: 3, padding: same, bias: false}";
    assert_eq!(macs("conv", odd, &MAP), 4_718_592);
    // 3 elements are added per axis, 1 before and 2 after: still 32 * 1,024 outputs, each of 16 * 16 taps.
    let even = "{out_channels: 32, kernel: 4, padding: same, bias: false}";
    let (output, _, cost) = facts("conv", even, &MAP);
    assert_eq!((output, cost.macs), (Shape::new([32, 32, 32]), 8_388_608));
}

#[test]
fn a_transposed_conv_multiplies_each_input() {
    // Each of the 16 * 1,024 inputs meets 32 output channels * 16 taps: 8,388,608. torchinfo, thop, torchprofile count
    // from the output, which is 4 times as large (onnx-tool 8 times).
    let plain = "{out_channels: 32, kernel: 4, stride: 2, padding: 1, bias: false}";
    let (output, weights, cost) = facts("conv_transpose", plain, &MAP);
    assert_eq!(output, Shape::new([32, 64, 64]));
    assert_eq!(cost.macs, 16 * 1024 * 32 * 16);
    assert_eq!(weights[0].shape, Shape::new([16, 32, 4, 4]));
    // With 4 groups each input meets 32 / 4 channels: 2,097,152 (calflops divides by the groups twice).
    let grouped = "{out_channels: 32, kernel: 4, stride: 2, padding: 1, groups: 4, bias: false}";
    assert_eq!(macs("conv_transpose", grouped, &MAP), 2_097_152);
    assert_eq!(params("conv_transpose", grouped, &MAP), 16 * 8 * 16);
    // Depthwise, 16 -> 16: one channel of 16 taps per input element, 262,144 (calflops prints 0).
    let depthwise = "{out_channels: 16, kernel: 4, stride: 2, padding: 1, groups: depthwise, bias: false}";
    assert_eq!(macs("conv_transpose", depthwise, &MAP), 262_144);
}

#[test]
fn a_deformable_conv_has_an_offset_conv() {
    // The convolution itself, 16 -> 32: 1,024 * 16 * 9 * 32 = 4,718,592. Its offset convolution, 16 -> 2 * 9 = 18:
    // 1,024 * 16 * 9 * 18 = 2,654,208. Together 7,372,800; every counter but torchinfo leaves the first out (x0.36),
    // because torchvision's operator is not in its table; thop loses its parameters too.
    let args = "{out_channels: 32, kernel: 3, padding: 1, bias: false}";
    let (_, _, cost) = facts("deform_conv", args, &MAP);
    assert_eq!(cost.macs, 4_718_592 + 2_654_208);
    assert_eq!(params("deform_conv", args, &MAP), 32 * 16 * 9 + 18 * 16 * 9 + 18);
    // 1,024 * 9 * 16 bilinear samples of 4 MACs, apart.
    assert_eq!(cost.sampling_macs, 4 * 1024 * 9 * 16);
    // Modulated: 27 offset channels. 512 -> 512 has the 124,443 offset parameters of DCNv2: 27 * 512 * 9 + 27.
    let plain = params("conv", "{out_channels: 512, kernel: 3, bias: false}", &[512, 8, 8]);
    let modulated = "{out_channels: 512, kernel: 3, modulated: true, bias: false}";
    assert_eq!(params("deform_conv", modulated, &[512, 8, 8]) - plain, 124_443);
    // Four offset groups (FPN-DCN's num_filter=72): 72 * 512 * 9 + 72 = 331,848.
    let grouped = "{out_channels: 512, kernel: 3, offset_groups: 4, bias: false}";
    assert_eq!(params("deform_conv", grouped, &[512, 8, 8]) - plain, 331_848);
    // Offsets per channel (the Keras layer): 18 C^2 = 294,912 for 128 channels, without a bias.
    let plain = params("conv", "{out_channels: 128, kernel: 3, bias: false}", &[128, 8, 8]);
    let keras = "{out_channels: 128, kernel: 3, offsets: per_channel, bias: false}";
    assert_eq!(params("deform_conv", keras, &[128, 8, 8]) - plain, 294_912);
}

#[test]
fn a_deformable_conv_offsets_with_another_dilation() {
    // The official DeepLab-DCN: dilation 2 in the layer, 1 in its offset convolution. The counts do not change.
    let [own, other] = ["", ", offset_dilation: 1"].map(|more| {
        let args = format!("{{out_channels: 32, kernel: 3, padding: 2, dilation: 2{more}}}");
        let (output, weights, cost) = facts("deform_conv", &args, &MAP);
        (output, weights, cost)
    });
    assert_eq!(own, other);
    assert_eq!(own.0, Shape::new([32, 32, 32]));
}

#[test]
fn a_linear_layer_on_rows_counts_every_row() {
    // 50 rows of 16 features to 32: 25,600. torchinfo counts one row (x0.02).
    assert_eq!(macs("linear", "{out_features: 32, bias: false}", &[50, 16]), 25_600);
}

#[test]
fn norm_and_interpolation_are_no_macs() {
    // The counters print between 32 and 507,904 for a batch norm of 16 * 1,024 elements: all of it is other operations.
    let (_, _, norm) = facts("batch_norm", "{}", &MAP);
    assert_eq!((norm.macs, norm.ops.arithmetic), (0, 2 * 16_384));
    // Bilinear, to 64 x 64: 4 products and 3 sums per output (they print up to 720,896 MACs; calflops fails).
    let (output, _, cost) = facts("upsample", "{scale_factor: 2, mode: bilinear}", &MAP);
    assert_eq!(output, Shape::new([16, 64, 64]));
    assert_eq!((cost.macs, cost.ops.arithmetic), (0, 7 * 65_536));
}

#[test]
fn attention_over_space_is_counted_where_it_is() {
    // Squeeze-and-excitation, 16 channels to 4 and back: 2 * 16 * 4 MACs, not one for each pixel.
    let (_, _, cost) = facts("squeeze_excite", "{reduction: 4}", &MAP);
    assert_eq!(cost.macs, 128);
    assert_eq!(params("squeeze_excite", "{reduction: 4}", &MAP), 2 * 16 * 4 + 16 + 4);
}
