"""Makes attention.zip, attention.json and the tiny models of hierarchical transformers, with PyTorch and torchvision.

    python make_attention.py      # needs torch, torchvision, onnx, onnxruntime; a minute

Weights are random, so that no two tensors are equal and an exporter cannot join them. The full-size models are stored
without their weights (external data that is absent); parameters and MACs are PyTorch's own counts.
"""

import io
import json
import pathlib
import warnings
import zipfile

import numpy as np
import onnx
import onnxruntime
import torch

try:
    import torchvision
except RuntimeError:  # torchvision's compiled part does not fit: only its Python is needed
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
from onnx import external_data_helper
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.maxvit import MaxVit
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
HERE = pathlib.Path(__file__).parent


def randomised(model):
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.data = torch.randn_like(parameter) * 0.2
    for name, buffer in model.named_buffers():
        if "running_mean" in name:
            buffer.normal_()
        if "running_var" in name:
            buffer.uniform_(0.5, 1.5)
    return model.eval()


def image(size):
    """x.flatten()[i] = ((i * 7919) % 2003) / 1001 - 1"""
    flat = np.array([((i * 7919) % 2003) / 1001 - 1 for i in range(3 * size * size)], np.float32)
    return torch.from_numpy(flat.reshape(1, 3, size, size))


def exported(model, x, mode):
    """Bytes of the model; `nofold` keeps constants and batch norms as they are."""
    buffer = io.BytesIO()
    more = {} if mode == "legacy" else {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    torch.onnx.export(model, (x,), buffer, dynamo=False, opset_version=17, **more)
    return buffer.getvalue()


def without_weights(data):
    """Floats become external data in a file that does not exist."""
    model = onnx.load_from_string(data)
    for tensor in [t for t in model.graph.initializer if t.data_type == 1 and int(np.prod(t.dims)) > 64]:
        external_data_helper.set_external_data(tensor, "weights_removed.data", 0, 4 * int(np.prod(tensor.dims)))
        for field in ("raw_data", "float_data"):
            tensor.ClearField(field)
        tensor.data_location = onnx.TensorProto.EXTERNAL
    return model.SerializeToString()


def figures(model, x):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        y = model(x)
    count = lambda tensors: sum(t.numel() for t in tensors)
    return {
        "input": list(x.shape),
        "torch_params": count(model.parameters()),
        "torch_macs": counter.get_total_flops() // 2,
        "output": list(y.shape),
    }


def main():
    files, tiny = {}, {}
    archive = zipfile.ZipFile(HERE / "attention.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9)
    x = image(224)
    for name in ["swin_v2_t", "maxvit_t"]:
        model = randomised(torchvision.models.get_model(name, weights=None))
        known = figures(model, x)
        for mode in ["legacy", "legacy_nofold"]:
            data = exported(model, x, mode)
            archive.writestr(zipfile.ZipInfo(f"{name}.{mode}.onnx", (2026, 1, 1, 0, 0, 0)), without_weights(data), zipfile.ZIP_DEFLATED)
            files[f"{name}.{mode}.onnx"] = known
            print(name, mode, len(data), known, flush=True)
    archive.close()
    small = {
        "tiny_swin_v2": (SwinTransformer([2, 2], 8, [2, 1], [2, 2], [4, 4], num_classes=5, block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2), 20),
        "tiny_maxvit": (MaxVit((16, 16), 8, 4, [8], [1], 4, 0.0, num_classes=5), 16),
    }
    for name, (model, size) in small.items():
        model, x = randomised(model), image(size)
        known = figures(model, x)
        with torch.no_grad():
            known["result"] = model(x).double().flatten().tolist()
        for mode in ["legacy", "legacy_nofold"]:
            data = exported(model, x, mode)
            session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
            other = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0].flatten()
            print(name, mode, len(data), known, np.abs(other - known["result"]).max(), flush=True)
            (HERE / f"{name}.{mode}.onnx").write_bytes(data)
            tiny[f"{name}.{mode}.onnx"] = known
    about = "Made by make_attention.py with PyTorch 2.15 and torchvision 0.29; torch_macs is half of FlopCounterMode's count; result: PyTorch in float32"
    (HERE / "attention.json").write_text(json.dumps({"_about": about, "files": files, "tiny": tiny}, indent=1) + "\n")


main()
