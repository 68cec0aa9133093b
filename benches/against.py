#!/usr/bin/env python3
"""Inference of cnnkit, ONNX Runtime and PyTorch (eager) on one CPU, interleaved, f32.

    cargo build --release --locked
    python3 benches/against.py [--threads 1 2] [--rounds 7] [--networks resnet50 ...] [--cnnkit PROGRAM ...]

Needs (installs nothing itself): onnxruntime, numpy; torch and torchvision for PyTorch and for the networks that the zoo lacks
(ViT, Swin). What is missing is left out, and said.

cnnkit and ONNX Runtime run the same ONNX file: the network of the zoo, written by `cnnkit export`, or torchvision's, written by
`torch.onnx`. PyTorch runs torchvision's module, if it has as many parameters. Weights and inputs are random: times do not depend on
them. Several `--cnnkit` compare builds with each other; the first is what the ratios refer to.

Each round runs every engine once, one after another, in a process or session of its own with that many threads: passes for 0.3
seconds that do not count (threads of an idle machine take 0.1 seconds to share its cores evenly), then `--repeat` passes, of which
the fastest is the figure of the round. The table has the median over the rounds and the least; on a busy machine the least are
nearer the truth. A ratio above 1 means that cnnkit is faster; the ratio of a network is the median of its rounds' ratios.

Peak is the rate of ONNX Runtime's product of two matrices of 2048 x 2048 with as many threads, so the fraction of it that a network
reaches (2 FLOPs per MAC of `cnnkit params`) compares machines; an algorithm with fewer products can exceed 1. First is the time from
the file to the first output: for cnnkit of the whole process, for the others of loading and one pass. Memory is the most that the
process had resident, less what the others' interpreter had before it loaded the model.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Name, batch, torchvision's name if it has the network. Without a spec in the zoo, torchvision is the source.
NETWORKS = {
    "vgg16": (1, "vgg16"),
    "unet": (1, None),
    "resnet18_b8": (8, "resnet18"),
    "resnet18": (1, "resnet18"),
    "resnet50": (1, "resnet50"),
    "fcn_resnet50": (1, "segmentation.fcn_resnet50"),
    "regnet_y_400mf": (1, "regnet_y_400mf"),
    "googlenet": (1, "googlenet"),
    "densenet121": (1, "densenet121"),
    "resnext50_32x4d": (1, "resnext50_32x4d"),
    "inception_v3": (1, "inception_v3"),
    "shufflenet_v2_x1_0": (1, "shufflenet_v2_x1_0"),
    "deeplabv3_resnet50": (1, "segmentation.deeplabv3_resnet50"),
    "mobilenet_v2": (1, "mobilenet_v2"),
    "mobilenet_v3_large": (1, "mobilenet_v3_large"),
    "mnasnet1_0": (1, "mnasnet1_0"),
    "squeezenet1_1": (1, "squeezenet1_1"),
    "efficientnet_b0": (1, "efficientnet_b0"),
    "convnext_tiny": (1, "convnext_tiny"),
    "vit_b_16": (1, "vit_b_16"),
    "swin_t": (1, "swin_t"),
}
IN_ZOO = [name for name in NETWORKS if name not in ("vit_b_16", "swin_t")]

WARM = 0.3


def timed(run, repeat):
    """The fastest of `repeat` calls, after calls for as long as it takes to warm up."""
    start = time.perf_counter()
    while time.perf_counter() - start < WARM:
        run()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def resident(key):
    """A figure of this process from /proc in MiB: VmRSS or VmHWM."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(key))


def module(name):
    """torchvision's module with random weights; None if it cannot be had."""
    try:
        models = importlib.import_module("torchvision.models")
    except Exception:
        return None
    *folders, name = name.split(".")
    for folder in folders:
        models = getattr(models, folder)
    options = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    options |= {"weights_backbone": None} if folders else {}
    return getattr(models, name)(weights=None, **options).eval()


class Cnnkit:
    def __init__(self, program, path, batch, threads):
        options = ["--batch", str(batch), "--threads", str(threads), "--format", "json"]
        self.command = [program, "run", path, *options]
        self.warm = 2

    def run(self, repeat):
        out = subprocess.run(self.command + ["--repeat", str(repeat)], check=True, capture_output=True, text=True).stdout
        return json.loads(out)["seconds"]

    def measure(self, repeat):
        times = self.run(self.warm + repeat)
        self.warm = max(2, round(WARM / min(times)))
        return min(times[min(self.warm, len(times) - repeat) :])

    def first(self):
        """Seconds and MiB of a process that runs the network once."""
        start = time.perf_counter()
        out = subprocess.run(self.command, check=True, capture_output=True, text=True).stdout
        # As Linux counts it for the program's own pages: what `wait` returns begins with the peak of this interpreter.
        return time.perf_counter() - start, json.loads(out)["memory"]["process"] / 2**20


class OnnxRuntime:
    def __init__(self, path, threads):
        import numpy
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Its threads look for work while it runs, but not while the other engines do.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        random = numpy.random.default_rng(1)
        self.feed = {i.name: random.standard_normal(i.shape, numpy.float32) for i in self.session.get_inputs()}

    def measure(self, repeat):
        return timed(lambda: self.session.run(None, self.feed), repeat)


class Torch:
    def __init__(self, name, shape, threads):
        import torch

        self.torch, self.threads = torch, threads
        self.module, self.x = module(name), torch.randn(shape)

    def measure(self, repeat):
        self.torch.set_num_threads(self.threads)
        with self.torch.inference_mode():
            return timed(lambda: self.module(self.x), repeat)


def first_of(engine, argument, shape, threads):
    """As `Cnnkit.first`, for an engine of Python: in a process of its own, after the imports."""
    arguments = json.dumps([engine, argument, shape, threads])
    out = subprocess.run([sys.executable, __file__, "--first", arguments], check=True, capture_output=True, text=True)
    return tuple(json.loads(out.stdout))


def first_here(engine, argument, shape, threads):
    import numpy  # noqa: F401

    importlib.import_module({"Torch": "torch", "OnnxRuntime": "onnxruntime"}[engine])
    before, start = resident("VmRSS"), time.perf_counter()
    if engine == "Torch":
        own = Torch(argument, shape, threads)
        own.torch.set_num_threads(threads)
        own.module(own.x)
    else:
        own = OnnxRuntime(argument, threads)
        own.session.run(None, own.feed)
    print(json.dumps([time.perf_counter() - start, resident("VmHWM") - before]))


def peak(threads, folder):
    """FLOP/s of a product of two large matrices."""
    import onnx
    from onnx import TensorProto, helper

    size = 2048
    a, b, c = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", [a, b], [c])
    path = os.path.join(folder, "product.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return 2 * size**3 / OnnxRuntime(path, threads).measure(5)


def written(program, name, batch, source, folder):
    """The ONNX file of a network; None if nothing here can write it."""
    path = os.path.join(folder, f"{name}.onnx")
    if name in IN_ZOO:
        spec = f"zoo:{name.removesuffix('_b8')}"
        subprocess.run([program, "export", spec, "-o", path, "--batch", str(batch)], check=True, capture_output=True)
        return path
    own = module(source)
    if own is None:
        return None
    import torch

    torch.onnx.export(own, torch.randn(batch, 3, 224, 224), path, dynamo=False)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--cnnkit", nargs="+", default=[os.path.join(ROOT, "target", "release", "cnnkit")])
    parser.add_argument("--first", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.first:
        return first_here(*json.loads(args.first))
    versions = {}
    for library in ["onnxruntime", "onnx", "torch", "torchvision"]:
        try:
            versions[library] = importlib.import_module(library).__version__
        except Exception as error:  # a broken installation is as good as none
            print(f"left out: {library} ({error})", file=sys.stderr)
    print(f"{versions}; load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        table(args, versions, folder)
    print(f"load average after: {os.getloadavg()[0]:.1f}")


def table(args, versions, folder):
    peaks = {}
    if {"onnxruntime", "onnx"} <= versions.keys():
        peaks = {threads: peak(threads, folder) for threads in args.threads}
        print("; ".join(f"peak with {threads} threads: {value / 1e9:.0f} GFLOP/s" for threads, value in peaks.items()))
    print(f"{'network':19} threads {'engine':14} {'median ms':>10} {'least ms':>9} {'ratio':>6} {'peak':>6} {'first s':>8} {'MiB':>6}")
    for name in args.networks:
        batch, source = NETWORKS[name]
        program = args.cnnkit[0]
        path = written(program, name, batch, source, folder)
        if path is None:
            print(f"left out: {name} (needs torch and torchvision)", file=sys.stderr)
            continue
        out = subprocess.run([program, "params", path, "--format", "json"], check=True, capture_output=True, text=True).stdout
        found = json.loads(out)
        totals, shape = found["totals"], [batch, *found["layers"][0]["output_shape"]]
        for threads in args.threads:
            engines = {f"cnnkit {i}" if i else "cnnkit": Cnnkit(own, path, batch, threads) for i, own in enumerate(args.cnnkit)}
            if "onnxruntime" in versions:
                engines["ONNX Runtime"] = OnnxRuntime(path, threads)
            own = module(source) if source and "torchvision" in versions else None
            if own is not None and sum(p.numel() for p in own.parameters()) == totals["params"]:
                engines["PyTorch"] = Torch(source, shape, threads)
            times = {label: [] for label in engines}
            for _ in range(args.rounds):
                for label, engine in engines.items():
                    times[label].append(engine.measure(args.repeat))
            for label, engine in engines.items():
                if isinstance(engine, Cnnkit):
                    first, memory = engine.first()
                else:
                    argument = source if isinstance(engine, Torch) else path
                    first, memory = first_of(type(engine).__name__, argument, shape, threads)
                ratio = statistics.median(other / mine for other, mine in zip(times[label], times["cnnkit"]))
                least, middle = min(times[label]), statistics.median(times[label])
                share = f"{2 * batch * totals['macs'] / least / peaks[threads]:6.2f}" if peaks else f"{'':6}"
                print(
                    f"{name:19} {threads:7} {label:14} {1e3 * middle:10.1f} {1e3 * least:9.1f} {ratio:6.2f} {share} {first:8.2f} {memory:6.0f}",
                    flush=True,
                )
            del engines
        os.remove(path)


if __name__ == "__main__":
    main()
