"""Measures what PyTorch's autograd keeps for the backward pass, and the FLOPs of the backward pass.

Unique storages seen by `torch.autograd.graph.saved_tensors_hooks` on the meta device, in training mode, f32; storages of
parameters and buffers are left out. Run with torch, torchvision and timm: `python measure.py > torch.json`.
"""

import json
import sys
import warnings

import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

warnings.filterwarnings("ignore")

ZOO = {
    "alexnet": {}, "convnext_tiny": {}, "densenet121": {}, "densenet169": {}, "densenet201": {},
    "efficientnet_b0": {}, "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"aux_logits": False, "init_weights": False}, "mnasnet1_0": {}, "mobilenet_v2": {},
    "mobilenet_v3_large": {}, "mobilenet_v3_small": {}, "regnet_y_400mf": {}, "resnet101": {}, "resnet152": {},
    "resnet18": {}, "resnet50": {}, "resnext50_32x4d": {}, "shufflenet_v2_x1_0": {}, "squeezenet1_1": {},
    "vgg11": {}, "vgg16": {}, "vgg16_bn": {}, "vgg19": {}, "wide_resnet50_2": {},
    "fcn_resnet50": {"weights": None, "weights_backbone": None, "aux_loss": None},
    "deeplabv3_resnet50": {"weights": None, "weights_backbone": None, "aux_loss": None},
}


def build(name, options):
    models = torchvision.models.segmentation if "_resnet50" in name and hasattr(
        torchvision.models.segmentation, name) else torchvision.models
    with torch.device("meta"):
        return getattr(models, name)(**options).train()


def outputs(result):
    return list(result.values()) if isinstance(result, dict) else [result]


def measure(model, batch, size, frozen=(), formulas=None):
    owned = {t.untyped_storage()._cdata for t in [*model.parameters(), *model.buffers()]}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(name.startswith(part + ".") for part in frozen))
    alive, seen = [], {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in owned:
            seen[storage._cdata] = storage.nbytes()
        alive.append(tensor)
        return tensor

    x = torch.empty(batch, 3, size, size, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = model(x)
    kept = sum(seen.values())
    # The masks of stochastic depth have one element per image and block.
    paths = [m for m in model.modules() if isinstance(m, torchvision.ops.StochasticDepth) and m.p > 0]
    depth = 4 * batch * len(paths)
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        sum(out.sum() for out in outputs(result)).backward()
    return {"kept": kept, "stochastic_depth": depth, "backward_flops": counter.get_total_flops()}


def main():
    found = {"_about": __doc__.strip().replace("\n", " ") + " torch " + torch.__version__
             + ", torchvision " + torchvision.__version__ + "."}
    for name, options in ZOO.items():
        size = 299 if name == "inception_v3" else 224
        found[name] = {"size": size, "batch": {}}
        for batch in (1, 2, 32):
            if batch == 1 and name in ("deeplabv3_resnet50",):
                continue  # a batch norm over one element cannot be trained
            try:
                found[name]["batch"][batch] = measure(build(name, options), batch, size)
            except Exception as error:
                print(name, batch, error, file=sys.stderr)
    for part in (["conv1", "bn1", "layer1"], ["fc"], ["layer4"]):
        found["resnet50 frozen " + ",".join(part)] = {
            "size": 224, "batch": {2: measure(build("resnet50", {}), 2, 224, part)}}
    for part in (["features.0", "features.3"], ["classifier.3"]):
        found["mobilenet_v3_small frozen " + ",".join(part)] = {
            "size": 224, "batch": {2: measure(build("mobilenet_v3_small", {}), 2, 224, part)}}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
