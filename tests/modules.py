# SPDX-License-Identifier: MIT
"""Every layer on a line: what makes it, the text in its repr's brackets, the names and sizes in its state_dict after a first
call, and inputs. The texts and names are PyTorch's, as tools/compare_torch.py checks where it is installed; None: too long to
stand here, checked there alone."""

from __future__ import annotations

import numpy as np

from case import A, I


class Row:
    def __init__(self, code, text, state, *inputs):
        self.code, self.text, self.state, self._inputs = code, text, state, inputs
        self.ours_alone = False

    def inputs(self):
        rng = np.random.default_rng(0)
        drawn = [x.make(rng) for x in self._inputs]
        return [x.astype(np.float32) if x.dtype.kind == "f" else x for x in drawn]


ROWS = [
    Row("Linear(3, 5)", "in_features=3, out_features=5, bias=True", "weight:5x3 bias:5", A((2, 4, 3))),
    Row("Linear(3, 5, bias=False)", "in_features=3, out_features=5, bias=False", "weight:5x3", A((3,))),
    Row(
        "Bilinear(3, 4, 5)",
        "in1_features=3, in2_features=4, out_features=5, bias=True",
        "weight:5x3x4 bias:5",
        A((2, 3)), A((2, 4)),
    ),
    Row("CosineSimilarity(dim=-1)", "", "", A((2, 5)), A((2, 5))),
    Row("PairwiseDistance(p=1, keepdim=True)", "", "", A((2, 5)), A((2, 5))),
    Row("Identity()", "", "", A((2, 3))),
    Row("Flatten()", "start_dim=1, end_dim=-1", "", A((2, 3, 4))),
    Row("Unflatten(1, (2, 3))", "dim=1, unflattened_size=(2, 3)", "", A((2, 6))),
    Row("Embedding(7, 3, padding_idx=0)", "7, 3, padding_idx=0", "weight:7x3", I((2, 4), 0, 7)),
    Row(
        "Embedding(7, 3, max_norm=1.0, scale_grad_by_freq=True)",
        "7, 3, max_norm=1.0, scale_grad_by_freq=True",
        "weight:7x3",
        I((2, 4), 0, 7),
    ),
    Row("EmbeddingBag(7, 3)", "7, 3, mode='mean'", "weight:7x3", I((2, 4), 0, 7)),
    Row(
        'EmbeddingBag(7, 3, mode="sum", padding_idx=1)',
        "7, 3, mode='sum', padding_idx=1",
        "weight:7x3",
        I((2, 4), 0, 7),
    ),
    Row('EmbeddingBag(7, 3, mode="max")', "7, 3, mode='max'", "weight:7x3", I((2, 4), 0, 7)),
    Row(
        'Conv1d(2, 4, 3, padding="same", padding_mode="circular")',
        "2, 4, kernel_size=(3,), stride=(1,), padding=same, padding_mode=circular",
        "weight:4x2x3 bias:4",
        A((2, 2, 9)),
    ),
    Row(
        "Conv2d(4, 6, 3, 2, 1, 2, 2)",
        "4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(2, 2), groups=2",
        "weight:6x2x3x3 bias:6",
        A((2, 4, 9, 8)),
    ),
    Row(
        'Conv2d(2, 4, (3, 2), padding=(1, 0), padding_mode="reflect", bias=False)',
        "2, 4, kernel_size=(3, 2), stride=(1, 1), padding=(1, 0), bias=False, padding_mode=reflect",
        "weight:4x2x3x2",
        A((2, 2, 5, 6)),
    ),
    Row(
        'Conv2d(2, 4, 4, padding="same", padding_mode="replicate")',
        "2, 4, kernel_size=(4, 4), stride=(1, 1), padding=same, padding_mode=replicate",
        "weight:4x2x4x4 bias:4",
        A((2, 2, 5, 6)),
    ),
    Row(
        'Conv2d(2, 4, 3, padding="valid")',
        "2, 4, kernel_size=(3, 3), stride=(1, 1), padding=valid",
        "weight:4x2x3x3 bias:4",
        A((2, 5, 6)),
    ),
    Row(
        "Conv3d(2, 4, 2, padding=1)",
        "2, 4, kernel_size=(2, 2, 2), stride=(1, 1, 1), padding=(1, 1, 1)",
        "weight:4x2x2x2x2 bias:4",
        A((1, 2, 3, 4, 4)),
    ),
    Row("ConvTranspose1d(2, 4, 3, 2)", "2, 4, kernel_size=(3,), stride=(2,)", "weight:2x4x3 bias:4", A((2, 2, 5))),
    Row(
        "ConvTranspose2d(4, 4, 3, 2, 1, 1, groups=2, bias=False)",
        "4, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1), groups=2, bias=False",
        "weight:4x2x3x3",
        A((2, 4, 4, 5)),
    ),
    Row(
        "ConvTranspose3d(2, 3, 2)",
        "2, 3, kernel_size=(2, 2, 2), stride=(1, 1, 1)",
        "weight:2x3x2x2x2 bias:3",
        A((1, 2, 3, 2, 2)),
    ),
    Row("MaxPool1d(2)", "kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False", "", A((2, 3, 9))),
    Row(
        "MaxPool2d(3, 2, 1, dilation=2, ceil_mode=True)",
        "kernel_size=3, stride=2, padding=1, dilation=2, ceil_mode=True",
        "",
        A((2, 3, 11, 10)),
    ),
    Row("MaxPool3d(2)", "kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False", "", A((1, 2, 4, 5, 6))),
    Row("AvgPool1d(2)", "kernel_size=(2,), stride=(2,), padding=(0,)", "", A((2, 3, 9))),
    Row(
        "AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)",
        "kernel_size=3, stride=2, padding=1",
        "",
        A((2, 3, 8, 7)),
    ),
    Row("AvgPool3d(2, divisor_override=3)", "kernel_size=2, stride=2, padding=0", "", A((1, 2, 4, 5, 6))),
    Row("LPPool1d(2, 3)", "norm_type=2, kernel_size=3, stride=None, ceil_mode=False", "", A((2, 3, 9))),
    Row(
        "LPPool2d(2, (2, 3), ceil_mode=True)",
        "norm_type=2, kernel_size=(2, 3), stride=None, ceil_mode=True",
        "",
        A((2, 3, 7, 7)),
    ),
    Row("LPPool3d(2, 2)", "norm_type=2, kernel_size=2, stride=None, ceil_mode=False", "", A((1, 2, 4, 4, 4))),
    Row("AdaptiveAvgPool1d(4)", "output_size=4", "", A((2, 3, 9))),
    Row("AdaptiveAvgPool2d((None, 3))", "output_size=(None, 3)", "", A((2, 3, 7, 7))),
    Row("AdaptiveAvgPool3d(2)", "output_size=2", "", A((1, 2, 4, 5, 6))),
    Row("AdaptiveMaxPool1d(4)", "output_size=4", "", A((2, 3, 9))),
    Row("AdaptiveMaxPool2d((2, 3))", "output_size=(2, 3)", "", A((2, 3, 7, 7))),
    Row("AdaptiveMaxPool3d(2)", "output_size=2", "", A((1, 2, 4, 5, 6))),
    Row('Upsample(scale_factor=2, mode="bilinear")', "scale_factor=2.0, mode='bilinear'", "", A((2, 3, 4, 5))),
    Row('Upsample(7, mode="linear", align_corners=True)', "size=7, mode='linear'", "", A((2, 3, 4))),
    Row('Upsample((5, 9), mode="bicubic")', "size=(5, 9), mode='bicubic'", "", A((1, 2, 4, 6))),
    Row("UpsamplingNearest2d(scale_factor=2)", "scale_factor=2.0, mode='nearest'", "", A((2, 3, 4, 5))),
    Row("UpsamplingBilinear2d((3, 7))", "size=(3, 7), mode='bilinear'", "", A((2, 3, 4, 5))),
    Row("PixelShuffle(2)", "upscale_factor=2", "", A((2, 8, 3, 3))),
    Row("PixelUnshuffle(2)", "downscale_factor=2", "", A((2, 2, 4, 6))),
    Row("ChannelShuffle(2)", "groups=2", "", A((2, 6, 3, 3))),
    Row(
        "Unfold((2, 3), padding=1, stride=2)",
        "kernel_size=(2, 3), dilation=1, padding=1, stride=2",
        "",
        A((2, 3, 5, 6)),
    ),
    Row("Fold((4, 5), 2)", "output_size=(4, 5), kernel_size=2, dilation=1, padding=0, stride=1", "", A((2, 8, 12))),
    Row("ZeroPad1d((1, 2))", "(1, 2)", "", A((2, 3, 4))),
    Row("ZeroPad2d(1)", "(1, 1, 1, 1)", "", A((2, 3, 4, 4))),
    Row("ZeroPad3d(1)", "(1, 1, 1, 1, 1, 1)", "", A((1, 2, 3, 3, 3))),
    Row("ConstantPad1d(2, 3.5)", "padding=(2, 2), value=3.5", "", A((2, 3, 4))),
    Row("ConstantPad2d((1, 0, 2, 1), 1.0)", "padding=(1, 0, 2, 1), value=1.0", "", A((2, 3, 4, 4))),
    Row("ConstantPad3d(1, -1.0)", "padding=(1, 1, 1, 1, 1, 1), value=-1.0", "", A((1, 2, 3, 3, 3))),
    Row("ReflectionPad1d(2)", "(2, 2)", "", A((2, 3, 4))),
    Row("ReflectionPad2d((1, 2, 0, 1))", "(1, 2, 0, 1)", "", A((2, 3, 4, 4))),
    Row("ReflectionPad3d(1)", "(1, 1, 1, 1, 1, 1)", "", A((1, 2, 3, 3, 3))),
    Row("ReplicationPad1d(2)", "(2, 2)", "", A((2, 3, 4))),
    Row("ReplicationPad2d(1)", "(1, 1, 1, 1)", "", A((2, 3, 4, 4))),
    Row("ReplicationPad3d(1)", "(1, 1, 1, 1, 1, 1)", "", A((1, 2, 3, 3, 3))),
    Row("CircularPad1d(2)", "(2, 2)", "", A((2, 3, 4))),
    Row("CircularPad2d((1, 2, 0, 1))", "(1, 2, 0, 1)", "", A((2, 3, 4, 4))),
    Row("CircularPad3d(1)", "(1, 1, 1, 1, 1, 1)", "", A((1, 2, 3, 3, 3))),
    Row(
        "BatchNorm1d(3)",
        "3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True",
        "weight:3 bias:3 running_mean:3 running_var:3 num_batches_tracked:-",
        A((4, 3, 5)),
    ),
    Row(
        "BatchNorm2d(3, momentum=None)",
        "3, eps=1e-05, momentum=None, affine=True, bias=True, track_running_stats=True",
        "weight:3 bias:3 running_mean:3 running_var:3 num_batches_tracked:-",
        A((4, 3, 5, 2)),
    ),
    Row(
        "BatchNorm3d(3, affine=False)",
        "3, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=True",
        "running_mean:3 running_var:3 num_batches_tracked:-",
        A((2, 3, 2, 3, 2)),
    ),
    Row(
        "BatchNorm2d(3, track_running_stats=False)",
        "3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=False",
        "weight:3 bias:3",
        A((4, 3, 5, 2)),
    ),
    Row(
        "InstanceNorm1d(3, affine=True)",
        "3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=False",
        "weight:3 bias:3",
        A((4, 3, 5)),
    ),
    Row(
        "InstanceNorm2d(3, track_running_stats=True)",
        "3, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=True",
        "running_mean:3 running_var:3 num_batches_tracked:-",
        A((4, 3, 5, 2)),
    ),
    Row(
        "InstanceNorm3d(3)",
        "3, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False",
        "",
        A((2, 3, 2, 3, 2)),
    ),
    Row(
        "LayerNorm((4, 3))",
        "(4, 3), eps=1e-05, elementwise_affine=True, bias=True",
        "weight:4x3 bias:4x3",
        A((5, 4, 3)),
    ),
    Row("LayerNorm(3, bias=False)", "(3,), eps=1e-05, elementwise_affine=True, bias=False", "weight:3", A((5, 3))),
    Row("GroupNorm(2, 4)", "2, 4, eps=1e-05, affine=True, bias=True", "weight:4 bias:4", A((3, 4, 5))),
    Row("RMSNorm(6, eps=1e-6)", "(6,), eps=1e-06, elementwise_affine=True", "weight:6", A((5, 6))),
    Row("LocalResponseNorm(3, alpha=0.5)", "3, alpha=0.5, beta=0.75, k=1.0", "", A((2, 7, 3, 3))),
    Row("Dropout(0.0)", "p=0.0, inplace=False", "", A((3, 4))),
    Row("Dropout1d(0.0)", "p=0.0, inplace=False", "", A((2, 3, 4))),
    Row("Dropout2d(0.0)", "p=0.0, inplace=False", "", A((2, 3, 4, 4))),
    Row("Dropout3d(0.0, True)", "p=0.0, inplace=True", "", A((2, 3, 2, 2, 2))),
    Row("AlphaDropout(0.0)", "p=0.0, inplace=False", "", A((3, 4))),
    Row("FeatureAlphaDropout(0.0)", "p=0.0, inplace=False", "", A((2, 3, 4))),
    Row(
        'RNN(3, 5, 2, nonlinearity="relu", batch_first=True)',
        "3, 5, num_layers=2, batch_first=True",
        None,
        A((2, 4, 3)),
    ),
    Row(
        "LSTM(3, 5, 2, bidirectional=True, proj_size=2)",
        "3, 5, proj_size=2, num_layers=2, bidirectional=True",
        None,
        A((4, 2, 3)),
    ),
    Row("GRU(3, 5, bias=False)", "3, 5, bias=False", "weight_ih_l0:15x3 weight_hh_l0:15x5", A((4, 2, 3))),
    Row("RNNCell(3, 5)", "3, 5", "weight_ih:5x3 weight_hh:5x5 bias_ih:5 bias_hh:5", A((2, 3))),
    Row("LSTMCell(3, 5)", "3, 5", "weight_ih:20x3 weight_hh:20x5 bias_ih:20 bias_hh:20", A((2, 3))),
    Row("GRUCell(3, 5, bias=False)", "3, 5, bias=False", "weight_ih:15x3 weight_hh:15x5", A((2, 3))),
    Row(
        "MultiheadAttention(8, 2, batch_first=True)",
        None,
        "in_proj_weight:24x8 in_proj_bias:24 out_proj.weight:8x8 out_proj.bias:8",
        A((2, 5, 8)), A((2, 4, 8)), A((2, 4, 8)),
    ),
    Row(
        "MultiheadAttention(8, 2, kdim=3, vdim=5, add_bias_kv=True, add_zero_attn=True)",
        None,
        None,
        A((5, 2, 8)), A((4, 2, 3)), A((4, 2, 5)),
    ),
    Row("TransformerEncoderLayer(8, 2, 16, 0.0)", None, None, A((5, 2, 8))),
    Row(
        'TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True, bias=False)',
        None,
        None,
        A((2, 5, 8)),
    ),
    Row("TransformerDecoderLayer(8, 2, 16, 0.0, norm_first=True)", None, None, A((5, 2, 8)), A((4, 2, 8))),
    Row('TransformerDecoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True)', None, None, A((2, 5, 8)), A((2, 4, 8))),
    Row(
        "TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, 0.0), 2, nn.LayerNorm(8))",
        None,
        None,
        A((5, 2, 8)),
    ),
    Row("TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, 0.0), 2)", None, None, A((5, 2, 8)), A((4, 2, 8))),
    Row("Transformer(8, 2, 1, 2, 16, 0.0, batch_first=True)", None, None, A((2, 5, 8)), A((2, 4, 8))),
    Row("PReLU(3)", "num_parameters=3", "weight:3", A((2, 3, 4))),
    Row(
        "Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 2))",
        None,
        None,
        A((4, 2, 5, 5)),
    ),
    Row("LazyLinear(4)", "in_features=0, out_features=4, bias=True", "weight:4x3 bias:4", A((2, 3))),
    Row(
        "LazyConv2d(4, 3, padding=1, groups=2)",
        "0, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=2",
        "weight:4x3x3x3 bias:4",
        A((2, 6, 4, 4)),
    ),
    Row(
        "LazyConvTranspose1d(4, 3, bias=False)",
        "0, 4, kernel_size=(3,), stride=(1,), bias=False",
        "weight:3x4x3",
        A((2, 3, 4)),
    ),
    Row(
        "LazyBatchNorm2d()",
        "0, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True",
        "weight:3 bias:3 running_mean:3 running_var:3 num_batches_tracked:-",
        A((2, 3, 4, 4)),
    ),
    Row(
        "LazyInstanceNorm1d(affine=True)",
        "0, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True",
        "weight:3 bias:3 running_mean:3 running_var:3 num_batches_tracked:-",
        A((2, 3, 4)),
    ),
    Row(
        "utils.weight_norm(nn.Linear(3, 4))",
        "in_features=3, out_features=4, bias=True",
        "bias:4 weight_g:4x1 weight_v:4x3",
        A((2, 3)),
    ),
    Row(
        "utils.parametrizations.weight_norm(nn.Conv1d(2, 4, 3), dim=None)",
        None,
        "bias:4 parametrizations.weight.original0:- parametrizations.weight.original1:4x2x3",
        A((2, 2, 6)),
    ),
]

OURS = [  # no such names in PyTorch
    Row("DropConnectLinear(3, 5, 0.0)", "in_features=3, out_features=5, bias=True, p=0.0", "weight:5x3 bias:5", A((2, 3))),
    Row("StochasticDepth(0.0, 'row')", "p=0.0, mode=row", "", A((2, 3))),
    Row("DropPath(0.1)", "drop_prob=0.100", "", A((2, 3))),
    Row("MLP(3, [4, 2], norm_layer=nn.LayerNorm)", None, "0.weight:4x3 0.bias:4 1.weight:4 1.bias:4 4.weight:2x4 4.bias:2", A((2, 3))),
    Row("Perceptron(3)", "in_features=3, out_features=1, bias=True", "weight:1x3 bias:1", A((2, 3))),
    Row("SinusoidalPositionalEncoding(6, 9)", "6, max_len=9, dropout=0.0, batch_first=False", "", A((4, 2, 6))),
    Row(
        "LearnedPositionalEncoding(6, 9, batch_first=True)",
        "6, max_len=9, dropout=0.0, batch_first=True",
        "weight:9x6",
        A((2, 4, 6)),
    ),
    Row("RotaryEmbedding(4)", "4, base=10000.0, interleaved=False", "", A((2, 3, 5, 6))),
]
for row in OURS:
    row.ours_alone = True
ROWS += OURS
