# SPDX-License-Identifier: MIT
"""Everything that is timed on a GPU, beside PyTorch where it is installed: `python -m bench.gpu --json FILE`.

A row is timed by events around enough calls, ours and the peer's in turn (A B A B), the median of each kept; operands rotate
through more memory than the GPU's cache holds. Rates are of the work an algorithm must do: flops of products, bytes read
and written once of all else. `--tiny` runs every row on small sizes: a check of the script, no figure.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lamella
from lamella import cuda

F = lamella.nn.functional


class Peer:
    """PyTorch under the calls that the rows use; None where it is not installed or has no GPU."""

    @staticmethod
    def find() -> Any:
        try:
            import torch
        except ImportError:
            return None
        return torch if torch.cuda.is_available() else None


def timed(fn: Callable[[], Any], engine: Any, seconds: float) -> float:
    """Seconds of one call, by events around as many as fill `seconds`."""
    start, end = engine.cuda.Event(enable_timing=True), engine.cuda.Event(enable_timing=True)
    calls = 1
    while True:
        start.record()
        for _ in range(calls):
            fn()
        end.record()
        end.synchronize()
        took = start.elapsed_time(end) / 1e3
        if took >= seconds or calls >= 4096:
            return took / calls
        calls = min(4096, max(calls * 2, int(calls * seconds / max(took, 1e-6))))


def rows(tiny: bool) -> Iterator[tuple[str, str, float, Callable[[Any], Callable[[], Any]]]]:
    """(name, unit, work of a call, make): make(engine) gives the call for lamella or torch."""

    def copies(engine: Any, make: Callable[[], Any], bytes_each: int) -> Callable[[], Any]:
        n = 1 if tiny else max(1, min(8, (128 << 20) // max(bytes_each, 1)))
        made = [make() for _ in range(n)]
        at = [0]

        def take() -> Any:
            at[0] = (at[0] + 1) % n
            return made[at[0]]

        return take

    def half(engine: Any) -> Any:
        return engine.bfloat16

    def randn(engine: Any, *shape: int, dtype: Any = None) -> Any:
        return engine.randn(*shape, device="cuda", dtype=dtype)

    for m, n, k in [(8192,) * 3, (4096,) * 3, (1024,) * 3, (16, 8192, 8192), (8192, 8192, 128), (256, 256, 65536)]:
        if tiny:
            m, n, k = (min(v, 192) for v in (m, n, k))

        def product(e: Any, m=m, n=n, k=k) -> Callable[[], Any]:
            a = copies(e, lambda: randn(e, m, k, dtype=half(e)), 2 * m * k)
            b = copies(e, lambda: randn(e, k, n, dtype=half(e)), 2 * n * k)
            return lambda: a() @ b()

        yield f"gemm bf16 {m}x{n}x{k}", "TFLOP/s", 2.0 * m * n * k, product
    for size in (2048, 4096):
        s = 96 if tiny else size

        def single(e: Any, s=s) -> Callable[[], Any]:
            a, b = randn(e, s, s), randn(e, s, s)
            return lambda: a @ b

        yield f"gemm f32 {s}", "TFLOP/s", 2.0 * s**3, single

    for length in (1024, 4096, 8192):
        for causal in (False, True):
            b, h, t, d = (1, 2, 96, 64) if tiny else (max(1, 16384 // length), 16, length, 128)
            flops = 4.0 * b * h * t * t * d * (0.5 if causal else 1.0)

            def attention(e: Any, b=b, h=h, t=t, d=d, causal=causal, back=False) -> Callable[[], Any]:
                q, k, v = (randn(e, b, h, t, d, dtype=half(e)) for _ in range(3))
                sdpa = e.nn.functional.scaled_dot_product_attention
                if not back:
                    return lambda: sdpa(q, k, v, is_causal=causal)
                for x in (q, k, v):
                    x.requires_grad_(True)
                dy = randn(e, b, h, t, d, dtype=half(e))
                y = sdpa(q, k, v, is_causal=causal)
                gradient = e.autograd.grad
                return lambda: gradient((y,), (q, k, v), (dy,), retain_graph=True)

            name = f"attention D{d} T{t}{' causal' if causal else ''}"
            yield name, "TFLOP/s", flops, attention
            yield name + " backward", "TFLOP/s", 2.5 * flops, lambda e, f=attention: f(e, back=True)

    r, c = (64, 96) if tiny else (16384, 4096)
    words = r * c

    def rowwise(f: Callable[[Any, Any], Any]) -> Callable[[Any], Callable[[], Any]]:
        def make(e: Any) -> Callable[[], Any]:
            x = copies(e, lambda: randn(e, r, c, dtype=half(e)), 2 * words)
            weight = e.ones(c, device="cuda", dtype=half(e))
            return lambda: f(e, (x(), weight))

        return make

    fn = lambda e: e.nn.functional  # noqa: E731
    yield f"layer_norm bf16 {r}x{c}", "TB/s", 4.0 * words, rowwise(lambda e, a: fn(e).layer_norm(a[0], (c,), a[1], a[1]))
    yield f"rms_norm bf16 {r}x{c}", "TB/s", 4.0 * words, rowwise(lambda e, a: fn(e).rms_norm(a[0], (c,), a[1]))
    yield f"softmax bf16 {r}x{c}", "TB/s", 4.0 * words, rowwise(lambda e, a: fn(e).softmax(a[0], -1))
    yield f"gelu bf16 {r}x{c}", "TB/s", 4.0 * words, rowwise(lambda e, a: fn(e).gelu(a[0]))
    yield f"add bf16 {r}x{c}", "TB/s", 6.0 * words, rowwise(lambda e, a: a[0] + a[0])
    yield f"sum bf16 {r}x{c}", "TB/s", 2.0 * words, rowwise(lambda e, a: a[0].sum(-1))
    yield f"transpose bf16 {r}x{c}", "TB/s", 4.0 * words, rowwise(lambda e, a: a[0].t().contiguous())

    n, classes = (32, 1000) if tiny else (8192, 50257)

    def entropy(e: Any, back: bool) -> Callable[[], Any]:
        x = randn(e, n, classes, dtype=half(e)).requires_grad_(back)
        t = e.randint(0, classes, (n,), device="cuda")
        if not back:
            return lambda: fn(e).cross_entropy(x, t)
        loss = fn(e).cross_entropy(x, t)
        gradient = e.autograd.grad
        return lambda: gradient((loss,), (x,), retain_graph=True)

    yield f"cross_entropy bf16 {n}x{classes}", "TB/s", 2.0 * n * classes, lambda e: entropy(e, False)
    yield f"cross_entropy backward bf16 {n}x{classes}", "TB/s", 4.0 * n * classes, lambda e: entropy(e, True)

    count, each = (4, 1000) if tiny else (64, 4 << 20)

    def adamw(e: Any) -> Callable[[], Any]:
        params = [e.nn.Parameter(randn(e, each)) for _ in range(count)]
        for p in params:
            p.grad = randn(e, each)
        optimizer = e.optim.AdamW(params, lr=1e-3, **({"fused": True} if e is not lamella else {}))
        return optimizer.step

    yield f"AdamW f32 {count} x {each}", "TB/s", 28.0 * count * each, adamw

    b, ch, size, k = (2, 16, 8, 16) if tiny else (64, 128, 28, 128)

    def conv(e: Any) -> Callable[[], Any]:
        layer = e.nn.Conv2d(ch, k, 3, padding=1, bias=False).to("cuda").to(half(e))
        x = randn(e, b, ch, size, size, dtype=half(e))
        return lambda: layer(x)

    yield f"conv 3x3 bf16 {b}x{ch}x{size}x{size} -> {k}", "TFLOP/s", 2.0 * b * size * size * ch * k * 9, conv

    for hidden, batch in ((256, 16), (512, 16), (1024, 64)):
        steps, hidden = (5, 32) if tiny else (128, hidden)

        def lstm(e: Any, hidden=hidden, batch=batch, steps=steps) -> Callable[[], Any]:
            layer = e.nn.LSTM(hidden, hidden).to("cuda")
            x = randn(e, steps, batch, hidden)
            return lambda: layer(x)[0]

        yield f"LSTM f32 H{hidden} B{batch} T{steps}", "TFLOP/s", 16.0 * steps * batch * hidden**2, lstm


def call_overhead(engine: Any) -> float:
    """Microseconds of the host for an addition of 16 floats."""
    x = engine.ones(16, device="cuda")
    for _ in range(100):
        x + x
    engine.cuda.synchronize()
    took = []
    for _ in range(9):
        t = time.perf_counter()
        for _ in range(500):
            x + x
        took.append((time.perf_counter() - t) / 500)
        engine.cuda.synchronize()
    return statistics.median(took) * 1e6


def gpt_step(engine: Any, tiny: bool, whole: bool = False) -> Callable[[], Any]:
    """A training step of GPT-2's shape (124M) in bfloat16, batch 16 of 1,024 tokens, written the same for both. `whole`: ours as
    a captured graph, PyTorch's compiled."""
    nn, f = engine.nn, engine.nn.functional
    vocabulary, layers, heads, width, length, batch = (97, 2, 2, 32, 16, 2) if tiny else (50304, 12, 12, 768, 1024, 16)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n1, self.n2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            b, t, _ = x.shape
            q, k, v = self.qkv(self.n1(x)).reshape(b, t, 3, heads, width // heads).permute(2, 0, 3, 1, 4).unbind(0)
            y = f.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, width)
            x = x + self.out(y)
            return x + self.down(f.gelu(self.up(self.n2(x)), approximate="tanh"))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token, self.place = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

        def forward(self, ids: Any) -> Any:
            x = self.token(ids) + self.place.weight[: ids.shape[1]]
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    model = Model().to("cuda").to(engine.bfloat16)
    if whole and engine is not lamella:
        model.compile()
    optimizer = engine.optim.AdamW(model.parameters(), lr=1e-4, **({"fused": True} if engine is not lamella else {}))
    ids = engine.randint(0, vocabulary, (batch, length + 1), device="cuda")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        logits = model(ids[:, :-1])
        f.cross_entropy(logits.reshape(-1, vocabulary), ids[:, 1:].reshape(-1)).backward()
        optimizer.step()

    return cuda.make_graphed_callable(step) if whole and engine is lamella else step


def ask(*query: str) -> str:
    try:
        run = subprocess.run(["nvidia-smi", f"--query-gpu={','.join(query)}", "--format=csv,noheader"], capture_output=True, text=True)
    except OSError:
        return ""
    return run.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--seconds", type=float, default=0.15, help="of one measurement")
    parser.add_argument("--also", type=Path, help="a JSON file whose entries go into the report")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    args = parser.parse_args()
    if not cuda.is_available():
        raise SystemExit(f"no GPU: {cuda.why_not()}")
    torch, found = Peer.find(), []
    seconds = 0.0 if args.tiny else args.seconds
    every = list(rows(args.tiny))
    every.append(("GPT-2 124M step bf16 16x1024", "steps/s", 1e12, lambda e: gpt_step(e, args.tiny)))
    every.append(("GPT-2 124M step bf16 16x1024, graph beside torch.compile", "steps/s", 1e12, lambda e: gpt_step(e, args.tiny, True)))
    for name, unit, work, make in every:
        if args.only not in name:
            continue
        row: dict[str, Any] = {"name": name, "unit": unit}
        try:
            ours, theirs = make(lamella), make(torch) if torch else None
            took: tuple[list[float], list[float]] = ([], [])
            for _ in range(1 if args.tiny else 5):
                took[0].append(timed(ours, lamella, seconds))
                if theirs:
                    took[1].append(timed(theirs, torch, seconds))
            row["rate"] = work / statistics.median(took[0]) / 1e12
            if theirs:
                row["torch"] = work / statistics.median(took[1]) / 1e12
                row["ratio"] = row["rate"] / row["torch"]
        except Exception as error:  # a row that fails must not cost the others their time on the machine
            row["error"] = f"{type(error).__name__}: {error}"
        found.append(row)
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    overhead = {"lamella": call_overhead(lamella), **({"torch": call_overhead(torch)} if torch else {})}
    print("a + b of 16 floats, microseconds of the host:", overhead)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    report = {
        "gpu": cuda.get_device_name(),
        "capability": cuda.get_device_capability(),
        "driver": ask("driver_version"),
        "clocks": ask("clocks.sm", "clocks.mem", "power.draw"),
        "host": platform.processor() or platform.machine(),
        "commit": commit,
        "torch": getattr(torch, "__version__", None),
        "call_microseconds": overhead,
        "rows": found,
        **(json.loads(args.also.read_text(encoding="utf-8")) if args.also else {}),
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
