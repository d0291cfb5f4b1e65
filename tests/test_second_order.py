# SPDX-License-Identifier: MIT
"""Gradients of gradients through whole networks: Hessian-vector products against finite differences of the gradient, in
float64, and training on a gradient's norm (Wasserstein GAN with penalty)."""

import pytest

import lamella
from lamella import autograd, nn, optim
from lamella.autograd import functional
from lamella.nn import functional as F

DTYPE = lamella.float64


class Attending(nn.Module):
    """Self-attention with a causal mask, then attention to a memory."""

    def __init__(self):
        super().__init__()
        self.own = nn.MultiheadAttention(8, 2, batch_first=True)
        self.other = nn.MultiheadAttention(8, 4, kdim=5, vdim=6, batch_first=True)

    def forward(self, x):
        causal = lamella.ones(x.shape[1], x.shape[1], dtype=lamella.bool).triu(1)
        y = x + self.own(x, x, x, attn_mask=causal, need_weights=False)[0]
        memory = (y * y)[:, :3]
        return y + self.other(y, memory[..., :5], memory[..., 2:], need_weights=False)[0]


def mlp():
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 8), nn.GELU(), nn.Linear(8, 3)), (5, 6)


def conv_net():
    return (
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ELU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, stride=2, groups=2), nn.BatchNorm2d(6), nn.SiLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(6, 3),
        ),
        (4, 2, 12, 12),
    )  # fmt: skip


def attention():
    return nn.Sequential(Attending(), nn.LayerNorm(8), nn.Flatten(), nn.Linear(48, 3)), (2, 6, 8)


def encoder_layer():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(40, 3)), (2, 5, 8)


def recurrent():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells = nn.LSTM(4, 6, batch_first=True, bidirectional=True)

        def forward(self, x):
            return self.cells(x)[0][:, -1]

    return nn.Sequential(Last(), nn.Linear(12, 3)), (3, 5, 4)


def loss_of(make):
    """loss(*arguments), a scalar function of the input and all parameters, and the arguments."""
    lamella.manual_seed(3)
    net, shape = make()
    net.to(DTYPE)
    x, labels = lamella.randn(*shape, dtype=DTYPE), lamella.randint(0, 3, shape[:1])
    places = [(m, name, p) for m in net.modules() for name, p in m.named_parameters(recurse=False)]

    def loss(x, *values):
        for (m, name, _), value in zip(places, values, strict=True):
            m.__dict__[name] = value
        return F.cross_entropy(net(x), labels)

    return loss, (x, *(p.detach().clone() for _, _, p in places))


def gradients(loss, arguments):
    leaves = [a.detach().clone().requires_grad_() for a in arguments]
    return autograd.grad(loss(*leaves), leaves)


@pytest.mark.parametrize("make", [mlp, conv_net, attention, encoder_layer, recurrent])
def test_hessian_vector_product(make):
    loss, arguments = loss_of(make)
    v = tuple(lamella.randn_like(a) for a in arguments)
    step = 1e-5
    ahead = gradients(loss, [a + step * d for a, d in zip(arguments, v, strict=True)])
    behind = gradients(loss, [a - step * d for a, d in zip(arguments, v, strict=True)])
    wanted = [(p - q) / (2 * step) for p, q in zip(ahead, behind, strict=True)]
    scale = max(w.abs().max().item() for w in wanted)
    value, product = functional.hvp(loss, arguments, v)
    assert abs(value.item() - loss(*arguments).item()) < 1e-14 and scale > 1e-2
    for got, want in zip(product, wanted, strict=True):
        assert (got - want).abs().max().item() < 1e-7 * scale
    for got, want in zip(functional.vhp(loss, arguments, v)[1], product, strict=True):  # the Hessian is symmetric
        assert (got - want).abs().max().item() < 1e-12 * scale


def energy_distance(a, b):
    """2 E|a - b| - E|a - a'| - E|b - b'|, zero only for equal distributions (Szekely and Rizzo 2013)."""
    return (2 * lamella.cdist(a, b).mean() - lamella.cdist(a, a).mean() - lamella.cdist(b, b).mean()).item()


def test_wasserstein_gan_with_gradient_penalty_trains():
    lamella.manual_seed(0)
    critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    generator = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    centres = lamella.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
    steps = [optim.Adam(net.parameters(), lr=1e-3, betas=(0.0, 0.9)) for net in (critic, generator)]

    def data(n):
        return centres[lamella.randint(0, 3, (n,))] + 0.2 * lamella.randn(n, 2)

    def slopes(n):
        u = lamella.rand(n, 1)
        x = (u * data(n) + (1 - u) * generator(lamella.randn(n, 2)).detach()).requires_grad_()
        return autograd.grad(critic(x).sum(), x)[0].norm(dim=1)

    def figures():
        real, slope = data(400), slopes(400)
        with lamella.no_grad():
            fake = generator(lamella.randn(400, 2))
        return F.gradient_penalty(critic, real, fake).item(), slope.mean().item(), energy_distance(real, fake)

    before = figures()
    for _ in range(500):
        for _ in range(5):
            real, fake = data(64), generator(lamella.randn(64, 2)).detach()
            loss = critic(fake).mean() - critic(real).mean() + F.gradient_penalty(critic, real, fake)
            steps[0].zero_grad()
            loss.backward()
            steps[0].step()
        steps[1].zero_grad()
        (-critic(generator(lamella.randn(64, 2))).mean()).backward()
        steps[1].step()
    penalty, slope, distance = figures()
    assert before[0] > 0.5 and penalty < 0.2
    assert abs(before[1] - 1) > 0.5 and abs(slope - 1) < 0.2
    assert distance < before[2] / 10
