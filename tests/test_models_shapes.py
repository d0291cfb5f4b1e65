# SPDX-License-Identifier: MIT
"""Models at their full sizes, with weights that were never written: the parameters, names and shapes of their originals."""

import pytest

from lamella import models, nn

# torchvision's and Hugging Face's counts, of the models as they are published
PARAMETERS = {
    "alexnet": 61100840,
    "vgg11": 132863336,
    "vgg13": 133047848,
    "vgg16": 138357544,
    "vgg19": 143667240,
    "vgg11_bn": 132868840,
    "vgg13_bn": 133053736,
    "vgg16_bn": 138365992,
    "vgg19_bn": 143678248,
    "vit_b_16": 86567656,
    "vit_b_32": 88224232,
    "vit_l_16": 304326632,
    "bert": 109482240,
    "gpt": 124439808,
    "t5": 60506624,
}
# a few of their names, which between them show every kind of layer, and shapes
KEYS = {
    "alexnet": {"features.10.weight": (256, 256, 3, 3), "classifier.6.bias": (1000,), "classifier.1.weight": (4096, 9216)},
    "vgg16": {"features.28.weight": (512, 512, 3, 3), "classifier.0.weight": (4096, 25088), "classifier.6.bias": (1000,)},
    "vgg19_bn": {"features.49.weight": (512, 512, 3, 3), "features.50.running_var": (512,)},
    "vit_b_16": {
        "class_token": (1, 1, 768),
        "conv_proj.weight": (768, 3, 16, 16),
        "encoder.pos_embedding": (1, 197, 768),
        "encoder.layers.encoder_layer_11.self_attention.in_proj_weight": (2304, 768),
        "encoder.layers.encoder_layer_0.ln_1.weight": (768,),
        "encoder.layers.encoder_layer_3.mlp.3.weight": (768, 3072),
        "heads.head.weight": (1000, 768),
    },
    "bert": {
        "embeddings.LayerNorm.weight": (768,),
        "encoder.layer.11.attention.self.query.weight": (768, 768),
        "encoder.layer.0.attention.output.LayerNorm.bias": (768,),
        "encoder.layer.0.intermediate.dense.weight": (3072, 768),
        "encoder.layer.0.output.dense.weight": (768, 3072),
        "pooler.dense.bias": (768,),
    },
    "t5": {
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, 8),
        "decoder.block.5.layer.1.EncDecAttention.k.weight": (512, 512),
        "decoder.block.5.layer.2.DenseReluDense.wo.weight": (512, 2048),
        "decoder.final_layer_norm.weight": (512,),
    },
}


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_full_size(name):
    with models.uninitialised():
        model = models.create(name)
    assert count(model) == PARAMETERS[name]
    state = model.state_dict()
    assert {key: tuple(state[key].shape) for key in KEYS.get(name, {})} == KEYS.get(name, {})


def test_googlenet_with_and_without_its_heads():
    with models.uninitialised():
        assert count(models.googlenet(aux_logits=False)) == 6624904
        whole = models.googlenet()
    keys = whole.state_dict()
    assert count(whole) == 13004888 and keys["inception4e.branch3.1.conv.weight"].shape == (128, 32, 3, 3)
    assert keys["aux2.conv.bn.running_mean"].shape == (128,) and keys["aux1.fc1.weight"].shape == (1024, 2048)


def test_llama_has_tiny_llamas_count():
    with models.uninitialised():
        one, two = (models.Llama(num_hidden_layers=n) for n in (1, 2))
    assert count(one) + 21 * (count(two) - count(one)) == 1100048384
    assert {"model.layers.1.self_attn.k_proj.weight", "model.layers.1.mlp.gate_proj.weight", "model.norm.weight"} <= set(
        two.state_dict()
    )


def test_inception_v3_blocks():
    from lamella import zeros

    a, c = models.InceptionA(192, 32), models.InceptionC(768, 128)
    assert a(zeros(1, 192, 5, 5)).shape == (1, 256, 5, 5) and c(zeros(1, 768, 7, 7)).shape == (1, 768, 7, 7)
    assert count(a) == 255904 and count(c) == 1297408


def test_every_name_is_made():
    with models.uninitialised():
        for name in set(models.names()) - set(PARAMETERS):
            assert isinstance(models.create(name), nn.Module) and models.example(name)
    with pytest.raises(ValueError, match=r"\[models\] name must be one of .*, got 'vgg12'"):
        models.create("vgg12")
