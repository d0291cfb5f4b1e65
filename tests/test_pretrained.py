# SPDX-License-Identifier: MIT
"""Weights from files by their names: one file, shards, what does not fit, folders of Hugging Face."""

import json

import numpy as np
import pytest

import lamella
from lamella import models
from lamella.serialize import save_file

BERT = {"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12,
        "max_position_embeddings": 8}  # fmt: skip
LLAMA = {"vocab_size": 11, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 4,
         "num_key_value_heads": 2}  # fmt: skip
T5 = {"vocab_size": 11, "d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 1, "num_heads": 2}
GPT2 = {"vocab_size": 11, "n_positions": 8, "n_layer": 1, "n_head": 2, "n_embd": 8}
IDS = lamella.tensor([[1, 2, 3], [4, 5, 6]])


def store(folder, state, config=None, shards=1):
    """As save_pretrained writes it."""
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    state = {name: value.contiguous() for name, value in state.items()}
    if shards == 1:
        return save_file(state, folder / "model.safetensors")
    where = {name: f"model-{i % shards}.safetensors" for i, name in enumerate(state)}
    for file in set(where.values()):
        save_file({name: state[name] for name in state if where[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def same(a, b, *inputs):
    for x, y in zip(a(*inputs), b(*inputs), strict=True):
        np.testing.assert_array_equal(x.detach().numpy(), y.detach().numpy())


KINDS = {
    "bert": (lambda: models.Bert(**BERT), BERT, (IDS,)),
    "bert_pre_training": (lambda: models.BertForPreTraining(**BERT), BERT, (IDS,)),
    "bert_tags": (
        lambda: models.BertForTokenClassification(4, **BERT),
        {**BERT, "architectures": ["BertForTokenClassification"]},
        (IDS,),
    ),
    "llama": (lambda: models.Llama(**LLAMA, rope_theta=500.0), {**LLAMA, "rms_norm_eps": 1e-5, "rope_theta": 500.0}, (IDS,)),
    "t5": (lambda: models.T5(**T5), T5, (IDS, IDS)),
    "t5_gated": (
        lambda: models.T5(**T5, is_gated_act=True, tie_word_embeddings=False),
        {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        (IDS, IDS),
    ),
    "gpt2": (lambda: models.GPT(11, 8, 1, 2, 8), GPT2, (IDS,)),
}


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("name", KINDS)
def test_from_pretrained(name, shards, tmp_path):
    make, config, inputs = KINDS[name]
    model = make().eval()
    state = model.state_dict()
    for tied in ("lm_head.weight", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"):
        if name != "t5_gated":
            state.pop(tied, None) if name != "llama" else None
    if name == "gpt2":
        turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
        state = {key: value.t() if key.endswith(turned) else value for key, value in state.items()}
    store(tmp_path, state, {"model_type": name.partition("_")[0], **config}, shards)
    found = models.from_pretrained(tmp_path)
    assert not found.training
    same(model, found, *inputs)


def test_old_names_of_bert(tmp_path):
    model = models.Bert(**BERT).eval()
    old = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
           for k, v in model.state_dict().items()}  # fmt: skip
    store(tmp_path, {**old, "embeddings.position_ids": lamella.arange(8)}, {"model_type": "bert", **BERT})
    same(model, models.from_pretrained(tmp_path), IDS)


def test_a_mismatch_names_all_and_loads_nothing(tmp_path):
    model, other = models.MLP(4, 2, (3,)), models.MLP(4, 5, (3,))
    state = other.state_dict()
    state["extra"] = state.pop("0.bias")
    store(tmp_path, state)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError) as error:
        models.load_pretrained(model, tmp_path / "model.safetensors")
    for text in ('Unexpected key(s) in state_dict: "extra"', 'Missing key(s) in state_dict: "0.bias"', "size mismatch for 3.weight",
                 "(5, 3)", "(2, 3)"):  # fmt: skip
        assert text in str(error.value)
    assert all((before[name] == value).all() for name, value in model.state_dict().items())
    with pytest.raises(RuntimeError, match=r"size mismatch for 3\.bias"):
        models.load_pretrained(model, tmp_path, strict=False)


def test_damaged_folders(tmp_path):
    with pytest.raises(ValueError, match=r"must hold model\.safetensors or model\.safetensors\.index\.json"):
        models.read_state(tmp_path)
    with pytest.raises(ValueError, match=r"must be a folder with config\.json"):
        models.from_pretrained(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "../model.safetensors"}}))
    with pytest.raises(ValueError, match="weight_map must map names to files beside it"):
        models.read_state(tmp_path)
    save_file({"v": lamella.zeros(1)}, tmp_path / "a.safetensors")
    index.write_text(json.dumps({"weight_map": {"w": "a.safetensors"}}))
    with pytest.raises(ValueError, match="must hold what the index says, lacks w"):
        models.read_state(tmp_path)
    index.write_text("{")
    with pytest.raises(ValueError, match="must be JSON"):
        models.read_state(tmp_path)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"model_type": "mamba"}, "model_type in config.json must be one of gpt2, llama, bert, t5, got 'mamba'"),
        ({"model_type": "bert", "hidden_act": "relu"}, "hidden_act in config.json must be one of 'gelu', got 'relu'"),
        ({"model_type": "llama", "rope_scaling": {"rope_type": "yarn"}}, "rope_type .* must be 'default', got 'yarn'"),
        ({"model_type": "t5", "feed_forward_proj": "gelu"}, "must be one of 'relu', 'gated-gelu', got 'gelu'"),
        ({"model_type": "gpt2", "n_embd": 8, "n_inner": 9}, "n_inner in config.json must be one of None, 32, got 9"),
    ],
)
def test_configs_that_are_not_ours(config, text, tmp_path):
    store(tmp_path, {"w": lamella.zeros(1)}, config)
    with pytest.raises(ValueError, match=text):
        models.from_pretrained(tmp_path)
