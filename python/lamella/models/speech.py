# SPDX-License-Identifier: MIT
"""Recognisers of speech. SpectrogramConvNet names one word. Deep Speech 2 (Amodei et al. 2015) on spectra, and wav2vec 2.0's
plan (Baevski et al. 2020) on the waveform, write all they hear: trained by CTC, both give log-probabilities (T, N, classes),
as ctc_loss wants them, and lengths."""

from __future__ import annotations

from .. import arange, int64, nn
from ..nn import functional as F

__all__ = ["DeepSpeech", "SpectrogramConvNet", "Wav2Vec"]


class SpectrogramConvNet(nn.Module):
    """Spectra (N, features, frames) of one word each -> scores (N, classes): the small convolutional nets for spotting
    keywords (Sainath and Parada 2015), with strides in the place of pooling."""

    def __init__(self, classes=10, features=40, frames=64, width=24, dropout=0.3):
        super().__init__()

        def stage(c, k, size):
            return [nn.Conv2d(c, k, size, stride=2, padding=size // 2, bias=False), nn.BatchNorm2d(k), nn.ReLU()]

        self.features = nn.Sequential(
            *stage(1, width, 5),  # (N, C, features / 2, frames / 2)
            *stage(width, 2 * width, 3),
            *stage(2 * width, 4 * width, 3),  # (N, 4 C, features / 8, frames / 8)
        )
        size = 4 * width * -(-features // 8) * -(-frames // 8)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(size, classes))

    def forward(self, x):
        return self.classifier(self.features(x.unsqueeze(1)))


class DeepSpeech(nn.Module):
    """Spectra (N, frames, features) -> log-probabilities (frames / 2, N, classes), and each one's length or None.

    Two convolutions over time and frequency, the first of stride 2 in both, then bidirectional GRU layers.
    """

    def __init__(self, features=80, classes=29, channels=32, hidden_size=256, num_layers=3, dropout=0.1):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, channels, (11, 11), stride=2, padding=5, bias=False),  # (N, C, frames / 2, features / 2)
            nn.BatchNorm2d(channels),
            nn.Hardtanh(0.0, 20.0),
            nn.Conv2d(channels, channels, (11, 5), stride=(1, 2), padding=(5, 2), bias=False),
            nn.BatchNorm2d(channels),
            nn.Hardtanh(0.0, 20.0),
        )
        width = channels * ((features + 3) // 4)
        self.rnn = nn.GRU(width, hidden_size, num_layers, batch_first=True, bidirectional=True, dropout=dropout)
        self.norm = nn.LayerNorm(2 * hidden_size)
        self.head = nn.Linear(2 * hidden_size, classes)

    def forward(self, x, lengths=None):
        """lengths (N): how many frames of each count; they come back as lengths of the output."""
        x = self.conv(x.unsqueeze(1))  # (N, C, T, features / 4)
        x = x.transpose(1, 2).flatten(2)  # (N, T, C features / 4)
        total = x.shape[1]
        if lengths is not None:
            lengths = (lengths + 1) // 2
            x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y = self.rnn(x)[0]
        if lengths is not None:
            y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=total)
        return F.log_softmax(self.head(self.norm(y)), -1).transpose(0, 1), lengths


class Wav2Vec(nn.Module):
    """Waveforms (N, samples) -> log-probabilities (T, N, classes), and each one's length or None; T is about samples / 320.

    Convolutions of kernel and stride `kernels`, `strides` turn samples into frames, a grouped convolution adds what a
    frame's place is, Transformer layers (norm first) do the rest. The defaults are small; wav2vec 2.0's base has
    channels=512, d_model=768, 12 layers of 12 heads.
    """

    def __init__(
        self,
        classes=32,
        channels=128,
        d_model=192,
        num_layers=4,
        num_heads=4,
        kernels=(10, 3, 3, 3, 3, 2, 2),
        strides=(5, 2, 2, 2, 2, 2, 2),
        dropout=0.1,
    ):
        super().__init__()
        self.kernels, self.strides = tuple(kernels), tuple(strides)
        self.features, last = nn.ModuleList(), 1
        for kernel, stride in zip(kernels, strides, strict=True):
            self.features.append(nn.Conv1d(last, channels, kernel, stride, bias=False))
            last = channels
        self.feature_norm = nn.GroupNorm(channels, channels)  # of the first convolution's channels, over time
        self.project_norm, self.project = nn.LayerNorm(channels), nn.Linear(channels, d_model)
        self.position = nn.Conv1d(d_model, d_model, 31, padding=15, groups=num_heads)
        layer = nn.TransformerEncoderLayer(
            d_model, num_heads, 4 * d_model, dropout, F.gelu, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers, nn.LayerNorm(d_model))
        self.head = nn.Linear(d_model, classes)

    def lengths(self, samples):
        """How many frames so many samples, an integer or a tensor of them, give."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples

    def forward(self, x, lengths=None):
        """lengths (N): how many samples of each count; they come back as lengths of the output."""
        if self.lengths(x.shape[-1]) < 1:
            raise ValueError(f"[Wav2Vec] x must be long enough for one frame, got {tuple(x.shape)}")
        x = x.unsqueeze(1)  # (N, 1, samples)
        for i, conv in enumerate(self.features):
            x = conv(x)
            x = F.gelu(self.feature_norm(x) if i == 0 else x)
        x = self.project(self.project_norm(x.transpose(1, 2)))  # (N, T, d_model)
        padding = None
        if lengths is not None:
            lengths = self.lengths(lengths).clamp(min=1)
            padding = arange(x.shape[1], dtype=int64)[None, :] >= lengths[:, None]
            x = x.masked_fill(padding.unsqueeze(-1), 0.0)
        x = x + F.gelu(self.position(x.transpose(1, 2))).transpose(1, 2)
        x = self.encoder(x, src_key_padding_mask=padding)
        return F.log_softmax(self.head(x), -1).transpose(0, 1), lengths
