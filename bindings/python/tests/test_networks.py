"""Networks of torchvision and timm: parameters, buffers, MACs in all and by module, shapes, all as PyTorch has them.

``CNNKIT_NETWORKS=all`` compares one network of every family; by default a few, as each takes seconds. The modules are on the
meta device where they can be built there.
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

FEW = ["resnet18", "googlenet", "timm:seresnet50", "timm:deit_tiny_patch16_224"]
TORCHVISION = """alexnet vgg11_bn resnet18 resnet50 resnext50_32x4d wide_resnet50_2 densenet121 googlenet inception_v3
mobilenet_v2 mobilenet_v3_large mnasnet1_0 shufflenet_v2_x1_0 squeezenet1_0 efficientnet_b0 efficientnet_v2_s
regnet_y_400mf regnet_x_400mf convnext_tiny vit_b_16 swin_t swin_v2_t maxvit_t fcn_resnet50
deeplabv3_mobilenet_v3_large lraspp_mobilenet_v3_large r3d_18 mc3_18 r2plus1d_18 s3d mvit_v2_s swin3d_t""".split()
TIMM = """efficientnet_lite0 mobilenetv3_small_100 resnest14d seresnet50 ecaresnet50t skresnet18 res2net50_26w_4s dla34
hrnet_w18_small dpn68 xception41 inception_v4 inception_resnet_v2 cspresnet50 cspdarknet53 ghostnet_100 hardcorenas_a
rexnet_100 tf_efficientnetv2_b0 vovnet39a repvgg_a0 resmlp_12_224 mixer_s32_224 gmlp_s16_224 deit_tiny_patch16_224
swin_tiny_patch4_window7_224 convnextv2_nano pit_ti_224 levit_128 twins_pcpvt_small crossvit_9_240 mobilevit_xxs
mobilevitv2_050 edgenext_xx_small efficientformer_l1 efficientformerv2_s0 poolformer_s12 fastvit_t8 xcit_nano_12_p16_224
beit_base_patch16_224 tnt_s_patch16_224 visformer_tiny focalnet_tiny_srf pvt_v2_b0 nfnet_l0 resnetv2_50 bat_resnext26ts
coat_lite_tiny convit_tiny convmixer_768_32 csatv2 davit_tiny selecsls42 repvit_m1 repghostnet_050 regnetx_002
sequencer2d_s shvit_s1 starnet_s1 swiftformer_xs tiny_vit_5m_224 tresnet_m vitamin_small_224 volo_d1_224
gcvit_xxtiny hgnet_tiny hiera_tiny_224 inception_next_atto mambaout_femto maxvit_pico_rw_256 caformer_s18 mvitv2_tiny
nest_tiny nextvit_small rdnet_tiny fasternet_t0 efficientvit_b0 efficientvit_m0 samvit_base_patch16
vit_tiny_r_s16_p8_224 vit_relpos_small_patch16_224 swinv2_cr_tiny_224""".split()
NAMES = [*TORCHVISION, *(f"timm:{name}" for name in TIMM)] if os.environ.get("CNNKIT_NETWORKS") == "all" else FEW
#: Layers whose shapes are those of their modules.
COMPARED = ("conv", "linear", "batch_norm", "layer_norm", "group_norm", "max_pool", "avg_pool", "embedding")


def build(name, device="meta"):
    with torch.device(device):
        if name.startswith("timm:"):
            model = timm.create_model(name[5:], pretrained=False)
            return model.eval(), model.default_cfg.get("input_size", (3, 224, 224))
        options = {"weights": None}
        if name in ("googlenet", "inception_v3"):
            options["init_weights"] = False
        if name.startswith(("fcn", "deeplab", "lraspp")):
            options["weights_backbone"] = None
        size = (3, 299, 299) if name == "inception_v3" else (3, 224, 224)
        if "3d" in name or name.startswith(("mc3", "r2plus1d", "mvit")):
            size = (3, 16, 224, 224)
        return torchvision.models.get_model(name, **options).eval(), size


@pytest.mark.parametrize("name", NAMES)
def test_network_counts_as_pytorch(name):
    try:
        model, size = build(name)
    except NotImplementedError:
        # Some initialisations need numbers.
        model, size = build(name, "cpu")
        model = model.to("meta")
    shapes = {}

    def hooked(path):
        def hook(_module, _inputs, output):
            if isinstance(output, torch.Tensor):
                shapes.setdefault(path, []).append(list(output.shape))

        return hook

    names = {}
    for path, module in model.named_modules(remove_duplicate=False):
        names.setdefault(id(module), []).append(path)
    shared = {path for paths in names.values() if len(paths) > 1 for path in paths}
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
    assert not result.partial

    layers = [layer for layer in result.layers if layer.op != "input"]

    def macs_in(path):
        return sum(layer.macs for layer in layers if layer.id == path or layer.id.startswith(path + "."))

    for path, flops in counter.get_flop_counts().items():
        path = path.partition(".")[2]
        # A module with several names has its operators under one of them.
        if path and sum(flops.values()) and not any(path == other or path.startswith(other + ".") or other.startswith(path + ".") for other in shared):
            assert macs_in(path) == sum(flops.values()) // 2, path
    # A layer that is a module on its own has the module's output. What depends on no input has no batch.
    by_id = {layer.id: layer for layer in layers}
    compared = [path for path in shapes if path in by_id and by_id[path].op in COMPARED]
    assert compared
    for path in compared:
        shape = list(by_id[path].output_shape)
        assert any(shape in (output, output[1:]) for output in shapes[path]), path


@pytest.mark.skipif(os.environ.get("CNNKIT_NETWORKS") != "all", reason="CNNKIT_NETWORKS=all runs it")
@pytest.mark.parametrize("name", ["maskrcnn_resnet50_fpn", "ssdlite320_mobilenet_v3_large"])
def test_detector_is_refused_with_a_way_out(name):
    model = torchvision.models.get_model(name, weights=None, weights_backbone=None).eval()
    with pytest.raises(cnnkit.CnnkitError, match="its backbone"):
        cnnkit.summary(model, (3, 64, 64))
