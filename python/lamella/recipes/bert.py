# SPDX-License-Identifier: MIT
"""BERT in small: first words behind masks and halves that belong together, then the labels of sentences."""

from functools import partial

from lamella import arange, models, optim
from lamella.data import LibraryTokenizer, NextSentence, WordTokenizer, bucket_loader, lines_of, tokenizer_from_dict
from lamella.metrics import Accuracy
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import WarmupCosineLR
from lamella.recipes import recipe
from lamella.recipes.sentiment import labelled, verdicts


@recipe(data="folder with train.tsv and dev.tsv: a sentence, a tab, a label a line")
def bert(run, data=None, *, pretrain: int = 8, epochs: int = 4, batch: int = 32, lr: float = 1e-3, width: int = 128, layers: int = 2,
         heads: int = 4, dropout: float = 0.2, weights: str | None = None, names: str = "negative,positive"):  # fmt: skip
    """BERT's two tasks on the sentences themselves, then fine-tuning on their labels: SST-2.

    weights: a folder of Hugging Face's BERT (config.json, safetensors, tokenizer.json) to fine-tune instead; lr=5e-5 suits that.
    """
    texts = [labelled(data, "train"), labelled(data, "dev")]
    if weights:
        tokenizer = LibraryTokenizer.from_file(weights)
        model, sizes = models.pretrained(weights, models.Bert, models.BertForPreTraining)
    else:
        tokenizer = WordTokenizer.build(texts[0].texts, 2, specials=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), unk="[UNK]")
        sizes = {"vocab_size": len(tokenizer), "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads,
                 "intermediate_size": 4 * width, "max_position_embeddings": 128, "dropout": dropout}  # fmt: skip
        model = models.BertForPreTraining(**sizes)
        if pretrain:
            halves = NextSentence.halves(map(tokenizer.encode, texts[0].texts), *map(tokenizer.special, ("[CLS]", "[SEP]")))
            pairs = bucket_loader(halves, batch, fields=(0, 1))
            fit(run, model, pairs, None, pretrain, lr, partial(guess, tokenizer=tokenizer), name="pretrain")
    body, sizes = getattr(model, "bert", model), {**sizes, "pooler": True, "num_labels": max(texts[0].labels) + 1}
    meta = {"tokenizer": tokenizer.to_dict(), "model": sizes, "names": names.split(",")}
    model = build(meta)
    model.bert.load_state_dict(body.state_dict(), strict=False)  # a bare Bert may have no pooler
    items = [[(encode(tokenizer, t), y) for t, y in zip(part.texts, part.labels, strict=True)] for part in texts]
    loaders = bucket_loader(items[0], batch), bucket_loader(items[1], batch, shuffle=False)
    history = fit(run, model, *loaders, epochs, lr if weights else lr / 2, judge, metrics=[Accuracy(num_classes=sizes["num_labels"])])
    run.save(model, meta)
    return {"accuracy": history.last["val_accuracy"]}


def fit(run, model, train, validation, epochs, lr, step, **options):
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=0.01)
    options["schedule"] = WarmupCosineLR(optimizer, epochs * len(train) // 10, epochs * len(train))
    return run.trainer(model, optimizer, step=step, clip_norm=1.0, **options).fit(train, validation, epochs=epochs)


def guess(model, batch, tokenizer):
    (idx, lengths), (segments, _), is_random_next = batch
    *kept, mask = map(tokenizer.special, ("[PAD]", "[CLS]", "[SEP]", "[MASK]"))
    hidden, wanted = models.mask_tokens(idx, mask, len(tokenizer), special=kept)
    return model.loss(hidden, wanted, is_random_next, arange(idx.shape[1])[None, :] < lengths[:, None], segments)


def judge(model, batch):
    (idx, n), labels = batch
    scores = model(idx, arange(idx.shape[1])[None, :] < n[:, None])
    return {"loss": F.cross_entropy(scores, labels), "output": scores, "target": labels}


def encode(tokenizer, line):
    return [tokenizer.special("[CLS]"), *tokenizer.encode(line.lower())[:126], tokenizer.special("[SEP]")]


def build(meta):
    return models.BertForSequenceClassification(**meta["model"])


def predict(model, meta, text):
    tokenizer = tokenizer_from_dict(meta["tokenizer"])
    return verdicts(models.classify_lines(model, lines_of(text), lambda line: encode(tokenizer, line)), meta["names"])


if __name__ == "__main__":
    bert.main()
