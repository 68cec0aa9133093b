"""Writes the archives of this folder with the PyTorch that runs it, and what PyTorch says of them.

    python make.py GENERATION    writes small-GENERATION.pt2, views-GENERATION.pt2 and GENERATION.json: of PyTorch 2.15, and of
                                 2.6.0, which wrote the layout before 2.8; of 2.15 also calls, recurrent and images
    python make.py older         writes small-older.pt2: the program and weights of small-2.15.pt2 in the layout that PyTorch
                                 2.5 to 2.7 wrote (`torch/export/__init__.py`, `save`, of these versions)
"""

import copy
import io
import json
import sys
import warnings
import zipfile

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

warnings.filterwarnings("ignore")


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding="same", dilation=2, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.act = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 4, padding="same", groups=2)
        self.norm2 = nn.GroupNorm(2, channels)

    def forward(self, x):
        y = self.act(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        y += x
        return self.act(y)


class Small(nn.Module):
    """Most kinds of layers, a tied weight, a parameter and a head that nothing reads."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.proj = nn.Linear(8, 8)
        self.again = nn.Linear(8, 8)
        self.again.weight = self.proj.weight
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.gamma = nn.Parameter(torch.rand(8, 1, 1))
        self.idle = nn.Parameter(torch.rand(5))
        self.aux = nn.Linear(8, 3)
        self.register_buffer("table", torch.tensor([3, 0, 2, 1]))
        self.slopes = nn.PReLU(8)
        self.head = nn.Linear(72, 5)
        with torch.no_grad():
            for norm in (block.norm1 for block in self.blocks):
                norm.running_mean.uniform_(-0.5, 0.5)
                norm.running_var.uniform_(0.5, 1.5)

    def forward(self, x):
        x = F.max_pool2d(self.blocks(self.stem(x)), 3, 2, ceil_mode=True)
        left, right = x.chunk(2, dim=1)
        x = torch.cat([F.gelu(right), F.silu(left)], dim=1) * self.gamma
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        q, k, v = self.qkv(tokens).reshape(1, -1, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, -1, 8)
        tokens = tokens + self.again(self.proj(mixed)) * self.scale
        x = tokens.transpose(1, 2).reshape(1, 8, x.shape[2], x.shape[3])
        x = F.interpolate(x, scale_factor=2, mode="bilinear")
        x = self.slopes(F.adaptive_avg_pool2d(x, 3))
        return self.head(x.flatten(1))


class Views(nn.Module):
    """Writes into views, which a graph of layers does not have."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 1)

    def forward(self, x):
        y = self.conv(x)
        flat = y.view(1, 4, -1)
        y[:, 1].mul_(2.0)
        y[:, 2:].add_(1.0)
        rows = y.transpose(2, 3)
        rows[:, :, 0] = 3.0
        z = F.dropout(y, training=False)
        z.neg_()
        return y, flat * 2


class Calls(nn.Module):
    """Patches there and back, windows, masks and shared keys of attention, a graph inside of a node, a bias without a part."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(12, 24)
        self.norm = nn.BatchNorm2d(3)
        self.register_buffer("mask", torch.rand(9, 9) > 0.3)
        with torch.no_grad():
            self.mask.fill_diagonal_(True)
            self.norm.running_mean.uniform_(-0.5, 0.5)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False):
            x = self.norm(x)
            y = x * 2
        patches = F.unfold(x, (2, 3), dilation=(2, 1), padding=(0, 2), stride=(3, 2))
        image = F.fold(patches, x.shape[2:], (2, 3), dilation=(2, 1), padding=(0, 2), stride=(3, 2))
        windows = image.unfold(2, 3, 2).unfold(3, 4, 2)
        tokens = F.unfold(y, 2, stride=2).transpose(1, 2)[:, :9]
        bias = self.qkv.bias.clone()
        bias[8:16].zero_()
        tokens = F.linear(tokens, self.qkv.weight, bias)
        q, k, v = tokens.view(1, 9, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        causal = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        masked = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)
        shared = F.scaled_dot_product_attention(q, k[:, :1], v[:, :1], enable_gqa=True)
        apart = (part.reshape(6, 1, 3, 4) for part in (q, k, v))
        return windows, causal + masked + shared, F.scaled_dot_product_attention(*apart).reshape(1, 6, 3, 4)


class Recurrent(nn.Module):
    """Layers whose steps are not followed."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 6, num_layers=2, bidirectional=True, proj_size=3, batch_first=True)
        self.gru = nn.GRU(6, 4, batch_first=True)
        self.cell = nn.RNNCell(4, 3)

    def forward(self, x):
        return self.cell(self.gru(self.lstm(x)[0])[0][:, -1])


class Images(nn.Module):
    """Images in one axis with windows, heads and channels of their own kernels; every second row of a channel is written."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 1)
        self.kernels = nn.Linear(8, 8 * 9)
        self.qkv = nn.Linear(8, 24)
        self.token = nn.Parameter(torch.rand(1, 1, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        x = self.conv(x)
        x[:, :1, 1::2].mul_(0.5)
        kernels = self.kernels(x.mean((2, 3))).view(-1, 1, 3, 3)
        y = F.conv2d(x.reshape(1, -1, 8, 8), kernels, padding=1, groups=len(kernels))
        x = x + y.view(x.shape)
        x = x.permute(0, 2, 3, 1).view(-1, 2, 4, 2, 4, 8).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, 8)
        q, k, v = self.qkv(x).reshape(-1, 16, 3, 2, 4).permute(2, 0, 3, 1, 4)
        x = ((q @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).reshape(-1, 64, 8)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        return self.attention(x, x, x)


def described(module, example):
    device = example.device
    if isinstance(module, Recurrent):
        # On a processor a library runs it, which the counter does not see.
        device = torch.device("meta")
    # The counter does not see into the fast path of `nn.MultiheadAttention`.
    torch.backends.mha.set_fastpath_enabled(False)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copy.deepcopy(module).to(device)(example.to(device))
    torch.backends.mha.set_fastpath_enabled(True)
    with torch.no_grad():
        made = module(example.clone())
    made = made if isinstance(made, tuple) else (made,)
    return {
        "params": sum(p.numel() for p in module.parameters()),
        "buffers": sum(b.numel() for b in module.buffers()),
        "macs": counter.get_total_flops() // 2,
        "input": example.flatten().tolist(),
        "sizes": list(example.shape),
        "outputs": [{"sizes": list(t.shape), "values": t.flatten().tolist()} for t in made],
    }


def older():
    program = torch.export.load("small-2.15.pt2")
    state = io.BytesIO()
    torch.save(dict(program.state_dict), state)
    constants = io.BytesIO()
    torch.save(dict(program.constants), constants)
    with zipfile.ZipFile("small-2.15.pt2") as archive:
        text = archive.read("small-2.15/models/model.json")
    with zipfile.ZipFile("small-older.pt2", "w") as archive:
        archive.writestr("serialized_exported_program.json", text)
        archive.writestr("serialized_state_dict.pt", state.getvalue())
        archive.writestr("serialized_constants.pt", constants.getvalue())
        archive.writestr("version", "8.20")


def main():
    generation = sys.argv[1]
    if generation == "older":
        return older()
    found = {"torch": torch.__version__}
    networks = [("small", Small, (1, 3, 16, 16)), ("views", Views, (1, 2, 3, 5))]
    if generation == "2.15":
        networks += [("calls", Calls, (1, 3, 9, 10)), ("recurrent", Recurrent, (1, 7, 5)), ("images", Images, (2, 3, 8, 8))]
    for name, make, size in networks:
        torch.manual_seed(7)
        module = make().eval()
        example = torch.rand(size)
        program = torch.export.export(module, (example,), strict=False)
        torch.export.save(program, f"{name}-{generation}.pt2")
        found[name] = described(module, example)
    with open(f"{generation}.json", "w") as file:
        json.dump(found, file)
        file.write("\n")


main()
