# SPDX-License-Identifier: MIT
"""`lamella train gpt` in plain PyTorch, for its time and its loss: python -m bench.gpt_torch TEXT [--bfloat16] [--compile]."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

LAYERS, HEADS, WIDTH, CONTEXT, BATCH, STEPS, RATE = 4, 4, 128, 64, 12, 2000, 3e-3


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Any) -> Any:
        b, t, _ = x.shape
        q, k, v = (y.view(b, t, HEADS, -1).transpose(1, 2) for y in self.qkv(self.norm1(x)).split(WIDTH, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).contiguous().view(b, t, WIDTH))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm, self.head = nn.LayerNorm(WIDTH, bias=False), nn.Linear(WIDTH, vocabulary, bias=False)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * LAYERS) if name.endswith(("out.weight", "down.weight")) else 0.02)
        self.head.weight = self.token.weight

    def forward(self, ids: Any) -> Any:
        x = self.token(ids) + self.place.weight[: ids.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(0)
    text = args.text.read_text(encoding="utf-8")
    letters = {c: i for i, c in enumerate(sorted(set(text)))}
    ids = torch.tensor([letters[c] for c in text])
    train, held_out = ids[: len(ids) * 9 // 10], ids[len(ids) * 9 // 10 :]
    model = GPT(len(letters))
    if args.compile:
        model.compile()
    matrices, others = [p for p in model.parameters() if p.ndim > 1], [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], RATE, (0.9, 0.99), fused=True)
    warm = 100
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda i: (i + 1) / warm if i < warm else 0.1 + 0.45 * (1 + math.cos(math.pi * (i - warm) / (STEPS - warm))),
    )

    def loss_of(x: Any, y: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
            return F.cross_entropy(model(x).flatten(0, 1), y.flatten())

    def validate() -> float:
        blocks = held_out[: (len(held_out) - 1) // CONTEXT * CONTEXT + 1]
        x, y = blocks[:-1].view(-1, CONTEXT), blocks[1:].view(-1, CONTEXT)
        model.eval()
        with torch.no_grad():
            total = sum(float(loss_of(x[i : i + 64], y[i : i + 64])) * len(x[i : i + 64]) for i in range(0, len(x), 64))
        model.train()
        return total / len(x)

    began = time.perf_counter()
    for step in range(STEPS):
        at = torch.randint(len(train) - CONTEXT - 1, (BATCH,)).tolist()
        x, y = (torch.stack([train[i + s : i + s + CONTEXT] for i in at]) for s in (0, 1))
        loss = loss_of(x, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % (STEPS // 2) == 0:
            print(f"step {step + 1}  val loss {validate():.3f}  {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
