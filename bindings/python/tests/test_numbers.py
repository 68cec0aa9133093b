"""What networks compute, and what their units see, against PyTorch's own numbers."""

import json
import os
import subprocess
import sys
import warnings

import pytest

import cnnkit
from cnnkit import _native

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")

warnings.filterwarnings("ignore")

ALL = os.environ.get("CNNKIT_NETWORKS") == "all"
NETWORKS = """squeezenet1_1 resnet18 mobilenet_v2 shufflenet_v2_x0_5 densenet121 mnasnet0_5 googlenet vgg11_bn regnet_y_400mf
efficientnet_b0 mobilenet_v3_small alexnet resnext50_32x4d inception_v3 convnext_tiny swin_t vit_b_16 maxvit_t
lraspp_mobilenet_v3_large fcn_resnet50 swin_v2_t""".split()
#: Inputs that are smaller than usual, so that the test takes seconds.
SIZES = {"alexnet": 96, "vgg11_bn": 32, "inception_v3": 96, "vit_b_16": 224, "maxvit_t": 224, "densenet121": 64}


def build(name):
    torch.manual_seed(0)
    options = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    if name.startswith(("fcn", "lraspp")):
        options["weights_backbone"] = None
    model = torchvision.models.get_model(name, **options).eval()
    for module in model.modules():
        # Statistics of a network that was trained, not those of a new one.
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model


@pytest.mark.parametrize("name", NETWORKS if ALL else ["squeezenet1_1"])
def test_archive_runs_as_pytorch_does(name, tmp_path):
    numpy = pytest.importorskip("numpy")
    model = build(name)
    size = SIZES.get(name, 64)
    x = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    torch.export.save(torch.export.export(model, (x,), strict=False), tmp_path / "net.pt2")
    numpy.save(tmp_path / "x.npy", x.numpy())
    command = [sys.executable, "-m", "cnnkit", "run", "net.pt2", "--input", "x.npy", "-o", "y.npz", "--quiet"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with torch.no_grad():
        single = model(x)
        exact = model.double()(x.double())
    single, exact = (list(y.values()) if isinstance(y, dict) else [y] for y in (single, exact))
    ours = numpy.load(tmp_path / "y.npz")
    assert len(ours.files) == len(exact)
    for key, theirs, best in zip(ours.files, single, exact, strict=True):
        error = (theirs.double() - best).abs().max().item()
        scale = torch.finfo(torch.float32).eps * best.abs().max().item()
        # Sums in another order: as far from double precision as PyTorch is itself, up to a small factor.
        assert numpy.abs(ours[key] - best.numpy()).max() <= 8 * max(error, scale)


FIELDS = """resnet18 mobilenet_v2 vgg11 squeezenet1_1 shufflenet_v2_x0_5 alexnet densenet121 regnet_y_400mf mnasnet0_5
resnext50_32x4d googlenet""".split()


#: Size of the axis that is not compared: all strides divide it.
NARROW = 64


class Features(torch.nn.Module):
    """The part of a network before its head: up to the first child that averages everything."""

    def __init__(self, model):
        super().__init__()
        children = []
        for child in model.children():
            parts = {type(part) for part in child.modules()}
            if isinstance(child, torch.nn.AdaptiveAvgPool2d) or (torch.nn.Linear in parts and torch.nn.Conv2d not in parts):
                break
            if type(child).__name__ != "InceptionAux":
                children.append(child)
        self.body = torch.nn.Sequential(*children)

    def forward(self, x):
        return self.body(x)


@pytest.mark.parametrize("name", FIELDS if ALL else ["squeezenet1_1"])
def test_field_is_where_the_gradient_is_not_zero(name):
    model = build(name) if name != "squeezenet1_1" else torch.nn.Sequential(*build(name).features)
    features = Features(model).eval().double()
    field = cnnkit.rf(features, (3, 224, 224)).outputs[0]
    if field["global"]:
        # A gate sees everything; the field without gates is compared.
        pytest.skip("global")
    (rows, columns) = field.size
    side = rows + 64
    with torch.no_grad():
        for parameter in features.parameters():
            # Positive weights: nothing cancels, and no unit of a ReLU is off.
            parameter.abs_().add_(0.01)
        for module in features.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.zero_()
                module.running_var.fill_(1.0)
    for module in features.modules():
        # Of a maximum only one input has a gradient; a mean reads the same window.
        for key, child in list(module.named_children()):
            if isinstance(child, torch.nn.MaxPool2d):
                pool = torch.nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(module, key, pool)
            elif isinstance(child, (torch.nn.ReLU, torch.nn.ReLU6)):
                setattr(module, key, torch.nn.Identity())
    jump, padding = field.jump[0], field.padding[0]
    for axis in (0, 1):
        # Along one axis at a time: an image of all positions would need gigabytes.
        sizes = [NARROW, NARROW]
        sizes[axis] = side
        x = torch.rand(1, 3, *sizes, dtype=torch.float64, requires_grad=True)
        y = features(x)
        unit = [y.shape[-2] // 2, y.shape[-1] // 2]
        y[0, :, unit[0], unit[1]].sum().backward()
        touched = torch.nonzero((x.grad[0].abs().sum(0) > 0).any(1 - axis)).flatten()
        first = unit[axis] * jump - padding
        expected = (max(first, 0), min(first + rows - 1, side - 1))
        assert (touched.min().item(), touched.max().item()) == expected
    assert rows == columns


MEMORY = """
import gc
import torch, torchvision, cnnkit
def memory(key):
    # Not the peak of getrusage, which a process begins with that of the one that started it.
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(key))
# What Python and PyTorch load once is no memory of the network.
cnnkit.summary(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()), (3, 8, 8))
model = torchvision.models.vgg16(weights=None, init_weights=False)
gc.collect()
before = memory("VmRSS")
params = cnnkit.summary(model, (3, 224, 224)).params
print(params, memory("VmRSS") - before, memory("VmHWM") - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the memory of a process is read as Linux has it")
def test_summary_of_vgg16_needs_no_copy_of_its_weights():
    output = subprocess.check_output([sys.executable, "-c", MEMORY], text=True)
    params, raised, peak = map(int, output.split())
    assert params == 138357544
    assert raised < 60 << 20, f"{raised / 2**20:.1f} MiB"
    # The weights alone have 528 MiB; at no time there were two of them.
    assert peak < 200 << 20, f"{peak / 2**20:.1f} MiB"


def test_import_is_quick():
    code = "import time; start = time.process_time(); import cnnkit; print(time.process_time() - start)"
    times = [float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(5)]
    # Of the processor, and the best of several: the machine may be busy.
    assert min(times) < 0.05, times
    code = "import sys, cnnkit; print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])"
    assert json.loads(subprocess.check_output([sys.executable, "-c", code], text=True)) == []


def test_native_module_has_what_its_stubs_declare():
    assert {"call", "program", "version", "CnnkitError"} <= set(dir(_native))
