# SPDX-License-Identifier: MIT
"""Recipes of text on text of a few words: they learn it, say it, and complain of what does not fit."""

import json
import math

import numpy as np
import pytest

import lamella
from lamella import cli, models, recipes
from lamella.serialize import save_file

RHYME = "the cat sat on the mat.\nthe dog sat on the log.\n"
WORDS = {"ein": "a", "hund": "dog", "mann": "man", "katze": "cat", "schläft": "sleeps", "rennt": "runs", "rote": "red", "blaue": "blue"}


@pytest.fixture(scope="module")
def rhyme(tmp_path_factory):
    path = tmp_path_factory.mktemp("rhyme") / "rhyme.txt"
    path.write_text(RHYME * 60)
    return path


@pytest.fixture(scope="module")
def bitext(tmp_path_factory):
    """A language that differs by its words alone."""
    folder, random = tmp_path_factory.mktemp("bitext"), np.random.default_rng(0)
    for part, n in (("train", 240), ("val", 8), ("test_a", 12)):
        lines = [random.choice(list(WORDS), random.integers(4, 7)).tolist() for _ in range(n)]
        (folder / f"{part}.de").write_text("".join(f"{' '.join(line)}\n" for line in lines))
        (folder / f"{part}.en").write_text("".join(f"{' '.join(WORDS[w] for w in line)}\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def opinions(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("opinions"), np.random.default_rng(0)
    for part, n in (("train", 120), ("dev", 20)):
        labels = random.integers(0, 2, n)
        texts = [[*random.choice(["the", "film", "is", "so"], 5), ("bad", "dull"), ("good", "fine")] for _ in range(n)]
        rows = [f"{' '.join(t[:5])} {t[5 + y][random.integers(2)]}\t{y}\n" for t, y in zip(texts, labels, strict=True)]
        (folder / f"{part}.tsv").write_text("".join(rows))
    return folder


def run(name, data, out, **settings):
    """The figures, and a function that calls the command line on what was left."""
    figures = recipes.get(name)(data, out=out, seed=0, **settings)

    def say(*words):
        model, meta, module = recipes.load_model(out / "model.safetensors")
        if words[0] == "predict":
            return module.predict(model, meta, words[1])
        made = recipes.Run(module, {}, None, out)
        return module.generate(model, meta, made, words[1], **dict(words[2:]))

    return figures, say


@pytest.mark.parametrize(
    "name, settings",
    [
        ("gpt", {"steps": 60, "context": 16, "layers": 1, "heads": 2, "width": 32, "lr": 0.02}),
        ("llama", {"steps": 60, "context": 16, "layers": 1, "heads": 2, "width": 32, "lr": 0.02}),
        ("language_model", {"steps": 60, "context": 16, "layers": 1, "width": 48, "dropout": 0.0, "lr": 0.02}),
    ],
)
def test_language_models(name, settings, rhyme, tmp_path):
    figures, say = run(name, rhyme, tmp_path, **settings)
    assert figures["val_loss"] < 0.6 * math.log(len(set(RHYME)))
    made = say("generate", "the cat sat on", ("length", 40), ("temperature", 0))
    assert made.startswith("the cat sat on") and len(made) == 54 and " the " in made[14:]
    assert set(say("generate", "", ("length", 30), ("top_k", 3))) <= set(RHYME)
    assert (tmp_path / "sample.txt").read_text()[0] == "\n"
    with pytest.raises(ValueError, match=r"prompt must be in the model's vocabulary, got 'hat é': .*one of its 15, got 'é'"):
        say("generate", "hat é")


@pytest.mark.parametrize(
    "name, settings",
    [
        ("translate", {"width": 32, "layers": 1, "heads": 2, "dropout": 0.0, "lr": 0.01, "epochs": 10}),
        ("seq2seq", {"width": 32, "embedding": 16, "dropout": 0.0, "lr": 0.02, "epochs": 8}),
        ("seq2seq", {"width": 32, "embedding": 16, "dropout": 0.0, "lr": 0.02, "epochs": 8, "attention": "bahdanau"}),
    ],
)
def test_translation(name, settings, bitext, tmp_path):
    if name == "seq2seq":
        pytest.importorskip("matplotlib")
    figures, say = run(name, bitext, tmp_path, tokens=100, beams=2, average=0.8, **settings)
    assert figures["bleu"] > 50 and figures["val_loss"] < 1.5
    assert len(say("predict", "ein hund schläft").split()) >= 2 and say("predict", "") == ""
    assert len((tmp_path / "translations.txt").read_text().splitlines()) == 12
    asked = bitext / "val.de"
    assert len(say("predict", str(asked)).splitlines()) == len(asked.read_text().splitlines())
    assert (tmp_path / "alignment.png").exists() == (name == "seq2seq")


def test_sentiment_and_bert(opinions, tmp_path, capsys):
    for name, settings in (("sentiment", {"epochs": 4, "width": 16, "embedding": 16, "lr": 0.02, "dropout": 0.2}),
                           ("bert", {"pretrain": 2, "epochs": 4, "width": 32, "layers": 1, "heads": 2, "lr": 0.01, "dropout": 0.0})):  # fmt: skip
        figures, _ = run(name, opinions, tmp_path / name, batch=16, **settings)
        assert figures["accuracy"] >= 0.9, name
        assert cli.main(["predict", str(tmp_path / name), "the film is good", "the film is dull"]) == 0
        assert [line.split("\t")[1].split()[0] for line in capsys.readouterr().out.splitlines()] == ["positive", "negative"]
    first, *_, last = (tmp_path / "bert" / "pretrain-history.csv").read_text().splitlines()[1:]
    assert float(first.split(",")[2]) > float(last.split(",")[2])


def test_tagger_and_t5(rhyme, tmp_path):
    figures, say = run("tagger", rhyme, tmp_path / "tagger", epochs=4, tokens=100, width=24, embedding=16, lr=0.02)
    assert figures["accuracy"] > 0.95 and say("predict", "thedogsatonthelog.") == "the dog sat on the log."
    assert say("predict", "") == ""
    settings = {"width": 32, "layers": 1, "heads": 2, "lr": 0.02, "rate": 0.2}
    figures, say = run("t5", rhyme, tmp_path / "t5", epochs=6, tokens=300, **settings)
    assert figures["val_loss"] < 0.6 * math.log(len(set(RHYME)))
    filled = say("predict", "the cat sat on ___ mat.")
    assert filled.startswith("the cat sat on ") and filled.endswith(" mat.") and "_" not in filled
    assert say("predict", "nothing to fill") == "nothing to fill"


# ---- weights ---------------------------------------------------------------------------------------------------------
LLAMA = {"vocab_size": 9, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}


def test_weights_from_elsewhere(tmp_path, rhyme):
    """What is of another architecture is named, with shapes; what fits gives the model and how to make it again."""
    model = models.Llama(**LLAMA)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "model.safetensors")
    config = {"model_type": "llama", **LLAMA, "rms_norm_eps": 1e-5}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found, options = models.pretrained(tmp_path, models.Llama)
    ids = lamella.tensor([[1, 2, 3]])
    assert found(ids).tolist() == model(ids).tolist()
    again = models.Llama(**options)
    again.load_state_dict(found.state_dict())
    assert again(ids).tolist() == model(ids).tolist()
    with pytest.raises(ValueError, match=r"weights must be of GPT or Bert, got those of Llama: lm_head.weight \(9, 8\)"):
        models.pretrained(tmp_path, models.GPT, models.Bert)
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_size": 16}))
    with pytest.raises(ValueError, match=r"weights must fit config.json: .*embed_tokens.weight.*\(9, 8\).*\(9, 16\)"):
        models.pretrained(tmp_path, models.Llama)
    with pytest.raises(ValueError, match=r"path must be a tokenizer\.json"):
        pytest.importorskip("tokenizers")
        recipes.get("llama")(rhyme, out=tmp_path / "run", weights=str(tmp_path))


SIZES = {
    "gpt": ("gpt2", models.GPT, (16, 1, 2, 16), {"n_positions": 16, "n_layer": 1, "n_head": 2, "n_embd": 16}),
    "t5": ("t5", models.T5, (16, 8, 16, 1, None, 2), {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}),
    "bert": ("bert", models.BertForPreTraining, None, {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                                                       "intermediate_size": 16, "max_position_embeddings": 64}),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_models_of_huggingface_go_on(name, tmp_path, rhyme, opinions):
    """A folder as save_pretrained leaves it, with its tokenizer."""
    tokenizers = pytest.importorskip("tokenizers")
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] if name == "bert" else ["<pad>", "</s>", *(f"<extra_id_{i}>" for i in range(10))]
    words = {w: i for i, w in enumerate([*specials, *sorted(set(RHYME + "abcdefghijklmnopqrstuvwxyz"))])}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(words, []))
    made.decoder = tokenizers.decoders.Fuse()
    made.save(str(tmp_path / "tokenizer.json"))
    kind, make, positional, sizes = SIZES[name]
    model = make(len(words), *positional) if positional else make(vocab_size=len(words), **sizes)
    turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight") if name == "gpt" else ()
    state = {k: (v.T if k.endswith(turned) else v).contiguous() for k, v in model.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "vocab_size": len(words), **sizes}))
    settings = {"gpt": {"steps": 40, "context": 8}, "t5": {"epochs": 2, "tokens": 300}, "bert": {"epochs": 4, "batch": 16}}[name]
    figures, say = run(name, opinions if name == "bert" else rhyme, tmp_path / "run", weights=str(tmp_path), lr=0.02, **settings)
    if name == "bert":
        assert figures["accuracy"] > 0.6 and say("predict", "film").split()[0] in ("positive", "negative")
        assert not (tmp_path / "run" / "pretrain-history.csv").exists()
    else:
        assert figures["val_loss"] < 0.7 * math.log(len(words))
    if name == "gpt":
        assert set(say("generate", "the cat", ("length", 8), ("temperature", 0))) <= set(RHYME)


# ---- what does not fit -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["gpt", "tagger", "t5", "translate", "seq2seq", "sentiment", "bert"])
def test_missing_and_empty_data(name, tmp_path):
    found = recipes.get(name)
    with pytest.raises(ValueError, match=r"must (be a text file|be a folder|hold)"):
        found(None, out=tmp_path / "run")
    empty = tmp_path / "empty"
    empty.mkdir()
    if found.data.startswith("folder"):
        with pytest.raises(ValueError, match="train"):
            found(empty, out=tmp_path / "run")
        for file in ("train.de", "train.en", "train.tsv", "dev.tsv"):
            (empty / file).write_text("")
        with pytest.raises(ValueError, match="train"):
            found(empty, out=tmp_path / "run")
    else:
        with pytest.raises(ValueError, match="got the folder"):
            found(empty, out=tmp_path / "run")
        (empty / "text").write_text("\n \n")
        with pytest.raises(ValueError, match="must hold text, got an empty file"):
            found(empty / "text", out=tmp_path / "run")


def test_text_that_does_not_fit(bitext, tmp_path, capsys):
    (tmp_path / "short.txt").write_text("abc" * 20)
    with pytest.raises(ValueError, match=r"short.txt: must have 650 tokens for blocks of 64, got 60"):
        recipes.get("gpt")(tmp_path / "short.txt", out=tmp_path / "run")
    (tmp_path / "train.de").write_text("eins\nzwei\n")
    (tmp_path / "train.en").write_text("one\n")
    for name in ("translate", "seq2seq"):
        with pytest.raises(ValueError, match=r"files must have as many lines: 2 in .*train.de, but 1 in .*train.en"):
            recipes.get(name)(tmp_path, out=tmp_path / "run")
    with pytest.raises(ValueError, match=r"must hold train.de and train.fr, got .*train.en"):
        recipes.get("translate")(bitext, out=tmp_path / "run", target="fr")
    assert cli.main(["train", "translate", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert "as many lines" in capsys.readouterr().err
