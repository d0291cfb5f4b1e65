# SPDX-License-Identifier: MIT
"""Event files that TensorBoard reads, written without it.

A file is a sequence of records (TFRecord): length (8 bytes, little-endian), masked CRC-32C of these bytes, the data, masked
CRC-32C of the data. The data are protocol buffers, of which five messages and four kinds of field are needed (fields by
number, from tensorboard's event.proto and summary.proto):

    Event      1 wall_time double, 2 step int64, 3 file_version string, 5 summary
    Summary    1 value, repeated: 1 tag string, 2 simple_value float, 4 image, 5 histo, 8 tensor, 9 metadata
    Image      1 height, 2 width, 3 colorspace, 4 encoded_image_string (a PNG)
    Histogram  1 min, 2 max, 3 num, 4 sum, 5 sum_squares, all double; 6 bucket_limit, 7 bucket, packed double
    text       tensor: 1 dtype (7, string), 2 shape {2 dim {1 size}}, 8 string_val; metadata: 1 plugin_data {1 name}
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..metrics.base import array

__all__ = ["SummaryWriter"]


# ---- bytes -------------------------------------------------------------------------------------------------------------
def _crc_table() -> list[int]:
    """Of Castagnoli's polynomial, reflected."""
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_TABLE = _crc_table()


def _masked_crc(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(n: int) -> bytes:
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def _field(number: int, value: Any) -> bytes:
    """An int as varint, a float as double, text and bytes (messages too) with their length."""
    if isinstance(value, float):
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    value = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _png(pixels: np.ndarray) -> bytes:
    """(H, W, 1, 3 or 4) of uint8, each row after a filter byte 0."""
    h, w, c = pixels.shape
    rows = np.concatenate([np.zeros((h, 1), np.uint8), pixels.reshape(h, w * c)], 1).tobytes()
    out = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", w, h, 8, {1: 0, 3: 2, 4: 6}[c], 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b"")):
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out


# ---- the writer --------------------------------------------------------------------------------------------------------
class SummaryWriter:
    """Writes an event file into log_dir, with the names of `torch.utils.tensorboard`: `tensorboard --logdir LOG_DIR` shows it.

    Records are appended and flushed at least every flush_secs seconds, so that a run can be watched; a run that is resumed
    writes a further file into the same folder. Also a context manager.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
    ...     writer.add_scalar("loss", 0.5, 1)
    ...     len(os.listdir(folder))
    1
    """

    def __init__(self, log_dir: str | os.PathLike[str], flush_secs: float = 30, filename_suffix: str = "") -> None:
        self.log_dir, self.flush_secs = Path(log_dir), flush_secs
        self.log_dir.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(3)}{filename_suffix}"
        self._file = (self.log_dir / name).open("xb")
        self._others: dict[str, SummaryWriter] = {}  # of add_scalars: a run each
        self._flushed = time.monotonic()
        self._record(_field(1, time.time()) + _field(3, "brain.Event:2"))

    def _record(self, data: bytes) -> None:
        if self._file.closed:
            raise ValueError(f"[SummaryWriter] {self.log_dir} must be open to be written, got a closed writer")
        length = struct.pack("<Q", len(data))
        self._file.write(length + _masked_crc(length) + data + _masked_crc(data))
        if time.monotonic() - self._flushed > self.flush_secs:
            self.flush()

    def _add(self, tag: str, content: bytes, step: int | None, walltime: float | None) -> None:
        event = _field(1, float(time.time() if walltime is None else walltime)) + _field(2, int(step or 0))
        self._record(event + _field(5, _field(1, _field(1, tag) + content)))

    def add_scalar(self, tag: str, scalar_value: Any, global_step: int | None = None, walltime: float | None = None) -> None:
        """One number."""
        value = array(scalar_value)
        if value.size != 1:
            raise ValueError(f"[SummaryWriter.add_scalar] scalar_value must be one number, got shape {value.shape}")
        self._add(tag, _varint(2 << 3 | 5) + struct.pack("<f", float(value.item())), global_step, walltime)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Several numbers in one diagram: each as main_tag of a run of its own, in a folder next to this file."""
        for tag, value in tag_scalar_dict.items():
            folder = f"{main_tag}_{tag}".replace("/", "_")
            if folder not in self._others:
                self._others[folder] = SummaryWriter(self.log_dir / folder, self.flush_secs)
            self._others[folder].add_scalar(main_tag, value, global_step, walltime)

    def add_histogram(
        self, tag: str, values: Any, global_step: int | None = None, bins: Any = "tensorflow", walltime: float | None = None, max_bins: int = 64
    ) -> None:
        """How values are distributed. bins: a number or edges, as of np.histogram; any other name means max_bins of equal width.
        What is not finite is left out; nothing is written where nothing is left."""
        x = array(values, np.float64).reshape(-1)
        x = x[np.isfinite(x)]
        if len(x) == 0:
            return
        counts, edges = np.histogram(x, max_bins if isinstance(bins, str) else bins)
        figures = (x.min(), x.max(), float(len(x)), x.sum(), (x * x).sum())
        content = b"".join(_field(i + 1, float(v)) for i, v in enumerate(figures))
        content += _field(6, edges[1:].astype("<f8").tobytes()) + _field(7, counts.astype("<f8").tobytes())
        self._add(tag, _field(5, content), global_step, walltime)

    def add_image(
        self, tag: str, img_tensor: Any, global_step: int | None = None, walltime: float | None = None, dataformats: str = "CHW"
    ) -> None:
        """An image of uint8, or of numbers from 0 to 1: 1, 3 or 4 channels; dataformats "CHW", "HWC" or "HW"."""
        x = array(img_tensor)
        if sorted(dataformats) not in (list("CHW"), list("HW")) or x.ndim != len(dataformats):
            wrong = f"got {dataformats!r} for {x.shape}"
            raise ValueError(f"[SummaryWriter.add_image] dataformats must name img_tensor's dimensions by C, H and W, {wrong}")
        x = x[..., None] if len(dataformats) == 2 else x
        x = x.transpose([(dataformats + "C").index(axis) for axis in "HWC"])
        if x.shape[2] not in (1, 3, 4):
            raise ValueError(f"[SummaryWriter.add_image] img_tensor must have 1, 3 or 4 channels, got {x.shape[2]}")
        if x.dtype != np.uint8:
            x = np.round(np.clip(np.nan_to_num(x.astype(np.float32)), 0, 1) * 255).astype(np.uint8)
        parts = enumerate((*map(int, x.shape), _png(x)), 1)
        self._add(tag, _field(4, b"".join(_field(i, v) for i, v in parts)), global_step, walltime)

    def add_images(
        self, tag: str, img_tensor: Any, global_step: int | None = None, walltime: float | None = None, dataformats: str = "NCHW"
    ) -> None:
        """Images (N, ...) side by side, about as many across as down."""
        from math import ceil

        x = array(img_tensor)
        if sorted(dataformats) != list("CHNW") or x.ndim != 4 or 0 in x.shape:
            raise ValueError(f"[SummaryWriter.add_images] dataformats must be of N, C, H and W, got {dataformats!r} for {x.shape}")
        x = x.transpose([dataformats.index(axis) for axis in "NHWC"])
        n, h, w, c = x.shape
        across = ceil(n**0.5)
        sheet = np.zeros((ceil(n / across) * across, h, w, c), x.dtype)
        sheet[:n] = x
        sheet = sheet.reshape(-1, across, h, w, c).swapaxes(1, 2).reshape(-1, across * w, c)
        self.add_image(tag, sheet, global_step, walltime, "HWC")

    def add_figure(self, tag: str, figure: Any, global_step: int | None = None, close: bool = True, walltime: float | None = None) -> None:
        """A matplotlib Figure that has an Agg canvas, as those of `lamella.plots`. close is accepted: they need no closing."""
        figure.canvas.draw()
        self.add_image(tag, np.asarray(figure.canvas.buffer_rgba())[..., :3], global_step, walltime, "HWC")

    def add_text(self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None) -> None:
        """Markdown."""
        tensor = _field(1, 7) + _field(2, _field(2, _field(1, 1))) + _field(8, text_string)
        metadata = _field(1, _field(1, "text"))
        self._add(f"{tag}/text_summary", _field(8, tensor) + _field(9, metadata), global_step, walltime)

    def flush(self) -> None:
        """Hands all that is written over to the file system."""
        self._file.flush()
        self._flushed = time.monotonic()
        for other in self._others.values():
            other.flush()

    def close(self) -> None:
        """Closes the files."""
        self._file.close()
        for other in self._others.values():
            other.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
