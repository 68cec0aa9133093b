#!/usr/bin/env python3
"""How time and memory of every command grow with the size of the network.

    cargo build --release --locked
    python3 benches/scaling.py                                # every command over every shape, about ten minutes
    python3 benches/scaling.py --shapes dense --commands rf   # some of them
    python3 benches/scaling.py --limits                       # the largest files that the limits allow

Each command runs in a process of its own over each shape at four sizes, each twice the one before in connections between
layers. Printed are the processor time (user and system, which another process on the machine hardly changes) and the largest
memory at the last size, and the exponents fitted to all sizes, of the time over the process's own start: 1.0 is linear in the
connections, 2.0 their square. What a network of one layer costs is subtracted first; below 40 ms over that there is no exponent.

`--limits` runs `check` on files up to the limits that docs/security.md lists, which may cost 10 s and 1 GB each, or be refused with
the limit's name; the exit status is 1 if one costs more.
"""

import argparse
import math
import os
import resource
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


# Shapes: for about `edges` connections between layers, the text of a spec. Weights are small, so that figures fit anywhere.
def spec(layers, head="input: [4, 32, 32]"):
    return f"{head}\nlayers:\n" + "".join(f"  - {layer}\n" for layer in layers)


CONV = "conv: {out_channels: 4, kernel: 3, padding: 1}"


def residual_chain(edges):
    return spec([f"repeat: {{times: {edges // 4}, body: [residual: [{CONV}, relu]]}}"])


def dense_block(edges):
    times = int(math.sqrt(2 * edges))
    return spec([f"dense: {{times: {times}, body: [{CONV}]}}"])


def relu_chain(edges):
    return spec([f"repeat: {{times: {edges}, body: [relu]}}"])


def conv_norm_relu(edges):
    return spec([f"repeat: {{times: {edges // 3}, body: [{CONV}, batch_norm, relu]}}"])


def conv_list(edges):
    """Every layer written down, as an imported model has it."""
    return spec([CONV, "batch_norm", "relu"] * (edges // 3))


def wide(edges, join, kernel):
    paths = ", ".join(f"[{kernel(i)}]" for i in range(edges // 2))
    return spec([f"branches: {{join: {join}, paths: [{paths}]}}"])


def wide_sum(edges):
    return wide(edges, "add", lambda i: CONV)


def dilated_sum(edges):
    kernel = "conv: {{out_channels: 4, kernel: 3, dilation: {0}, padding: {0}}}"
    return wide(edges, "add", lambda i: kernel.format(i + 1))


def wide_concat(edges):
    return wide(edges, "concat", lambda i: CONV)


def nested_blocks(edges):
    """A block of two blocks of two blocks: a tree of ids."""
    depth = int(math.log2(edges))
    leaf = edges / 2**depth
    blocks = ["  b0: {layers: [%s]}" % ", ".join(["relu"] * max(1, round(4 * leaf)))]
    blocks += [f"  b{i}: {{layers: [b{i - 1}, b{i - 1}]}}" for i in range(1, depth - 1)]
    return "input: [4, 32, 32]\nblocks:\n" + "\n".join(blocks) + f"\nlayers:\n  - b{depth - 2}\n"


def many_inputs(edges):
    count = edges // 2
    head = "input: {%s}" % ", ".join(f"x{i}: [4, 8, 8]" for i in range(count))
    layers = [f"{{id: r{i}, {CONV}, from: [x{i}]}}" for i in range(count)]
    return spec(layers + ["add: [%s]" % ", ".join(f"r{i}" for i in range(count))], head)


def many_outputs(edges):
    count = edges // 2
    layers = []
    for i in range(count):
        layers += [f"{{id: t{i}, {CONV}}}", f"{{id: h{i}, relu: {{}}, from: [t{i}]}}"]
    return spec(layers, "input: [4, 32, 32]\noutputs: [%s]" % ", ".join(f"h{i}" for i in range(count)))


def shuffles(edges):
    body = "conv: {out_channels: 64, kernel: 3, padding: 1, groups: 8}, channel_shuffle: {groups: 8}"
    body = "[" + ", ".join("{%s}" % part for part in body.split(", channel")).replace("{_shuffle", "{channel_shuffle") + "]"
    return spec([f"repeat: {{times: {edges // 2}, body: {body}}}"], "input: [64, 32, 32]")


def skips(edges):
    """A U-Net without its strides: every layer of the way down is read again on the way up."""
    count = edges // 4
    down = [f"repeat: {{times: {count}, id: e, body: [{CONV}]}}"]
    up = f"repeat: {{times: {count}, body: [{{concat: [previous, \"e${{{count} - $i}}\"]}}, {{{CONV}}}]}}"
    return spec(down + [up])


def inception(edges):
    conv = "conv: {{out_channels: 4, kernel: {}, padding: {}}}"
    paths = ", ".join(f"[{{{conv.format(k, k // 2)}}}]" for k in (1, 3, 5, 7))
    return spec([f"repeat: {{times: {edges // 8}, body: [branches: {{join: concat, paths: [{paths}]}}]}}"])


def strided(edges):
    """Layers that shrink and enlarge: phases, and sizes that must be divisible."""
    body = [CONV.replace("}", ", stride: 2}"), "upsample: {scale_factor: 2}"]
    body = ", ".join(f"{{{layer}}}" for layer in body)
    return spec([f"repeat: {{times: {edges // 2}, body: [residual: [{body}]]}}"])


def own_blocks(edges):
    """As many blocks as layers, each used once."""
    blocks = "".join(f"  b{i}: {{layers: [relu, relu]}}\n" for i in range(edges // 2))
    return f"input: [4, 32, 32]\nblocks:\n{blocks}layers:\n" + "".join(f"  - b{i}\n" for i in range(edges // 2))


SHAPES = {
    # name: (generator, connections at the first size)
    "residual": (residual_chain, 10_000),
    "dense": (dense_block, 125_000),
    "relu": (relu_chain, 5_000),
    "conv_norm_relu": (conv_norm_relu, 7_500),
    "listed": (conv_list, 7_500),
    "sum": (wide_sum, 2_500),
    "dilated_sum": (dilated_sum, 1_250),
    "concat": (wide_concat, 2_500),
    "nested": (nested_blocks, 4_096),
    "inputs": (many_inputs, 1_250),
    "outputs": (many_outputs, 2_500),
    "shuffles": (shuffles, 2_500),
    "skips": (skips, 2_500),
    "inception": (inception, 5_000),
    "strided": (strided, 1_250),
    "blocks": (own_blocks, 5_000),
}

COMMANDS = {
    "params": ["params"],
    "params json": ["params", "--by", "layer", "--format", "json"],
    "params layers": ["params", "--by", "layer"],
    "rf": ["rf"],
    "rf json": ["rf", "--format", "json"],
    "rf exact": ["rf", "--exact"],
    "sizes": ["sizes"],
    "paths": ["paths"],
    "channels": ["channels"],
    "graph": ["graph"],
    "graph json": ["graph", "--format", "json"],
    "graph csv": ["graph", "--format", "csv"],
    "graph markdown": ["graph", "--format", "markdown"],
    "graph dot": ["graph", "--format", "dot"],
    "graph mermaid": ["graph", "--format", "mermaid"],
    "check": ["check"],
    "check all": ["check", "--select", "all"],
    "check sarif": ["check", "--select", "all", "--format", "sarif"],
    "gridding": ["gridding", "--spec"],
    "hdc-check": ["hdc-check", "--spec"],
    "compare": ["compare"],
    "diff": ["diff"],
    "export onnx": ["export", "--no-weights"],
    "export pytorch": ["export", "--format", "pytorch"],
    "import": ["import"],
}


def repeated_conv(times):
    return spec([f"repeat: {{times: {times}, body: [{CONV}]}}"])


LIMITS = {
    "40,000 relu, listed": lambda: spec(["relu"] * 40_000),
    "199,000 relu": lambda: relu_chain(199_000),
    "199,000 conv": lambda: repeated_conv(199_000),
    "60,000 conv, norm, relu": lambda: conv_norm_relu(60_000),
    "150,000 conv, norm, relu": lambda: conv_norm_relu(150_000),
    "5,000 branches, sum": lambda: wide_sum(10_000),
    "5,000 branches, concat": lambda: wide_concat(10_000),
    "5,000 dilated branches": lambda: dilated_sum(10_000),
    "10,000 branches, concat": lambda: wide_concat(20_000),
    "10,000 branches, sum": lambda: wide_sum(20_000),
    "residual chain of 40,000": lambda: residual_chain(160_000),
    "dense block of 1,400": lambda: dense_block(1_400 * 1_400 // 2),
    "dense block of 2,000": lambda: dense_block(2_000 * 2_000 // 2),
    "dense block of 10,000": lambda: dense_block(10_000 * 10_000 // 2),
    "5,000 inputs": lambda: many_inputs(10_000),
    "5,000 outputs": lambda: many_outputs(10_000),
    "20,000 blocks": lambda: own_blocks(40_000),
    "skips over 20,000": lambda: skips(80_000),
    "10,000 inception modules": lambda: inception(80_000),
    "20,000 shuffles": lambda: shuffles(40_000),
    "10,000 strided modules": lambda: strided(20_000),
    "65,536 nested layers": lambda: nested_blocks(65_536),
    "60,000 unused variables": lambda: spec(["relu"]) + "variables: {%s}\n" % ", ".join(f"v{i}: 1" for i in range(60_000)),
    "60,000 unused blocks": lambda: spec(["relu"]) + "blocks:\n" + "".join(f"  b{i}: {{layers: [relu]}}\n" for i in range(40_000)),
    "40,000 ids": lambda: spec([f"{{id: a{i}, relu: {{}}}}" for i in range(40_000)]),
    "1,000 expectations of unknown layers": lambda: spec(["relu"])
    + "expect: {layers: {%s}}\n" % ", ".join(f"u{i}: {{params: 1}}" for i in range(1_000)),
}


def run(command, seconds, memory):
    """Runs `command`; returns its exit status, processor time in seconds and largest memory in bytes."""
    null = os.open(os.devnull, os.O_RDWR)
    child = os.fork()
    if child == 0:
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            os.execv(command[0], command)
        finally:
            os._exit(127)
    os.close(null)
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


class Bench:
    def __init__(self, program, folder, seconds, memory):
        self.program, self.folder, self.seconds, self.memory = program, folder, seconds, memory

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def arguments(self, command, path):
        """The command line; `diff`, `compare` and `import` need another file, which is made beside it."""
        if command == "diff":
            other = self.write("other.yaml", open(path).read() + "  - relu\n")
            return [path, other]
        if command == "compare":
            return [path, path]
        if command == "export onnx":
            return [path, "-o", os.path.join(self.folder, "out.onnx")]
        if command == "import":
            model = os.path.join(self.folder, "model.onnx")
            if os.path.exists(model):
                os.remove(model)
            run([self.program, "export", "--no-weights", path, "-o", model], self.seconds, self.memory)
            return [model]
        return [path]

    def measure(self, command, text):
        path = self.write("spec.yaml", text)
        first, *options = COMMANDS[command]
        return run([self.program, first, *options, *self.arguments(command, path)], self.seconds, self.memory)


def fitted(points):
    """The slope of the least-squares line through the logarithms."""
    logs = [(math.log(x), math.log(y)) for x, y in points if y > 0]
    if len(logs) < 2:
        return None
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def growth(bench, shapes, commands, sizes):
    print(f"{'shape':16}{'command':16}{'connections':>12}{'seconds':>9}{'exponent':>9}{'MiB':>8}{'exponent':>9}  exit")
    starts = {command: bench.measure(command, spec(["relu"])) for command in commands}
    for shape in shapes:
        generate, least = SHAPES[shape]
        for command in commands:
            _, idle, base = starts[command]
            times, memories = [], []
            for step in range(sizes):
                edges = least * 2**step
                status, seconds, memory = bench.measure(command, generate(edges))
                times.append((edges, seconds - idle))
                memories.append((edges, memory - base))
                if status not in (0, 1):
                    break
            slope = fitted([point for point in times if point[1] > 0.01]) if times[-1][1] > 0.04 else None
            rise = fitted([point for point in memories if point[1] > 1 << 20]) if memories[-1][1] > 16 << 20 else None
            show = lambda slope: "" if slope is None else f"{slope:.2f}"
            print(f"{shape:16}{command:16}{edges:12,}{seconds:9.2f}{show(slope):>9}{memory / 2**20:8.0f}{show(rise):>9}  {status}", flush=True)


def limits(bench, names):
    failed = False
    print(f"{'file':40}{'kB':>8}{'seconds':>9}{'MiB':>8}  exit")
    for name in names:
        text = LIMITS[name]()
        for command in ("check", "check all"):
            status, seconds, memory = bench.measure(command, text)
            over = seconds > 10 or memory > 1e9 or status not in (0, 1)
            failed |= over
            mark = "  over" if over else ""
            print(f"{name + (', all rules' if command == 'check all' else ''):40}{len(text) / 1e3:8.0f}{seconds:9.2f}{memory / 2**20:8.0f}  {status}{mark}", flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(ROOT, "target", "release", "cnnkit"))
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), metavar="SHAPE")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS), metavar="COMMAND")
    parser.add_argument("--sizes", type=int, default=4, help="number of sizes, each twice the one before")
    parser.add_argument("--limits", action="store_true", help="the largest files that the limits allow, with `check`")
    parser.add_argument("--only", default="", help="with --limits: files whose name contains this")
    parser.add_argument("--seconds", type=int, default=60, help="processor time after which a run is given up")
    parser.add_argument("--gigabytes", type=float, default=6, help="address space after which a run is given up")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(NO_COLOR="1", RAYON_NUM_THREADS="1")
        bench = Bench(args.program, folder, args.seconds, int(args.gigabytes * 2**30))
        if args.limits:
            return int(limits(bench, [name for name in LIMITS if args.only in name]))
        started = time.time()
        growth(bench, args.shapes, args.commands, args.sizes)
        print(f"{time.time() - started:.0f} s in all", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
