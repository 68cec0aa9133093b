"""What a caller may hand over: modules of every kind, and by mistake. Figures are PyTorch's, or the error has a remedy."""

import collections
import copy
import dataclasses
import io
import logging
import warnings
import zipfile

import pytest

import cnnkit

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

warnings.filterwarnings("ignore")

CONV = (112, 0, 4 * 27 * 36)


def figures(result):
    return result.params, result.buffers, result.macs


def counted(module, *examples):
    """What PyTorch counts; on the meta device, where no library runs a whole recurrent layer."""
    module, examples = module.to("meta").eval(), [example.to("meta") for example in examples]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*examples)
    parameters, buffers = (sum(t.numel() for t in list) for list in (module.parameters(), module.buffers()))
    return parameters, buffers, counter.get_total_flops() // 2


def conv():
    return nn.Sequential(nn.Conv2d(3, 4, 3))


class Called(nn.Module):
    """A convolution, and a function of it."""

    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.function = function

    def forward(self, *inputs):
        return self.function(self.conv, *inputs)


@dataclasses.dataclass
class Output:
    scores: torch.Tensor
    number: int = 3


class Plain:
    def __init__(self, scores):
        self.scores = scores


Pair = collections.namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    ("returned", "outputs"),
    [
        (Output, 1),
        (Plain, 1),
        (lambda y: Pair(y, y * 2), 2),
        (lambda y: {"a": y, "b": [y * 2, (y + 1, None, 3)]}, 3),
        (lambda y: collections.OrderedDict(out=y), 1),
    ],
)
def test_module_may_return_any_object(returned, outputs):
    module = Called(lambda conv, x: returned(conv(x)))
    result = cnnkit.summary(module, (3, 8, 8))
    assert figures(result) == CONV and len(result.outputs) == outputs and not result.remarks
    assert not module._forward_hooks


def test_module_may_take_named_tuples_and_arrays():
    numpy = pytest.importorskip("numpy")
    module = Called(lambda conv, pair: conv(pair.left) + pair.right)
    pair = Pair(torch.zeros(1, 3, 8, 8), torch.zeros(1, 4, 6, 6))
    assert figures(cnnkit.summary(module, pair)) == CONV
    assert figures(cnnkit.summary(conv(), numpy.zeros((1, 3, 8, 8), numpy.float32))) == CONV
    assert figures(cnnkit.summary(conv(), tuple(numpy.array([3, 8, 8])))) == CONV


def test_wrappers_are_taken_off():
    for module in (torch.compile(conv()), nn.DataParallel(conv()), torch.fx.symbolic_trace(conv())):
        result = cnnkit.summary(module, (3, 8, 8))
        assert figures(result) == CONV and result.layers[1].id == "0"


def test_figures_are_those_of_one_image():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5))
    assert cnnkit.summary(module, torch.zeros(8, 3, 8, 8)).macs == cnnkit.summary(module, (3, 8, 8)).macs
    # Attention joins images and heads.
    attention = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    one, many = cnnkit.summary(attention, (7, 16)), cnnkit.summary(attention, torch.zeros(3, 7, 16))
    assert figures(one) == figures(many) == counted(attention, torch.zeros(1, 7, 16)) and not many.partial
    # What is made of all images together has no first image.
    mixed = Called(lambda conv, x: conv(x).mean(0))
    assert cnnkit.summary(mixed, torch.zeros(4, 3, 8, 8)).params == 112


class Windows(nn.Module):
    """Attention in the windows of an image: images and windows are one axis."""

    def __init__(self):
        super().__init__()
        self.conv, self.qkv, self.bias = nn.Conv2d(3, 8, 1), nn.Linear(8, 24), nn.Parameter(torch.zeros(2, 16, 16))

    def forward(self, x):
        x = self.conv(x)
        x = x.permute(0, 2, 3, 1).view(len(x), 2, 4, 2, 4, 8).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, 8)
        q, k, v = self.qkv(x).reshape(len(x), 16, 3, 2, 4).permute(2, 0, 3, 1, 4)
        x = ((q @ k.transpose(-2, -1) + self.bias.unsqueeze(0)).softmax(-1) @ v).transpose(1, 2)
        return x.reshape(-1, 2, 2, 4, 4, 8).permute(0, 1, 3, 2, 4, 5).reshape(-1, 8, 8, 8)


class Frames(nn.Module):
    """A convolution of every frame, and a recurrent layer: images and frames are one axis."""

    def __init__(self):
        super().__init__()
        self.conv, self.recurrent, self.head = nn.Conv2d(3, 8, 3, 2), nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 2)

    def forward(self, x):
        y = self.conv(x.flatten(0, 1)).mean((2, 3)).view(*x.shape[:2], -1)
        return self.head(self.recurrent(y)[0][:, -1])


class Kernels(nn.Module):
    """A kernel for every image, computed from it: images and channels are one axis, in groups."""

    def __init__(self):
        super().__init__()
        self.kernels = nn.Linear(4, 4 * 9)

    def forward(self, x):
        batch, channels, *size = x.shape
        kernels = self.kernels(x.mean((2, 3))).view(batch * channels, 1, 3, 3)
        y = functional.conv2d(x.reshape(1, -1, *size), kernels, padding=1, groups=batch * channels)
        return y.view(batch, channels, *size)


class Tokens(nn.Module):
    """A vision transformer of PyTorch's own attention, with a class token."""

    def __init__(self):
        super().__init__()
        self.patches, self.token = nn.Conv2d(3, 16, 4, 4), nn.Parameter(torch.zeros(1, 1, 16))
        self.attention, self.head = nn.MultiheadAttention(16, 4, batch_first=True), nn.Linear(16, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        y, weights = self.attention(x, x, x)
        return self.head((x + y)[:, 0]), weights


@pytest.mark.parametrize(
    ("module", "size", "axis"),
    [
        (Tokens(), (3, 16, 16), 0),
        (Windows(), (3, 8, 8), 0),
        (Frames(), (5, 3, 8, 8), 0),
        (Kernels(), (4, 8, 8), 0),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2), (7, 16), 0),
        # Positions come first.
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32), 2), (7, 16), 1),
        (nn.LSTM(16, 8, 2, bidirectional=True), (7, 16), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_program_of_several_images_counts_one(module, size, axis, tmp_path):
    module.eval()
    one, many = (torch.rand(*size[:axis], count, *size[axis:]) for count in (1, 2))
    parameters, buffers, macs = counted(copy.deepcopy(module), one)
    for example in (one, many) if axis == 0 else (many,):
        torch.export.save(torch.export.export(module, (example,), strict=False), tmp_path / "net.pt2")
        result = cnnkit.summary(tmp_path / "net.pt2")
        assert figures(result) == (parameters, buffers, macs) and not result.partial
        live = cnnkit.summary(module, example)
        assert live.to_dict()["layers"] == result.to_dict()["layers"]


class Sums(nn.Module):
    """Windows of every kind over an image without the batch."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=4)
        self.up, self.head = nn.ConvTranspose2d(16, 4, 2, 2), nn.Linear(32, 5)

    def forward(self, x):
        x = functional.max_pool2d(self.first(x).relu(), 2)
        x = self.up(functional.gelu(self.second(torch.cat([x[4:], x[:4] * 2]))))
        return self.head(functional.adaptive_avg_pool2d(x, (2, 4)).flatten())


@pytest.mark.parametrize(
    ("module", "size"),
    [
        (Sums(), (3, 32, 32)),
        (conv(), (3, 8, 8)),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 1, 3), nn.Sigmoid()), (1, 28, 28)),
        (nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 4, 3), nn.Flatten(0), nn.Linear(16, 5)), (3, 8, 8)),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(1), nn.Linear(36, 5)), (3, 8, 8)),
        (nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.AvgPool1d(2)), (3, 16)),
        (nn.Sequential(nn.Conv3d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1)), (3, 8, 8, 8)),
        (nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(3, 4, 3, padding=1), nn.PixelShuffle(2)), (3, 8, 8)),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.Softmax(0)), (3, 8, 8)),
        (nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0), (7, 16)),
        (nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)), (8,)),
    ],
)
def test_example_without_the_batch_is_one_image(module, size):
    example = torch.rand(*size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(example)
    result = cnnkit.verify(module, example)
    assert result.ok and [claim for claim in result.claims if "PyTorch" in claim.predicted]
    result = cnnkit.summary(module, example)
    assert figures(result) == (sum(p.numel() for p in module.parameters()), 0, counter.get_total_flops() // 2)
    assert not result.partial and not result.remarks


def test_sequence_without_the_batch_is_one_sequence():
    for module in (nn.LSTM(8, 16), nn.GRU(8, 16, batch_first=True)):
        one, many = cnnkit.summary(module, torch.zeros(7, 8)), cnnkit.summary(module, torch.zeros(7, 1, 8))
        assert figures(one) == counted(module, torch.zeros(7, 8))
        assert one.params == many.params
    # Whole numbers are words, not features: their batch is the first axis, also if it is one.
    words = nn.Sequential(nn.Embedding(50, 16), nn.TransformerEncoderLayer(16, 4, 32, batch_first=True))
    first = cnnkit.summary(words, torch.zeros(1, 7, dtype=torch.long))
    assert first.outputs[0].shape == [7, 16]
    assert cnnkit.summary(words, torch.zeros(3, 7, dtype=torch.long)).macs == first.macs


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_type_of_the_weights_changes_no_figure(dtype):
    assert figures(cnnkit.summary(conv().to(dtype), (3, 8, 8))) == CONV


@pytest.mark.parametrize(
    ("module", "size"),
    [
        (nn.LSTM(8, 16, num_layers=2, bidirectional=True, batch_first=True), (7, 8)),
        (nn.LSTM(8, 16, proj_size=4), (7, 8)),
        (nn.GRU(8, 16, batch_first=True), (7, 8)),
        (nn.RNN(8, 16, nonlinearity="relu"), (7, 8)),
        (nn.LSTMCell(8, 16), (8,)),
        (nn.GRUCell(8, 16), (8,)),
        (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation=functional.silu), (7, 16)),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), (3, 8, 8)),
        (nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)), (3, 8, 8)),
        (nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.MaxPool1d(2)), (3, 16)),
        (nn.Sequential(nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4), nn.AvgPool3d(2)), (3, 8, 8, 8)),
        (nn.Linear(4, 5, dtype=torch.cfloat), (4,)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_layers_count_as_pytorch(module, size):
    result = cnnkit.summary(module, size)
    dtype = next(module.parameters()).dtype
    assert figures(result) == counted(module, torch.zeros(1, *size, dtype=dtype)) and not result.partial


def test_embeddings_take_examples():
    table = nn.Embedding(50, 16)
    example = torch.zeros(1, 7, dtype=torch.long)
    assert figures(cnnkit.summary(table, example)) == (800, 0, 0)
    tied = nn.Sequential(table, nn.Linear(16, 50, bias=False))
    tied[1].weight = table.weight
    assert figures(cnnkit.summary(tied, example)) == (800, 0, 7 * 16 * 50)
    with pytest.raises(cnnkit.CnnkitError, match="help: where whole numbers are wanted"):
        cnnkit.summary(table, (7,))


class Buffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("kept", torch.ones(4, 6, 6), persistent=False)
        self.register_buffer("idle", torch.zeros(10))
        self.register_buffer("none", None)
        self.register_buffer("steps", torch.zeros(1))
        self.plain = torch.ones(4, 1, 1)

    def forward(self, x):
        self.steps += 1
        return self.conv(x) * self.kept + self.plain


def test_buffers_count_if_they_are_persistent_or_not():
    module = Buffers()
    assert figures(cnnkit.summary(module, (3, 8, 8))) == (112, 144 + 10 + 1, 4 * 27 * 36)
    assert module.steps.item() == 0


def test_graph_inside_of_a_node_is_read():
    def mixed(conv, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return conv(x), x * 2

    result = cnnkit.summary(Called(mixed), (3, 8, 8))
    assert figures(result) == CONV and not result.partial and result.layers[1].id == "conv"


def test_size_that_depends_on_the_data_is_not_guessed():
    module = Called(lambda conv, x: functional.linear(x[x.sum(-1) > 0], x.new_ones(5, 8)))
    result = cnnkit.summary(module, torch.zeros(1, 3, 8, 8))
    assert result.partial and result.macs == 0


CHECKED = {
    "causal": lambda q: functional.scaled_dot_product_attention(q, q, q, is_causal=True),
    "masked": lambda q: functional.scaled_dot_product_attention(q, q, q, attn_mask=torch.ones(8, 8, dtype=torch.bool).tril()),
    "shared": lambda q: functional.scaled_dot_product_attention(q, q[:, :1], q[:, :1], enable_gqa=True),
    "one": lambda q: functional.scaled_dot_product_attention(q, q[:, :1], q[:, :1]),
    "windows": lambda q: functional.scaled_dot_product_attention(*[q.reshape(3, 2, 4, 4)] * 3),
    "fold": lambda x: functional.fold(functional.unfold(x, 3, 1, 1, 2), (8, 8), 3, 1, 1, 2),
    "unfold": lambda x: x.unfold(2, 3, 2).unfold(3, 4, 4),
}


@pytest.mark.parametrize("name", CHECKED)
def test_operators_compute_what_pytorch_computes(name):
    size = (3, 8, 8) if "fold" in name else (2 if name == "windows" else 3, 8, 8 if name != "windows" else 6)

    class Net(nn.Module):
        def forward(self, x):
            return CHECKED[name](x)

    result = cnnkit.verify(Net(), size)
    assert result.ok and not result.partial
    assert [claim for claim in result.claims if "PyTorch" in claim.predicted]


@pytest.mark.parametrize(
    ("model", "inputs", "error", "message"),
    [
        (nn.Conv2d(3, 4, 3), (3, 8, 8), TypeError, r"a shape is one argument: \(3, 8, 8\)"),
        (nn.Conv2d(3, 4, 3), ("3,8,8",), TypeError, "a shape has whole numbers"),
        (nn.Conv2d(3, 4, 3), ((3, 8.0, 8),), TypeError, "a shape has whole numbers"),
        (nn.Conv2d(3, 4, 3), ((3, -8, 8),), ValueError, "positive sizes"),
        (nn.Conv2d(3, 4, 3), ((1, 3, 8, 8),), cnnkit.CnnkitError, "help: give each shape without the batch"),
        (nn.Conv2d(3, 4, 3), ((4, 8, 8),), cnnkit.CnnkitError, "expected input.* to have 3 channels"),
        (nn.ModuleList([nn.Conv2d(3, 4, 3)]), ((3, 8, 8),), cnnkit.CnnkitError, r"help: .*nn.Sequential\(\*modules\)"),
        (nn.Conv2d, ((3, 8, 8),), TypeError, r"a class: give its instance, `Conv2d\(\)`"),
        (conv, ((3, 8, 8),), TypeError, "a function"),
        (None, ((3, 8, 8),), TypeError, "not NoneType"),
        (nn.LazyConv2d(4, 3), ((3, 8, 8),), cnnkit.CnnkitError, "help: run it once"),
    ],
)
def test_mistakes_have_a_remedy(model, inputs, error, message):
    with pytest.raises(error, match=message):
        cnnkit.summary(model, *inputs)


def test_scripts_and_exported_programs_are_refused_with_a_way_out():
    with pytest.raises(cnnkit.CnnkitError, match="help: give the module that it was made from"):
        cnnkit.summary(torch.jit.trace(conv(), torch.zeros(1, 3, 8, 8)), (3, 8, 8))
    program = torch.export.export(conv(), (torch.zeros(1, 3, 8, 8),))
    with pytest.raises(TypeError, match="torch.export.save"):
        cnnkit.summary(program, (3, 8, 8))
    assert figures(cnnkit.summary(program.module(), (3, 8, 8))) == CONV


def test_error_of_the_module_names_its_line():
    def fails(conv, x):
        raise KeyError("boom")

    with pytest.raises(cnnkit.CnnkitError, match=r"KeyError: 'boom' \(.*test_door.py:\d+: raise KeyError"):
        cnnkit.summary(Called(fails), (3, 8, 8))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_branch_on_the_data_names_its_line_and_nothing_else(device, capfd):
    def branches(conv, x):
        y = conv(x)
        return y * 2 if y.mean() > 0 else y

    disabled = logging.root.manager.disable
    with pytest.raises(cnnkit.CnnkitError, match="test_door.py") as caught:
        cnnkit.summary(Called(branches).to(device), (3, 8, 8))
    assert "depend on the data" in str(caught.value) and "\x1b" not in str(caught.value)
    assert capfd.readouterr() == ("", "") and logging.root.manager.disable == disabled


def test_diff_of_a_module_and_the_file_of_its_name(tmp_path, monkeypatch):
    class Net(Called):
        def __init__(self, width):
            super().__init__(lambda conv, x: conv(x))
            self.conv = nn.Conv2d(3, width, 3)

    monkeypatch.chdir(tmp_path)
    torch.export.save(torch.export.export(Net(8), (torch.zeros(1, 3, 8, 8),), strict=False), "Net.pt2")
    first = [(side[0].old, side[0].new) for side in (
        cnnkit.diff("Net.pt2", Net(4), (3, 8, 8)).quantities,
        cnnkit.diff(Net(4), "Net.pt2", (3, 8, 8)).quantities,
        cnnkit.diff(Net(4), Net(5), (3, 8, 8)).quantities,
    )]
    assert first == [(224, 112), (112, 224), (112, 140)]


def test_strict_export_says_which_tensors_it_leaves_out(monkeypatch):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.aux = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(3, 3)

        def forward(self, x):
            return self.norm(self.conv(x))

    own = torch.export.export

    def strict_only(*arguments, strict, **options):
        if not strict:
            raise RuntimeError("no export today")
        return own(*arguments, strict=strict, **options)

    monkeypatch.setattr(torch.export, "export", strict_only)
    result = cnnkit.summary(Net(), (3, 8, 8))
    assert figures(result) == (120, 8, CONV[2])
    assert result.remarks[1:] == [
        "12 elements of parameters that nothing reads are not counted: aux.weight, aux.bias",
        "1 elements of buffers that nothing reads are not counted: norm.num_batches_tracked",
    ]


def test_archive_is_what_pytorch_saves():
    from torch._export.serde import serialize

    from cnnkit import _export

    own, archives = serialize.canonicalize, []
    program = torch.export.export(conv(), (torch.zeros(1, 3, 8, 8),), strict=False)
    with _export._Unchecked():
        assert serialize.canonicalize is not own
        archives.append(io.BytesIO())
        torch.export.save(program, archives[-1])
    assert serialize.canonicalize is own
    archives.append(io.BytesIO())
    torch.export.save(program, archives[-1])
    programs = []
    for archive in archives:
        with zipfile.ZipFile(archive) as entries:
            programs.append([entries.read(name) for name in entries.namelist() if name.endswith("model.json")])
    assert programs[0] == programs[1] and programs[0]


def test_fallback_to_onnx_is_read_as_onnx(monkeypatch):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    from cnnkit import _export

    def fails(*_arguments, **_options):
        raise RuntimeError("no export today")

    monkeypatch.setattr(_export, "_archive", fails)
    result = cnnkit.summary(conv(), (3, 8, 8))
    assert result.macs == CONV[2]
    assert len(result.remarks) == 2 and "read by torch.onnx.export instead" in result.remarks[1]
