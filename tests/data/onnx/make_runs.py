"""Small models, one for each operator and setting that a user met, with inputs and right outputs.

usage: make_runs.py OUT.zip     needs onnx, onnxruntime, numpy

The right outputs are ONNX Runtime's with its optimiser off; those of onnx's reference evaluator where it has no kernel,
saturates products of 8-bit numbers, or copies what a factor with a rest would move.
"""
import io, json, sys, zipfile
import numpy as np, onnx, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(13)
cases = []


def f32(*s, lo=-1, hi=1):
    return rng.uniform(lo, hi, s).astype(np.float32)


def I(*v):
    return np.array(v, np.int64)


def S(*v):
    return np.array(v, np.float32)


def N(op, i, o='y', domain='', **k):
    return h.make_node(op, i if isinstance(i, list) else [i], o if isinstance(o, list) else [o], domain=domain, **k)


def case(name, nodes, x, inits=None, opset=19, dt=None, out=T.FLOAT, more=None, outs=('y',), tol=1e-4, oracle='ort', open_sizes=False):
    feeds = {'x': x, **(more or {})}
    kinds = {k: (dt if dt and k == 'x' else h.np_dtype_to_tensor_dtype(v.dtype)) for k, v in feeds.items()}
    shape = lambda v: [v.shape[0], *['?'] * (v.ndim - 1)] if open_sizes else list(v.shape)
    ins = [h.make_tensor_value_info(k, kinds[k], shape(v)) for k, v in feeds.items()]
    out = out if isinstance(out, (list, tuple)) else [out] * len(outs)
    g = h.make_graph(nodes, name, ins, [h.make_tensor_value_info(o, t, None) for o, t in zip(outs, out)], [nh.from_array(v, k) for k, v in (inits or {}).items()])
    domains = sorted({n.domain for n in nodes if n.domain})
    m = h.make_model(g, opset_imports=[h.make_opsetid('', opset)] + [h.make_opsetid(d, 1) for d in domains], ir_version=10)
    want = None
    if oracle == 'ort':
        so = ort.SessionOptions(); so.log_severity_level = 4; so.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        want = ort.InferenceSession(m.SerializeToString(), so, providers=['CPUExecutionProvider']).run(None, feeds)
    elif oracle == 'reference':
        want = ReferenceEvaluator(m).run(None, feeds)
    array = lambda v: {'shape': list(v.shape), 'values': [float(q) if np.isfinite(q) else None for q in v.astype(np.float64).ravel()]}
    cases.append((name, m, {
        'name': name, 'params': None, 'macs': None, 'tolerance': tol, 'input': [],
        'inputs': {k: array(v) for k, v in feeds.items()}, 'outputs': None if want is None else [array(np.asarray(w)) for w in want]}))


x4 = f32(1, 3, 6, 7)
sizes = dict(z=I(1, 3, 9, 5))
# Resizing.
R = lambda **k: [N('Resize', ['x', '', 's'], **k)]
Z = lambda **k: [N('Resize', ['x', '', '', 'z'], **k)]
case('cubic_by_two', R(mode='cubic'), x4, dict(s=S(1, 1, 2, 2)))
case('cubic_to_sizes', Z(mode='cubic'), x4, sizes)
case('cubic_corners', Z(mode='cubic', coordinate_transformation_mode='align_corners'), x4, sizes)
case('cubic_tf2', Z(mode='cubic', cubic_coeff_a=-0.5, exclude_outside=1), x4, sizes)
case('cubic_tf1', Z(mode='cubic', coordinate_transformation_mode='asymmetric', cubic_coeff_a=-0.75), x4, sizes)
case('cubic_1d', R(mode='cubic'), f32(1, 2, 9), dict(s=S(1, 1, 2)), oracle='reference')
case('linear_asymmetric_smaller', R(mode='linear', coordinate_transformation_mode='asymmetric'), x4, dict(s=S(1, 1, .6, 1.7)))
case('linear_asymmetric_larger', R(mode='linear', coordinate_transformation_mode='asymmetric'), x4, dict(s=S(1, 1, 2, 3)))
case('linear_antialias', Z(mode='linear', antialias=1), f32(1, 2, 11, 9), dict(z=I(1, 2, 5, 4)))
case('cubic_antialias', Z(mode='cubic', antialias=1), f32(1, 2, 11, 9), dict(z=I(1, 2, 5, 4)))
case('linear_not_larger', [N('Resize', ['x', '', '', 'z'], mode='linear', axes=[2, 3], keep_aspect_ratio_policy='not_larger')], x4, dict(z=I(10, 9)), oracle='reference')
case('nearest_not_smaller', [N('Resize', ['x', '', '', 'z'], mode='nearest', axes=[2, 3], keep_aspect_ratio_policy='not_smaller')], x4, dict(z=I(10, 9)), oracle='reference')
case('nearest_ceil_asymmetric', R(mode='nearest', coordinate_transformation_mode='asymmetric', nearest_mode='ceil'), x4, dict(s=S(1, 1, 2, 1.5)))
case('nearest_same_size', R(mode='nearest', coordinate_transformation_mode='asymmetric', nearest_mode='floor'), x4, dict(s=S(1, 1, 1.1, 1.1)), oracle='reference')
case('nearest_channels_last', R(mode='nearest', coordinate_transformation_mode='asymmetric', nearest_mode='floor'), f32(1, 3, 4, 2), dict(s=S(1, 2, 2, 1)))
case('linear_channels_last', R(mode='linear'), f32(1, 3, 4, 2), dict(s=S(1, 2, 2, 1)))
case('nearest_channels', R(mode='nearest', coordinate_transformation_mode='asymmetric', nearest_mode='floor'), x4, dict(s=S(1, 2, 1, 1)))
case('crop_and_resize', [N('Resize', ['x', 'r', '', 'z'], mode='linear', coordinate_transformation_mode='tf_crop_and_resize')], x4, dict(r=S(0, 0, .2, .1, 1, 1, .8, .9), z=I(1, 3, 4, 5)))
case('symmetric_with_a_rest', R(mode='linear', coordinate_transformation_mode='half_pixel_symmetric'), x4, dict(s=S(1, 1, 1.3, .7)))
# Quantised numbers.
u8 = rng.integers(0, 256, (1, 3, 4, 5)).astype(np.uint8)
i8 = rng.integers(-128, 128, (1, 3, 4, 5)).astype(np.int8)
w8 = rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
case('input_int8_no_zero', [N('DequantizeLinear', ['x', 's'])], i8, dict(s=np.float32(.02)))
case('input_uint8_per_channel', [N('DequantizeLinear', ['x', 's', 'z'], axis=1)], u8, dict(s=S(.01, .02, .03), z=np.array([3, 128, 200], np.uint8)))
case('input_uint8_max_pool', [N('MaxPool', 'x', 'p', kernel_shape=[2, 2]), N('DequantizeLinear', ['p', 's', 'z'])], u8, dict(s=np.float32(.02), z=np.uint8(7)))
case('output_uint8', [N('QuantizeLinear', ['x', 's', 'z'])], f32(1, 3, 40, lo=-3, hi=3), dict(s=np.float32(.02), z=np.uint8(113)), out=T.UINT8)
case('output_int8_reshaped', [N('QuantizeLinear', ['x', 's', 'z'], 'q'), N('Reshape', ['q', 'r'])], f32(1, 3, 40, lo=-3, hi=3), dict(s=np.float32(.02), z=np.int8(3), r=I(1, 40, 3)), out=T.INT8)
case('output_int16', [N('QuantizeLinear', ['x', 's', 'z'])], f32(1, 3, 40, lo=-3, hi=3), dict(s=np.float32(.001), z=np.int16(-20)), out=T.INT16, opset=21, oracle='reference')
case('quantised_int8_by_attribute', [N('QuantizeLinear', ['x', 's'], 'q', output_dtype=T.INT8), N('DequantizeLinear', ['q', 's'])], f32(1, 3, 40), dict(s=np.float32(.01)), opset=21, tol=2e-2)
case('relu_per_channel', [N('Neg', 'x', 'n'), N('QuantizeLinear', ['n', 's', 'z'], 'q', axis=1), N('DequantizeLinear', ['q', 's', 'z'], axis=1)], f32(1, 3, 40), dict(s=S(.01, .012, .009), z=np.zeros(3, np.uint8)), tol=2e-2)
case('relu_int16', [N('Identity', 'x', 'i'), N('Neg', 'i', 'n'), N('QuantizeLinear', ['n', 's', 'z'], 'q'), N('DequantizeLinear', ['q', 's', 'z'])], f32(1, 3, 40), dict(s=np.float32(1e-4), z=np.int16(-32768)), opset=21, oracle='reference')
case('requantised', [N('QuantizeLinear', ['x', 's', 'z'], 'q'), N('DequantizeLinear', ['q', 't', 'z'])], f32(1, 3, 40), dict(s=np.float32(.01), z=np.int8(0), t=np.float32(.03)), tol=2e-2)
case('convinteger_of_quantised', [N('QuantizeLinear', ['x', 's', 'z'], 'q'), N('ConvInteger', ['q', 'w', 'z'], 'c'), N('Cast', 'c', 'f', to=1), N('Mul', ['f', 't'])], f32(1, 3, 6, 6), dict(s=np.float32(.008), z=np.uint8(128), w=w8, t=np.float32(.0001)), tol=2e-2)
case('matmulinteger_input', [N('MatMulInteger', ['x', 'w', 'a', 'b'], 'c'), N('Cast', 'c', to=1)], rng.integers(0, 256, (1, 5, 6)).astype(np.uint8), dict(w=rng.integers(-127, 128, (6, 4)).astype(np.int8), a=np.uint8(11), b=np.int8(3)), oracle='reference')
case('qlinearconv_output', [N('QLinearConv', ['x', 'xs', 'xz', 'w', 'ws', 'wz', 'ys', 'yz'])], u8, dict(xs=np.float32(.01), xz=np.uint8(100), w=w8, ws=S(.02, .03, .01, .02), wz=np.zeros(4, np.int8), ys=np.float32(.5), yz=np.uint8(120)), out=T.UINT8, tol=1.01 / 255, oracle='reference')
case('qlinearadd', [N('QLinearAdd', ['x', 's', 'z', 'x', 't', 'z', 'u', 'z'], 'q', domain='com.microsoft'), N('DequantizeLinear', ['q', 'u', 'z'])], u8, dict(s=np.float32(.01), z=np.uint8(128), t=np.float32(.03), u=np.float32(.05)), tol=2e-2)
case('qlinearmatmul_output', [N('QLinearMatMul', ['x', 'xs', 'xz', 'w', 'ws', 'wz', 'ys', 'yz'])], rng.integers(0, 256, (1, 5, 6)).astype(np.uint8), dict(xs=np.float32(.01), xz=np.uint8(100), w=rng.integers(-127, 128, (6, 4)).astype(np.int8), ws=np.float32(.02), wz=np.int8(0), ys=np.float32(.2), yz=np.uint8(120)), out=T.UINT8, tol=1.01 / 255, oracle='reference')
# Layout.
case('output_without_elements', [N('Relu', 'x', 'y'), N('Slice', ['x', 'a', 'a', 'c'], 'e')], x4, dict(a=I(2), c=I(3)), outs=('e', 'y'))
case('shape_of_a_batch', [N('Shape', 'x')], f32(2, 3, 4), out=T.INT64)
case('reversed_axis', [N('Slice', ['x', 'a', 'b', 'c', 'd'])], x4, dict(a=I(-2), b=I(-100), c=I(3), d=I(-2)))
case('cropping_pad', [N('Pad', ['x', 'p', 'v'])], x4, dict(p=I(0, 0, -1, 2, 0, 0, 3, -2), v=np.float32(-.5)))
case('channels_first_input_and_factor', [N('MatMul', ['x', 'w'])], f32(2, 5, 6), more=dict(w=f32(6, 4)))
# A table in the code, longer than what is read with the graph, from which nodes compute a mask.
table = nh.from_array(np.arange(33 * 33, dtype=np.float32).reshape(1, 33, 33) % 7, 'table')
rows = np.array([[0, 2], [0, 31]], np.int64)
case('mask_computed_from_a_table', [N('Constant', [], 't', value=table), N('ScatterND', ['t', 'i', 'u'], 's'), N('Equal', ['s', 'a'], 'e'), N('Where', ['e', 'm', 's'], 'w'), N('Add', ['x', 'w'])], rng.integers(-3, 4, (1, 1, 33, 33)).astype(np.float32), dict(i=rows, u=np.full((2, 33), 9, np.float32), a=np.float32(3), m=np.float32(-100)))
# A standardised weight: a norm over its own data, by statistics that the graph computes from it.
case('weight_standardised_by_a_norm', [
    N('ReduceMean', 'w', 'm', axes=[0, 2], keepdims=0), N('ReduceMean', 'w', 'k', axes=[0, 2], keepdims=1), N('Sub', ['w', 'k'], 'd'), N('Mul', ['d', 'd'], 's'), N('ReduceMean', 's', 'v', axes=[0, 2], keepdims=0),
    N('BatchNormalization', ['w', 'a', 'b', 'm', 'v'], 'n', epsilon=1e-8), N('Reshape', ['n', 'r'], 'q'), N('Conv', ['x', 'q'])],
    x4, dict(w=f32(1, 4, 27), a=f32(4), b=f32(4), r=I(4, 3, 3, 3)), opset=17)
case('part_of_a_stored_table', [N('Gather', ['t', 'i'], 'g', axis=0), N('Add', ['x', 'g'])], x4, dict(t=f32(4, 6, 7), i=np.int64(-2)))
# A mask selects, it does not multiply: a score that two masks exclude, and a row of which nothing is left.
first, second = np.tril(np.ones((5, 5), bool)), np.arange(25).reshape(5, 5) % 3 > 0
second[1] = False
rows_left = np.logical_and(first, second).any(1, keepdims=True)
case('scores_masked_twice', [N('Where', ['a', 'x', 'l'], 's'), N('Where', ['b', 's', 'l'], 't'), N('Softmax', 't', 'w'), N('Where', ['r', 'w', 'z'], 'p'), N('MatMul', ['p', 'v'])], f32(1, 2, 5, 5), dict(a=first, b=second, l=np.float32(-np.inf), r=rows_left, z=np.float32(0), v=f32(5, 3)))

# What ONNX Runtime saves of a quantised model for its own processor (weights of half the range, so that no kernel saturates):
# channels last, a softmax that says which operator set it
# follows; and products of stacks whose rows come first.
MS = dict(domain='com.microsoft')
u8l = rng.integers(0, 256, (1, 6, 5, 3)).astype(np.uint8)
steps = dict(xs=np.float32(.01), xz=np.uint8(100), ys=np.float32(.05), yz=np.uint8(120))
case('qlinearconv_channels_last', [N('QLinearConv', ['x', 'xs', 'xz', 'w', 'ws', 'wz', 'ys', 'yz'], 'q', channels_last=1, pads=[1, 0, 1, 0], strides=[2, 1], **MS), N('DequantizeLinear', ['q', 'ys', 'yz'])], u8l, dict(steps, w=w8 // 2, ws=S(.02, .03, .01, .02), wz=np.zeros(4, np.int8), ys=np.float32(.08)), tol=2e-2)
case('maxpool_channels_last', [N('NhwcMaxPool', 'x', 'q', kernel_shape=[2, 3], strides=[2, 1], **MS), N('DequantizeLinear', ['q', 'xs', 'xz'])], u8l, dict(xs=np.float32(.01), xz=np.uint8(100)))
case('qlinear_global_pool_channels_last', [N('QLinearGlobalAveragePool', ['x', 'xs', 'xz', 'ys', 'yz'], 'q', channels_last=1, **MS), N('DequantizeLinear', ['q', 'ys', 'yz'])], u8l, dict(steps, ys=np.float32(.01)), tol=2e-2)
case('qlinearsoftmax', [N('QLinearSoftmax', ['x', 'xs', 'xz', 'ys', 'yz'], 'q', axis=-1, opset=13, **MS), N('DequantizeLinear', ['q', 'ys', 'yz'])], u8, dict(steps, ys=np.float32(1 / 256), yz=np.uint8(0)), tol=2e-2)
case('qlinearsoftmax_of_all', [N('QLinearSoftmax', ['x', 'xs', 'xz', 'ys', 'yz'], 'q', axis=1, opset=12, **MS), N('DequantizeLinear', ['q', 'ys', 'yz'])], u8, dict(steps, ys=np.float32(1 / 1024), yz=np.uint8(0)), tol=4e-2)
case('product_of_turned_stacks', [N('Transpose', 'x', 'a', perm=[1, 0, 2, 3]), N('Transpose', 'b', 'c', perm=[1, 0, 2, 3]), N('FusedMatMul', ['a', 'c'], transBatchA=1, transBatchB=1, transB=1, alpha=.5, **MS)], f32(1, 5, 2, 4), more=dict(b=f32(1, 6, 2, 4)))

out = sys.argv[1]
with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as z:
    put = lambda n, b: z.writestr(zipfile.ZipInfo(n, (2026, 1, 1, 0, 0, 0)), b, zipfile.ZIP_DEFLATED)
    for name, m, _ in cases:
        put(f'{name}.onnx', m.SerializeToString())
    put('cases.json', json.dumps([c for *_, c in cases], separators=(',', ':')))
print(len(cases), 'cases')
