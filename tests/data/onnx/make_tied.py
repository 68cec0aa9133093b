"""Small modules with tied weights, states and equal parameters, exported by both exporters of PyTorch.

usage: make_tied.py OUT.zip     needs torch, onnx, onnxscript

`truth.json` has what PyTorch counts: sum(p.numel() for p in module.parameters()).
"""
import contextlib, io, json, logging, sys, warnings, zipfile
import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings('ignore')
logging.disable(logging.ERROR)
torch.manual_seed(0)


class Embedding(nn.Module):
    """An embedding whose weight is the output's too."""

    def __init__(self, words=20, size=12):
        super().__init__()
        self.e, self.l, self.o = nn.Embedding(words, size), nn.Linear(size, size), nn.Linear(size, words, bias=False)
        self.o.weight = self.e.weight

    def forward(self, x):
        return self.o(torch.relu(self.l(self.e(x))))


class Autoencoder(nn.Module):
    """A decoder with the encoder's weight, transposed."""

    def __init__(self, size=16, code=10):
        super().__init__()
        self.a, self.bias = nn.Linear(size, code), nn.Parameter(torch.randn(size))

    def forward(self, x):
        return F.linear(torch.relu(self.a(x)), self.a.weight.t(), self.bias)


class TwoRanks(nn.Module):
    """One layer on rows and on a vector: the exporters write a MatMul and a Gemm."""

    def __init__(self, size=14):
        super().__init__()
        self.a = nn.Linear(size, size)

    def forward(self, x):
        return self.a(torch.relu(self.a(x).mean(1)))


class Convolutions(nn.Module):
    """Pointwise convolutions with one matrix, transposed."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(7, 5))

    def forward(self, x):
        y = torch.relu(F.conv2d(x, self.w[:, :, None, None]))
        return F.conv2d(y, self.w.t()[:, :, None, None])


class Recurrent(nn.Module):
    """A recurrent layer, and a linear one on its last output."""

    def __init__(self, kind, state=False, **arguments):
        super().__init__()
        self.l = kind(10, 8, batch_first=True, **arguments)
        self.o = nn.Linear(16 if arguments.get('bidirectional') else 8, 3)
        self.state = nn.ParameterList([torch.randn(1, 1, 8) for _ in range(2)]) if state else None

    def forward(self, x):
        y, _ = self.l(x, tuple(self.state)) if self.state else self.l(x)
        return self.o(y[:, -1])


class Separate(nn.Module):
    """Two norms and two biases that are equal when they are new, and a norm behind a convolution."""

    def __init__(self):
        super().__init__()
        self.c, self.b, self.l = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.Linear(36, 36)
        self.n, self.m = nn.LayerNorm(36), nn.LayerNorm(36)

    def forward(self, x):
        y = self.b(self.c(x)).flatten(2)
        return self.m(self.l(self.n(y)))


rows, sequence = torch.randn(1, 5, 16), torch.randn(1, 6, 10)
modules = {
    'embedding': (Embedding(), torch.randint(0, 20, (1, 5))),
    'autoencoder_rows': (Autoencoder(), rows),
    'autoencoder_vector': (Autoencoder(), torch.randn(1, 16)),
    'two_ranks': (TwoRanks(), torch.randn(1, 5, 14)),
    'convolutions': (Convolutions(), torch.randn(1, 5, 6, 6)),
    'separate': (Separate(), torch.randn(1, 3, 8, 8)),
    'lstm': (Recurrent(nn.LSTM), sequence),
    'lstm_state': (Recurrent(nn.LSTM, state=True), sequence),
    'lstm_both_ways': (Recurrent(nn.LSTM, bidirectional=True, num_layers=2), sequence),
    'lstm_no_bias': (Recurrent(nn.LSTM, bias=False), sequence),
    'gru': (Recurrent(nn.GRU), sequence),
    'rnn': (Recurrent(nn.RNN), sequence),
}
truth = {}
with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as archive:
    put = lambda name, data: archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    for name, (module, example) in modules.items():
        module.eval()
        truth[name] = sum(parameter.numel() for parameter in module.parameters())
        for exporter in ('legacy', 'dynamo'):
            new, options = exporter == 'dynamo', {}
            if new:
                options['external_data'] = False
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                torch.onnx.export(module, (example,), '/tmp/tied.onnx', dynamo=new, **options)
            put(f'{name}.{exporter}.onnx', open('/tmp/tied.onnx', 'rb').read())
    about = f'made by make_tied.py with torch {torch.__version__}'
    put('truth.json', json.dumps({'about': about, 'parameters': truth}))
print(truth)
