# SPDX-License-Identifier: MIT
"""Models against torchvision's and Hugging Face's, where those are installed: what they wrote loads by its names, and
outputs are the same to float32's accuracy. Widths are small, weights random.

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
}  # fmt: skip
OURS = {"input_ids": "idx", "decoder_input_ids": "decoder_input"}
OUTPUTS = ("logits", "prediction_logits", "seq_relationship_logits", "last_hidden_state", "pooler_output")


def outputs(result):
    """The tensors that count, in order."""
    if hasattr(result, "keys"):
        return [result[name] for name in OUTPUTS if name in result]
    return list(result) if isinstance(result, tuple) else [result]


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
                a, b = theirs(torch.from_numpy(inputs[0])), ours(lamella.from_numpy(inputs[0]))
        pairs = [(x.numpy(), y.numpy()) for x, y in zip(outputs(a), outputs(b), strict=True)]
        if list(theirs.state_dict()) and not isinstance(inputs, dict):
            assert list(theirs.state_dict()) == [*ours.state_dict()] or set(theirs.state_dict()) == set(ours.state_dict())
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
