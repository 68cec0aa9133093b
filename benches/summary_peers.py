"""Time of a summary of a live ``nn.Module``: cnnkit beside torchinfo, fvcore and ptflops, in one process, alternating.

    pip install torch torchvision torchinfo fvcore ptflops; pip install bindings/python
    python benches/summary_peers.py [NETWORK] [--rounds N]

Prints medians as ratios to cnnkit's, the share that `torch.export` has of it, the time of each tool's first call ("cold": what
it imports and compiles on the way counts), and what each tool counts.
"""

import argparse
import contextlib
import io
import json
import statistics
import subprocess
import sys
import time
import warnings

TOOLS = ("cnnkit", "torchinfo", "fvcore", "ptflops")


def call(tool, model, x):
    """One summary; returns the MACs that the tool counts."""
    if tool == "cnnkit":
        import cnnkit

        return cnnkit.summary(model, tuple(x.shape[1:])).macs
    if tool == "torchinfo":
        import torchinfo

        return torchinfo.summary(model, input_data=x, verbose=0).total_mult_adds
    if tool == "fvcore":
        import fvcore.nn

        return round(fvcore.nn.FlopCountAnalysis(model, x).unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())
    import ptflops

    macs, _ = ptflops.get_model_complexity_info(
        model, tuple(x.shape[1:]), as_strings=False, print_per_layer_stat=False, verbose=False
    )
    return round(macs)


def prepared(network):
    import torch
    import torchvision

    torch.set_num_threads(1)
    return torchvision.models.get_model(network, weights=None).eval(), torch.rand(1, 3, 224, 224)


def timed(tool, model, x):
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        macs = call(tool, model, x)
    return time.perf_counter() - start, macs


def export(model, x):
    """The time of `torch.export` alone, as cnnkit calls it."""
    import torch

    start = time.perf_counter()
    with torch.no_grad():
        torch.export.export(model, (x,), strict=False)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", nargs="?", default="resnet50")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cold", choices=TOOLS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    model, x = prepared(arguments.network)
    if arguments.cold:
        print(json.dumps(timed(arguments.cold, model, x)[0]))
        return
    cold = {}
    for tool in TOOLS:
        command = [sys.executable, __file__, arguments.network, "--cold", tool]
        cold[tool] = json.loads(subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).splitlines()[-1])
    times = {tool: [] for tool in TOOLS}
    exports, counts = [], {}
    for tool in TOOLS:
        timed(tool, model, x)
    for _ in range(arguments.rounds):
        # In turn, so that whatever else the machine does meets all of them.
        for tool in TOOLS:
            seconds, counts[tool] = timed(tool, model, x)
            times[tool].append(seconds)
        exports.append(export(model, x))
    own = statistics.median(times["cnnkit"])
    print(f"{arguments.network}, medians of {arguments.rounds}, one thread; cnnkit {own:.3f} s\n")
    print(f"{'':10}  {'warm':>6}  {'cold':>6}  {'MACs':>14}")
    for tool in TOOLS:
        warm = statistics.median(times[tool]) / own
        print(f"{tool:10}  {warm:5.2f}x  {cold[tool] / cold['cnnkit']:5.2f}x  {counts[tool]:14,}")
    share = statistics.median(exports) / own
    print(f"\ntorch.export alone: {share:.0%} of cnnkit's time")


if __name__ == "__main__":
    main()
