"""The specs that are exported, and how large their inputs are here: small enough for a plain CPU."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CNNKIT", ROOT / "target" / "debug" / "cnnkit")

# Inputs of networks that do not need their full size to be themselves.
SMALLER = {
    "alexnet": "3,96,96",
    "context_module_basic": "21,24,24",
    "context_module_large": "21,24,24",
    "convnext_tiny": "3,64,64",
    "deeplabv3_resnet50": "3,64,64",
    "deform_resnet50": "3,64,64",
    "densenet121": "3,64,64",
    "densenet169": "3,64,64",
    "densenet201": "3,64,64",
    "drn_c_26": "3,64,64",
    "efficientnet_b0": "3,64,64",
    "fcn_resnet50": "3,64,64",
    "googlenet": "3,64,64",
    "inception_v3": "3,107,107",
    "mnasnet1_0": "3,64,64",
    "mobilenet_v1": "3,64,64",
    "mobilenet_v2": "3,64,64",
    "mobilenet_v3_large": "3,64,64",
    "mobilenet_v3_small": "3,64,64",
    "regnet_y_400mf": "3,64,64",
    "resnet101": "3,64,64",
    "resnet101_hdc": "3,64,64",
    "resnet152": "3,64,64",
    "resnet18": "3,64,64",
    "resnet50": "3,64,64",
    "resnet50_v1": "3,64,64",
    "resnext50_32x4d": "3,64,64",
    "se_resnet50": "3,64,64",
    "shufflenet_v1": "3,64,64",
    "shufflenet_v2_x1_0": "3,64,64",
    "squeezenet1_1": "3,64,64",
    "unet": "1,188,188",
    "vgg11": "3,32,32",
    "vgg16": "3,32,32",
    "vgg16_bn": "3,32,32",
    "vgg19": "3,32,32",
    "wavenet": "256,128",
    "wide_resnet50_2": "3,64,64",
}


def names():
    """Every built-in network and technique."""
    return sorted(path.stem for folder in ("techniques", "zoo") for path in (ROOT / "specs" / folder).glob("*.yaml"))


def arguments(name):
    """The arguments that choose the network, with the smaller input if it has one."""
    smaller = SMALLER.get(name)
    return [f"zoo:{name}", *(["--input", smaller] if smaller else [])]


def attempt(*args):
    """Runs the program; what came of it."""
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True)


def cnnkit(*args):
    """Runs the program, which must succeed; its standard output."""
    done = attempt(*args)
    assert done.returncode == 0, f"cnnkit {' '.join(map(str, args))}\n{done.stderr}"
    return done.stdout


def params(name):
    """What `cnnkit params` says of it."""
    return json.loads(cnnkit("params", *arguments(name), "--format", "json"))
