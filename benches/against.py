#!/usr/bin/env python3
"""Forward passes of cnnkit, PyTorch (eager) and ONNX Runtime on one CPU, interleaved, batch 1, f32.

    cargo build --release --locked
    python3 benches/against.py [--threads 1 2] [--rounds 7] [--networks resnet50 ...]

Needs (installs nothing itself): torch, onnx, onnxruntime, numpy. Those that are missing are left out, and said.

All run the same arithmetic: one description per network below gives the PyTorch module and, through the ONNX file written
from it by hand (torch.onnx would need more packages), the graph for ONNX Runtime; cnnkit runs its own spec of it, whose
parameters and MACs are compared with the module's first. Weights and inputs are random: times do not depend on them.

Each round runs every engine once, one after another, each for `--repeat` passes after 2 that do not count, in a process or session
of its own with that many threads; the figure of a round is the least of its passes. Printed are the median over the rounds and the least, each with the ratio to
cnnkit (above 1: cnnkit is faster; the ratio of the medians is the median of the rounds' ratios). On a busy machine the least are
nearer the truth than the medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


# Networks as lists of operations on named tensors: ("conv", in, out, channels_in, channels_out, kernel, stride, padding, groups), ...
class Recorder:
    def __init__(self):
        self.ops, self.count = [], 0

    def add(self, kind, inputs, **settings):
        self.count += 1
        name = f"t{self.count}"
        self.ops.append((kind, inputs, name, settings))
        return name

    def conv(self, x, cin, cout, k, s=1, p=0, g=1, bias=False):
        return self.add("conv", [x], cin=cin, cout=cout, k=k, s=s, p=p, g=g, bias=bias)

    def bn(self, x, c):
        return self.add("bn", [x], c=c)

    def relu(self, x):
        return self.add("relu", [x])

    def relu6(self, x):
        return self.add("relu6", [x])


def resnet50():
    r = Recorder()
    x = r.relu(r.bn(r.conv("x", 3, 64, 7, 2, 3), 64))
    x = r.add("maxpool", [x], k=3, s=2, p=1)
    cin = 64
    for width, depth, stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
        for i in range(depth):
            s = stride if i == 0 else 1
            y = r.relu(r.bn(r.conv(x, cin, width, 1), width))
            y = r.relu(r.bn(r.conv(y, width, width, 3, s, 1), width))
            y = r.bn(r.conv(y, width, 4 * width, 1), 4 * width)
            if i == 0:
                x = r.bn(r.conv(x, cin, 4 * width, 1, s), 4 * width)
            x = r.relu(r.add("add", [y, x]))
            cin = 4 * width
    x = r.add("gap", [x])
    r.add("linear", [x], cin=2048, cout=1000)
    return r.ops


def vgg16():
    r = Recorder()
    x, cin = "x", 3
    for c in [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]:
        if c == 0:
            x = r.add("maxpool", [x], k=2, s=2, p=0)
        else:
            x = r.relu(r.conv(x, cin, c, 3, 1, 1, bias=True))
            cin = c
    x = r.add("flatten", [x])
    x = r.relu(r.add("linear", [x], cin=25088, cout=4096))
    x = r.relu(r.add("linear", [x], cin=4096, cout=4096))
    r.add("linear", [x], cin=4096, cout=1000)
    return r.ops


def mobilenet_v2():
    r = Recorder()
    x = r.relu6(r.bn(r.conv("x", 3, 32, 3, 2, 1), 32))
    cin = 32
    for t, c, n, s in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(n):
            stride, hidden, y = (s if i == 0 else 1), cin * t, x
            if t != 1:
                y = r.relu6(r.bn(r.conv(y, cin, hidden, 1), hidden))
            y = r.relu6(r.bn(r.conv(y, hidden, hidden, 3, stride, 1, hidden), hidden))
            y = r.bn(r.conv(y, hidden, c, 1), c)
            x = r.add("add", [y, x]) if stride == 1 and cin == c else y
            cin = c
    x = r.relu6(r.bn(r.conv(x, 320, 1280, 1), 1280))
    x = r.add("gap", [x])
    r.add("linear", [x], cin=1280, cout=1000)
    return r.ops


def densenet121():
    r = Recorder()
    x = r.relu(r.bn(r.conv("x", 3, 64, 7, 2, 3), 64))
    x = r.add("maxpool", [x], k=3, s=2, p=1)
    c = 64
    for stage, n in enumerate([6, 12, 24, 16]):
        for _ in range(n):
            y = r.conv(r.relu(r.bn(x, c)), c, 128, 1)
            y = r.conv(r.relu(r.bn(y, 128)), 128, 32, 3, 1, 1)
            x = r.add("concat", [x, y])
            c += 32
        if stage < 3:
            x = r.conv(r.relu(r.bn(x, c)), c, c // 2, 1)
            x = r.add("avgpool", [x], k=2, s=2)
            c //= 2
    x = r.add("gap", [r.relu(r.bn(x, c))])
    r.add("linear", [x], cin=c, cout=1000)
    return r.ops


NETWORKS = {f.__name__: f for f in [resnet50, vgg16, mobilenet_v2, densenet121]}


def parameters(ops):
    """Learnable parameters, to compare with the spec's."""
    total = 0
    for kind, _, _, s in ops:
        if kind == "conv":
            total += s["cout"] * (s["cin"] // s["g"]) * s["k"] ** 2 + (s["cout"] if s["bias"] else 0)
        elif kind == "bn":
            total += 2 * s["c"]
        elif kind == "linear":
            total += s["cin"] * s["cout"] + s["cout"]
    return total


def torch_module(ops):
    import torch
    from torch import nn

    def layer(kind, s):
        if kind == "conv":
            return nn.Conv2d(s["cin"], s["cout"], s["k"], s["s"], s["p"], groups=s["g"], bias=s["bias"])
        return {
            "bn": lambda: nn.BatchNorm2d(s["c"]),
            "relu": lambda: nn.ReLU(inplace=True),
            "relu6": lambda: nn.ReLU6(inplace=True),
            "maxpool": lambda: nn.MaxPool2d(s["k"], s["s"], s["p"]),
            "avgpool": lambda: nn.AvgPool2d(s["k"], s["s"]),
            "linear": lambda: nn.Linear(s["cin"], s["cout"]),
        }.get(kind, lambda: nn.Identity())()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([layer(kind, s) for kind, _, _, s in ops])
            last = {}
            for i, (_, inputs, _, _) in enumerate(ops):
                for name in inputs:
                    last[name] = i
            self.last = last

        def forward(self, x):
            values = {"x": x}
            for i, ((kind, inputs, name, _), module) in enumerate(zip(ops, self.layers)):
                a = values[inputs[0]]
                if kind == "add":
                    values[name] = a + values[inputs[1]]
                elif kind == "concat":
                    values[name] = torch.cat([a, values[inputs[1]]], 1)
                elif kind == "gap":
                    values[name] = a.mean((2, 3))
                elif kind == "flatten":
                    values[name] = torch.flatten(a, 1)
                else:
                    values[name] = module(a)
                for used in inputs:
                    if self.last[used] == i:
                        values.pop(used, None)
            return values[ops[-1][2]]

    return Net().eval()


def onnx_bytes(ops):
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    nodes, tensors = [], []

    def weight(name, *shape, around=0.0):
        fan = int(np.prod(shape[1:])) if len(shape) > 1 else 100
        data = (around + random.standard_normal(shape) / fan**0.5).astype(np.float32)
        tensors.append(numpy_helper.from_array(data, name))
        return name

    for i, (kind, inputs, name, s) in enumerate(ops):
        out = "y" if i == len(ops) - 1 else name
        if kind == "conv":
            names = inputs + [weight(f"{name}.w", s["cout"], s["cin"] // s["g"], s["k"], s["k"])]
            if s["bias"]:
                names.append(weight(f"{name}.b", s["cout"]))
            nodes.append(helper.make_node("Conv", names, [out], kernel_shape=[s["k"]] * 2, strides=[s["s"]] * 2, pads=[s["p"]] * 4, group=s["g"]))
        elif kind == "bn":
            c = s["c"]
            names = [weight(f"{name}.{p}", c, around=a) for p, a in [("w", 1.0), ("b", 0.0), ("m", 0.0)]]
            tensors.append(numpy_helper.from_array(np.ones(c, np.float32), f"{name}.v"))
            nodes.append(helper.make_node("BatchNormalization", inputs + names + [f"{name}.v"], [out]))
        elif kind == "relu6":
            low, high = f"{name}.low", f"{name}.high"
            tensors += [numpy_helper.from_array(np.float32(v), n) for v, n in [(0, low), (6, high)]]
            nodes.append(helper.make_node("Clip", inputs + [low, high], [out]))
        elif kind in ("maxpool", "avgpool"):
            op = "MaxPool" if kind == "maxpool" else "AveragePool"
            nodes.append(helper.make_node(op, inputs, [out], kernel_shape=[s["k"]] * 2, strides=[s["s"]] * 2, pads=[s.get("p", 0)] * 4))
        elif kind == "linear":
            names = inputs + [weight(f"{name}.w", s["cout"], s["cin"]), weight(f"{name}.b", s["cout"])]
            nodes.append(helper.make_node("Gemm", names, [out], transB=1))
        elif kind == "gap":
            nodes.append(helper.make_node("GlobalAveragePool", inputs, [f"{name}.p"]))
            nodes.append(helper.make_node("Flatten", [f"{name}.p"], [out]))
        else:
            op = {"relu": "Relu", "add": "Add", "concat": "Concat", "flatten": "Flatten"}[kind]
            nodes.append(helper.make_node(op, inputs, [out], **({"axis": 1} if op in ("Concat", "Flatten") else {})))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 224, 224])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1000])
    graph = helper.make_graph(nodes, "net", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def timed(run, repeat):
    times = []
    for i in range(repeat + 2):
        start = time.perf_counter()
        run()
        if i >= 2:
            times.append(time.perf_counter() - start)
    return min(times)


class Cnnkit:
    def __init__(self, name, _, threads):
        self.command = [os.path.join(ROOT, "target", "release", "cnnkit"), "run", f"zoo:{name}", "--threads", str(threads), "--format", "json"]

    def measure(self, repeat):
        out = subprocess.run(self.command + ["--repeat", str(repeat + 2)], check=True, capture_output=True, text=True).stdout
        return min(json.loads(out)["seconds"][2:])


class Torch:
    def __init__(self, _, ops, threads):
        import torch

        self.torch, self.threads = torch, threads
        self.module, self.x = torch_module(ops), torch.randn(1, 3, 224, 224)

    def measure(self, repeat):
        self.torch.set_num_threads(self.threads)
        with self.torch.inference_mode():
            return timed(lambda: self.module(self.x), repeat)


class OnnxRuntime:
    def __init__(self, _, ops, threads):
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait for work in a loop would slow the other engines down.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(onnx_bytes(ops), options, providers=["CPUExecutionProvider"])
        self.feed = {"x": np.random.default_rng(1).standard_normal((1, 3, 224, 224), np.float32)}

    def measure(self, repeat):
        return timed(lambda: self.session.run(None, self.feed), repeat)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    args = parser.parse_args()
    engines = {"cnnkit": Cnnkit}
    for name, module, engine in [("PyTorch", "torch", Torch), ("ONNX Runtime", "onnxruntime", OnnxRuntime)]:
        try:
            version = __import__(module).__version__
            engines[f"{name} {version}"] = engine
        except Exception as error:  # a broken installation is as good as none
            print(f"left out: {name} ({error}); pip install torch onnx onnxruntime numpy", file=sys.stderr)
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    width = max(map(len, engines))
    for name in args.networks:
        ops = NETWORKS[name]()
        out = subprocess.run([os.path.join(ROOT, "target", "release", "cnnkit"), "params", f"zoo:{name}", "--format", "json"], check=True, capture_output=True, text=True).stdout
        spec = json.loads(out)["totals"]["params"]
        if spec != parameters(ops):
            sys.exit(f"{name}: the spec has {spec} parameters, the module {parameters(ops)}: not the same network")
        for threads in args.threads:
            running = {label: engine(name, ops, threads) for label, engine in engines.items()}
            times = {label: [] for label in running}
            for _ in range(args.rounds):
                for label, engine in running.items():
                    times[label].append(engine.measure(args.repeat))
            own = times["cnnkit"]
            for label in running:
                ratio = statistics.median(other / mine for other, mine in zip(times[label], own))
                least, middle = min(times[label]), statistics.median(times[label])
                print(
                    f"{name:13} {threads} thread{'s' if threads > 1 else ' '} {label:{width}}"
                    f" {1e3 * middle:8.1f} ms {ratio:6.2f}   least {1e3 * least:8.1f} ms {least / min(own):6.2f}",
                    flush=True,
                )
    print(f"load average after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
