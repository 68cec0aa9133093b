"""Small networks of the library transformers, without weights: what is counted is what PyTorch has.

They are many, so that ``CNNKIT_NETWORKS=all`` runs them; the library is no requirement of the other tests.
"""

import os
import warnings

import pytest

import cnnkit

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

warnings.filterwarnings("ignore")

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
IMAGES = {**SMALL, "image_size": 64, "patch_size": 16}
WORDS = {**SMALL, "vocab_size": 100}
SHARED = {**WORDS, "num_key_value_heads": 2}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
#: By the names of the classes: settings, and whether it reads an image, words or a sound.
NETWORKS = {
    "BertModel": (WORDS, "words"),
    "DistilBertModel": ({"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "vocab_size": 100}, "words"),
    "GPT2LMHeadModel": ({"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 100}, "words"),
    "LlamaForCausalLM": (SHARED, "words"),
    "Qwen2ForCausalLM": (SHARED, "words"),
    "MixtralForCausalLM": ({**SHARED, "num_local_experts": 4}, "words"),
    "T5EncoderModel": ({"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "vocab_size": 100}, "words"),
    "ViTModel": (IMAGES, "image"),
    "Dinov2Model": (IMAGES, "image"),
    "CLIPVisionModel": (IMAGES, "image"),
    "ResNetModel": ({**STAGES, "embedding_size": 8}, "image"),
    "ConvNextModel": (STAGES, "image"),
    "SwinModel": ({"image_size": 64, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4}, "image"),
    "SegformerForSemanticSegmentation": (
        {**STAGES, "num_attention_heads": [1, 2, 3, 4], "decoder_hidden_size": 16},
        "image",
    ),
    "Wav2Vec2Model": (
        {**WORDS, "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4},
        "sound",
    ),
}
EXAMPLES = {
    "words": lambda: torch.zeros(1, 16, dtype=torch.long),
    "image": lambda: torch.zeros(1, 3, 64, 64),
    "sound": lambda: torch.zeros(1, 4000),
}


@pytest.mark.skipif(os.environ.get("CNNKIT_NETWORKS") != "all", reason="CNNKIT_NETWORKS=all runs it")
@pytest.mark.parametrize("name", NETWORKS)
def test_network_of_transformers_counts_as_pytorch(name):
    settings, kind = NETWORKS[name]
    network = getattr(transformers, name)
    module = network(network.config_class(**settings)).eval()
    example = EXAMPLES[kind]()
    options = {"use_cache": False} if "LM" in name else {}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(example, **options)
    result = cnnkit.summary(module, example, kwargs=options)
    assert result.params == sum(p.numel() for p in module.parameters())
    assert result.buffers == sum(b.numel() for b in module.buffers())
    assert result.macs == counter.get_total_flops() // 2
    # Experts are chosen by the data.
    assert result.partial == ("Mixtral" in name) and not result.remarks
