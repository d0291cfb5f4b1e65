# SPDX-License-Identifier: MIT
"""Generation: greedy, sampled and by beams, batches of different lengths, caches; reading labels from CTC."""

import itertools
import math

import numpy as np
import pytest

import lamella
from lamella import models
from lamella.nn import functional as F

V = 7


def made(name):
    lamella.manual_seed(3)
    encoded = {"source_size": V, "target_size": V}
    model = {
        "gpt": lambda: models.GPT(V, 16, 2, 2, 8),
        "llama": lambda: models.Llama(V, 16, 24, 2, 4, 2),
        "t5": lambda: models.T5(V, 16, 8, 24, 2, num_heads=2),
        "translation": lambda: models.TranslationTransformer(**encoded, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=2,
                                                             dim_feedforward=24),
        "bahdanau": lambda: models.Seq2Seq(**encoded, embedding_dim=8, hidden_size=8),
        "luong": lambda: models.Seq2Seq(**encoded, embedding_dim=8, hidden_size=8, attention="luong"),
    }[name]().eval()  # fmt: skip
    with lamella.no_grad():
        for p in model.parameters():  # far from uniform, so that nothing hangs on rounding
            p.copy_(p + 0.5 * lamella.randn(p.shape))
    return model


DECODERS, ENCODERS = ("gpt", "llama"), ("t5", "translation", "bahdanau", "luong")
PROMPT = lamella.tensor([[1, 2, 3, 4], [5, 6, 1, 2]])


def logits(model, prompt, idx):
    """Without any cache."""
    return model(prompt, idx) if hasattr(model, "encode") else model(idx)


@pytest.mark.parametrize("name", DECODERS + ENCODERS)
def test_greedy_is_the_likeliest_at_each_step(name):
    model = made(name)
    found = models.generate(model, PROMPT, 6, temperature=0)
    start = 4 if name in DECODERS else 1
    assert found.shape == (2, start + 6)
    for t in range(start, start + 6):
        assert (found[:, t] == logits(model, PROMPT, found[:, :t])[:, -1].argmax(-1)).all()


@pytest.mark.parametrize("name", DECODERS + ENCODERS)
def test_prompts_of_different_lengths_do_not_meet(name):
    model, prompts = made(name), [[1, 2, 3, 4, 5], [6], [2, 4]]
    together = models.generate(model, prompts, 5, temperature=0)
    for row, prompt in enumerate(prompts):
        alone = models.generate(model, [prompt], 5, temperature=0)
        assert together[row, -5:].tolist() == alone[0, -5:].tolist()


@pytest.mark.parametrize("name", ["llama", "t5", "luong"])
def test_enough_beams_find_the_best_of_all(name):
    model, steps, other = made(name), 3, 0
    every = lamella.tensor(list(itertools.product(range(V), repeat=steps)))
    for a, b in itertools.product(range(0, V, 2), repeat=2):
        prompt = lamella.tensor([[a, b]])
        begin = prompt if name in DECODERS else lamella.tensor([[model.start]])
        idx = lamella.cat([begin.expand(len(every), -1), every], 1)
        with lamella.no_grad():
            logp = F.log_softmax(logits(model, prompt.expand(len(every), -1), idx[:, :-1])[:, -steps:], -1)
        scores = logp.gather(2, every.unsqueeze(2)).sum((1, 2))
        found = models.generate(model, prompt, steps, num_beams=V**2)
        assert found[0].tolist() == idx[scores.argmax().item()].tolist()
        other += not (found == models.generate(model, prompt, steps, temperature=0)).all()
    assert other


def test_beams_end_at_eos():
    model, eos = made("gpt"), 2
    found = models.generate(model, PROMPT, 3, num_beams=V**3, eos=eos, pad=0, length_penalty=1.0)
    for row in range(2):
        best = (-math.inf, None)
        for n in (1, 2, 3):
            for tail in itertools.product([v for v in range(V) if v != eos], repeat=n):
                for end in {tail, (*tail[:-1], eos)} if n == 3 else {(*tail[:-1], eos)}:
                    idx = lamella.tensor([PROMPT[row].tolist() + list(end)])
                    logp = F.log_softmax(model(idx[:, :-1]), -1)[0, -n:]
                    score = sum(logp[i, v].item() for i, v in enumerate(end)) / n
                    best = max(best, (score, end))
        assert found[row, 4:].tolist()[: len(best[1])] == list(best[1])
        assert set(found[row, 4 + len(best[1]) :].tolist()) <= {0}


def test_early_stopping_is_what_it_says():
    """Against the search written out for one row."""
    model, eos, beams, steps = made("gpt"), 3, 2, 6
    differ = 0
    for row in itertools.product(range(0, V, 2), repeat=2):
        alive, best, ended = [(0.0, list(row))], (-math.inf, None), 0
        for step in range(1, steps + 1):
            logp = F.log_softmax(model(lamella.tensor([t for _, t in alive]))[:, -1], -1).tolist()
            all_of_them = sorted(((s + logp[i][v], [*t, v]) for i, (s, t) in enumerate(alive) for v in range(V)), reverse=True)
            best = max([best, *((s / step**2, t) for s, t in all_of_them if t[-1] == eos)])
            ended += sum(t[-1] == eos for _, t in all_of_them[:beams])
            alive = [(s, t) for s, t in all_of_them if t[-1] != eos][:beams]
            if ended >= beams:
                break
        if ended < beams:
            best = max(best, (alive[0][0] / steps**2, alive[0][1]))
        options = {"num_beams": beams, "length_penalty": 2.0, "eos": eos, "pad": V}
        found, late = (models.generate(model, lamella.tensor([row]), steps, **options, early_stopping=e)[0].tolist() for e in (True, False))
        assert [v for v in found if v != V] == best[1]
        differ += found != late
    assert differ


def test_sampling_follows_the_filtered_distribution():
    x = lamella.tensor([[0.5, 0.2, 0.15, 0.1, 0.05]]).log()
    kept = lambda **options: (models.filter_logits(x, **options) > -math.inf).flatten().tolist()  # noqa: E731
    assert kept(top_k=2) == [True, True, False, False, False] and all(kept(top_k=9)) and all(kept(top_p=1.0))
    assert kept(top_p=0.6) == [True, True, False, False, False] and kept(top_p=0.4) == [True] + [False] * 4
    assert kept(top_k=3, top_p=0.7) == [True, True, False, False, False]
    model = made("gpt")
    lamella.manual_seed(0)
    drawn = models.generate(model, PROMPT[:1].expand(4000, -1), 1, temperature=2.0)[:, -1]
    expected = F.softmax(model(PROMPT[:1])[0, -1] / 2, -1)
    share = F.one_hot(drawn, V).float().mean(0)
    assert (share - expected).abs().max().item() < 0.03
    assert (models.generate(model, PROMPT, 5, top_p=1e-6) == models.generate(model, PROMPT, 5, temperature=0)).all()


def test_a_sequence_that_ended_is_padded():
    model = made("gpt")
    free = models.generate(model, PROMPT, 8, temperature=0)
    eos = free[0, 5].item()
    ended = models.generate(model, PROMPT, 8, temperature=0, eos=eos, pad=0)
    stop = free[0, 4:].tolist().index(eos) + 4
    assert ended[0, : stop + 1].tolist() == free[0, : stop + 1].tolist() and not ended[0, stop + 1 :].any()


def test_recurrent_models_generate():
    model = models.RecurrentLanguageModel(V, 8, 8, 1, cell="GRU").eval()
    found = model.generate(PROMPT, 4, temperature=0)
    for t in range(4, 8):
        assert (found[:, t] == model(found[:, :t])[0][:, -1].argmax(-1)).all()
    with pytest.raises(ValueError, match="must have one length for a recurrent model"):
        model.generate([[1], [1, 2]], 2)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"temperature": -1.0}, "temperature must not be negative, got -1.0"),
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"num_beams": 0}, "num_beams must be at least 1, got 0"),
        ({"attention_mask": PROMPT[:1]}, r"attention_mask must have shape \(2, 4\), got \(1, 4\)"),
        ({"prompt": PROMPT[0]}, r"prompt must have shape \(N, T\), T at least 1, got \(4,\)"),
        ({"prompt": [[1], []]}, r"sequences must not be empty, got lengths \[1, 0\]"),
        ({"prompt": [[1]], "attention_mask": PROMPT}, "attention_mask must be None where prompt is a list, got one"),
    ],
)
def test_generate_refuses(options, text):
    with pytest.raises(ValueError, match=text):
        models.generate(**{"model": made("gpt"), "prompt": PROMPT, "max_new_tokens": 2, **options})


# ---- CTC -------------------------------------------------------------------------------------------------------------
def test_ctc_beams_give_the_probabilities_of_the_loss():
    t, c = 4, 3
    logp = F.log_softmax(lamella.from_numpy(np.random.default_rng(0).standard_normal((t, 2, c))), -1)
    for n, found in enumerate(models.ctc_beam_decode(logp, beams=1000)):
        assert found == sorted(found, key=lambda pair: -pair[1])
        assert math.isclose(sum(math.exp(score) for _, score in found), 1, rel_tol=1e-9)
        for labels, score in found[:4]:
            if labels:
                loss = F.ctc_loss(logp[:, n : n + 1], lamella.tensor([labels]), [t], [len(labels)], reduction="sum")
                assert math.isclose(-loss.item(), score, rel_tol=1e-9)


def test_ctc_decoding_reads_lengths_and_priors():
    path = F.one_hot(lamella.tensor([[1, 1, 0, 1, 2], [2, 2, 2, 0, 1]]), 3).permute(1, 0, 2).double()
    logp = F.log_softmax(4 * path, -1)
    assert models.ctc_greedy_decode(logp) == [[1, 1, 2], [2, 1]]
    assert models.ctc_greedy_decode(logp, [2, 0]) == [[1], []]
    assert [found[0][0] for found in models.ctc_beam_decode(logp, beams=4)] == [[1, 1, 2], [2, 1]]
    never = models.ctc_beam_decode(logp, beams=20, prior=lambda prefix, label: -100.0 if label == 2 else 0.0)
    assert all(2 not in labels for found in never for labels, score in found if score > -50)
    with pytest.raises(ValueError, match=r"\[ctc_greedy_decode\] lengths must be 2 numbers from 0 to 5, got \[6, 1\]"):
        models.ctc_greedy_decode(logp, [6, 1])
    with pytest.raises(ValueError, match=r"log_probs must have shape \(T, N, C\), got \(5, 3\)"):
        models.ctc_beam_decode(logp[:, 0])
    with pytest.raises(ValueError, match="beams must be at least 1, got 0"):
        models.ctc_beam_decode(logp, beams=0)


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_translator_is_nn_transformer(norm_first):
    sizes = {"d_model": 16, "nhead": 2, "num_encoder_layers": 2, "num_decoder_layers": 2, "dim_feedforward": 24}
    model = models.TranslationTransformer(V, V, **sizes, norm_first=norm_first).double().eval()
    mask = lamella.tensor([[True] * 4, [True, True, False, False]])
    source, target = (model._embed(table, PROMPT) for table in (model.source, model.target))
    y = model.transformer(
        source,
        target,
        tgt_mask=lamella.ones(4, 4, dtype=lamella.bool).triu(1),
        src_key_padding_mask=~mask,
        memory_key_padding_mask=~mask,
    )
    expected = model.head(y).detach().numpy()
    np.testing.assert_allclose(model(PROMPT, PROMPT, mask).detach().numpy(), expected, rtol=1e-10, atol=1e-12)
