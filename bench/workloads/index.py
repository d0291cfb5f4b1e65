# SPDX-License-Identifier: MIT
"""Reading and writing by indices and masks, running sums, order statistics, gates, and elementwise ops of three operands."""

from __future__ import annotations

from typing import Any

from .registry import Index, add_op

MATRIX = (4096, 1024)
BYTES = 4.0 * 4096 * 1024
EVERY, ROWS = Index(1024, MATRIX), Index(4096, (4096,))

add_op("index", "gather-4096x1024", lambda lib, x, i: lib.gather(x, 1, i), [MATRIX, EVERY], bytes=4 * BYTES)
add_op("index", "scatter_add-4096x1024", lambda lib, x, i, y: lib.scatter_add(x, 1, i, y), [MATRIX, EVERY, MATRIX], bytes=5 * BYTES)
add_op("index", "index_add-4096x1024", lambda lib, x, i, y: lib.index_add(x, 0, i, y), [MATRIX, ROWS, MATRIX], bytes=4 * BYTES)
add_op("index", "rows-4096x1024", lambda lib, x, i: x[i], [MATRIX, ROWS], bytes=2 * BYTES)
add_op("index", "cat-32768x(32+2)", lambda lib, x, y: lib.cat((x, y), 1), [(32768, 32), (32768, 2)], bytes=8.0 * 32768 * 34)
add_op("index", "columns-32768x32of64", lambda lib, x: x[:, 3:35].contiguous(), [(32768, 64)], bytes=8.0 * 32768 * 32, backward=None)
add_op("index", "masked_select-4096x1024", lambda lib, x: lib.masked_select(x, x.detach() > 0), [MATRIX], bytes=2 * BYTES)
add_op("index", "tril-4096x1024", lambda lib, x: lib.tril(x), [MATRIX], bytes=2 * BYTES, backward=1.0)
add_op("index", "searchsorted-1M-4096", lambda lib, e, x: lib.searchsorted(e.sort()[0], x), [(4096,), (1 << 20,)], backward=None)
add_op("index", "median-4096x1024", lambda lib, x: lib.median(x, 1)[0], [MATRIX], bytes=BYTES)
for _name in ("cumsum", "cumprod", "logcumsumexp"):
    add_op("index", f"{_name}-4096x1024", lambda lib, x, f=_name: getattr(lib, f)(x, 1), [MATRIX], bytes=2 * BYTES)
add_op("index", "cummax-4096x1024", lambda lib, x: lib.cummax(x, 1)[0], [MATRIX], bytes=4 * BYTES)


def ternary(name: str) -> Any:
    return lambda lib, a, b, c: getattr(lib, name)(a, b, c)


for _name in ("lerp", "addcmul", "addcdiv"):
    add_op("index", f"{_name}-4096x1024", ternary(_name), [MATRIX] * 3, bytes=4 * BYTES)
add_op("index", "where-4096x1024", lambda lib, x, y: lib.where(x.detach() > 0, x, y), [MATRIX] * 2, bytes=4 * BYTES)
add_op("index", "glu-4096x1024", lambda lib, x: lib.nn.functional.glu(x), [MATRIX], bytes=1.5 * BYTES, backward=1.5)
add_op("index", "var-4096x1024", lambda lib, x: lib.var(x, 1), [MATRIX], bytes=BYTES, backward=3.0)
