# SPDX-License-Identifier: MIT
"""Models against torchvision's and Hugging Face's, where those are installed: what they wrote loads by its names, and
outputs are the same to float32's accuracy. Models without an original there run from the same source inside PyTorch.

    python tools/compare_models.py [PATTERN]
"""

from __future__ import annotations

import re
import sys
import tempfile
import warnings

import numpy as np

TOLERANCE = 2e-5  # of the largest magnitude in an output; float32


def vision(name, size, **options):
    """Makes theirs and ours, in evaluation mode with weights that batch norm has seen, and an image."""

    def make(torch, lamella, folder):
        import torchvision

        from lamella import models
        from lamella.serialize import save_file

        torch.manual_seed(0)
        theirs = getattr(torchvision.models, name)(weights=None, **options)
        for key, value in theirs.state_dict().items():  # nothing may hide in a zero or a one
            if value.is_floating_point():
                noise = torch.rand_like(value) - (0 if "running_var" in key else 0.5)
                value.add_(noise * (0.5 if "running" in key else 0.1 if value.ndim == 1 else 0.01))
        state = {k: v.numpy() for k, v in theirs.state_dict().items()}
        save_file({k: lamella.from_numpy(v.copy()) for k, v in state.items()}, f"{folder}/model.safetensors")
        ours_options = {k: v for k, v in options.items() if k not in ("init_weights",)}
        with models.uninitialised():
            ours = models.create(name, **ours_options)
        models.load_pretrained(ours, f"{folder}/model.safetensors")
        x = np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)
        return theirs.eval(), ours.eval(), (x,)

    return make


def language(kind, inputs, **options):
    """Theirs saved by save_pretrained, ours by from_pretrained."""

    def make(torch, lamella, folder):
        import transformers

        from lamella import models

        torch.manual_seed(0)
        config, model = (getattr(transformers, f"{kind[0]}Config"), getattr(transformers, f"{kind[0]}{kind[1]}"))
        theirs = model(config(**options)).eval()
        for p in theirs.parameters():
            p.data.add_(0.1 * torch.randn_like(p))
        theirs.save_pretrained(folder, max_shard_size="40KB")
        return theirs, models.from_pretrained(folder).eval(), inputs

    return make


def twin(stem, cls, *shapes, **options):
    """Ours, and its own source inside PyTorch with the same weights; shapes with an integer dtype are of words."""

    def make(torch, lamella, folder):
        import importlib
        import types

        from lamella import models

        if "torch.lamella_models" not in sys.modules:
            package = types.ModuleType("torch.lamella_models")
            package.__path__ = list(models.__path__)
            sys.modules["torch.lamella_models"] = package
            torch.nn.KeyValueCache = object  # only named, not used
        torch.manual_seed(0)
        theirs = getattr(importlib.import_module(f"torch.lamella_models.{stem}"), cls)(**options).eval()
        for p in theirs.parameters():
            p.data.add_(0.05 * torch.randn_like(p))
        ours = getattr(importlib.import_module(f"lamella.models.{stem}"), cls)(**options).eval()
        ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
        rng = np.random.default_rng(0)
        inputs = [rng.integers(0, 9, s[1:]) if s[0] == "ids" else rng.random(s).astype(np.float32) for s in shapes]
        return theirs, ours, inputs

    return make


def ids(*shape, top=60):
    return np.random.default_rng(1).integers(1, top, shape)


def mask(n, t):
    m = np.ones((n, t), np.int64)
    m[0, t - 3 :] = 0
    return m


BERT = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
        "max_position_embeddings": 16}  # fmt: skip
LLAMA = {"vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 32}  # fmt: skip
T5 = {"vocab_size": 60, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
GPT2 = {"vocab_size": 60, "n_positions": 16, "n_embd": 32, "n_layer": 2, "n_head": 4}

PAIRS = {
    **{name: vision(name, 64) for name in ("alexnet", "vgg11", "vgg13_bn", "vgg16", "vgg19_bn")},
    **{name: vision(name, 64) for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")},
    "googlenet": vision("googlenet", 64, init_weights=False, aux_logits=True),
    "vit_b_16": vision("vit_b_16", 224),
    "vit_b_32": vision("vit_b_32", 224),
    "gpt2": language(("GPT2", "LMHeadModel"), {"input_ids": ids(2, 9)}, **GPT2),
    "gpt2 bare": language(("GPT2", "Model"), {"input_ids": ids(2, 9)}, **GPT2),
    "llama": language(("Llama", "ForCausalLM"), {"input_ids": ids(2, 9)}, **LLAMA),
    "llama tied": language(("Llama", "ForCausalLM"), {"input_ids": ids(2, 9)}, **LLAMA, tie_word_embeddings=True),
    "bert": language(("Bert", "Model"), {"input_ids": ids(2, 9), "attention_mask": mask(2, 9)}, **BERT),
    "bert pre-training": language(
        ("Bert", "ForPreTraining"), {"input_ids": ids(2, 9), "token_type_ids": mask(2, 9)}, **BERT
    ),
    "bert labels": language(("Bert", "ForSequenceClassification"), {"input_ids": ids(2, 9)}, **BERT, num_labels=3),
    "bert tags": language(("Bert", "ForTokenClassification"), {"input_ids": ids(2, 9)}, **BERT, num_labels=5),
    "t5": language(
        ("T5", "ForConditionalGeneration"),
        {"input_ids": ids(2, 40), "decoder_input_ids": ids(2, 30), "attention_mask": mask(2, 40)},
        **T5,
    ),
    "t5 1.1": language(
        ("T5", "ForConditionalGeneration"),
        {"input_ids": ids(2, 9), "decoder_input_ids": ids(2, 7)},
        **T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
    ),
    "mlp": twin("mlp", "MLP", (3, 8), in_features=8),
    "unet": twin("unet", "UNet", (2, 1, 16, 24), channels=1, width=8, depth=2),
    "ssd": twin("ssd", "SSD", (2, 3, 32, 64), classes=3, width=8),
    "inception a": twin("googlenet", "InceptionA", (2, 8, 7, 9), in_channels=8, pool_features=5),
    "inception c": twin("googlenet", "InceptionC", (2, 8, 7, 9), in_channels=8, channels_7x7=6),
    "classifier": twin("language", "RecurrentClassifier", ("ids", 2, 7), vocab_size=9, bidirectional=True),
    "tagger": twin("language", "RecurrentTagger", ("ids", 2, 7), vocab_size=9, tags=4),
    "language model": twin("language", "RecurrentLanguageModel", ("ids", 2, 7), vocab_size=9, cell="GRU"),
    "bahdanau": twin("seq2seq", "Seq2Seq", ("ids", 2, 7), ("ids", 2, 5), source_size=9, target_size=9),
    "luong": twin("seq2seq", "Seq2Seq", ("ids", 2, 7), ("ids", 2, 5), source_size=9, target_size=9, attention="luong"),
    "deep speech": twin("speech", "DeepSpeech", (2, 50, 40), features=40, hidden_size=16, num_layers=2),
    "wav2vec": twin("speech", "Wav2Vec", (2, 2000), channels=16, d_model=16, num_layers=2, num_heads=2),
    "clip": twin("clip", "CLIP", (3, 3, 64, 64), ("ids", 2, 7), image_size=64, vision_layers=2, text_layers=2),
    "autoencoder": twin("autoencoder", "ConvAutoencoder", (2, 1, 16, 12)),
    "vae": twin("vae", "ConvVAE", (2, 1, 16, 16), channels=1, size=16),
    "generator": twin("gan", "Generator", (2, 100), size=16, width=8),
    "discriminator": twin("gan", "Discriminator", (2, 3, 16, 16), size=16, width=8),
    "critic": twin("gan", "Critic", (2, 3, 16, 16), size=16, width=8),
    "ddpm": twin("ddpm", "DiffusionUNet", (2, 3, 16, 16), ("ids", 2), width=16),
}  # fmt: skip
OURS = {"input_ids": "idx", "decoder_input_ids": "decoder_input"}
OUTPUTS = ("logits", "prediction_logits", "seq_relationship_logits", "last_hidden_state", "pooler_output")


def outputs(result):
    """The tensors that count, in order."""
    if hasattr(result, "keys"):
        return [result[name] for name in OUTPUTS if name in result]
    if isinstance(result, (tuple, list)):
        return [x for part in result if part is not None for x in outputs(part)]
    return [result]


def compare(name, make):
    """The largest difference of any output, relative to its largest magnitude."""
    import torch

    import lamella

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, ours, inputs = make(torch, lamella, folder)
        with torch.no_grad(), lamella.no_grad():
            if isinstance(inputs, dict):
                a = theirs(**{k: torch.from_numpy(v) for k, v in inputs.items()})
                model = getattr(ours, "transformer", ours) if name == "gpt2 bare" else ours
                b = model(**{OURS.get(k, k): lamella.from_numpy(v) for k, v in inputs.items()})
            else:
                a, b = (model(*map(lib.from_numpy, inputs)) for model, lib in ((theirs, torch), (ours, lamella)))
        pairs = [(x.numpy(), y.numpy()) for x, y in zip(outputs(a), outputs(b), strict=True)]
    return max(float(np.abs(x - y).max() / np.abs(x).max()) for x, y in pairs)


def main(pattern=""):
    failed = 0
    for name, make in PAIRS.items():
        if re.search(pattern, name):
            difference = compare(name, make)
            failed += difference > TOLERANCE
            print(f"{name:20} {difference:.1e}{'  TOO FAR' if difference > TOLERANCE else ''}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
