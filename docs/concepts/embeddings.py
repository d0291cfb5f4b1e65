# SPDX-License-Identifier: MIT
"""Embeddings

A table with one row per word; looking a row up is multiplying by a one-hot vector, so its gradient touches only the rows that
were used. Trained to predict neighbours, words used alike end up near each other. Here the "language" is even and odd
numbers that follow one another in their own class; nobody tells the model about the classes.
"""

import picture

import lamella
from lamella import nn

lamella.manual_seed(0)
words = 20
table, out = nn.Embedding(words, 2), nn.Linear(2, words)
optimizer = lamella.optim.Adam([*table.parameters(), *out.parameters()], lr=0.05)
for _step in range(300):
    word = lamella.randint(0, words, (128,))
    neighbour = (word + 2 * lamella.randint(0, words // 2, (128,))) % words  # any of the same parity
    loss = nn.functional.cross_entropy(out(table(word)), neighbour)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

vectors = nn.functional.normalize(table.weight.detach())
alike = vectors @ vectors.t()
even = alike[0::2, 0::2].mean().item()
across = alike[0::2, 1::2].mean().item()
assert even > 0.7 and across < 0

fig, ax = picture.axes(width=4.2, height=4)
for number, (x, y) in enumerate(table.weight.tolist()):
    ax.text(x, y, str(number), color=("#0072b2", "#d55e00")[number % 2], ha="center", va="center")
limit = 1.15 * table.weight.abs().max().item()
ax.set(xlim=(-limit, limit), ylim=(-limit, limit), title=f"cosine within even {even:.2f}, across {across:.2f}")

table.zero_grad()
table(lamella.tensor([3, 3, 7])).sum().backward()
assert table.weight.grad.sum(1).nonzero().flatten().tolist() == [3, 7]
picture.save(fig, __file__)
