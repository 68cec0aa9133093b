"""Live modules, against what PyTorch says of them."""

import io
import json
import warnings

import pytest

import cnnkit

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch import nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

warnings.filterwarnings("ignore")


class Net(nn.Module):
    """A tied weight, a parameter without a reader, writes in place, two inputs and a keyword argument."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU(inplace=True)
        self.left = nn.Linear(8, 8)
        self.right = nn.Linear(8, 8)
        self.right.weight = self.left.weight
        self.idle = nn.Parameter(torch.zeros(7))
        self.drop = nn.Dropout(0.5)

    def forward(self, image, bias, scale=None):
        x = self.act(self.norm(self.conv(image)))
        x += bias
        if scale is not None:
            x = x * scale
        x = x.mean((2, 3))
        return self.drop(self.right(self.left(x)))


def inputs():
    return (3, 16, 16), torch.rand(1, 8, 16, 16)


def counted(module, *arguments):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*arguments)
    return (
        sum(p.numel() for p in module.parameters()),
        sum(b.numel() for b in module.buffers()),
        counter.get_total_flops() // 2,
    )


def test_figures_are_pytorchs():
    module = Net().eval()
    result = cnnkit.summary(module, *inputs())
    assert (result.params, result.buffers, result.macs) == counted(module, torch.rand(1, 3, 16, 16), inputs()[1])
    assert not result.partial
    ids = [layer.id for layer in result.layers]
    assert {"conv", "norm", "left", "right", "idle"} <= set(ids)


def test_keyword_arguments_reach_forward():
    module = Net()
    with_scale = cnnkit.summary(module, *inputs(), scale=torch.rand(1, 8, 1, 1))
    assert len(with_scale.layers) > len(cnnkit.summary(module, *inputs()).layers)


def test_module_is_left_as_it_was():
    module = Net().train()
    module.norm.eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    calls = []
    module.conv.register_forward_hook(lambda *_: calls.append(1))
    hooks = len(module.conv._forward_hooks)
    cnnkit.summary(module, *inputs())
    assert module.training and not module.norm.training and module.drop.training
    assert len(module.conv._forward_hooks) == hooks
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.device.type == "cpu" for p in module.parameters())


def test_bytes_that_are_handed_over_have_no_weights():
    big = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 1000))
    network = cnnkit.load(big, (3, 64, 64))
    (data,) = network._models.values()
    assert len(data) < 100_000
    assert cnnkit.summary(network).params == 3 * 64 * 64 * 1000 + 1000


def test_live_module_and_archive_give_the_same_json():
    module = Net().eval()
    arguments = (torch.rand(1, 3, 16, 16), inputs()[1])
    archive = io.BytesIO()
    torch.export.save(torch.export.export(module, arguments, strict=False), archive)
    live, read = cnnkit.load(module, *inputs(), name="net.pt2"), cnnkit.load(archive.getvalue(), name="net.pt2")
    for command in (cnnkit.summary, cnnkit.rf, cnnkit.sizes, cnnkit.channels, cnnkit.paths, cnnkit.gridding):
        assert command(live).to_json() == command(read).to_json(), command.__name__
    # Only a live module has lines.
    found = [{(item.rule, item.node, item.message) for item in cnnkit.check(side).findings} for side in (live, read)]
    assert found[0] == found[1] and found[0]
    assert all(item.line is None for item in cnnkit.check(read).findings)


def test_module_on_meta_is_read():
    with torch.device("meta"):
        module = Net()
    image, bias = torch.empty(1, 3, 16, 16, device="meta"), torch.empty(1, 8, 16, 16, device="meta")
    assert cnnkit.summary(module, image, bias).params == sum(p.numel() for p in module.parameters())


def test_module_that_cannot_be_exported_says_where():
    class Branches(nn.Module):
        def forward(self, x):
            if x.sum() > 0:
                return x
            return x * 2

    with pytest.raises(cnnkit.CnnkitError, match="test_torch.py") as caught:
        cnnkit.summary(Branches(), (3, 4, 4))
    assert "torch.export" in str(caught.value) and "backbone" in str(caught.value)


def test_inputs_are_required():
    with pytest.raises(TypeError, match="shape of each input without the batch"):
        cnnkit.summary(Net())


def test_diff_of_a_module_and_a_spec():
    module = nn.Conv2d(3, 4, 3)
    result = cnnkit.diff(module, "input: [3, 8, 8]\nlayers:\n  - conv: {out_channels: 4, kernel: 3}\n", (3, 8, 8))
    assert all(quantity.old == quantity.new for quantity in result.quantities)


def test_verify_compares_with_what_pytorch_computes():
    result = cnnkit.verify(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), (3, 8, 8))
    assert result.ok
    (claim,) = [claim for claim in result.claims if "PyTorch" in claim.predicted]
    assert claim.claim == "numerics" and "against PyTorch in f64" in claim.method


def test_verify_finds_a_module_that_computes_something_else():
    class Lies(nn.Module):
        """Exported it is a convolution, and in Python another one."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return self.conv(x) if torch.compiler.is_exporting() else self.conv(x) * 1.001

    result = cnnkit.verify(Lies(), (3, 8, 8))
    assert not result.ok
    assert [claim.predicted[:7] for claim in result.claims if not claim.ok] == ["PyTorch"]


def test_verify_of_a_module_without_weights_says_so():
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(3, 4, 3))
    result = cnnkit.verify(module, torch.empty(1, 3, 8, 8, device="meta"))
    assert result.ok and "meta device" in result.remarks[0]
