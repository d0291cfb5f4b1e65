# SPDX-License-Identifier: MIT
"""Every family of models, at toy widths: some steps on one batch make the loss fall, every parameter has a gradient, and a
fresh model with the learned state_dict gives the same bits."""

import numpy as np
import pytest

import lamella
from lamella import models
from lamella.nn import functional as F

IDS, NEXT = lamella.arange(24).reshape(3, 8) * 5 % 11, lamella.arange(1, 25).reshape(3, 8) * 5 % 11
LABELS = lamella.tensor([0, 1, 2])
MASK = lamella.tensor([[1] * 8, [1] * 5 + [0] * 3, [1] * 8])


def image(n, c, size):
    return lamella.from_numpy(np.random.default_rng(0).random((n, c, size, size)).astype(np.float32))


def logits(y):
    return F.cross_entropy(y.flatten(0, -2), lamella.arange(y.flatten(0, -2).shape[0]) % y.shape[-1])


def classify(*shape):
    x = image(*shape)
    return lambda model: logits(model(x))


def sequence(model):
    y = model(IDS)
    return F.cross_entropy((y[0] if isinstance(y, tuple) else y).flatten(0, 1), NEXT.flatten())


def translate(model):
    return F.cross_entropy(model(IDS, NEXT, MASK).flatten(0, 1), IDS.flatten())


def googlenet(model):
    y = model(image(3, 3, 32))
    return logits(y.logits) + 0.3 * (logits(y.aux_logits1) + logits(y.aux_logits2))


def segment(model):
    x = image(2, 1, 16)
    target = (x[:, 0] > 0.5).to(lamella.int64)
    y = model(x)
    return F.cross_entropy(y, target) + models.dice_loss(y, target)


def detect(model):
    boxes = lamella.tensor([[0.1, 0.1, 0.5, 0.5], [0.5, 0.4, 0.9, 0.9]])
    targets = [{"boxes": boxes, "labels": lamella.tensor([0, 1])}, {"boxes": boxes[:0], "labels": lamella.tensor([0])[:0]}]
    return models.ssd_loss(*model(image(2, 3, 32)), model.anchors(32, 32), targets)


def pretrain(model):
    labels = lamella.where(IDS % 3 == 0, IDS, -100)
    return model.loss(lamella.where(IDS % 3 == 0, 1, IDS), labels, LABELS % 2, MASK, (IDS > 5).to(lamella.int64))


def recognise(model):
    x = image(2, 1, 40)[:, 0] if isinstance(model, models.DeepSpeech) else image(2, 1, 20).flatten(1)
    logp, lengths = model(x, lamella.tensor([x.shape[1], x.shape[1] - 4]))
    return F.ctc_loss(logp, lamella.tensor([[1, 2], [3, 1]]), lengths, lamella.tensor([2, 2]))


def variational(model):
    lamella.manual_seed(1)
    x = image(4, 1, 16) if isinstance(model, models.ConvVAE) else image(4, 1, 4).flatten(1)
    return models.vae_loss(*model(x), (x > 0.5).float())


def critic(model):
    lamella.manual_seed(1)
    return models.critic_loss(model, image(2, 3, 8), -image(2, 3, 8)) + 0 * model(image(2, 3, 8)).sum()


def diffuse(model):
    lamella.manual_seed(1)  # the same times and noise each step
    return models.Diffusion(50).loss(model, image(2, 3, 8), LABELS[:2])


BERT = {"vocab_size": 11, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
        "max_position_embeddings": 8, "dropout": 0.0}  # fmt: skip
LLAMA = {"vocab_size": 11, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2}  # fmt: skip
T5 = {"vocab_size": 11, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0}
TRANSLATION = {"source_size": 11, "target_size": 11, "d_model": 16, "nhead": 2, "num_encoder_layers": 1,
               "num_decoder_layers": 2, "dim_feedforward": 24, "dropout": 0.0, "max_len": 64}  # fmt: skip
SEQ2SEQ = {"source_size": 11, "target_size": 11, "embedding_dim": 8, "hidden_size": 12}
RECURRENT = {"vocab_size": 11, "embedding_dim": 8, "hidden_size": 8}
VIT = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 24, "num_classes": 3, "image_size": 16, "patch_size": 8}
CLIP = {"embed_dim": 8, "image_size": 16, "patch_size": 8, "vision_layers": 1, "vision_heads": 2, "vision_width": 16,
        "vocab_size": 11, "context": 8, "text_layers": 1, "text_heads": 2, "text_width": 16}  # fmt: skip

FAMILIES = {  # name: how it is made, its loss, learning rate
    "logistic_regression": (lambda: models.LogisticRegression(16, 3), lambda m: logits(m(image(3, 1, 4).flatten(1))), 0.1),
    "mlp": (lambda: models.MLP(16, 3, (16, 8)), lambda m: logits(m(image(3, 1, 4).flatten(1))), 0.02),
    "alexnet": (lambda: models.AlexNet(3, dropout=0.0, hidden=16), classify(2, 3, 63), 1e-3),
    "vgg": (lambda: models.VGG((1,) * 5, 3, widths=(4, 4, 8, 8, 8), hidden=16, dropout=0.0), classify(3, 3, 32), 0.01),
    "vgg_bn": (
        lambda: models.VGG((1,) * 5, 3, batch_norm=True, widths=(4, 4, 8, 8, 8), hidden=16, dropout=0.0),
        classify(3, 3, 64),
        0.01,
    ),
    "googlenet": (lambda: models.GoogLeNet(3, dropout=0.0, dropout_aux=0.0), googlenet, 1e-3),
    "vit": (lambda: models.VisionTransformer(**VIT), classify(3, 3, 16), 0.01),
    "unet": (lambda: models.UNet(1, 2, width=4, depth=2), segment, 0.01),
    "ssd": (lambda: models.SSD(classes=2, width=8, levels=2), detect, 0.01),
    "rnn_language_model": (lambda: models.RecurrentLanguageModel(**RECURRENT, cell="RNN"), sequence, 0.03),
    "gru_language_model": (lambda: models.RecurrentLanguageModel(**RECURRENT, cell="GRU"), sequence, 0.03),
    **{
        f"{cell}_classifier": (
            lambda cell=cell: models.RecurrentClassifier(**RECURRENT, classes=3, cell=cell, bidirectional=cell != "RNN"),
            lambda m: F.cross_entropy(m(IDS, lamella.tensor([8, 5, 6])), LABELS),
            0.03,
        )
        for cell in ("RNN", "LSTM", "GRU")
    },
    **{
        f"{pool}_classifier": (
            lambda pool=pool: models.RecurrentClassifier(**RECURRENT, classes=3, bidirectional=True, pool=pool),
            lambda m: F.cross_entropy(m(IDS, lamella.tensor([8, 5, 6])), LABELS),
            0.03,
        )
        for pool in ("mean", "max")
    },
    "tagger": (lambda: models.RecurrentTagger(**RECURRENT, tags=11), sequence, 0.05),
    "seq2seq_bahdanau": (lambda: models.Seq2Seq(**SEQ2SEQ, attention="bahdanau"), translate, 0.03),
    "seq2seq_luong": (lambda: models.Seq2Seq(**SEQ2SEQ, attention="luong"), translate, 0.03),
    "translation": (lambda: models.TranslationTransformer(**TRANSLATION), translate, 0.01),
    "translation_shared": (lambda: models.TranslationTransformer(**TRANSLATION, share=True, norm_first=True), translate, 0.01),
    "t5": (lambda: models.T5(**T5), translate, 0.01),
    "t5_gated": (lambda: models.T5(**T5, is_gated_act=True, tie_word_embeddings=False), translate, 0.01),
    "bert_pre_training": (lambda: models.BertForPreTraining(**BERT), pretrain, 0.02),
    "bert_labels": (
        lambda: models.BertForSequenceClassification(3, **BERT), lambda m: F.cross_entropy(m(IDS, MASK), LABELS), 0.02
    ),
    "bert_tags": (lambda: models.BertForTokenClassification(11, **BERT), sequence, 0.02),
    "llama": (lambda: models.Llama(**LLAMA), sequence, 0.02),
    "spectrogram_conv_net": (lambda: models.SpectrogramConvNet(3, 10, 12, 4, 0.0), lambda m: logits(m(image(2, 1, 12)[:, 0, :10])), 0.01),
    "deep_speech": (lambda: models.DeepSpeech(40, 4, 4, 8, 1, 0.0), recognise, 0.02),
    "wav2vec": (lambda: models.Wav2Vec(4, 8, 16, 1, 2, (4, 4), (4, 4), 0.0), recognise, 0.01),
    "clip": (lambda: models.CLIP(**CLIP), lambda m: models.contrastive_loss(m(image(3, 3, 16), IDS)), 0.01),
    "autoencoder": (lambda: models.Autoencoder(16, 4, (12,)), lambda m: m.loss(image(4, 1, 4).flatten(1)), 0.02),
    "conv_autoencoder": (lambda: models.ConvAutoencoder(width=4, code=4), lambda m: m.loss(image(4, 1, 8)), 0.02),
    "vae": (lambda: models.VAE(16, 4, 16), variational, 0.02),
    "conv_vae": (lambda: models.ConvVAE(1, 16, 4, 4), variational, 0.05),
    "discriminator": (
        lambda: models.Discriminator(3, 8, 4),
        lambda m: models.discriminator_loss(m(image(4, 3, 8)), m(-image(4, 3, 8))),
        0.01,
    ),
    "critic": (lambda: models.Critic(3, 8, 4), critic, 0.01),
    "ddpm": (lambda: models.DiffusionUNet(3, 8, (1, 2), groups=4, classes=2), diffuse, 0.01),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_learns(name):
    make, loss_of, lr = FAMILIES[name]
    lamella.manual_seed(0)
    model = make()
    optimizer, losses = lamella.optim.Adam(model.parameters(), lr=lr), []
    for _ in range(3 if name == "googlenet" else 12):
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    lacking = [path for path, p in model.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert not lacking and losses[-1] < 0.9 * losses[0], losses
    with models.uninitialised():
        other = make()
    assert "matched" in repr(other.load_state_dict(model.state_dict()))
    with lamella.no_grad():
        lamella.manual_seed(2)
        ours = loss_of(model)
        lamella.manual_seed(2)
        assert loss_of(other).item() == ours.item()


@pytest.mark.parametrize("pool", ["last", "mean", "max"])
def test_classifier_reads_no_padding(pool):
    """A row with its length gives what the row alone gives, whatever stands behind it."""
    lamella.manual_seed(0)
    model = models.RecurrentClassifier(11, 3, 4, 5, bidirectional=True, pool=pool).eval()
    idx, lengths = IDS.clone(), lamella.tensor([8, 5, 1])
    with lamella.no_grad():
        together = model(idx, lengths).numpy()
        idx[1, 5:], idx[2, 1:] = 9, 7
        np.testing.assert_array_equal(model(idx, lengths).numpy(), together)
        alone = [model(idx[i : i + 1, :n]).numpy()[0] for i, n in enumerate(lengths.tolist())]
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_generator_learns_to_deceive():
    lamella.manual_seed(0)
    generator, judge = models.Generator(6, 3, 8, 4), models.Discriminator(3, 8, 4)
    z = lamella.randn(4, 6)
    assert generator(z).shape == (4, 3, 8, 8) and generator(z).abs().max().item() <= 1
    optimizer, losses = lamella.optim.Adam(generator.parameters(), lr=0.02), []
    for _ in range(10):
        optimizer.zero_grad()
        losses.append(models.generator_loss(judge(generator(z))))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1].item() < losses[0].item()
    with pytest.raises(ValueError, match=r"\[Generator\] z must have shape \(N, 6\), got \(4, 5\)"):
        generator(lamella.zeros(4, 5))
    with pytest.raises(ValueError, match=r"\[Generator\] size must be 8, 16, 32, ..., got 12"):
        models.Generator(size=12)


REFUSED = {
    "pool": (lambda: models.RecurrentClassifier(4, pool="first"), "pool must be 'last', 'mean' or 'max', got 'first'"),
    "MLP": (lambda: models.MLP(4, hidden=(8, 0)), r"\[MLP\] hidden must be positive widths, got \(8, 0\)"),
    "ViT": (lambda: models.VisionTransformer(30, 16), r"patch_size must divide image_size 30, got 16"),
    "ViT size": (
        lambda: models.VisionTransformer(**VIT)(lamella.zeros(1, 3, 8, 16)),
        r"x must have shape \('N', 3, 16, 16\), got \(1, 3, 8, 16\)",
    ),
    "UNet": (
        lambda: models.UNet(1, 2, 4, 2)(lamella.zeros(1, 1, 16, 18)),
        r"height and width divisible by 4, got \(1, 1, 16, 18\)",
    ),
    "SSD": (lambda: models.SSD(2, 4, 2)(lamella.zeros(1, 3, 24, 16)), r"divisible by 16, got \(1, 3, 24, 16\)"),
    "DiffusionUNet": (
        lambda: models.DiffusionUNet(3, 8, (1, 2), 4)(lamella.zeros(1, 3, 7, 8), LABELS[:1]),
        r"divisible by 2, got \(1, 3, 7, 8\)",
    ),
    "Diffusion": (lambda: models.Diffusion(10, "quadratic"), "schedule must be 'linear' or 'cosine', got 'quadratic'"),
    "Diffusion steps": (lambda: models.Diffusion(0), r"\[Diffusion\] steps must be at least 1, got 0"),
    "cell": (lambda: models.RecurrentClassifier(4, cell="QRNN"), "cell must be one of RNN, LSTM, GRU, got 'QRNN'"),
    "Seq2Seq": (lambda: models.Seq2Seq(4, 4, attention="dot"), "attention must be 'bahdanau' or 'luong', got 'dot'"),
    "Bert": (lambda: models.Bert(hidden_size=10, num_attention_heads=3), "must divide hidden_size 10, got 3"),
    "Llama": (lambda: models.Llama(hidden_size=10, num_attention_heads=3), "must divide hidden_size 10, got 3"),
    "Llama groups": (
        lambda: models.Llama(hidden_size=12, num_attention_heads=4, num_key_value_heads=3),
        "num_key_value_heads must divide num_attention_heads 4, got 3",
    ),
    "translation": (lambda: models.TranslationTransformer(4, 5, share=True), "share needs equal sizes, got 4 and 5"),
    "CLIP": (
        lambda: models.CLIP(**CLIP).encode_text(lamella.zeros(1, 9, dtype=lamella.int64)),
        r"idx must have at most 8 tokens, got \(1, 9\)",
    ),
    "contrastive": (lambda: models.contrastive_loss(lamella.zeros(2, 3)), r"must have shape \(N, N\), got \(2, 3\)"),
    "ConvVAE": (lambda: models.ConvVAE(size=12), "size must be divisible by 8, got 12"),
    "autoencoder": (lambda: models.Autoencoder(4).loss(lamella.zeros(1, 4), dropped=1.0), "dropped in"),
    "Wav2Vec": (lambda: models.Wav2Vec()(lamella.zeros(1, 100)), r"long enough for one frame, got \(1, 100\)"),
    "mask_tokens": (lambda: models.mask_tokens(IDS, 1, 11, 1.5), r"probability must be in \[0, 1\], got 1.5"),
    "penalty": (
        lambda: models.gradient_penalty(None, lamella.zeros(1, 2), lamella.zeros(1, 3)),
        r"must have one shape, got \(1, 2\) and \(1, 3\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name):
    call, text = REFUSED[name]
    with pytest.raises(ValueError, match=text), models.uninitialised():
        call()
