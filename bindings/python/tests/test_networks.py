"""Networks of torchvision and timm: parameters, buffers, MACs in all and by module, shapes, all as PyTorch has them.

``CNNKIT_NETWORKS=all`` compares one network of every family; by default a few, as each takes seconds. The modules are on the
meta device where they can be built there.
"""

import dataclasses
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
#: More families of timm, each with one small member.
FAMILIES = """beit3_base_patch16_224 beitv2_base_patch16_224 botnet26t_256 cait_xxs24_224 coat_tiny coat_lite_mini
coatnet_nano_rw_224 coatnet_0_224 coatnext_nano_rw_224 convformer_s18 convnext_atto convnext_atto_rms
convnext_atto_ols cpubone_b0_bfrobust cpubone_b1_dwnorm crossvit_9_dagger_240 cs3darknet_s cs3darknet_focus_s
cs3sedarknet_l cspnext_tiny cspresnext50 darknet53 darknetaa53 deepseek_vit_412m deit3_small_patch16_224
deit_tiny_distilled_patch16_224 densenetblur121d dla46x_c dm_nfnet_f0 dpn48b eca_botnext26ts_256 eca_halonext26ts
eca_nfnet_l0 eca_resnet33ts eca_vovnet39b ecaresnetlight ecaresnext26t_32x4d edgenext_small_rw
efficientnet_b0_g16_evos efficientnet_cc_b0_4e efficientnet_em efficientnetv2_rw_t efficientvim_m1 efficientvit_l1
ese_vovnet19b_dw eva02_tiny_patch14_224 eva_large_patch14_196 fastvit_mci0 fastvit_sa12 fbnetc_100 fbnetv3_b
flexivit_small gc_efficientnetv2_rw_t gcresnet33ts gcresnext26ts gemma4_vit_167m gernet_s ghostnetv2_100 gmixer_12_224
halo2botnet50ts_256 halonet26t haloregnetz_b hgnetv2_b0 hieradet_small hiera_small_abswin_256 iformer_t
lambda_resnet26rpt_256 lambda_resnet26t lamhalobotnet50ts_256 lcnet_050 lcnetv2_small legacy_senet154
legacy_seresnet18 legacy_xception levit_conv_128s lowformer_b0 maxxvit_rmlp_nano_rw_256 maxxvitv2_nano_rw_256""".split()
#: Networks with operators that sample or whose size depends on the data: their figures are said to be partial.
PARTIAL = ("raft_small",)
NAMES = [*TORCHVISION, *(f"timm:{name}" for name in (*TIMM, *FAMILIES))] if os.environ.get("CNNKIT_NETWORKS") == "all" else FEW
#: Modules that do nothing in evaluation mode: they have no layer.
IDLE = ("Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "DropPath", "StochasticDepth", "Sequential")
#: Modules that end with a view or are a part of an attention: their output is the input of the layer that reads it, not a layer.
VIEWS = ("WindowPartition", "WindowDepartition", "SwapAxes", "RadixSoftmax", "Softmax", "Unfold", "RelPosBias", "SelectSeq")


def build(name, device="meta"):
    with torch.device(device):
        if name.startswith("timm:"):
            model = timm.create_model(name[5:], pretrained=False)
            return model.eval(), [model.default_cfg.get("input_size", (3, 224, 224))]
        options = {"weights": None}
        if name in ("googlenet", "inception_v3"):
            options["init_weights"] = False
        if name.startswith(("fcn", "deeplab", "lraspp")):
            options["weights_backbone"] = None
        size = (3, 299, 299) if name == "inception_v3" else (3, 224, 224)
        if name in torchvision.models.list_models(torchvision.models.video):
            size = (3, 16, 224, 224)
        sizes = [(3, 128, 128)] * 2 if name.startswith("raft") else [size]
        return torchvision.models.get_model(name, **options).eval(), sizes


@dataclasses.dataclass
class Measured:
    """What PyTorch has of a module: its names, and the shapes of its outputs, call by call."""

    names: list[str]
    kind: str
    leaf: bool
    shapes: list[list[int]] = dataclasses.field(default_factory=list)


def measured(model, examples):
    """The modules by each of their names, and the multiply-accumulates in all and by name."""
    modules, found, hooks = {}, {}, []
    for path, module in model.named_modules(remove_duplicate=False):
        if id(module) not in modules:
            leaf = not any(True for _ in module.children())
            entry = modules[id(module)] = Measured([], type(module).__name__, leaf)

            def hook(_module, _inputs, output, entry=entry):
                if isinstance(output, torch.Tensor):
                    entry.shapes.append(list(output.shape))

            hooks.append(module.register_forward_hook(hook))
        modules[id(module)].names.append(path)
        found[path] = modules[id(module)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*examples)
    for hook in hooks:
        hook.remove()
    macs = {path.partition(".")[2]: sum(flops.values()) // 2 for path, flops in counter.get_flop_counts().items()}
    return found, counter.get_total_flops() // 2, macs


def is_shape(ours, theirs):
    """Whether a shape is PyTorch's: without the batch of one; windows, a batch of their own, are an axis beside the channels."""
    if ours is None:
        return False
    windows = [ours[1], ours[0], *ours[2:]] if len(ours) > 3 and theirs[0] != 1 else ours
    return theirs in (ours, [1, *ours], windows)


@pytest.mark.parametrize("name", NAMES)
def test_network_counts_as_pytorch(name):
    try:
        model, sizes = build(name)
    except NotImplementedError:
        # Some initialisations need numbers.
        model, sizes = build(name, "cpu")
        model = model.to("meta")
    # The counter follows gradients where a parameter is an argument of a module.
    model.requires_grad_(False)
    examples = [torch.empty(1, *size, device="meta") for size in sizes]
    modules, macs, by_module = measured(model, examples)

    result = cnnkit.summary(model, *examples, by="layer", depth="all")
    assert result.params == sum(p.numel() for p in model.parameters())
    assert result.buffers == sum(b.numel() for b in model.buffers())
    assert result.macs == macs
    assert not result.remarks
    assert result.partial == (name in PARTIAL)

    layers = [layer for layer in result.to_dict()["layers"] if layer["op"] != "input"]

    def inside(names):
        return [layer for layer in layers if any(f"{layer['id']}.".startswith(f"{name}.") for name in names)]

    for path, expected in by_module.items():
        if path:
            # A module that has several names has its operators under that by which it was called.
            assert sum(layer["macs"] for layer in inside(modules[path].names)) == expected, path
    by_id = {layer["id"]: layer["output_shape"] for layer in layers}
    for path, module in modules.items():
        if path in by_id and module.shapes:
            assert any(is_shape(by_id[path], shape) for shape in module.shapes), path
        if path and module.leaf and module.shapes and module.kind not in (*IDLE, *VIEWS):
            own = [layer["output_shape"] for layer in inside(module.names)]
            for theirs in module.shapes:
                assert any(is_shape(ours, theirs) for ours in own), path


@pytest.mark.skipif(os.environ.get("CNNKIT_NETWORKS") != "all", reason="CNNKIT_NETWORKS=all runs it")
@pytest.mark.parametrize("name", ["maskrcnn_resnet50_fpn", "ssdlite320_mobilenet_v3_large"])
def test_detector_is_refused_with_a_way_out(name):
    model = torchvision.models.get_model(name, weights=None, weights_backbone=None).eval()
    with pytest.raises(cnnkit.CnnkitError, match="its backbone"):
        cnnkit.summary(model, (3, 64, 64))
