"""Makes quantised.json and three small models: one with floats, the same with quantised operators, the same quantised as it runs.

    python make_quantised.py      # needs onnx, onnxruntime, numpy
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

HERE = pathlib.Path(__file__).parent
RANDOM = np.random.default_rng(0)


def image():
    return (((np.arange(3 * 8 * 8) * 7919) % 2003) / 1001 - 1).astype(np.float32).reshape(1, 3, 8, 8)


class Images(CalibrationDataReader):
    def __init__(self):
        self.left = [image()] + [RANDOM.uniform(-1, 1, (1, 3, 8, 8)).astype(np.float32) for _ in range(8)]

    def get_next(self):
        return {"x": self.left.pop()} if self.left else None


def main():
    weight = lambda name, *shape: numpy_helper.from_array(RANDOM.normal(0, 0.5, shape).astype(np.float32), name)
    weights = [weight("conv1.weight", 6, 3, 3, 3), weight("conv1.bias", 6), weight("conv2.weight", 6, 6, 3, 3), weight("conv2.bias", 6), weight("fc.weight", 6, 4), weight("head.weight", 5, 4), weight("head.bias", 5)]
    nodes = [
        helper.make_node("Conv", ["x", "conv1.weight", "conv1.bias"], ["a"], name="/conv1/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="/relu/Relu"),
        helper.make_node("Conv", ["b", "conv2.weight", "conv2.bias"], ["c"], name="/conv2/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["b", "c"], ["d"], name="/Add"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], name="/pool/GlobalAveragePool"),
        helper.make_node("Flatten", ["e"], ["f"], name="/Flatten"),
        helper.make_node("MatMul", ["f", "fc.weight"], ["g"], name="/fc/MatMul"),
        helper.make_node("Gemm", ["g", "head.weight", "head.bias"], ["y"], name="/head/Gemm", transB=1),
    ]
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        weights,
    )
    path = HERE / "quantised_not.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    quantize_static(path, HERE / "quantised_operators.onnx", Images(), quant_format=QuantFormat.QOperator, per_channel=True, weight_type=QuantType.QInt8)
    quantize_dynamic(path, HERE / "quantised_dynamic.onnx", weight_type=QuantType.QUInt8)
    results = {}
    for name in ["quantised_not", "quantised_operators", "quantised_dynamic"]:
        model = onnx.load(HERE / f"{name}.onnx")
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        results[f"{name}.onnx"] = {"ops": sorted({n.op_type for n in model.graph.node}), "result": session.run(None, {"x": image()})[0].flatten().tolist()}
        print(name, results[f"{name}.onnx"])
    about = f"Made by make_quantised.py with onnxruntime {onnxruntime.__version__}; x.flatten()[i] = ((i * 7919) % 2003) / 1001 - 1"
    (HERE / "quantised.json").write_text(json.dumps({"_about": about, "files": results}, indent=1) + "\n")


main()
