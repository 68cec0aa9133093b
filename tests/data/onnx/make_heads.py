"""Makes heads.zip and heads.json: attention as PyTorch writes it in its several ways.

    python make_heads.py      # needs torch, onnx, onnxruntime; some seconds

Results are ONNX Runtime's.
"""

import io
import json
import pathlib
import warnings
import zipfile

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import nn

warnings.filterwarnings("ignore")
torch.manual_seed(0)
HERE = pathlib.Path(__file__).parent


class Heads(nn.Module):
    """Self-attention of two heads; `mix` joins queries, keys and values."""

    def __init__(self, mix):
        super().__init__()
        self.qkv, self.out, self.mix = nn.Linear(8, 24), nn.Linear(8, 8), mix
        self.bias = nn.Parameter(torch.randn(2, 5, 5))
        self.register_buffer("mask", torch.randn(5, 5))
        self.temperature = nn.Parameter(torch.rand(2, 1, 1) + 0.5)

    def forward(self, x):
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, 2, width // 2).permute(2, 0, 3, 1, 4).unbind(0)
        return self.out(self.mix(self, q, k, v).transpose(1, 2).reshape(n, tokens, width))


class Multi(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.attention, self.weights = nn.MultiheadAttention(8, 2, batch_first=True), weights

    def forward(self, x):
        mixed, maps = self.attention(x, x, x, need_weights=self.weights != "none")
        return (mixed, maps) if self.weights == "both" else mixed


def written(scores, v):
    return scores.softmax(-1) @ v


# Name, model, how many layers of attention are seen.
MODELS = {
    "function": (Heads(lambda s, q, k, v: F.scaled_dot_product_attention(q, k, v)), 1),
    "function_scale": (Heads(lambda s, q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.3)), 1),
    "function_mask": (Heads(lambda s, q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=s.mask)), 1),
    "function_choice": (Heads(lambda s, q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=torch.ones(5, 5).tril().bool())), 1),
    "function_causal": (Heads(lambda s, q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)), 1),
    "written": (Heads(lambda s, q, k, v: written((q @ k.transpose(-2, -1)) / 2, v)), 1),
    "written_bias": (Heads(lambda s, q, k, v: written((q / 2) @ k.transpose(-2, -1) + s.bias, v)), 1),
    "written_bias_mask": (Heads(lambda s, q, k, v: written((q * 0.5) @ k.transpose(-2, -1) + s.bias + s.mask, v)), 1),
    "written_computed": (Heads(lambda s, q, k, v: written(q @ k.transpose(-2, -1) + q.mean(-1, keepdim=True) @ v.transpose(-2, -1)[:, :, :1], v)), 1),
    "written_cosine": (
        Heads(lambda s, q, k, v: written(F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) * s.temperature.exp() + s.bias, v)),
        1,
    ),
    # What is added is scaled as well: not the same.
    "written_late": (Heads(lambda s, q, k, v: written((q @ k.transpose(-2, -1) + s.bias) / 2, v)), 0),
    "module": (Multi("one"), 1),
    "module_none": (Multi("none"), 1),
    "module_both": (Multi("both"), 0),
}


def main():
    # x.flatten()[i] = ((i * 7919) % 2003) / 1001 - 1
    x = np.array([((i * 7919) % 2003) / 1001 - 1 for i in range(40)], np.float32).reshape(1, 5, 8)
    files = {}
    with zipfile.ZipFile(HERE / "heads.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, (model, layers) in MODELS.items():
            buffer = io.BytesIO()
            torch.onnx.export(model.eval(), (torch.from_numpy(x),), buffer, dynamo=False, opset_version=17)
            data = buffer.getvalue()
            entry = zipfile.ZipInfo(f"{name}.onnx", (2026, 1, 1, 0, 0, 0))
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
            session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
            results = session.run(None, {session.get_inputs()[0].name: x})
            files[f"{name}.onnx"] = {"layers": layers, "results": [r.astype(float).flatten().tolist() for r in results]}
            print(name, [r.shape for r in results])
    about = "Made by make_heads.py with PyTorch 2.15; input [1, 5, 8]; results: ONNX Runtime; layers: of attention"
    (HERE / "heads.json").write_text(json.dumps({"_about": about, "files": files}, indent=1) + "\n")


main()
