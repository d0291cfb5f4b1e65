# SPDX-License-Identifier: MIT
"""Weights from files: safetensors by the names that PyTorch and Hugging Face give, in one file or in shards."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..serialize import load_file
from . import bert, gpt
from .registry import uninitialised

__all__ = ["from_pretrained", "load_backbone", "load_pretrained", "pretrained", "read_state"]


def read_state(path):
    """{name: tensor} of a safetensors file, of an index.json that names shards, or of a folder that holds
    model.safetensors or model.safetensors.index.json. ValueError where there is neither, and for shards that lack a name
    or would lie outside the index's folder."""
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in ("model.safetensors", "model.safetensors.index.json") if (path / name).is_file()]
        if not found:
            raise ValueError(f"[read_state] path must hold model.safetensors or model.safetensors.index.json, got {path}")
        path = found[0]
    if path.suffix != ".json":
        return load_file(path)
    where = _json(path).get("weight_map")
    if not isinstance(where, dict) or any(not isinstance(f, str) or os.path.basename(f) != f for f in where.values()):
        raise ValueError(f"[read_state] {path}: weight_map must map names to files beside it")
    state = {}
    for file in sorted(set(where.values())):
        shard = load_file(path.parent / file)
        lacking = [name for name, f in where.items() if f == file and name not in shard]
        if lacking:
            raise ValueError(f"[read_state] {path.parent / file}: must hold what the index says, lacks {', '.join(lacking)}")
        state |= {name: shard[name] for name, f in where.items() if f == file}
    return state


def load_pretrained(model, path, strict=True):
    """Loads what `read_state` finds into the model, with load_state_dict's result. Of a parameter that is in the model
    twice, such as tied embeddings, one name is enough. RuntimeError, which lists every name and shape that does not fit,
    with nothing loaded."""
    return load_into(model, read_state(path), strict)


def load_into(model, state, strict=True):
    """`load_pretrained` of a state_dict."""
    own, held = model.state_dict(keep_vars=True), {}
    for name, value in own.items():
        if name in state:
            held.setdefault(id(value), state[name])
    tied = {name: held[id(value)] for name, value in own.items() if name not in state and id(value) in held}
    return model.load_state_dict({**state, **tied}, strict)


def load_backbone(model, path):
    """Loads all but the last layer, for training on other classes: what `read_state` finds, or a file that a recipe saved.

    The last layer is that of the model's last parameter; it is loaded too where its shapes agree. Names that only the file has,
    such as auxiliary heads, are left. Returns the names of the parameters that stay as they were. ValueError, which lists
    names and shapes, with nothing loaded, where others lack or differ in shape.
    """
    state = read_state(path)
    if all(name not in model.state_dict() for name in state) and any(name.startswith("state.") for name in state):
        state = {name.removeprefix("state."): value for name, value in state.items() if name.startswith("state.")}
    own = model.state_dict()
    last = [name for name, _ in model.named_parameters()][-1].rpartition(".")[0] + "."
    lacking = [name for name in own if name not in state or state[name].shape != own[name].shape]
    wrong = [name for name in lacking if not name.startswith(last)]
    if wrong:
        shown = [f"{n} {tuple(own[n].shape)}, in the file {tuple(state[n].shape) if n in state else 'missing'}" for n in wrong[:5]]
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ValueError(f"[load_backbone] {path}: must hold this model's layers, but {'; '.join(shown)}{more}")
    model.load_state_dict({name: state[name] if name not in lacking else value for name, value in own.items()})
    return lacking


# ---- Hugging Face ----------------------------------------------------------------------------------------------------
def _json(path):
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"[from_pretrained] {path}: must be JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f"[from_pretrained] {path}: must hold an object, got {type(data).__name__}")
    return data


def _expect(config, **wanted):
    """ValueError where the config asks for what this model does not do; missing values are the defaults."""
    for name, allowed in wanted.items():
        if name in config and config[name] not in allowed:
            shown = ", ".join(map(repr, allowed))
            raise ValueError(f"[from_pretrained] {name} in config.json must be one of {shown}, got {config[name]!r}")


def _take(config, *names, **renamed):
    """The named values that the config has, as arguments; renamed: argument=name."""
    pairs = [*((name, name) for name in names), *renamed.items()]
    return {argument: config[name] for argument, name in pairs if config.get(name) is not None}


def _gpt2(config, state):
    _expect(config, activation_function=("gelu_new", "gelu_pytorch_tanh"), layer_norm_epsilon=(1e-5,))
    _expect(config, scale_attn_weights=(True,), scale_attn_by_inverse_layer_idx=(False,), add_cross_attention=(False,))
    _expect(config, n_inner=(None, 4 * config.get("n_embd", 768)))
    options = _take(config, "vocab_size", "n_layer", "n_head", "n_embd", block_size="n_positions")
    return gpt.GPT, {**options, "tied": config.get("tie_word_embeddings", True)}, gpt.from_huggingface(state)


def _llama(config, state):
    from .llama import Llama

    _expect(config, hidden_act=("silu",), mlp_bias=(False,))
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise ValueError(f"[from_pretrained] rope_type in config.json must be 'default', got {kind!r}")
    sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "head_dim")
    rest = ("num_key_value_heads", "rms_norm_eps", "rope_theta", "attention_bias", "tie_word_embeddings")
    options = {"num_key_value_heads": None, "rms_norm_eps": 1e-6, **_take(rope, "rope_theta"), **_take(config, *sizes, *rest)}
    return Llama, options, {name: value for name, value in state.items() if not name.endswith("rotary_emb.inv_freq")}


def _bert(config, state):
    _expect(config, hidden_act=("gelu",), layer_norm_eps=(1e-12,), position_embedding_type=("absolute",))
    _expect(config, is_decoder=(False,))
    sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    rest = {"dropout": "hidden_dropout_prob"}
    options = _take(config, *sizes, "max_position_embeddings", "type_vocab_size", **rest)
    state = bert.from_huggingface(state)
    if "classifier.weight" in state:
        name = (config.get("architectures") or ["BertForSequenceClassification"])[0]
        kinds = {"BertForTokenClassification", "BertForSequenceClassification"}
        if name not in kinds:
            raise ValueError(f"[from_pretrained] architectures in config.json must be one of {sorted(kinds)}, got {name!r}")
        return getattr(bert, name), {"num_labels": state["classifier.weight"].shape[0], **options}, state
    if any(name.startswith("cls.") for name in state):
        return bert.BertForPreTraining, options, state
    return bert.Bert, {**options, "pooler": "pooler.dense.weight" in state}, state


def _t5(config, state):
    from .t5 import T5

    kind = config.get("feed_forward_proj", "relu")
    _expect({"feed_forward_proj": kind}, feed_forward_proj=("relu", "gated-gelu"))
    sizes = ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads")
    buckets = ("relative_attention_num_buckets", "relative_attention_max_distance")
    rest = ("dropout_rate", "layer_norm_epsilon", "tie_word_embeddings", "scale_decoder_outputs")
    options = _take(config, *sizes, *buckets, *rest, start="decoder_start_token_id")
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"  # in the first checkpoints
    state = {name: value for name, value in state.items() if name != unused}
    return T5, {**options, "is_gated_act": kind == "gated-gelu"}, state


_KINDS = {"gpt2": _gpt2, "llama": _llama, "bert": _bert, "t5": _t5}


def _parts(path):
    """(class, options, state) of a folder as save_pretrained writes it."""
    path = Path(path)
    if not (path / "config.json").is_file():
        raise ValueError(f"[from_pretrained] path must be a folder with config.json, got {path}")
    config = _json(path / "config.json")
    kind = config.get("model_type")
    if kind not in _KINDS:
        raise ValueError(f"[from_pretrained] model_type in config.json must be one of {', '.join(_KINDS)}, got {kind!r}")
    return _KINDS[kind](config, read_state(path))


def from_pretrained(path):
    """The model, in evaluation mode, of a folder as Hugging Face's save_pretrained writes it: config.json and safetensors
    (nothing is downloaded). model_type gpt2, llama, bert (bare, for pre-training, or with a classifier) or t5.

    ValueError for a config.json that asks for what these models do not do, such as another activation; RuntimeError, which
    lists names and shapes, for weights that do not fit.
    """
    kind, options, state = _parts(path)
    with uninitialised():
        model = kind(**options)
    load_into(model, state)
    return model.eval()


def pretrained(path, *kinds):
    """(model, options) of such a folder, where the model is of one of the classes `kinds`; kind(**options) makes one like it
    again, so a checkpoint can keep them. ValueError, which lists names and shapes, for weights of another architecture or
    that do not fit."""
    kind, options, state = _parts(path)
    if kind not in kinds:
        some = ", ".join(f"{name} {tuple(value.shape)}" for name, value in list(state.items())[:4])
        wanted = " or ".join(k.__name__ for k in kinds)
        raise ValueError(f"[pretrained] {path}: weights must be of {wanted}, got those of {kind.__name__}: {some}, ...")
    with uninitialised():
        model = kind(**options)
    try:
        load_into(model, state)
    except RuntimeError as error:
        raise ValueError(f"[pretrained] {path}: weights must fit config.json: {' '.join(str(error).split())}") from None
    return model, options
