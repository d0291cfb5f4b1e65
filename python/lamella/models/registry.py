# SPDX-License-Identifier: MIT
"""All models by name: `create` makes one, `example` an input for it, `uninitialised` saves the time of random values."""

from __future__ import annotations

import contextlib
import importlib

from .. import nn

__all__ = ["MODELS", "build", "create", "example", "names", "uninitialised"]

# name -> (module, class or function, sizes by which a bare create(name) is made, shapes of an example's inputs; integers
# are below the number that follows "<")
_IMAGE = ("1,3,224,224",)
_VISION = {
    "alexnet": "alexnet",
    "googlenet": "googlenet",
    **{f"vgg{n}{end}": "vgg" for n in (11, 13, 16, 19) for end in ("", "_bn")},
    **{f"resnet{n}": "resnet" for n in (18, 34, 50, 101, 152)},
    "vit_b_16": "vit",
    "vit_b_32": "vit",
    "vit_l_16": "vit",
}
MODELS = {
    "perceptron": ("..nn", "Perceptron", {"in_features": 784, "out_features": 10}, ("1,784",)),
    "logistic_regression": ("mlp", "LogisticRegression", {"in_features": 784, "classes": 10}, ("1,784",)),
    "mlp": ("mlp", "MLP", {"in_features": 784}, ("1,784",)),
    "small_lenet": ("lenet", "SmallLeNet", {}, ("1,1,8,8",)),
    "lenet5": ("lenet", "LeNet5", {}, ("1,1,28,28",)),
    "conv_net": ("lenet", "ConvNet", {}, ("1,3,32,32",)),
    **{name: (module, name, {}, _IMAGE) for name, module in _VISION.items()},
    "resnet9": ("resnet9", "resnet9", {}, ("1,3,32,32",)),
    "unet": ("unet", "UNet", {}, ("1,3,256,256",)),
    "ssd": ("ssd", "SSD", {}, ("1,3,256,256",)),
    "autoencoder": ("autoencoder", "Autoencoder", {"in_features": 784}, ("1,784",)),
    "conv_autoencoder": ("autoencoder", "ConvAutoencoder", {}, ("1,1,32,32",)),
    "vae": ("vae", "VAE", {"in_features": 784}, ("1,784",)),
    "conv_vae": ("vae", "ConvVAE", {}, ("1,3,64,64",)),
    "dcgan_generator": ("gan", "Generator", {}, ("1,100",)),
    "dcgan_discriminator": ("gan", "Discriminator", {}, ("1,3,64,64",)),
    "wgan_critic": ("gan", "Critic", {}, ("1,3,64,64",)),
    "ddpm_unet": ("ddpm", "DiffusionUNet", {}, ("1,3,32,32", "1<1000")),
    "clip": ("clip", "CLIP", {}, ("1,3,224,224", "1,77<49408")),
    "recurrent_classifier": ("language", "RecurrentClassifier", {"vocab_size": 20000}, ("1,128<20000",)),
    "recurrent_tagger": ("language", "RecurrentTagger", {"vocab_size": 20000, "tags": 17}, ("1,32<20000",)),
    "recurrent_language_model": ("language", "RecurrentLanguageModel", {"vocab_size": 10000}, ("1,64<10000",)),
    "lstm_language_model": ("language", "LSTMLanguageModel", {"vocab_size": 10000}, ("1,64<10000",)),
    "seq2seq": ("seq2seq", "Seq2Seq", {"source_size": 10000, "target_size": 10000}, ("1,24<10000", "1,24<10000")),
    "translation_transformer": (
        "translation",
        "TranslationTransformer",
        {"source_size": 37000, "target_size": 37000, "share": True},
        ("1,32<37000", "1,32<37000"),
    ),
    "t5": ("t5", "T5", {}, ("1,64<32128", "1,64<32128")),
    "bert": ("bert", "Bert", {}, ("1,128<30522",)),
    "bert_for_pre_training": ("bert", "BertForPreTraining", {}, ("1,128<30522",)),
    "bert_for_sequence_classification": ("bert", "BertForSequenceClassification", {}, ("1,128<30522",)),
    "bert_for_token_classification": ("bert", "BertForTokenClassification", {}, ("1,128<30522",)),
    "gpt": ("gpt", "GPT", {}, ("1,128<50257",)),
    "llama": ("llama", "Llama", {"num_hidden_layers": 4}, ("1,128<32000",)),
    "spectrogram_conv_net": ("speech", "SpectrogramConvNet", {}, ("1,40,64",)),
    "deep_speech": ("speech", "DeepSpeech", {}, ("1,200,80",)),
    "wav2vec": ("speech", "Wav2Vec", {}, ("1,16000",)),
}


def names():
    """The names of all models."""
    return list(MODELS)


def _entry(name):
    if name not in MODELS:
        raise ValueError(f"[models] name must be one of {', '.join(MODELS)}, got {name!r}")
    return MODELS[name]


def _find(module, attribute):
    module = f".{module}" if not module.startswith(".") else module
    return getattr(importlib.import_module(module, __package__), attribute)


def create(name, **options):
    """The model of that name, made with these options: with none, of its usual size. ValueError for an unknown name.

    >>> models.create("mlp", in_features=4, classes=3, hidden=(8,))(lamella.zeros(2, 4)).shape
    (2, 3)
    """
    module, attribute, sizes, _ = _entry(name)
    return _find(module, attribute)(**{**sizes, **options})


build = create  # the name that checkpoints know


def example(name):
    """Inputs, a tuple, with a batch of one, that a bare create(name) takes."""
    from .. import int64, ones, zeros

    made = []
    for text in _entry(name)[3]:
        shape, _, below = text.partition("<")
        shape = tuple(int(n) for n in shape.split(","))
        made.append(ones(shape, dtype=int64) if below else zeros(shape))
    return tuple(made)


@contextlib.contextmanager
def uninitialised():
    """Within, the functions of nn.init leave their tensors as they are: for models whose weights are loaded next, or never
    read. What is not loaded holds arbitrary values. Not for several threads at once."""
    kept = {name: getattr(nn.init, name) for name in nn.init.__all__ if name.endswith("_")}
    try:
        for name in kept:
            setattr(nn.init, name, lambda tensor, *args, **options: tensor)
        yield
    finally:
        for name, function in kept.items():
            setattr(nn.init, name, function)
