"""Networks of torchvision and timm: parameters, buffers, MACs in all and by module, shapes, all as PyTorch has them.

``CNNKIT_NETWORKS=all`` compares all of them; by default a few, as each takes seconds.
"""

import os
import warnings

import pytest

import cnnkit

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")
timm = pytest.importorskip("timm", reason="timm is not installed")
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

warnings.filterwarnings("ignore")

FEW = ["resnet18", "googlenet", "shufflenet_v2_x1_0", "timm:seresnet50", "timm:deit_tiny_patch16_224"]
TORCHVISION = """alexnet vgg11_bn resnet18 resnet50 resnext50_32x4d wide_resnet50_2 densenet121 googlenet inception_v3
mobilenet_v2 mobilenet_v3_large mnasnet1_0 shufflenet_v2_x1_0 squeezenet1_0 efficientnet_b0 efficientnet_v2_s
regnet_y_400mf regnet_x_400mf convnext_tiny vit_b_16 swin_t swin_v2_t maxvit_t fcn_resnet50
deeplabv3_mobilenet_v3_large lraspp_mobilenet_v3_large""".split()
TIMM = """efficientnet_lite0 mobilenetv3_small_100 resnest14d seresnet50 ecaresnet50t skresnet18 res2net50_26w_4s dla34
hrnet_w18_small dpn68 xception41 inception_v4 cspresnet50 cspdarknet53 ghostnet_100 hardcorenas_a rexnet_100
tf_efficientnetv2_b0 vovnet39a repvgg_a0 resmlp_12_224 mixer_s32_224 gmlp_s16_224 deit_tiny_patch16_224 cait_xxs24_224
swin_tiny_patch4_window7_224 convnextv2_nano pit_ti_224 levit_128 twins_pcpvt_small crossvit_9_240 mobilevit_xxs
mobilevitv2_050 edgenext_xx_small efficientformer_l1 poolformer_s12 fastvit_t8 xcit_nano_12_p16_224
beit_base_patch16_224 tnt_s_patch16_224 visformer_tiny focalnet_tiny_srf pvt_v2_b0 nfnet_l0 resnetv2_50""".split()
NAMES = [*TORCHVISION, *(f"timm:{name}" for name in TIMM)] if os.environ.get("CNNKIT_NETWORKS") == "all" else FEW


def build(name):
    with torch.device("meta"):
        if name.startswith("timm:"):
            model = timm.create_model(name[5:], pretrained=False)
            return model.eval(), model.default_cfg.get("input_size", (3, 224, 224))
        options = {"weights": None}
        if name in ("googlenet", "inception_v3"):
            options["init_weights"] = False
        if name.startswith(("fcn", "deeplab", "lraspp")):
            options["weights_backbone"] = None
        size = (3, 299, 299) if name == "inception_v3" else (3, 224, 224)
        return torchvision.models.get_model(name, **options).eval(), size


@pytest.mark.parametrize("name", NAMES)
def test_network_counts_as_pytorch(name):
    model, size = build(name)
    shapes = {}

    def hooked(path):
        def hook(_module, _inputs, output):
            if isinstance(output, torch.Tensor):
                shapes[path] = list(output.shape)[1:]

        return hook

    hooks = [module.register_forward_hook(hooked(path)) for path, module in model.named_modules()]
    example = torch.empty(1, *size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(example)
    for hook in hooks:
        hook.remove()

    result = cnnkit.summary(model, example, by="layer", depth="all")
    assert result.params == sum(p.numel() for p in model.parameters())
    assert result.buffers == sum(b.numel() for b in model.buffers())
    assert result.macs == counter.get_total_flops() // 2

    layers = [layer for layer in result.layers if layer.op != "input"]
    for path, flops in counter.get_flop_counts().items():
        path = path.partition(".")[2]
        if path and sum(flops.values()):
            inside = [layer for layer in layers if layer.id == path or layer.id.startswith(path + ".")]
            assert sum(layer.macs for layer in inside) == sum(flops.values()) // 2, path
    # A layer that is a module on its own has the module's output.
    by_id = {layer.id: layer for layer in layers}
    compared = [path for path in shapes if path in by_id and by_id[path].op in ("conv", "linear", "batch_norm")]
    assert compared
    for path in compared:
        assert list(by_id[path].output_shape) == shapes[path], path
