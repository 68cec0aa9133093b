#!/usr/bin/env python3
"""`cnnkit params` on models against `onnx` (load and shape inference) and onnx-tool: time and peak memory, as ratios.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install onnx onnx-tool numpy
    cargo build --release
    /tmp/peers/bin/python benches/onnx_peers.py [MODEL.onnx ...]

Besides the models given, it makes two of 2 GB: weights embedded in the file, and weights in a file beside it. Each program
runs three times as a process of its own; the fastest counts, with the start of the interpreter (a user waits for it too).
"""

import os
import subprocess
import sys
import tempfile

PROGRAM = os.environ.get("CNNKIT", os.path.join(os.path.dirname(__file__), "..", "target", "release", "cnnkit"))

ONNX = "import onnx,sys; m=onnx.load(sys.argv[1], load_external_data=False); onnx.shape_inference.infer_shapes(m)"
ONNX_BY_PATH = "import onnx,sys; onnx.shape_inference.infer_shapes_path(sys.argv[1], sys.argv[2])"
TOOL = "import onnx_tool,sys; m=onnx_tool.Model(sys.argv[1]); m.graph.shape_infer(None); m.graph.profile()"


def synthetic(folder, embedded):
    """A chain of 512 convolutions, 1024 channels to 1024 channels, 1x1: 2 GiB of weights."""
    import numpy
    import onnx
    from onnx import TensorProto, helper

    layers, channels = (500 if embedded else 512), 1024
    nodes, weights, last = [], [], "x"
    for index in range(layers):
        weight = onnx.TensorProto(name=f"conv{index}.weight", data_type=TensorProto.FLOAT, dims=[channels, channels, 1, 1])
        if embedded:
            weight.raw_data = numpy.full(channels * channels, 1e-3, numpy.float32).tobytes()
        else:
            weight.data_location = TensorProto.EXTERNAL
            size = 4 * channels * channels
            for key, value in (("location", "weights.data"), ("offset", index * size), ("length", size)):
                weight.external_data.add(key=key, value=str(value))
        weights.append(weight)
        nodes.append(helper.make_node("Conv", [last, weight.name], [f"y{index}"], name=f"/conv{index}/Conv"))
        last = f"y{index}"
    shape = [1, channels, 14, 14]
    graph = helper.make_graph(
        nodes, "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    path = os.path.join(folder, "embedded.onnx" if embedded else "external.onnx")
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    if not embedded:
        with open(os.path.join(folder, "weights.data"), "wb") as file:
            file.truncate(4 * layers * channels * channels)  # a hole: nothing reads it
    return path


def measure(command):
    """Seconds and MiB of the fastest of three runs; None if it fails."""
    best = None
    for _ in range(3):
        script = (
            "import resource,subprocess,sys,time\n"
            "t=time.perf_counter()\n"
            "r=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL)\n"
            "print(r.returncode,time.perf_counter()-t,resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024)\n"
        )
        out = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True).stdout
        code, seconds, memory = out.split()
        if code != "0":
            return None
        if best is None or float(seconds) < best[0]:
            best = (float(seconds), float(memory))
    return best


def main():
    with tempfile.TemporaryDirectory() as folder:
        models = [*sys.argv[1:], synthetic(folder, True), synthetic(folder, False)]
        print(f"{'model':32} {'program':28} {'seconds':>9} {'MiB':>8} {'time':>8} {'memory':>8}")
        for path in models:
            python = sys.executable
            by_path = ["-c", ONNX_BY_PATH, path, os.path.join(folder, "inferred.onnx")]
            runs = {
                "cnnkit params": [PROGRAM, "params", path, "--format", "json"],
                "onnx load + inference": [python, "-c", ONNX, path],
                "onnx inference by path": [python, *by_path],
                "onnx-tool": [python, "-c", TOOL, path],
            }
            ours = None
            for name, command in runs.items():
                result = measure(command)
                ours = ours or result
                label = os.path.basename(path)
                if result is None:
                    print(f"{label:32} {name:28} {'fails':>9}")
                    continue
                ratios = f"{result[0] / ours[0]:7.1f}x {result[1] / ours[1]:7.1f}x"
                print(f"{label:32} {name:28} {result[0]:9.3f} {result[1]:8.0f} {ratios}", flush=True)


if __name__ == "__main__":
    main()
