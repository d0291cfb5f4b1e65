# SPDX-License-Identifier: MIT
"""Watching a loop of one's own: hooks on the model's forward, on backward and on the optimiser's step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import nn
from ..autograd import is_grad_enabled, no_grad, register_backward_start_hook
from ..tensor import Tensor
from . import graph
from .data import arrays
from .facts import Layer, Look, Run, Weight

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def chosen(step: int) -> bool:
    """Whether a step is looked at closely: 0, 1, 2, 5, 10, 20, 50, ... and from 1,000 on every thousandth."""
    if step == 0 or step % 1000 == 0:
        return True
    return step < 1000 and step // 10 ** int(math.log10(step)) in (1, 2, 5) and step % 10 ** int(math.log10(step)) == 0


class Watch:
    """`with watch(model, optimizer) as w:` around a training loop; `w.report()` afterwards (or at any time).

    At every step it notes the loss; at steps 0, 1, 2, 5, 10, 20, 50, ... it also looks at activations, gradients, updates and
    at the graph of the loss. Numbers of the run do not change. An exception in the block is noted and goes on.
    """

    def __init__(self, model: Any, optimizer: Any = None) -> None:
        self.model, self.optimizer, self.run = model, optimizer, Run()
        self._handles: list[Any] = []
        self._close: list[Any] = []
        self._names = {id(p): name for name, p in model.named_parameters()}
        self._look: Look | None = None
        self._made: dict[Any, str] = {}
        self._called: set[str] = set()
        self._pending: list[float] = []
        self._before: dict[int, Tensor] = {}
        self._probe: Any = None
        self._backwards, self._clean = 0, False
        self._input: list[Tensor] = []

    # ---- on and off -----------------------------------------------------------------------------------------------------
    def __enter__(self) -> Watch:
        self._handles = [
            self.model.register_forward_pre_hook(self._begin, with_kwargs=True),
            self.model.register_forward_hook(self._end),
            register_backward_start_hook(self._backward),
        ]
        if self.optimizer is not None:
            self._handles += [
                self.optimizer.register_step_pre_hook(self._before_step),
                self.optimizer.register_step_post_hook(self._after_step),
            ]
        own = list(self.model.parameters())
        self.run.frozen = (sum(not p.requires_grad for p in own), len(own))
        self._next()
        return self

    def _next(self) -> None:
        """Before each step: whether it is looked at."""
        if chosen(self.run.steps):
            self._look, self._called = Look(self.run.steps), set()
            self._open()

    def __exit__(self, kind: Any = None, error: BaseException | None = None, trace: Any = None) -> None:
        if isinstance(error, Exception):
            self.failed(error)
        for handle in (*self._handles, *self._close):
            handle.remove()
        self._handles, self._close, self._before, self._made = [], [], {}, {}
        if self._probe is not None:
            self._probe.remove()
            self._probe = None

    def failed(self, error: Exception) -> None:
        """Notes an exception that ended the loop."""
        self.run.error = error
        self._bad_input()
        self._target_of_error(error)

    def _bad_input(self) -> None:
        """Takes the inputs of this step into account if they are not finite: it may be none that is looked at."""
        if any(t.dtype.is_floating_point and not np.isfinite(arrays(t)).all() for t in self._input):
            self.run.data.add(self._input, None)
            self._input = []

    def report(self) -> Any:
        """What was found so far, as a Report."""
        from .facts import Evidence
        from .report import Report

        return Report.of(Evidence(run=self.run, data=self.run.data))

    # ---- forward --------------------------------------------------------------------------------------------------------
    def _begin(self, module: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        if not is_grad_enabled():
            return
        self._input = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
        if self._look is not None:
            self._modes()

    def _end(self, module: Any, args: tuple, output: Any) -> None:
        if self._look is None or not is_grad_enabled():
            return
        y = output[0] if isinstance(output, (tuple, list)) and output else getattr(output, "logits", output)
        if isinstance(y, Tensor):
            self.run.output_shape = tuple(y.shape)

    def _open(self) -> None:
        """Hooks on every module without modules in it, for this step."""
        for path, module in self.model.named_modules():
            if any(True for _ in module.children()):
                continue
            kind = type(module).__name__

            def post(m: Any, args: tuple, output: Any, path: str = path, kind: str = kind) -> None:
                if is_grad_enabled():
                    self._layer(path or kind, kind, args, output)

            self._close.append(module.register_forward_hook(post))
            if isinstance(module, NORMS):
                self._close.append(module.register_forward_pre_hook(lambda m, args, path=path: self._norm(path, m, args)))
            if isinstance(module, nn.RNNBase):
                self._close.append(
                    module.register_forward_pre_hook(lambda m, args, path=path: self._sequence(path, m, args))
                )

    def _modes(self) -> None:
        self.run.mode_checks += 1
        wanting = [path for path, m in self.model.named_modules() if self._mode_matters(m) and not m.training]
        if wanting:
            self.run.eval_steps += 1
            self.run.eval_modules = wanting

    @staticmethod
    def _mode_matters(m: Any) -> bool:
        if isinstance(m, NORMS):
            return m.running_mean is not None and (m.weight is None or m.weight.requires_grad)
        return isinstance(m, DROPOUTS) and m.p > 0

    def _norm(self, path: str, module: Any, args: tuple) -> None:
        if module.training and args and isinstance(args[0], Tensor) and is_grad_enabled():
            n = args[0].shape[0] if args[0].ndim > 1 else 1
            self.run.small_norms[path] = min(n, self.run.small_norms.get(path, n))

    def _sequence(self, path: str, module: Any, args: tuple) -> tuple | None:
        """Notes the gradient of a recurrent layer's input, step by step in time."""
        x = args[0] if args else None
        if not isinstance(x, Tensor) or x.ndim != 3 or not is_grad_enabled() or self._look is None:
            return None
        x = x if x.requires_grad else x.detach().requires_grad_()
        axis, look = (1 if module.batch_first else 0), self._look

        def note(g: Tensor) -> None:
            a = np.moveaxis(arrays(g).astype(np.float64), axis, 0)
            look.time_gradients[path] = np.sqrt((a.reshape(len(a), -1) ** 2).sum(1)).tolist()

        x.register_hook(note)
        return (x, *args[1:])

    def _layer(self, path: str, kind: str, args: tuple, output: Any) -> None:
        look = self._look
        y = output[0] if isinstance(output, (tuple, list)) and output else output
        if look is None or not isinstance(y, Tensor) or not y.dtype.is_floating_point or y.numel() == 0:
            return
        if not look.layers and look.step == 0 and kind not in ("Flatten", "Identity", "Unflatten") and not self._called:
            self.run.normalised = "Norm" in kind
        self._called.add(path)
        a = arrays(y)
        if kind in ("RNN", "LSTM", "GRU") and a.ndim == 3:
            states = np.moveaxis(a, 1 if self.model.get_submodule(path if path != kind else "").batch_first else 0, 0)
            look.time_states[path] = np.sqrt((states.astype(np.float64).reshape(len(states), -1) ** 2).sum(1)).tolist()
        peak = float(np.abs(a).max())
        finite = math.isfinite(peak)
        norm = length(a.ravel()[: 1 << 20])
        layer = look.layers.get(path)
        if layer is None:
            ins = all(np.isfinite(arrays(t)).all() for t in args if isinstance(t, Tensor) and t.dtype.is_floating_point)
            s = a.ravel()[:: max(1, a.size // 100_000)].astype(np.float64)
            with np.errstate(all="ignore"):
                layer = look.layers[path] = Layer(path, kind, float(s.mean()), float(s.std()), peak, finite, ins)
        else:
            layer.calls, layer.peak, layer.finite = layer.calls + 1, max(layer.peak, peak), layer.finite and finite
        layer.norms.append(norm)
        if y.requires_grad:
            if y.grad_fn is not None:
                self._made[y.grad_fn] = f"{path} ({kind})" if path.rpartition(".")[2].isdigit() else path
            place = len(layer.gradients)
            layer.gradients.append(math.nan)

            def note(g: Tensor) -> None:
                layer.gradients[place] = length(arrays(g))

            y.register_hook(note)

    # ---- backward -------------------------------------------------------------------------------------------------------
    def _backward(self, tensors: tuple) -> None:
        loss = tensors[0]
        if loss.numel() != 1:
            return
        value = float(loss.detach().item())
        self._pending.append(value)
        if not math.isfinite(value) and not self.run.nan_at and loss.grad_fn is not None:
            self.run.nan_at = self._origin(graph.walk(loss.grad_fn))
            if self._look is None:
                self._bad_input()
        look = self._look
        if look is None or loss.grad_fn is None:
            return
        nodes = graph.walk(loss.grad_fn)
        reached = graph.leaves(nodes)
        look.reached = reached if look.reached is None else look.reached | reached
        found = graph.loss_nodes(nodes)
        look.units += graph.units(nodes, self._made)
        look.softmaxes += graph.inner_softmaxes(nodes, self._made)
        if look.step == 0:
            self.run.loss_nodes += found
        self._see(found, look)
        for path, layer in look.layers.items():
            if not layer.finite and layer.finite_input and not self.run.nan_at and not self._broken(path):
                self.run.nan_at = f"{path} ({layer.kind})"

    def _see(self, found: list[graph.LossNode], look: Look) -> None:
        """Labels and predictions, from the loss itself."""
        target = next((f.target for f in found if f.target is not None), None)
        if self._input:
            self.run.data.add(self._input, target)
        for f in found[:1]:
            if f.classes > 1:
                guess = arrays(f.input).argmax(1 if f.input.ndim > 1 else 0)
                look.predictions = np.bincount(guess.ravel(), minlength=f.classes)

    def _origin(self, nodes: list[Any]) -> str:
        """ "layer (op)", or which weight is not finite, or "inputs"."""
        bad = [self._names.get(id(p), "") for p in self.model.parameters() if not np.isfinite(arrays(p)).all()]
        if bad:
            return f"weights: {bad[0]}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else "")
        if any(t.dtype.is_floating_point and not np.isfinite(arrays(t)).all() for t in self._input):
            return "inputs"
        return graph.origin_of_nan(nodes, self._made)

    def _broken(self, path: str) -> bool:
        """Whether the module's own weights are not finite."""
        try:
            module = self.model.get_submodule(path)
        except AttributeError:
            return False
        return any(not np.isfinite(arrays(p)).all() for p in module.parameters())

    def _incoming(self, grad: Tensor) -> None:
        """A hook on one parameter: were the gradients of earlier steps taken away before this backward?"""
        held = self._watched.grad
        self._backwards += 1
        if held is None or not np.any(arrays(held)):
            self._clean = True

    # ---- step -----------------------------------------------------------------------------------------------------------
    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self._probe is not None and self._backwards:
            if self._clean:
                self.run.cleared += 1
            else:
                self.run.not_cleared += 1
        look = self._look
        if look is None:
            return
        groups = [g for g in optimizer.param_groups if g.get("lr", 1) != 0] or optimizer.param_groups
        known = {id(p) for g in groups for p in g["params"]}
        fresh = look.step == 0
        for p in self.model.parameters():
            name = self._names.get(id(p), "?")
            w = Weight(
                name, tuple(p.shape), p.requires_grad, id(p) in known, _norm(p), None if p.grad is None else _norm(p.grad)
            )
            owner = name.rpartition(".")[0]
            w.called = not self._called or owner in self._called or not owner or not self._is_leaf(owner)
            w.fresh = fresh and _looks_fresh(p)
            look.weights.append(w)
        with no_grad():
            self._before = {
                id(p): p.detach().clone() for p in self.model.parameters() if id(p) in known and p.grad is not None
            }

    def _is_leaf(self, path: str) -> bool:
        try:
            return not any(True for _ in self.model.get_submodule(path).children())
        except AttributeError:
            return False

    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        look, run = self._look, self.run
        run.losses.append(sum(self._pending) / len(self._pending) if self._pending else math.nan)
        run.rates.append(float(optimizer.param_groups[0].get("lr", math.nan)))
        if look is not None:
            look.loss = run.losses[-1]
            by_name = {w.name: w for w in look.weights}
            for p in self.model.parameters():
                if id(p) in self._before:
                    by_name[self._names[id(p)]].update = _norm(p.detach() - self._before[id(p)])
            run.looks.append(look)
            for handle in self._close:
                handle.remove()
            self._close, self._before, self._made, self._look = [], {}, {}, None
        if self._probe is None:
            self._choose()
        self._pending, self._backwards, self._clean = [], 0, False
        self._next()

    def _choose(self) -> None:
        """The smallest parameter with a gradient stands for all when it is asked whether gradients are cleared."""
        having = [p for p in self.model.parameters() if p.requires_grad and p.grad is not None and np.any(arrays(p.grad))]
        if having:
            self._watched = min(having, key=lambda p: p.numel())
            self._probe = self._watched.register_hook(self._incoming)

    # ---- errors ---------------------------------------------------------------------------------------------------------
    def _target_of_error(self, error: BaseException) -> None:
        """The labels that a loss refused, from the frame in which it did."""
        trace = error.__traceback__
        while trace is not None:
            code, local = trace.tb_frame.f_code, trace.tb_frame.f_locals
            x, y = local.get("input"), local.get("target")
            if code.co_name in ("cross_entropy", "nll_loss") and isinstance(x, Tensor) and isinstance(y, Tensor):
                self.run.loss_nodes = [graph.LossNode(code.co_name.removesuffix("_loss"), x.detach(), y)]
                if not self.run.data.samples and self._input:
                    self.run.data.add(self._input, y)
                return
            trace = trace.tb_next


def length(a: np.ndarray) -> float:
    """The norm of all elements, in float64, without BLAS, whose threads would wait for ours."""
    with np.errstate(all="ignore"):
        return math.sqrt(float(np.square(a, dtype=np.float64).sum()))


def _norm(t: Tensor) -> float:
    return length(arrays(t))


def _looks_fresh(p: Tensor) -> bool:
    """Whether a weight matrix looks like numbers just drawn: flat (uniform) or normal, alike in all rows. Trained weights
    have heavier tails and rows of different size."""
    a = arrays(p).astype(np.float64)
    if a.ndim < 2 or a.size < 64 or not a.std() > 0:
        return False
    rows = a.reshape(len(a), -1)
    kurtosis = float(((a - a.mean()) ** 4).mean() / a.var() ** 2)
    spread = rows.std(1)
    return kurtosis < 3.6 and float(spread.std() / spread.mean()) < 1.8 / math.sqrt(2 * rows.shape[1]) + 0.05


def watch(model: Any, optimizer: Any = None) -> Watch:
    """Watches whatever loop runs inside the block: the user's own, hooks doing the looking.

    >>> model = nn.Linear(4, 3)
    >>> optimizer = lamella.optim.SGD(model.parameters(), lr=0.1)
    >>> with watch(model, optimizer) as w:
    ...     for _ in range(3):                                  # no zero_grad
    ...         loss = model(lamella.randn(16, 4)).square().mean()
    ...         loss.backward()
    ...         _ = optimizer.step()
    >>> w.report().findings[0].code
    'gradients-not-cleared'

    model: its modules without modules inside are looked at. optimizer: a step of it ends a step of the run; without one,
    nothing can be said of updates. Returns a context manager with `run` (the figures) and `report()`.
    """
    return Watch(model, optimizer)
