# SPDX-License-Identifier: MIT
"""The Transformer (Vaswani et al. 2017): layers, stacks, and the whole of encoder and decoder.

Sequences are (T, N, E), or (N, T, E) with batch_first. Masks are PyTorch's: bool, True where a position takes NO part, or
floating, added to the scores; key padding masks are (N, T).
"""

from __future__ import annotations

import copy

from .. import _core
from ..ops import creation
from ..ops.gemm import linear_activation
from . import functional as F
from . import init
from .attention import MultiheadAttention
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .norm import LayerNorm

__all__ = ["Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer"]

_ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}
_FUSED = {F.relu: "relu", F.gelu: "gelu"}


def _activation(op, activation):
    if isinstance(activation, str) and activation not in _ACTIVATIONS:
        raise ValueError(f"[{op}] activation must be 'relu', 'gelu' or a function, got {activation!r}")
    return _ACTIVATIONS[activation] if isinstance(activation, str) else activation


class TransformerEncoderLayer(Module):
    """x = norm1(x + dropout1(self_attn(x))), then norm2(x + dropout2(linear2(dropout(activation(linear1(x)))))); norm_first:
    x + dropout1(self_attn(norm1(x))), and so on (Xiong et al. 2020)."""

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        made = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias=bias, batch_first=batch_first, **made)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **made)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **made)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **made)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = _activation(type(self).__name__, activation)

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        """src (T, N, E) -> the same shape; src_mask (T, T) or (N nhead, T, T). is_causal: src_mask is the causal one."""
        given = (src_mask, src_key_padding_mask, is_causal)
        if self.norm_first:
            x = src + self.dropout1(_attend(self.self_attn, self.norm1(src), *given))
            return x + self.dropout2(self._feed_forward(self.norm2(x)))
        x = self.norm1(src + self.dropout1(_attend(self.self_attn, src, *given)))
        return self.norm2(x + self.dropout2(self._feed_forward(x)))

    def _feed_forward(self, x):
        first, activation = self.linear1, self.activation
        if activation in _FUSED and type(first) is Linear and first._hooks is None:
            x = linear_activation(x, first.weight, first.bias, _FUSED[activation])
        else:
            x = activation(first(x))
        return self.linear2(self.dropout(x))


def _attend(attention, x, mask, padding, is_causal, memory=None):
    memory = x if memory is None else memory
    return attention(x, memory, memory, padding, need_weights=False, attn_mask=mask, is_causal=is_causal)[0]


class TransformerDecoderLayer(Module):
    """As `TransformerEncoderLayer`, with a second attention, multihead_attn, of the sequence to `memory` in the middle."""

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        made = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias=bias, batch_first=batch_first, **made)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias=bias, batch_first=batch_first, **made)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **made)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **made)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **made)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias, **made)
        self.dropout1, self.dropout2, self.dropout3 = Dropout(dropout), Dropout(dropout), Dropout(dropout)
        self.activation = _activation(type(self).__name__, activation)

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=False,
        memory_is_causal=False,
    ):
        """tgt (T, N, E), memory (S, N, E) -> (T, N, E); tgt_mask (T, T), memory_mask (T, S)."""
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory_mask, memory_key_padding_mask, memory_is_causal, memory)
        if self.norm_first:
            x = tgt + self.dropout1(_attend(self.self_attn, self.norm1(tgt), *own))
            x = x + self.dropout2(_attend(self.multihead_attn, self.norm2(x), *other))
            return x + self.dropout3(self._feed_forward(self.norm3(x)))
        x = self.norm1(tgt + self.dropout1(_attend(self.self_attn, tgt, *own)))
        x = self.norm2(x + self.dropout2(_attend(self.multihead_attn, x, *other)))
        return self.norm3(x + self.dropout3(self._feed_forward(x)))

    _feed_forward = TransformerEncoderLayer._feed_forward


def _is_causal(mask, given):
    """What the caller says, or, where that is None, whether mask is the causal one: it is not read then, and half of the
    scores are not computed."""
    if given is not None or mask is None:
        return bool(given)
    if mask.ndim != 2 or mask.shape[0] != mask.shape[1]:
        return False
    hidden = mask if mask.dtype is _core.bool else mask == float("-inf")
    future = creation.ones(mask.shape, dtype=_core.bool, device=mask).triu(1)
    if not bool((hidden == future).all()):
        return False
    return mask.dtype is _core.bool or bool((mask.masked_fill(future, 0.0) == 0).all())


class TransformerEncoder(Module):
    """num_layers copies of encoder_layer, one after another, and then `norm`, if given.

    enable_nested_tensor and mask_check are PyTorch's and change nothing here: padding is skipped as it is.
    """

    def __init__(self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True):
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
        """src (T, N, E) -> the same shape. is_causal None: found out from mask."""
        causal = _is_causal(mask, is_causal)
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """num_layers copies of decoder_layer, one after another, and then `norm`, if given."""

    def __init__(self, decoder_layer, num_layers, norm=None):
        self.layers = ModuleList([copy.deepcopy(decoder_layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=None,
        memory_is_causal=False,
    ):
        """tgt (T, N, E), memory (S, N, E) -> (T, N, E). tgt_is_causal None: found out from tgt_mask."""
        causal = _is_causal(tgt_mask, tgt_is_causal)
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder, each with a last norm; matrices start as Glorot's (Vaswani et al. 2017).

    >>> model = nn.Transformer(d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=32)
    >>> model(lamella.randn(7, 2, 16), lamella.randn(5, 2, 16)).shape
    (5, 2, 16)
    """

    def __init__(
        self,
        d_model=512,
        nhead=8,
        num_encoder_layers=6,
        num_decoder_layers=6,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        custom_encoder=None,
        custom_decoder=None,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        made = {"device": device, "dtype": dtype}
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)

        def stack(layer, stack, n):
            return stack(layer(*options, **made), n, LayerNorm(d_model, layer_norm_eps, bias=bias, **made))

        self.encoder = custom_encoder or stack(TransformerEncoderLayer, TransformerEncoder, num_encoder_layers)
        self.decoder = custom_decoder or stack(TransformerDecoderLayer, TransformerDecoder, num_decoder_layers)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src,
        tgt,
        src_mask=None,
        tgt_mask=None,
        memory_mask=None,
        src_key_padding_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        src_is_causal=None,
        tgt_is_causal=None,
        memory_is_causal=False,
    ):
        """src (S, N, E), tgt (T, N, E) -> (T, N, E). ValueError where batches or features differ."""
        n = 0 if self.batch_first else 1
        if src.ndim == 3 and tgt.ndim == 3 and src.shape[n] != tgt.shape[n]:
            raise ValueError(f"[Transformer] src and tgt must have the same batch, got {tuple(src.shape)} and {tuple(tgt.shape)}")
        for name, x in (("src", src), ("tgt", tgt)):
            if x.shape[-1] != self.d_model:
                raise ValueError(f"[Transformer] {name} must have {self.d_model} features, got {tuple(x.shape)}")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz, device=None, dtype=None):
        """(sz, sz): -infinity above the diagonal, else zero."""
        return creation.full((sz, sz), float("-inf"), device=device, dtype=dtype).triu(1)
