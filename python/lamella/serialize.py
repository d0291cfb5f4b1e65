# SPDX-License-Identifier: MIT
"""Files of tensors in the safetensors format: safe to open, read without a copy, written whole or not at all.

The file: 8 bytes little-endian length of the header; the header, JSON: {name: {"dtype", "shape", "data_offsets":
[begin, end]}} and optionally "__metadata__": {str: str}; then the bytes of all tensors, back to back in some order.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from ._numpy import np

# Names of the format, sizes in bytes, and the NumPy dtype of the same bytes (bfloat16 has none: int16 bits).
_FORMAT = {
    "F64": (8, "<f8", "float64"),
    "F32": (4, "<f4", "float32"),
    "F16": (2, "<f2", "float16"),
    "BF16": (2, "<i2", "bfloat16"),
    "I64": (8, "<i8", "int64"),
    "I32": (4, "<i4", "int32"),
    "I16": (2, "<i2", "int16"),
    "I8": (1, "|i1", "int8"),
    "U8": (1, "|u1", "uint8"),
    "BOOL": (1, "|b1", "bool"),
}
_NAME_OF = {lamella_name: name for name, (_, _, lamella_name) in _FORMAT.items()}
_MAX_HEADER = 100_000_000  # the limit of the reference implementation
_TREE = "lamella.tree"  # the metadata key of save(): the structure around the tensors


# ---- bytes ----------------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Any]:
    """A binary file that takes the place of `path` when the block ends well; else nothing is left behind.

    It is written under a temporary name in the same folder, flushed to the disk, then renamed.
    """
    path = os.fspath(path)
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    with contextlib.suppress(OSError):  # the rename itself; not every file system can
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, tuple[str, np.ndarray]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write {name: (dtype name, array of its bytes)}; wider elements first, so that every tensor is aligned."""
    order = sorted(arrays, key=lambda name: (-_FORMAT[_NAME_OF[arrays[name][0]]][0], name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    begin = 0
    for name in order:
        dtype, array = arrays[name]
        end = begin + array.nbytes
        header[name] = {"dtype": _NAME_OF[dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        raise ValueError(f"[save] names and structure must fit in {_MAX_HEADER} bytes, got {len(text)}")
    with atomic_write(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            array = np.ascontiguousarray(arrays[name][1])
            file.write(array.reshape(-1).view(np.uint8).data)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"duplicate key {next(key for key in keys if keys.count(key) > 1)!r}")
    return found


def _is_size(x: Any) -> bool:
    return type(x) is int and 0 <= x < 1 << 63


def _parse_header(data: memoryview) -> tuple[dict[str, Any], dict[str, str], int]:
    """Entries, metadata and where the bytes begin; ValueError says what is wrong."""
    if len(data) < 8:
        raise ValueError(f"must be at least 8 bytes long, got {len(data)}")
    length = int.from_bytes(data[:8], "little")
    if length > min(_MAX_HEADER, len(data) - 8):
        raise ValueError(f"header length {length} is more than the {len(data) - 8} bytes that follow it")
    try:
        header = json.loads(bytes(data[8 : 8 + length]).decode(), object_pairs_hook=_no_duplicates)
    except RecursionError:
        raise ValueError("header is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"header is not UTF-8: {error}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise ValueError(f"header must be a JSON object, got {type(header).__name__}")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("__metadata__ must map names to strings")
    return header, metadata, 8 + length


def _check_entries(header: dict[str, Any], size: int) -> None:
    """Every tensor's entry makes sense, and together they cover the `size` bytes exactly once."""
    spans = []
    for name, entry in header.items():
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"entry of {name!r} must have dtype, shape and data_offsets")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _FORMAT:
            raise ValueError(f"dtype of {name!r} must be one of {', '.join(_FORMAT)}, got {dtype!r}")
        if not isinstance(shape, list) or not all(map(_is_size, shape)):
            raise ValueError(f"shape of {name!r} must be a list of sizes, got {shape!r}")
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
            raise ValueError(f"data_offsets of {name!r} must be two positions, got {offsets!r}")
        if len(shape) > 8:
            raise ValueError(f"shape of {name!r} must have at most 8 dimensions, got {len(shape)}")
        begin, end = offsets
        expected = _FORMAT[dtype][0]
        for n in shape:
            expected *= n
        if end - begin != expected:
            raise ValueError(
                f"{name!r} of dtype {dtype} and shape {tuple(shape)} takes {expected} bytes, got {end - begin}"
            )
        if end > size:
            raise ValueError(f"{name!r} ends at byte {end} of {size}: the file is truncated")
        spans.append((begin, end, name))
    position = 0
    for begin, end, name in sorted(spans):
        if begin != position:
            what = "overlaps the tensor before it" if begin < position else f"leaves a hole of {begin - position} bytes"
            raise ValueError(f"{name!r} begins at byte {begin}: it {what}")
        position = end
    if position != size:
        raise ValueError(f"{size - position} bytes at the end belong to no tensor")


def read_arrays(
    path: str | os.PathLike[str], copy: bool = False
) -> tuple[dict[str, tuple[str, np.ndarray]], dict[str, str]]:
    """({name: (dtype name, array)}, metadata). Arrays share a private mapping of the file (writes stay in memory), or
    with `copy` are read. ValueError names the file and what is wrong with it."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        # an empty file cannot be mapped
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if size and not copy else bytearray(file.read())
    view = memoryview(data)
    try:
        header, metadata, start = _parse_header(view)
        _check_entries(header, len(view) - start)
    except ValueError as error:
        raise ValueError(f"[load] {os.fspath(path)}: {error}") from None
    arrays = {}
    for name, entry in header.items():
        _, numpy_dtype, dtype = _FORMAT[entry["dtype"]]
        begin, end = entry["data_offsets"]
        raw = np.frombuffer(view[start + begin : start + end], np.uint8)
        aligned = raw.ctypes.data % np.dtype(numpy_dtype).itemsize == 0
        if dtype == "bool":  # any byte but 0 and 1 would not be a bool
            raw = (raw != 0) if raw.size and raw.max() > 1 else raw
        arrays[name] = (dtype, (raw if aligned else raw.copy()).view(numpy_dtype).reshape(entry["shape"]))
    return arrays, metadata


# ---- tensors --------------------------------------------------------------------------------------------------------
def _to_array(tensor: Any) -> tuple[str, np.ndarray]:
    from . import int16

    x = tensor.detach()
    return x.dtype.name, (x.view(int16) if x.dtype.name == "bfloat16" else x).cpu().numpy()


def _to_tensor(dtype: str, array: np.ndarray) -> Any:
    from . import bfloat16
    from .ops import from_numpy

    x = from_numpy(array)
    return x.view(bfloat16) if dtype == "bfloat16" else x


def save_file(
    tensors: Mapping[str, Any], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write {name: Tensor} as a plain safetensors file, atomically.

    Raises TypeError for a value that is no Tensor, OSError where the file cannot be written (a file that was there
    before is then as it was).
    """
    from .tensor import Tensor

    for name, tensor in tensors.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise ValueError(f"[save_file] tensors must have names other than '__metadata__', got {name!r}")
        if not isinstance(tensor, Tensor):
            raise TypeError(f"[save_file] {name!r} must be a Tensor, got {type(tensor).__name__}")
    write_arrays(path, {name: _to_array(tensor) for name, tensor in tensors.items()}, metadata)


def load_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """{name: Tensor} of a safetensors file. The tensors share a private mapping of the file: nothing is read before it
    is used, and writing to them changes neither the file nor other mappings of it."""
    return {name: _to_tensor(*found) for name, found in read_arrays(path)[0].items()}


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write a tree of dicts, lists and tuples of Tensors, NumPy arrays, numbers, strings, bools and None, atomically.

    It is a safetensors file: the tensors under the path of their keys ("model.0.weight"), the structure and the rest as
    JSON in its metadata. Nothing in such a file is executed when it is loaded.
    """
    from .tensor import Tensor

    arrays: dict[str, tuple[str, np.ndarray]] = {}

    def leaf(array: tuple[str, np.ndarray], path: tuple[str, ...]) -> str:
        name = base = ".".join(path) or "tensor"
        count = 1
        while name in arrays or name == "__metadata__":
            name, count = f"{base}#{count}", count + 1
        arrays[name] = array
        return name

    def encode(x: Any, path: tuple[str, ...]) -> Any:
        if isinstance(x, Tensor):
            return {"tensor": leaf(_to_array(x), path)}
        if isinstance(x, np.ndarray | np.generic) and x.dtype.name in _NAME_OF:
            return {"array": leaf((x.dtype.name, np.asarray(x)), path)}
        if x is None or isinstance(x, bool | str):
            return x
        if isinstance(x, int):
            return int(x)
        if isinstance(x, float):
            return {"float": float(x).hex()}  # exact, infinities and NaN too
        if isinstance(x, Mapping):
            if not all(isinstance(key, str | int) and not isinstance(key, bool) for key in x):
                raise TypeError(f"[save] keys must be strings or integers, at {'.'.join(path) or 'the top'}")
            return {"dict": [[key, encode(value, (*path, str(key)))] for key, value in x.items()]}
        if isinstance(x, list | tuple):
            items = [encode(value, (*path, str(i))) for i, value in enumerate(x)]
            return {"tuple": items} if isinstance(x, tuple) else items
        raise TypeError(
            f"[save] obj must hold tensors, numbers, strings, lists, tuples and dicts, got {type(x).__name__} at "
            f"{'.'.join(path) or 'the top'}"
        )

    tree = encode(obj, ())
    write_arrays(path, arrays, {_TREE: json.dumps(tree, separators=(",", ":"))})


def load(path: str | os.PathLike[str]) -> Any:
    """What save() wrote; of any other safetensors file, {name: Tensor}. See load_file for how tensors share memory.

    Raises ValueError naming the file and what is wrong with it, where it is damaged.
    """
    arrays, metadata = read_arrays(path)
    if _TREE not in metadata:
        return {name: _to_tensor(*found) for name, found in arrays.items()}

    def decode(x: Any) -> Any:
        if isinstance(x, list):
            return [decode(value) for value in x]
        if not isinstance(x, dict):
            return x
        ((kind, value),) = x.items()
        if kind == "tensor":
            return _to_tensor(*arrays[value])
        if kind == "array":
            return arrays[value][1]
        if kind == "float":
            return float.fromhex(value)
        if kind == "tuple":
            return tuple(decode(item) for item in value)
        if kind == "dict":
            return {key: decode(item) for key, item in value}
        raise ValueError(f"unknown kind {kind!r}")

    try:
        return decode(json.loads(metadata[_TREE]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"[load] {os.fspath(path)}: the structure in its metadata is damaged: {error}") from None
