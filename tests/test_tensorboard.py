# SPDX-License-Identifier: MIT
"""Event files: bytes by the specification, and as TensorBoard itself reads them, where it is installed."""

import io
import struct

import numpy as np
import pytest

import lamella
from lamella import nn, optim, plots, train
from lamella.nn import functional as F
from lamella.utils.tensorboard import SummaryWriter, _field, _masked_crc, _varint


def records(folder):
    """The data of each record of the only file."""
    (path,) = folder.glob("events.out.tfevents.*")
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert data[8:12] == _masked_crc(data[:8]) and data[12 + length : 16 + length] == _masked_crc(data[12 : 12 + length])
        found.append(data[12 : 12 + length])
        data = data[16 + length :]
    return found


def test_bytes(tmp_path):
    crc = struct.unpack("<I", _masked_crc(b"123456789"))[0]
    unmasked = (crc - 0xA282EAD8) & 0xFFFFFFFF
    assert (unmasked >> 17 | unmasked << 15) & 0xFFFFFFFF == 0xE3069283  # CRC-32C's check value (RFC 3720, B.4)
    assert (_varint(1), _varint(300), len(_varint(-1))) == (b"\x01", b"\xac\x02", 10)
    assert _field(2, "testing") == b"\x12\x07testing"
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("a", lamella.tensor(1.5), 3, walltime=2.0)
    first, second = records(tmp_path)
    assert first.endswith(b"\x1a\x0dbrain.Event:2")
    assert second == b"\x09" + struct.pack("<d", 2.0) + b"\x10\x03" + b"\x2a\x0a\x0a\x08\x0a\x01a\x15" + struct.pack("<f", 1.5)
    with pytest.raises(ValueError, match="must be open to be written, got a closed writer"):
        writer.add_scalar("a", 1.0)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda w: w.add_scalar("a", [1.0, 2.0]), r"scalar_value must be one number, got shape \(2,\)"),
        (lambda w: w.add_image("a", np.zeros((2, 3))), r"dataformats must name .* got 'CHW' for \(2, 3\)"),
        (lambda w: w.add_image("a", np.zeros((2, 3, 3))), r"img_tensor must have 1, 3 or 4 channels, got 2"),
        (lambda w: w.add_images("a", np.zeros((2, 3, 3))), r"dataformats must be of N, C, H and W, got 'NCHW' for \(2, 3, 3\)"),
        (lambda w: train.TensorBoard("x", histograms=0), r"\[TensorBoard\] histograms must be positive, got 0"),
    ],
)
def test_bad_calls(tmp_path, call, text):
    with SummaryWriter(tmp_path) as writer, pytest.raises(ValueError, match=text):
        call(writer)


@pytest.fixture(scope="module")
def accumulator():
    pytest.importorskip("tensorboard", reason="tensorboard reads what is written: pip install tensorboard")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder):
        return EventAccumulator(str(folder), {"histograms": 0, "images": 0, "tensors": 0, "scalars": 0}).Reload()

    return read


def test_read_by_tensorboard(tmp_path, accumulator):
    pillow = pytest.importorskip("PIL.Image")
    values = np.random.default_rng(0).normal(size=500)
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    with SummaryWriter(tmp_path) as writer:
        for step in range(3):
            writer.add_scalar("loss", 1 / (step + 1), step)
        writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 5)
        writer.add_histogram("weights", np.append(values, np.nan), 7)
        writer.add_histogram("none", np.array([np.nan]), 7)
        writer.add_image("image", pixels, 1, dataformats="HWC")
        writer.add_image("grey", lamella.tensor([[0.0, 0.5], [1.0, 2.0]]), 1, dataformats="HW")
        writer.add_images("several", np.zeros((3, 1, 4, 5)), 1)
        writer.add_text("note", "# über", 2)
    read = accumulator(tmp_path)
    assert [(e.step, round(e.value, 4)) for e in read.Scalars("loss")] == [(0, 1.0), (1, 0.5), (2, 0.3333)]
    assert accumulator(tmp_path / "both_b").Scalars("both")[0].value == 2.0
    (histogram,) = (e.histogram_value for e in read.Histograms("weights"))
    assert (histogram.num, histogram.sum) == (500, pytest.approx(values.sum()))
    assert sum(histogram.bucket) == 500 and histogram.bucket_limit[-1] == pytest.approx(values.max())
    assert read.Tags()["histograms"] == ["weights"]
    shown = {tag: np.asarray(pillow.open(io.BytesIO(read.Images(tag)[0].encoded_image_string))) for tag in read.Tags()["images"]}
    np.testing.assert_array_equal(shown["image"], pixels)
    np.testing.assert_array_equal(shown["grey"], [[0, 128], [255, 255]])
    assert shown["several"].shape == (8, 10)
    assert read.Tensors("note/text_summary")[0].tensor_proto.string_val == ["# über".encode()]


def test_callback(tmp_path, accumulator):
    model = nn.Sequential(nn.Linear(4, 3))
    batches = [(lamella.rand(6, 4), lamella.zeros(6, dtype=lamella.int64)) for _ in range(4)]

    def images(trainer):
        return {"weight": trainer.model[0].weight.detach()[None], "picture": plots.samples(lamella.rand(1, 4, 4))}

    pytest.importorskip("matplotlib")
    board = train.TensorBoard(tmp_path, histograms=4, every=2, images=images)
    trainer = train.Trainer(model, optim.SGD(model.parameters(), lr=0.1), F.cross_entropy, callbacks=[board])
    trainer.fit(batches, batches[:1], epochs=2)
    read = accumulator(tmp_path)
    tags = read.Tags()
    assert [e.step for e in read.Scalars("step/loss")] == [2, 4, 6, 8]
    last = trainer.history.last
    assert read.Scalars("training/loss")[-1].value == pytest.approx(last["loss"], rel=1e-6)
    assert read.Scalars("held out/loss")[-1].value == pytest.approx(last["val_loss"], rel=1e-6)
    assert sorted(tags["histograms"]) == [f"{kind}/0/{name}" for kind in ("gradients", "weights") for name in ("bias", "weight")]
    assert [e.step for e in read.Histograms("gradients/0/weight")] == [0, 4]
    assert sorted(tags["images"]) == ["picture", "weight"] and "model/text_summary" in tags["tensors"]
