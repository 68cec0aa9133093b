"""Makes opsets.zip and opsets.json: operators whose form changed between operator sets, in the form of each.

    python make_opsets.py      # needs onnx, onnxruntime, numpy

Each case is a small model with one input `x`. Shapes are ONNX's own inference, values are ONNX Runtime's, or the reference
evaluator's where ONNX Runtime does not know the operator in that version.
"""

import json
import pathlib
import zipfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

HERE = pathlib.Path(__file__).parent
OPSETS = [7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28]
RANDOM = np.random.default_rng(0)


class Case:
    """A model under construction: nodes in a chain, the last one's output is the model's."""

    def __init__(self, shape):
        self.shape, self.nodes, self.weights, self.last, self.outputs = shape, [], [], "x", []

    def weight(self, *shape):
        return self.given(RANDOM.uniform(0.2, 1, shape).astype(np.float32))

    def given(self, value):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def ints(self, *values):
        return self.given(np.array(values, np.int64))

    def number(self, value):
        return self.given(np.array(value, np.float32))

    def node(self, op, *inputs, outputs=1, **attributes):
        made = [f"y{len(self.nodes)}_{i}" for i in range(outputs)]
        names = [self.last, *inputs]
        self.nodes.append(helper.make_node(op, names, made, name=f"/{op}_{len(self.nodes)}", **attributes))
        self.last = made[0]
        return made

    def model(self, opset):
        outputs = self.outputs or [self.last]
        imports = [helper.make_opsetid("", opset)]
        version = min(10, helper.find_min_ir_version_for(imports))
        # Before version 4 of the format, weights were inputs as well.
        also = [helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in self.weights if version < 4]
        graph = helper.make_graph(
            self.nodes, "case",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape), *also],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=imports, ir_version=version)


def clip(o):
    c = Case([1, 3, 4, 4])
    if o < 11:
        c.node("Clip", min=-0.5, max=0.5)
        c.node("Clip", min=0.0)
    else:
        c.node("Clip", c.number(-0.5), c.number(0.5))
        c.node("Clip", c.number(0.0))
    return c


def pad(o):
    c = Case([1, 3, 4, 5])
    sides = [0, 0, 1, 2, 0, 0, 0, 3]
    if o < 11:
        c.node("Pad", pads=sides, value=0.5)
        c.node("Pad", pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="reflect")
    else:
        c.node("Pad", c.ints(*sides), c.number(0.5))
        if o < 18:
            c.node("Pad", c.ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
        else:
            c.node("Pad", c.ints(1, 1, 1, 1), "", c.ints(-1, 2), mode="reflect")
    return c


def slice_(o):
    c = Case([1, 4, 6, 8])
    if o < 10:
        c.node("Slice", starts=[1, 2], ends=[3, 1000], axes=[1, 3])
    else:
        c.node("Slice", c.ints(1, 2), c.ints(3, 1000), c.ints(1, -1), c.ints(1, 2))
    return c


def squeeze(o):
    c = Case([1, 3, 1, 5])
    if o < 13:
        c.node("Squeeze", axes=[2])
        c.node("Unsqueeze", axes=[1, 4])
    else:
        c.node("Squeeze", c.ints(2))
        c.node("Unsqueeze", c.ints(1, 4))
    return c


def reduce(o):
    c = Case([1, 3, 4, 5])
    x = c.last
    for op, keep in [("ReduceMean", 1), ("ReduceSum", 0), ("ReduceMax", 1), ("ReduceMin", 0), ("ReduceL2", 1)]:
        c.last = x
        by_input = o >= (13 if op == "ReduceSum" else 18)
        made = c.node(op, c.ints(2, 3), keepdims=keep) if by_input else c.node(op, axes=[2, 3], keepdims=keep)
        c.outputs += made
    return c


def softmax(o):
    c = Case([1, 3, 4, 5])
    c.node("Softmax")  # all axes from 1 on as one before version 13, the last one since
    c.node("Softmax", axis=3)
    if o >= 13:
        c.node("LogSoftmax", axis=1)
    return c


def batch_norm(o):
    c = Case([1, 3, 4, 4])
    more = {} if o < 14 else {"training_mode": 0}
    c.node("BatchNormalization", *[c.weight(3) for _ in range(4)], epsilon=1e-3, **more)
    return c


def resize(o):
    c = Case([1, 2, 3, 4])
    if o < 9:
        c.node("Upsample", scales=[1.0, 1.0, 2.0, 3.0], mode="nearest")
    elif o == 9:
        c.node("Upsample", c.given(np.array([1, 1, 2, 3], np.float32)), mode="nearest")
    elif o == 10:
        c.node("Resize", c.given(np.array([1, 1, 2, 3], np.float32)), mode="nearest")
    else:
        empty = c.given(np.array([], np.float32)) if o < 13 else ""
        c.node("Resize", empty, c.given(np.array([1, 1, 2, 3], np.float32)), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        none = c.given(np.array([], np.float32)) if o < 13 else ""
        if o < 18:
            c.node("Resize", empty, none, c.ints(1, 2, 9, 14), mode="linear")
        else:
            c.node("Resize", "", "", c.ints(9, 14), mode="linear", axes=[2, 3])
    return c


def dropout(o):
    c = Case([1, 3, 4])
    c.node("Dropout", ratio=0.3) if o < 12 else c.node("Dropout", c.number(0.3))
    c.node("Relu")
    return c


def split(o):
    c = Case([1, 7, 4])
    made = c.node("Split", outputs=2, axis=1, split=[3, 4]) if o < 13 else c.node("Split", c.ints(3, 4), outputs=2, axis=1)
    c.outputs += made
    if o >= 18:
        c.last = made[0]
        c.outputs += c.node("Split", outputs=2, axis=2, num_outputs=2)
    elif o < 13:
        c.last = made[0]
        c.outputs += c.node("Split", outputs=2, axis=2)
    return c


def group_norm(o):
    if o < 18:
        return None
    c = Case([1, 4, 3, 3])
    size = 2 if o < 21 else 4
    c.node("GroupNormalization", c.weight(size), c.weight(size), num_groups=2)
    return c


def pools(o):
    c = Case([1, 3, 9, 9])
    if o >= 10:
        c.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], dilations=[2, 2], ceil_mode=1)
    else:
        c.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 1, 1, 0])
    more = {"count_include_pad": 1} if o >= 7 else {}
    c.node("AveragePool", kernel_shape=[2, 2], pads=[1, 1, 1, 1], **more)
    if o >= 10:
        c.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    return c


def dilated_pool(o):
    if o < 19:
        return None
    c = Case([1, 3, 9, 9])
    c.node("AveragePool", kernel_shape=[2, 1], dilations=[2, 1])
    return c


def layer_norm(o):
    c = Case([1, 3, 8])
    if o < 17:
        return None
    c.node("LayerNormalization", c.weight(8), c.weight(8), axis=-1, epsilon=1e-3)
    return c


def activations(o):
    c = Case([1, 3, 4])
    c.node("LeakyRelu", alpha=0.1)
    c.node("PRelu", c.weight(3, 1))
    c.node("Elu")
    c.node("Selu")
    c.node("HardSigmoid")
    if o >= 12:
        c.node("Celu", alpha=2.0)
    if o >= 14:
        c.node("HardSwish")
    if o >= 18:
        c.node("Mish")
    if o >= 20:
        c.node("Gelu", approximate="tanh")
        c.node("Gelu")
    if o >= 24:
        c.node("Swish")
    return c


def gemm(o):
    c = Case([1, 6])
    c.node("Gemm", c.weight(4, 6), c.weight(4), transB=1, alpha=0.5)
    c.node("Gemm", c.weight(4, 3), c.weight(1, 3), beta=2.0)
    if o >= 11:
        c.node("Gemm", c.weight(3, 2))
    return c


def deform(o):
    if o < 19:
        return None
    c = Case([1, 2, 5, 5])
    x = c.last
    offset = c.node("Conv", c.weight(18, 2, 3, 3), pads=[1, 1, 1, 1])[0]
    c.last = x
    c.node("DeformConv", c.weight(4, 2, 3, 3), offset, c.weight(4), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return c


def convolutions(o):
    c = Case([1, 4, 7, 7])
    c.node("Conv", c.weight(6, 2, 3, 3), c.weight(6), group=2, strides=[2, 1], auto_pad="SAME_UPPER", kernel_shape=[3, 3])
    c.node("ConvTranspose", c.weight(6, 2, 2, 2), strides=[2, 2], output_padding=[1, 0])
    return c


def arithmetic(o):
    c = Case([1, 3, 4, 4])
    c.node("Mul", c.weight(3, 1, 1))
    c.node("Add", c.weight(1, 3, 1, 1))
    c.node("Sub", c.number(0.25))
    c.node("Div", c.number(3.0))
    c.node("Pow", c.number(2.0))
    if o >= 8:
        c.node("Sum")
        c.node("Max", c.number(0.1))
    c.node("Transpose", perm=[0, 2, 3, 1])
    c.node("Reshape", c.ints(0, -1, 3))
    return c


def attention(o):
    if o < 23:
        return None
    c = Case([1, 5, 12])
    made = []
    for _ in range(3):
        c.last = "x"
        made += c.node("MatMul", c.weight(12, 8))
    c.last = made[0]
    c.node("Attention", *made[1:], c.weight(5, 5), q_num_heads=2, kv_num_heads=2)
    return c


def einsum(o):
    if o < 12:
        return None
    c = Case([1, 2, 3, 4])
    c.node("Einsum", c.weight(4, 3, 5), equation="b h i d, d i e -> b e h") if o < 13 else c.node("Einsum", c.weight(4, 5, 6), equation="bhid,def->bhief")
    x = c.last
    c.last = "x"
    c.node("Einsum", "x", equation="bhid,bhjd->bhij")
    c.node("Einsum", "x", equation="bhij,bhjd->bihd")
    c.outputs = [x, c.last]
    return c


def shapes(o):
    """Shape arithmetic: a flatten by hand."""
    c = Case([1, 3, 4, 5])
    x = c.last
    shape = c.node("Shape")[0]
    c.last = shape
    first = c.node("Gather", c.given(np.array(0, np.int64)))[0]
    c.last = first
    first = (c.node("Unsqueeze", axes=[0]) if o < 13 else c.node("Unsqueeze", c.ints(0)))[0]
    c.last = first
    wanted = c.node("Concat", c.ints(-1), axis=0)[0]
    c.last = x
    c.node("Reshape", wanted)
    return c


CASES = [clip, pad, dilated_pool, slice_, squeeze, reduce, softmax, batch_norm, resize, dropout, split, group_norm, pools, layer_norm, activations, gemm, deform, convolutions, arithmetic, shapes, attention, einsum]


def evaluated(model, x):
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, {"x": x}), "onnxruntime"
    except Exception:
        return ReferenceEvaluator(model).run(None, {"x": x}), "onnx.reference"


def main():
    files = {}
    with zipfile.ZipFile(HERE / "opsets.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        seen = {}
        for opset in OPSETS:
            for make in CASES:
                case = make(opset)
                if case is None:
                    continue
                model = case.model(opset)
                # Only where a node's form, or the version of its operator, differs from the last opset's.
                versions = [onnx.defs.get_schema(n.op_type, opset, "").since_version for n in case.nodes]
                key = (make.__name__, str(versions))
                if seen.get(make.__name__) == key and opset not in (7, 13, 28):
                    continue
                seen[make.__name__] = key
                inferred = onnx.shape_inference.infer_shapes(model, data_prop=True, strict_mode=True)
                model = onnx.ModelProto()
                model.CopyFrom(inferred)
                del model.graph.value_info[:]
                x = (((np.arange(np.prod(case.shape)) * 7919) % 2003) / 1001 - 1).astype(np.float32).reshape(case.shape)
                results, source = evaluated(model, x)
                outputs = []
                for info, result in zip(inferred.graph.output, results):
                    shape = [d.dim_value for d in info.type.tensor_type.shape.dim]
                    assert not any(a and a != b for a, b in zip(shape, result.shape)), (make.__name__, opset, shape, result.shape)
                    if len(shape) != result.ndim:  # not inferred: the shape of what was computed
                        found = helper.make_tensor_value_info("", TensorProto.FLOAT, result.shape).type
                        model.graph.output[len(outputs)].type.CopyFrom(found)
                    outputs.append({"shape": list(result.shape), "data": [float(f"{v:.7g}") for v in result.flatten()]})
                if not (make is group_norm and opset < 21):  # deprecated, yet PyTorch wrote it
                    onnx.checker.check_model(model)
                name = f"{make.__name__.strip('_')}.{opset}.onnx"
                entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
                archive.writestr(entry, model.SerializeToString(), zipfile.ZIP_DEFLATED)
                files[name] = {"input": case.shape, "values_from": source, "outputs": outputs}
    about = f"Made by make_opsets.py with onnx {onnx.__version__} and onnxruntime {onnxruntime.__version__}; x.flatten()[i] = ((i * 7919) % 2003) / 1001 - 1"
    text = json.dumps({"_about": about, "files": files}).replace('}, "', '},\n"')
    (HERE / "opsets.json").write_text(text + "\n")
    print(len(files), {f["values_from"] for f in files.values()}, [n for n, f in files.items() if f["values_from"] != "onnxruntime"])


main()
