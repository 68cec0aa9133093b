"""Small networks of torchvision and timm as exported programs, and what PyTorch's autograd keeps of them.

Each program is exported by `torch.export` in training mode for one image, on the meta device, so that it has no weights; what
it keeps is measured as in `measure.py`, at batch 1, 2 and 32. Where a batch norm cannot be trained on one image, the program
has two, and batch 1 is left out. `FlopCounterMode` counts the gradient of a weight in groups as if there were none; its formula is
corrected here. Run with torch, torchvision and timm: `python programs.py programs.zip > programs.json`.
"""

import io
import json
import math
import sys
import warnings
import zipfile
from functools import partial

import timm
import torch
from measure import measure
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.efficientnet import FusedMBConvConfig, MBConvConfig, EfficientNet
from torchvision.models.maxvit import MaxVit
from torchvision.models.swin_transformer import SwinTransformer, SwinTransformerBlockV2, PatchMergingV2
from torchvision.models.vision_transformer import VisionTransformer
from torchvision.models.regnet import BlockParams, RegNet

warnings.filterwarnings("ignore")

NETWORKS = {
    "torchvision vit": (64, partial(VisionTransformer, image_size=64, patch_size=16, num_layers=2, num_heads=2,
                                    hidden_dim=32, mlp_dim=64, dropout=0.1)),
    "torchvision swin": (64, partial(SwinTransformer, patch_size=[4, 4], embed_dim=16, depths=[2, 2], num_heads=[2, 4],
                                     window_size=[4, 4], stochastic_depth_prob=0.2)),
    "torchvision convnext": (64, partial(ConvNeXt, [CNBlockConfig(16, 32, 2), CNBlockConfig(32, None, 2)],
                                         stochastic_depth_prob=0.2)),
    "torchvision efficientnet": (64, partial(EfficientNet, [
        FusedMBConvConfig(1, 3, 1, 16, 16, 1), MBConvConfig(4, 3, 2, 16, 24, 2), MBConvConfig(6, 5, 2, 24, 32, 2),
    ], dropout=0.2)),
    "torchvision regnet": (64, partial(RegNet, BlockParams.from_init_params(
        depth=4, w_0=24, w_a=24.48, w_m=2.54, group_width=8, se_ratio=0.25))),
    "torchvision maxvit": (64, partial(MaxVit, input_size=(64, 64), stem_channels=16, partition_size=2,
                                       block_channels=[16, 32], block_layers=[1, 1], head_dim=8,
                                       stochastic_depth_prob=0.2)),
}
for name in """test_byobnet test_efficientnet test_efficientnet_gn test_efficientnet_ln test_mambaout test_nfnet
        test_resnet test_vit test_vit2 test_vit4 test_convnext test_convnext2 test_convnext3""".split():
    NETWORKS[f"timm {name}"] = (96, partial(timm.create_model, name, drop_rate=0.1))
SMALL = {
    "deit_tiny_patch16_224": dict(depth=2, embed_dim=48, num_heads=3),
    "cait_xxs24_224": dict(depth=2, embed_dim=48, num_heads=2),
    "mixer_s32_224": {},
    "gmlp_ti16_224": {},
    "resmlp_12_224": {},
    "swin_tiny_patch4_window7_224": dict(depths=(2, 2), embed_dim=24, num_heads=(2, 4)),
    "pit_ti_224": {},
    "poolformer_s12": {},
    "mobilenetv2_050": {},
    "ghostnet_050": {},
    "resnest14d": {},
    "skresnet18": {},
    "ecaresnet26t": {},
    "repvgg_a0": {},
    "dla34": {},
    "nf_resnet26": {},
    "dpn48b": {},
}
for name, options in SMALL.items():
    size = 224 if name.endswith("224") else 64
    NETWORKS[f"timm {name}"] = (size, partial(timm.create_model, name, **options))


def convolution_backward(grad, x, weight, _b, _s, _p, _d, transposed, _o, _groups, mask, **_):
    """FLOPs of both gradients: one product per output position (input position, if transposed) and weight."""
    positions = math.prod((x if transposed else grad)[2:]) * grad[0]
    return 2 * positions * math.prod(weight) * (int(mask[0]) + int(mask[1]))


FORMULAS = {torch.ops.aten.convolution_backward: convolution_backward}


def export(build, size, images):
    with torch.device("meta"):
        model = build().train()
    program = torch.export.export(model, (torch.empty(images, 3, size, size, device="meta"),), strict=False)
    program.example_inputs = None
    archive = io.BytesIO()
    torch.export.save(program, archive)
    return archive.getvalue()


def main():
    found = {"_about": __doc__.strip().replace("\n", " ") + f" torch {torch.__version__}, timm {timm.__version__}."}
    with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, (size, build) in NETWORKS.items():
            batches = {}
            for batch in (1, 2, 32):
                try:
                    with torch.device("meta"):
                        model = build().train()
                    batches[batch] = measure(model, batch, size, formulas=FORMULAS)
                except Exception as error:
                    print(name, batch, str(error)[:100], file=sys.stderr)
            try:
                program = export(build, size, 1 if 1 in batches else 2)
            except Exception as error:
                print(name, "export", str(error)[:200], file=sys.stderr)
                continue
            archive.writestr(zipfile.ZipInfo(name + ".pt2"), program, zipfile.ZIP_DEFLATED, 9)
            found[name] = {"size": size, "batch": batches}
            print(name, file=sys.stderr, flush=True)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
