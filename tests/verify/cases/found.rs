//! Networks that once made a claim fail, each reduced to what did it: found among random networks, or by hand.

use cnnkit::verify::Kind;

/// A name, the network, and the claims that must occur.
pub(super) const CASES: &[(&str, &str, &[Kind])] = &[
    (
        "a group norm behind global pooling has statistics of one position: no context",
        "
input: {map: [2, 3, 4], gate: [2, 1, 1]}
layers:
  - {from: [map, gate], multiply: {}}
  - avg_pool: {kernel: [3, 2], stride: [1, 2]}
  - global_max_pool: {}
  - group_norm: {num_groups: 2}
",
        &[Kind::Context],
    ),
    (
        "statistics behind a reshape see more than the boxes, which are a bound, can tell",
        "
input: [2, 3, 4, 5]
layers:
  - reshape: {shape: [6, -1]}
  - squeeze_excite: {reduction: 4}
",
        &[Kind::Context, Kind::Support],
    ),
    (
        "a slice of an unshuffled map reads some positions of each cell",
        "
input: [2, 4, 6]
layers:
  - pixel_unshuffle: {downscale_factor: 2}
  - slice: {start: 0, end: 3}
  - conv: {out_channels: 2, kernel: 3, padding: 1}
",
        &[Kind::Support, Kind::ReceptiveField],
    ),
    (
        "a shuffled map shows the channels of a concat at different places",
        "
input: [2, 6, 6]
layers:
  - {id: wide, conv: {out_channels: 2, kernel: 5, padding: 2}}
  - {from: [input, wide], concat: {}}
  - pixel_shuffle: {upscale_factor: 2}
",
        &[Kind::Support],
    ),
    (
        "rows that became channels become places again: each unit reads one of them",
        "
input: [3, 4, 5]
layers:
  - permute: {axes: [1, 2, 0]}
  - pixel_shuffle: {upscale_factor: 2}
",
        &[Kind::ReceptiveField],
    ),
    (
        "rows that became channels are shuffled: each unit reads one of them",
        "
input: [3, 6, 5]
layers:
  - permute: {axes: [1, 2, 0]}
  - channel_shuffle: {groups: 3}
  - conv: {out_channels: 6, kernel: 3, padding: 1, groups: 6}
",
        &[Kind::ReceptiveField],
    ),
    (
        "a cost volume: disparities side by side, of which a convolution reads three (PSMNet#167)",
        "
input: {left: [3, 16, 24], right: [3, 16, 24]}
layers:
  - {id: l, from: left, conv: {out_channels: 2, kernel: 3, stride: 2, padding: 1}}
  - {id: r, from: right, share: l}
  - {id: v0, concat: [l, r]}
  - {id: s0, reshape: {shape: [4, 1, 8, 12]}}
  - repeat:
      for: {k: [1, 2, 3, 4]}
      body:
        - {id: l$k, from: l, sequential: [slice: {axis: 2, start: $k}, pad: {padding: [[0, 0], [$k, 0]]}]}
        - {id: r$k, from: r, sequential: [slice: {axis: 2, end: -$k}, pad: {padding: [[0, 0], [$k, 0]]}]}
        - {id: v$k, concat: [l$k, r$k]}
        - {id: s$k, reshape: {shape: [4, 1, 8, 12]}}
  - {concat: {axis: 1}, from: [s0, s1, s2, s3, s4]}
  - conv: {out_channels: 2, kernel: 3, padding: 1}
",
        &[Kind::ReceptiveField],
    ),
    (
        "rows and channels that are reduced away leave columns as channels, one of which is padding",
        "
input: [3, 4, 5]
layers:
  - pad: {padding: 1}
  - reduce: {reduction: min, axes: [0, 1]}
",
        &[Kind::ReceptiveField, Kind::Channels],
    ),
    (
        "a convolution over rows that became channels reads all of them, at every size",
        "
input: [2, 3, 4, 5]
layers:
  - reduce: {reduction: min, axes: [0, 1]}
  - conv: {out_channels: 2, kernel: 1}
  - avg_pool: {kernel: 3, stride: 1}
",
        &[Kind::ReceptiveField],
    ),
    (
        "the blocks of a flattened map have a period as long as the map",
        "
input: [6, 1, 1]
layers:
  - flatten: {}
  - slice: {start: 3, end: 5}
  - hardsigmoid: {}
",
        &[Kind::Support],
    ),
    (
        "a part of a flattened map is not the whole input",
        "
input: [6, 4]
layers:
  - reshape: {shape: [-1]}
  - slice: {start: 0, end: 3}
",
        &[Kind::Support, Kind::ReceptiveField],
    ),
    (
        "half of a concat has the field of that half",
        "
input: [4, 20, 20]
layers:
  - {id: near, conv: {out_channels: 4, kernel: 1}}
  - {id: far, from: input, conv: {out_channels: 4, kernel: 7, padding: 3}}
  - {from: [near, far], concat: {}}
  - {id: both, batch_norm: {}}
  - {id: half, chunk: {chunks: 2, index: 0}}
  - {id: local, conv: {out_channels: 2, kernel: 3, padding: 1}}
  - {from: both, id: shuffled, channel_shuffle: {groups: 2}}
  - {id: quarter, chunk: {chunks: 2, index: 1}}
  - {id: mixed, conv: {out_channels: 2, kernel: 1}}
outputs: [local, mixed]
",
        &[Kind::ReceptiveField, Kind::Support],
    ),
    (
        "taps of a kernel wider than its map meet nothing but padding",
        "
input: [2, 5, 5]
layers:
  - conv: {out_channels: 3, kernel: 3, dilation: [6, 1], padding: [6, 1]}
  - conv_transpose: {out_channels: 2, kernel: 4, stride: 2, padding: 3}
  - crop: {size: [2, 2]}
",
        &[Kind::DeadWeights],
    ),
    (
        "channels that a slice leaves out have weights without use",
        "
input: [2, 5, 5]
layers:
  - conv: {out_channels: 6, kernel: 3, groups: 2}
  - batch_norm: {}
  - prelu: {num_parameters: 6}
  - slice: {start: 1, end: 3}
  - conv: {out_channels: 2, kernel: 1}
",
        &[Kind::DeadWeights, Kind::Channels],
    ),
    (
        "a map of one position can lie between the taps of every window",
        "
input: [3, 4, 5]
layers:
  - reduce: {reduction: sum, axes: [1, 2], keepdim: true}
  - conv: {out_channels: 6, kernel: 3, stride: [2, 1], padding: [[3, 4], [1, 4]], dilation: 2}
",
        &[Kind::ReceptiveField, Kind::Channels],
    ),
    (
        "the phases of a transposed convolution have gaps on each axis, not on both at once",
        "
input: [2, 8, 8]
layers:
  - conv_transpose: {out_channels: 2, kernel: [2, 1], stride: 2, dilation: [2, 1]}
  - conv: {out_channels: 2, kernel: 3, padding: [[1, 4], [4, 1]], dilation: 2}
",
        &[Kind::ReceptiveField],
    ),
    (
        "units that see nothing on one axis see nothing",
        "
input: [3, 5, 7]
layers:
  - max_pool: {kernel: [1, 2], stride: [1, 2]}
  - conv_transpose: {out_channels: 6, kernel: [3, 2], stride: [1, 2], dilation: 2}
  - conv: {out_channels: 4, kernel: [2, 3], stride: 2, padding: [[0, 2], [1, 2]], dilation: 2}
",
        &[Kind::ReceptiveField],
    ),
    (
        "weights that are shared along a chain are used by any of its users",
        "
input: [2, 4, 3]
layers:
  - {id: one, conv: {out_channels: 2, kernel: [3, 1], padding: [[0, 3], [0, 0]], stride: [1, 2], dilation: 2}}
  - {id: two, share: one}
  - {id: three, share: two, from: input}
outputs: [three]
",
        &[Kind::DeadWeights],
    ),
    (
        "samples stay within the offsets that a layer allows",
        "
input: [2, 24, 24]
layers:
  - conv: {out_channels: 2, kernel: 3, padding: 1}
  - deform_conv: {out_channels: 2, kernel: 3, padding: 1, max_offset: 1.5}
  - conv: {out_channels: 2, kernel: 3, padding: 1}
  - deform_conv: {out_channels: 2, kernel: 3, padding: 1, max_offset: 2, modulated: true}
",
        &[Kind::Perturbation],
    ),
    (
        "where no unit of the middle reads anything, others are looked for in all phases",
        "
input: [2, 3, 4]
layers:
  - reduce: {reduction: l2, axes: [2], keepdim: true}
  - conv_transpose: {out_channels: 2, kernel: [1, 3], dilation: [1, 2]}
  - conv: {out_channels: 2, kernel: [2, 3], padding: [[0, 1], [3, 4]], dilation: [1, 2]}
",
        &[Kind::ReceptiveField],
    ),
    (
        "a field of fixed size that padding clips on two small inputs is none that grows",
        "
input: [3, 4, 5]
layers:
  - layer_norm: {axis: last}
  - conv: {out_channels: 2, kernel: [1, 2], stride: [2, 1], padding: [[0, 0], [2, 1]], dilation: [4, 3]}
  - conv: {out_channels: 2, kernel: [3, 2], padding: [[2, 6], [4, 6]], dilation: [4, 6]}
",
        &[Kind::ReceptiveField],
    ),
    (
        "columns become channels at a size where there are several",
        "
input: [2, 6, 4]
layers:
  - conv: {out_channels: 2, kernel: [1, 3], stride: [1, 2], padding: [[0, 0], [2, 0]], dilation: 2}
  - reduce: {reduction: min, axes: [0, 1]}
",
        &[Kind::ReceptiveField],
    ),
    (
        "a map of one position becomes one of fewer axes, and no part of a stack goes on",
        "
input: [2, 3, 3]
layers:
  - conv: {out_channels: 4, kernel: 2, dilation: 2}
  - reshape: {shape: [2, 2]}
  - conv: {out_channels: 2, kernel: 2, dilation: 2, padding: 1}
",
        &[Kind::Support],
    ),
    (
        "a map of one position becomes a map of one position on fewer axes",
        "
input: [2, 3, 3]
layers:
  - conv: {out_channels: 4, kernel: 2, dilation: 2}
  - reshape: {shape: [4, 1]}
  - conv: {out_channels: 2, kernel: 3, dilation: 2, padding: 2}
",
        &[Kind::Gridding],
    ),
    (
        "a unit in the gap of an axis that carries no position reads nothing",
        "
input: [2, 3, 4, 5]
layers:
  - adaptive_avg_pool: {output_size: 2}
  - conv: {out_channels: 2, kernel: [2, 3, 1], stride: [1, 1, 2], padding: [[1, 1], [1, 2], [0, 0]], dilation: [2, 2, 1]}
  - upsample: {scale_factor: [3, 1, 3], mode: linear}
  - conv_transpose: {out_channels: 2, kernel: [2, 3, 1], dilation: 2}
  - conv_transpose: {out_channels: 2, kernel: [2, 1, 2], stride: [1, 2, 2], dilation: [2, 1, 2]}
",
        &[Kind::ReceptiveField],
    ),
    (
        "pooling what a crop left does not see the whole input",
        "
input: [2, 24, 24]
layers:
  - conv: {out_channels: 2, kernel: 3, padding: 1}
  - crop: {size: 8}
  - global_avg_pool: {}
",
        &[Kind::ReceptiveField, Kind::Support],
    ),
    (
        "what is padded after a crop is no part of the input",
        "
input: [3, 4, 5]
layers:
  - crop: {amount: [[0, 1], [2, 0]]}
  - pad: {padding: [[6, 2], [0, 2]]}
  - reduce: {reduction: sum, axes: [1, 2], keepdim: true}
",
        &[Kind::Support],
    ),
    (
        "a slice of one axis and all of the other",
        "
input: [2, 9, 10]
layers:
  - slice: {axis: 1, start: 1, end: -1}
  - global_avg_pool: {}
",
        &[Kind::ReceptiveField],
    ),
    (
        "a map of one column at the network's own size has several on a larger input, all of which are read",
        "
input: [2, 6, 4]
layers:
  - avg_pool: {kernel: 3, stride: [1, 2]}
  - linear: {out_features: 10}
  - conv_transpose: {out_channels: 2, kernel: [1, 2], stride: 2}
",
        &[Kind::ReceptiveField],
    ),
    (
        "a unit at the border of a wrapped map reads both ends of it, the one in the middle does not",
        "
input: [2, 6, 6]
layers:
  - linear: {out_features: 6}
  - pad: {padding: 2, mode: circular}
  - conv: {out_channels: 2, kernel: [2, 1], padding: [[2, 3], [0, 0]], dilation: [3, 1]}
",
        &[Kind::ReceptiveField],
    ),
    (
        "a map of fixed size between the taps of the next layer",
        "
input: [2, 7]
layers:
  - upsample: {size: 5, mode: linear}
  - avg_pool: {kernel: 2, stride: 1}
  - conv: {out_channels: 4, kernel: 2, padding: [[2, 1]], dilation: 5}
  - global_avg_pool: {}
",
        &[Kind::ReceptiveField, Kind::Support],
    ),
    (
        "where a stride meets nothing but gaps on one axis, there is no field on the others",
        "
input: [2, 6, 3, 4]
layers:
  - chunk: {axis: 1, chunks: 4, index: 0}
  - conv_transpose: {out_channels: 4, kernel: 2, stride: [2, 1, 2], dilation: 2}
  - conv: {out_channels: 2, kernel: [2, 2, 3], padding: [[1, 1], [1, 0], [0, 2]], dilation: [2, 2, 1], groups: 2}
  - crop: {amount: 1}
  - pad: {padding: [[3, 0], [0, 0], [6, 6]], value: 0.5}
  - conv: {out_channels: 2, kernel: [2, 3, 3], stride: [2, 2, 1], padding: [[2, 0], [4, 3], [1, 4]], dilation: 2}
",
        &[Kind::ReceptiveField],
    ),
    (
        "a product of two maps is whole on the inputs that it takes",
        "
input: [2, 3, 4, 5]
layers:
  - flatten: {start_axis: 0, end_axis: 1}
  - conv_transpose: {out_channels: 4, kernel: [1, 2], stride: 2, groups: 2}
  - {id: pooled, max_pool: {kernel: [2, 3], stride: [2, 1], dilation: [3, 4]}}
  - {from: [pooled, pooled], matmul: {}}
",
        &[Kind::ReceptiveField],
    ),
    (
        "a network that takes one small input only, whose borders leave much of it unread",
        "
input: [3, 4, 5]
layers:
  - learned_scale: {shape: [1, 4, 1]}
  - conv: {out_channels: 2, kernel: [3, 2], stride: 2, padding: [[0, 0], [1, 0]], dilation: [1, 2]}
  - linear: {out_features: 10}
",
        &[Kind::ReceptiveField, Kind::Support],
    ),
    (
        "two halves beside each other are whole again",
        "
input: [2, 12, 12]
layers:
  - {id: left, chunk: {axis: 2, chunks: 2, index: 0}}
  - {id: right, from: input, chunk: {axis: 2, chunks: 2, index: 1}}
  - {from: [left, right], concat: {axis: 2}}
  - global_avg_pool: {}
",
        &[Kind::ReceptiveField],
    ),
    (
        "mirrored, repeated and wrapped padding reads elements once more",
        "
input: [2, 6, 7]
layers:
  - conv: {out_channels: 2, kernel: 3, stride: 2, padding: 2, padding_mode: reflect}
  - pad: {padding: [[1, 0], [0, 2]], mode: replicate}
  - conv: {out_channels: 2, kernel: 2, padding: 1, padding_mode: circular}
",
        &[Kind::Support, Kind::DeadWeights],
    ),
    (
        "units that meet nothing but padding are gated all the same, though the field of the others is whole",
        "
input: {q: [3, 4], k: [2, 4], v: [2, 5]}
layers:
  - {from: [q, k, v], attention: {}}
  - conv: {out_channels: 6, kernel: 2, padding: [[3, 2]], dilation: 6}
  - {id: gated, squeeze_excite: {reduction: 4}}
  - {from: [gated, q], concat: {}}
",
        &[Kind::Context],
    ),
    (
        "nothing but rounding is left of equal numbers that are normalised",
        "
input: [3, 7]
layers:
  - {id: pooled, global_max_pool: {keepdim: false}}
  - {id: positive, softplus: {}}
  - {id: ones, from: [positive, positive], divide: {}}
  - gelu
  - layer_norm: {bias: false}
",
        &[Kind::Numerics],
    ),
    (
        "channels that a convolution runs along as a row (ECA) read their neighbours",
        "
input: [6, 7, 7]
layers:
  - global_avg_pool
  - reshape: {shape: [1, 6]}
  - conv: {out_channels: 1, kernel: 3, padding: 1, bias: false}
  - reshape: {shape: [6, 1, 1]}
  - sigmoid
  - multiply: [input, previous]
",
        &[Kind::Channels],
    ),
    (
        "channels that became a row stay apart",
        "
input: [2, 9, 9]
layers:
  - global_avg_pool: {keepdim: true}
  - reshape: {shape: [1, 2, 1]}
  - permute: {axes: [1, 0, 2]}
",
        &[Kind::Channels],
    ),
    (
        "a resize whose unit lies on a position of the input reads that one alone",
        "
input: [1, 5, 7]
layers:
  - gather: {axis: 1, indices: [0]}
  - gather: {axis: 0, indices: [0, 0, 0, 0]}
  - upsample: {size: [2, 13], mode: bilinear}
",
        &[Kind::Support],
    ),
    (
        "a column that a slice fixes, beside the unit's own: the box grows with the unit's distance, half in the middle",
        "
input: [4, 9, 4]
layers:
  - permute: {axes: [0, 2, 1]}
  - slice: {axis: 1, start: 1, end: 2, step: 2}
  - matmul: [previous, input]
",
        &[Kind::ReceptiveField, Kind::Support],
    ),
    (
        "a power of 0 is 1, even of what is not a number",
        "
input: [3, 8, 8]
layers:
  - conv: {out_channels: 4, kernel: 3}
  - power: {exponent: 0}
",
        &[Kind::Perturbation, Kind::Tiles],
    ),
    (
        "rows became channels, columns of a cell too: a unit is one channel, for which the box of the cell is a bound",
        "
input: [4, 5, 6]
layers:
  - reduce: {reduction: mean, axes: [0]}
  - pixel_unshuffle: {downscale_factor: 3}
  - upsample: {scale_factor: 3, mode: linear}
",
        &[Kind::ReceptiveField, Kind::Support],
    ),
    (
        "a map of one channel times a gate for each: without the gate it is repeated, so that the layers after it fit",
        "
input: {map: [1, 3, 4], query: [2, 3, 4]}
layers:
  - {from: query, conv: {out_channels: 6, kernel: [1, 2], groups: 2}}
  - {id: gate, avg_pool: {kernel: [1, 3], stride: 1}}
  - {from: [map, gate], multiply: {}}
  - conv_transpose: {out_channels: 6, kernel: [1, 2], groups: 6}
",
        &[Kind::Perturbation],
    ),
    (
        "two channels that two tanh made nearly equal: a norm enlarges the error that their polynomials have and the definition has not",
        "
input: {input0: [2, 2, 3, 4], input1: [2, 2, 3, 4], input2: [2, 2, 3, 4]}
layers:
  - {id: n3, from: [input0, input1, input2], attention: {bias: [1, 2, 3, 3], mask: [2, 1, 3, 3]}}
  - {id: n4, crop: {size: [1, 2, 2]}}
  - {id: n5, tanh: {}}
  - {id: n6, tanh: {}}
  - {id: n7, layer_norm: {elementwise_affine: false}}
",
        &[Kind::Numerics],
    ),
    (
        "a weight that is an input: a transposed convolution with a stride reads the taps of one phase, not all",
        "
input: {map: [3, 4, 4], weight: [3, 2, 3, 3]}
layers:
  - {from: [map, weight], dynamic_conv: {transposed: true, stride: 2, padding: 1, output_padding: 1}}
  - conv_transpose: {out_channels: 6, kernel: [2, 3], dilation: 2}
  - chunk: {chunks: 4, index: 0, axis: 1}
",
        &[Kind::ReceptiveField, Kind::Support],
    ),
    (
        "a weight that is an input: a channel of a transposed convolution with groups reads its place in the group, not all",
        "
input: {map: [4, 5], weight: [4, 3, 2]}
layers:
  - {from: [map, weight], dynamic_conv: {stride: 2, groups: 2, transposed: true}}
  - gather: {indices: [2, 0, 0, 1], axis: 0}
",
        &[Kind::ReceptiveField, Kind::Support],
    ),
    (
        "a weight that is an input: its filters of one channel are read whole, but for units beside the padding",
        "
input: {map: [4, 5, 5], weight: [4, 1, 3, 3]}
layers:
  - {from: [map, weight], dynamic_conv: {groups: depthwise, padding: same}}
  - group_norm: {num_groups: 2}
",
        &[Kind::Context],
    ),
    (
        "every window of an axis reads padding alone: no margin is needed, and none is claimed to be",
        "
input: [2, 5, 4, 5]
layers:
  - {id: n1, conv: {out_channels: 4, kernel: [3, 1, 4], stride: [1, 1, 2], dilation: [2, 2, 1], groups: 2}}
  - {id: n2, conv: {out_channels: 1, kernel: 1, stride: [3, 1, 2], padding: 1, dilation: [1, 5, 3]}}
outputs: [n2, n1]
",
        &[Kind::Tiles],
    ),
    (
        "the same of a pool after a convolution, in two axes",
        "
input: [2, 12, 12]
layers:
  - conv: {out_channels: 3, kernel: [5, 12]}
  - conv: {out_channels: 2, kernel: [3, 1], stride: [1, 3], padding: [1, 1]}
",
        &[Kind::Tiles],
    ),
    (
        "one position enlarged by 1.5 is one position, but tiles of larger images round: nothing is claimed of them",
        "
input: [1, 3, 4]
layers:
  - conv: {out_channels: 1, kernel: [3, 1]}
  - upsample: {scale_factor: [1.5, 2], mode: linear}
  - conv: {out_channels: 1, kernel: 3, padding: [[8, 9], [1, 1]], dilation: [5, 2]}
",
        &[Kind::ReceptiveField],
    ),
    (
        "a path that reads nothing in the gaps of one axis adds nothing along the other: the boxes are a bound",
        "
input: [2, 6, 8]
layers:
  - {id: wide, conv: {out_channels: 2, kernel: 1, stride: [1, 2]}}
  - {id: gaps, conv_transpose: {out_channels: 2, kernel: 3, stride: 2, dilation: 2}}
  - {id: a, from: gaps, conv: {out_channels: 4, kernel: 3, padding: [[2, 2], [3, 3]], dilation: 2}}
  - {id: b, from: gaps, conv: {out_channels: 4, kernel: 3, padding: [[1, 1], [2, 2]]}}
  - {from: [a, b], add: {}}
",
        &[Kind::ReceptiveField],
    ),
    (
        "the same of a deformable convolution, whose taps and offsets are two paths",
        "
input: [2, 27, 36]
layers:
  - conv: {out_channels: 2, kernel: 1, stride: [1, 2]}
  - conv_transpose: {out_channels: 2, kernel: 3, stride: 2, dilation: 2}
  - deform_conv: {out_channels: 4, kernel: 3, padding: [[2, 2], [3, 3]], dilation: 2, bias: false, offset_dilation: 1}
",
        &[Kind::ReceptiveField],
    ),
    (
        "a gate reads samples that move with the data: what it adds to the field is a bound",
        "
input: [2, 4, 12]
layers:
  - deform_conv: {out_channels: 2, kernel: [1, 3], dilation: [1, 4], offsets: per_channel, max_offset: 2}
  - conv: {out_channels: 2, kernel: [1, 2], dilation: [1, 2], padding: [[0, 0], [1, 0]], groups: 2}
  - {id: map, conv: {out_channels: 2, kernel: [3, 2], dilation: 2, padding: [[4, 3], [0, 1]]}}
  - {id: gate, conv: {out_channels: 2, kernel: [1, 2], dilation: [1, 2], padding: [[0, 0], [1, 0]], groups: 2}}
  - {from: [map, gate], multiply: {}}
  - reduce: {reduction: min, axes: [0, 1]}
",
        &[Kind::Context],
    ),
];
