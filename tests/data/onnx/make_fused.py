"""ONNX Runtime's fused operators, one model for each setting, with inputs and right outputs.

usage: make_fused.py OUT.zip     needs onnx, onnxruntime, numpy

The right outputs are ONNX Runtime's with its optimiser off; those of convolutions with channels last, for which it has no
kernel, are its plain convolution's between two transpositions. A case without outputs is one that must be refused: ONNX
Runtime refuses it too.
"""
import json, sys, zipfile
import numpy as np, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

rng = np.random.default_rng(6)
cases = []
MS = dict(domain='com.microsoft')


def f32(*s):
    return rng.standard_normal(s).astype(np.float32)


def N(op, i, o='y', **k):
    return h.make_node(op, i, o if isinstance(o, list) else [o], **k)


def run(nodes, feeds, inits, outs, opset):
    ins = [h.make_tensor_value_info(k, h.np_dtype_to_tensor_dtype(v.dtype), list(v.shape)) for k, v in feeds.items()]
    g = h.make_graph(nodes, 'g', ins, [h.make_tensor_value_info(o, T.FLOAT, None) for o in outs], [nh.from_array(v, k) for k, v in inits.items()])
    m = h.make_model(g, opset_imports=[h.make_opsetid('', opset), h.make_opsetid('com.microsoft', 1)], ir_version=8)
    so = ort.SessionOptions(); so.log_severity_level = 4; so.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return m, lambda: ort.InferenceSession(m.SerializeToString(), so, providers=['CPUExecutionProvider']).run(None, feeds)


def case(name, node, feeds, inits=None, outs=('y',), opset=17, want=None, refused=False, tol=2e-5):
    m, ask = run([node], feeds, inits or {}, outs, opset)
    if refused:
        try:
            ask()
        except Exception:
            want = None
        else:
            raise SystemExit(f'{name}: ONNX Runtime computes it')
    elif want is None:
        want = ask()
    array = lambda v: {'shape': list(v.shape), 'values': [float(q) for q in v.astype(np.float64).ravel()]}
    cases.append((name, m, {
        'name': name, 'params': None, 'macs': None, 'tolerance': tol, 'input': [], 'refused': refused,
        'inputs': {k: array(v) for k, v in feeds.items()}, 'outputs': None if want is None else [array(np.asarray(w)) for w in want]}))


x, w, b, z = f32(1, 4, 5, 4), f32(6, 4, 3, 3), f32(6), f32(1, 6, 5, 4)
conv = dict(pads=[1, 1, 1, 1])
for act, numbers in [('Relu', []), ('Tanh', []), ('Sigmoid', []), ('HardSwish', []), ('LeakyRelu', [.3]), ('Clip', [-.5, .7]), ('HardSigmoid', [.3, .4])]:
    k = dict(activation=act, **({'activation_params': numbers} if numbers else {}))
    case(f'conv_{act}', N('FusedConv', ['x', 'w', 'b'], **conv, **k, **MS), {'x': x}, dict(w=w, b=b))
    case(f'conv_sum_{act}', N('FusedConv', ['x', 'w', 'b', 'z'], **conv, **k, **MS), {'x': x, 'z': z}, dict(w=w, b=b))
case('conv_strides', N('FusedConv', ['x', 'w'], pads=[1, 0, 1, 2], strides=[2, 1], dilations=[1, 2], group=2, activation='Relu', **MS), {'x': x}, dict(w=f32(6, 2, 3, 3)))
case('conv_no_number', N('FusedConv', ['x', 'w', 'b'], **conv, activation='LeakyRelu', **MS), {'x': x}, dict(w=w, b=b), refused=True)
case('conv_elu', N('FusedConv', ['x', 'w', 'b'], **conv, activation='Elu', **MS), {'x': x}, dict(w=w, b=b), refused=True)
case('conv_other_setting', N('FusedConv', ['x', 'w', 'b'], **conv, other=1, **MS), {'x': x}, dict(w=w, b=b), refused=True)
gemm = dict(transB=1, alpha=.5, beta=2.)
for act, numbers in [('Relu', {}), ('Sigmoid', {}), ('Tanh', {}), ('Softplus', {}), ('LeakyRelu', {'alpha': .3}), ('Elu', {'alpha': .5}),
                     ('Selu', {'alpha': 1.67326319217681884765625, 'gamma': 1.05070102214813232421875}), ('HardSigmoid', {'alpha': .3, 'beta': .4})]:
    k = {f'activation_{n}': v for n, v in numbers.items()}
    case(f'gemm_{act}', N('FusedGemm', ['x', 'w', 'b'], activation=act, **gemm, **k, **MS), {'x': f32(3, 8)}, dict(w=f32(5, 8), b=f32(5)))
case('gemm_no_number', N('FusedGemm', ['x', 'w', 'b'], activation='LeakyRelu', **gemm, **MS), {'x': f32(3, 8)}, dict(w=f32(5, 8), b=f32(5)), refused=True)
case('gemm_gelu', N('FusedGemm', ['x', 'w', 'b'], activation='Gelu', **gemm, **MS), {'x': f32(3, 8)}, dict(w=f32(5, 8), b=f32(5)), refused=True)
for ta in (0, 1):
    for tb in (0, 1):
        a, c = f32(2, 5, 3) if ta else f32(2, 3, 5), f32(2, 4, 5) if tb else f32(2, 5, 4)
        k = dict(transA=ta, transB=tb, alpha=.25)
        case(f'matmul_{ta}{tb}', N('FusedMatMul', ['x', 'c'], **k, **MS), {'x': a, 'c': c})
        case(f'matmul_weight_{ta}{tb}', N('FusedMatMul', ['x', 'c'], **k, **MS), {'x': a}, dict(c=c[0]))
        case(f'transpose_matmul_{ta}{tb}', N('TransposeMatMul', ['x', 'c'], **k, **MS), {'x': a, 'c': c})
case('matmul_other_setting', N('FusedMatMul', ['x', 'c'], other=1, **MS), {'x': f32(2, 3, 5)}, dict(c=f32(5, 4)), refused=True)
t = 2 * f32(2, 5, 8)
for alpha in (None, 1., .7):
    case(f'quick_gelu_{alpha}', N('QuickGelu', ['x'], **({'alpha': alpha} if alpha else {}), **MS), {'x': t})
case('gelu', N('Gelu', ['x'], **MS), {'x': t})
case('bias_gelu', N('BiasGelu', ['x', 'b'], **MS), {'x': t}, dict(b=f32(8)))
case('fast_gelu', N('FastGelu', ['x'], **MS), {'x': t})
case('fast_gelu_bias', N('FastGelu', ['x', 'b'], **MS), {'x': t}, dict(b=f32(8)))
case('gelu_other_setting', N('Gelu', ['x'], approximate='tanh', **MS), {'x': t}, refused=True)
case('quick_gelu_other_setting', N('QuickGelu', ['x'], other=1, **MS), {'x': t}, refused=True)
small = f32(2, 5, 8) * np.float32(1e-3)
for eps in (None, 1e-3):
    k = {'epsilon': eps} if eps else {}
    for bias in (0, 1):
        more = dict(bi=small[0, 0]) if bias else {}
        for outs in (['y'], ['y', '', '', 'sum']):
            names = tuple(o for o in outs if o)
            label = f'{eps}_{bias}_{len(names)}'
            case(f'skip_norm_{label}', N('SkipLayerNormalization', ['x', 's', 'g', 'be', *more], outs, **k, **MS), {'x': small, 's': f32(2, 5, 8) * np.float32(1e-3)}, dict(g=f32(8), be=f32(8), **more), outs=names, tol=2e-4)
            case(f'skip_rms_norm_{label}', N('SkipSimplifiedLayerNormalization', ['x', 's', 'g', *more], outs, **k, **MS), {'x': small, 's': f32(2, 5, 8) * np.float32(1e-3)}, dict(g=f32(8), **more), outs=names, tol=2e-4)
    case(f'skip_norm_no_shift_{eps}', N('SkipLayerNormalization', ['x', 's', 'g'], **k, **MS), {'x': small}, dict(s=f32(5, 8), g=f32(8)), tol=2e-4)
    case(f'rms_norm_{eps}', N('SimplifiedLayerNormalization', ['x', 'g'], axis=-1, **k), {'x': small}, dict(g=f32(8)), tol=2e-4)
case('skip_norm_other_setting', N('SkipLayerNormalization', ['x', 's', 'g'], other=1, **MS), {'x': small, 's': small}, dict(g=f32(8)), refused=True)
last = f32(1, 5, 4, 4)
first = np.ascontiguousarray(last.transpose(0, 3, 1, 2))
k = dict(pads=[1, 0, 1, 2], strides=[1, 2])
plain = run([N('Conv', ['x', 'w', 'b'], **k)], {'x': first}, dict(w=w, b=b), ('y',), 17)[1]()[0]
case('nhwc_conv', N('NhwcConv', ['x', 'w', 'b'], **k, **MS), {'x': last}, dict(w=w, b=b), want=[plain.transpose(0, 2, 3, 1)])
z = f32(*plain.transpose(0, 2, 3, 1).shape)
case('nhwc_fused_conv', N('NhwcFusedConv', ['x', 'w', 'b', 'z'], activation='LeakyRelu', activation_params=[.2], **k, **MS), {'x': last, 'z': z}, dict(w=w, b=b),
     want=[np.where((s := plain.transpose(0, 2, 3, 1) + z) > 0, s, np.float32(.2) * s)])


# Operators on whole numbers, dequantised after them, in ranges that cut nothing off: off by a step at most.
def quantised(name, op, inputs, x, step=.2, zero=128, inits=None, more=None, want=None, out=True, **k):
    stored = dict(xs=np.float32(.02), xz=np.uint8(100), bs=np.float32(.03), bz=np.uint8(120), ys=np.float32(step), yz=np.uint8(zero), **(inits or {}))
    feeds = {'x': x, **(more or {})}
    nodes = [N(op, inputs, 'q' if out else 'y', **k, **MS)] + ([N('DequantizeLinear', ['q', 'ys', 'yz'])] if out else [])
    stored = {n: v for n, v in stored.items() if any(n in node.input for node in nodes)}
    m, ask = run(nodes, feeds, stored, ('y',), 17)
    want = ask()[0] if want is None else want
    array = lambda v: {'shape': list(v.shape), 'values': [float(q) for q in v.astype(np.float64).ravel()]}
    cases.append((name, m, {'name': name, 'params': None, 'macs': None, 'tolerance': float(1.01 * step / np.abs(want).max()) if out else 1e-5, 'input': [], 'refused': False,
                            'inputs': {n: array(v) for n, v in feeds.items()}, 'outputs': [array(want)]}))


u8 = lambda *s: rng.integers(0, 256, s).astype(np.uint8)
xu, xl = u8(1, 4, 6, 5), u8(1, 6, 5, 4)
xq, yq = ['x', 'xs', 'xz'], ['ys', 'yz']
for op in ('QLinearAdd', 'QLinearMul'):
    quantised(f'{op}_maps', op, [*xq, 'b', 'bs', 'bz', *yq], xu, more={'b': u8(1, 4, 6, 5)})
    quantised(f'{op}_first_constant', op, ['b', 'bs', 'bz', *xq, *yq], xu, inits={'b': u8(4, 1, 1)})
quantised('QLinearSigmoid', 'QLinearSigmoid', [*xq, *yq], xu, step=1 / 256, zero=0)
for alpha in (None, .3):
    quantised(f'QLinearLeakyRelu_{alpha}', 'QLinearLeakyRelu', [*xq, *yq], xu, **({'alpha': alpha} if alpha else {}))
for cl, v in ((0, xu), (1, xl)):
    quantised(f'QLinearGlobalAveragePool_{cl}', 'QLinearGlobalAveragePool', [*xq, *yq], v, channels_last=cl)
    for number, k in enumerate([dict(kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]), dict(kernel_shape=[3, 2], pads=[1, 0, 1, 1], count_include_pad=1), dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)]):
        quantised(f'QLinearAveragePool_{cl}_{number}', 'QLinearAveragePool', [*xq, *yq], v, channels_last=cl, **k)
quantised('QLinearConcat', 'QLinearConcat', [*yq, *xq, 'b', 'bs', 'bz'], xu, axis=1, more={'b': u8(1, 3, 6, 5)})
mean = ((xu.astype(np.float64) - 100) * .02).mean((2, 3), keepdims=True)
quantised('QLinearReduceMean', 'QLinearReduceMean', [*xq, *yq], xu, axes=[2, 3], keepdims=1, want=mean)
w8, c32 = (rng.integers(-128, 128, (7, 5)) // 2).astype(np.int8), rng.integers(-300, 300, 7).astype(np.int32)
columns = dict(w=w8, ws=rng.uniform(.01, .03, 7).astype(np.float32), wz=np.zeros(7, np.int8), c=c32)
quantised('QGemm_columns', 'QGemm', [*xq, 'w', 'ws', 'wz', 'c', *yq], u8(3, 5), transB=1, alpha=1., inits=columns)
quantised('QGemm_alpha', 'QGemm', [*xq, 'w', 'ws', 'wz', 'c'], u8(3, 5), transB=1, alpha=2., inits=dict(w=w8, ws=np.float32(.02), wz=np.int8(3), c=c32), out=False)

with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as out:
    put = lambda n, c: out.writestr(zipfile.ZipInfo(n, (2026, 1, 1, 0, 0, 0)), c, zipfile.ZIP_DEFLATED)
    for name, m, _ in cases:
        put(f'{name}.onnx', m.SerializeToString())
    put('cases.json', json.dumps([c for *_, c in cases], separators=(',', ':')))
print(len(cases), 'cases')
