# SPDX-License-Identifier: MIT
"""GradScaler: loss scaling for float16."""

from __future__ import annotations

import math
import warnings
from typing import Any

from .. import _core, ops
from ..nn.utils.clip_grad import _contiguous

__all__ = ["GradScaler"]

_READY, _UNSCALED, _STEPPED = "ready", "unscaled", "stepped"


class GradScaler:
    """Multiplies the loss so that small gradients do not vanish in float16, divides the gradients by the same before the
    step, leaves a step out where one of them is infinite or NaN, and finds the factor as it goes (Micikevicius et al. 2018).

    The scale starts at init_scale; it is multiplied by backoff_factor after a step that was left out, and by growth_factor
    after growth_interval steps in a row that were not. With enabled False, `scale` gives its argument back and `step` steps.

        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)             # only to look at the gradients, or to clip them
        clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)                 # one each, where there are several optimisers
        scaler.update()                        # once, after all of them

    The scale should stay a power of two, with which no bit is lost. Options and state_dict are PyTorch's, the default
    device apart.

    >>> w = lamella.tensor([1.0], requires_grad=True)
    >>> optimizer, scaler = lamella.optim.SGD([w], lr=0.5), lamella.amp.GradScaler(init_scale=8.0)
    >>> scaler.scale((2 * w).sum()).backward()
    >>> w.grad
    tensor([16.])
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> w.grad.item(), w.item(), scaler.get_scale()
    (2.0, 0.0, 8.0)
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and str(device) != "cpu" and (not str(device).startswith("cuda") or _core.cuda_problem()):
            warnings.warn(f"[GradScaler] device must be one that is there, got {device!r}: disabled", stacklevel=2)
            enabled = False
        if growth_factor <= 1:
            raise ValueError(f"[GradScaler] growth_factor must be above 1, got {growth_factor}")
        if not 0 < backoff_factor < 1:
            raise ValueError(f"[GradScaler] backoff_factor must be in (0, 1), got {backoff_factor}")
        if init_scale <= 0:
            raise ValueError(f"[GradScaler] init_scale must be positive, got {init_scale}")
        self._enabled, self._scale = enabled, float(init_scale)
        self._growth_factor, self._backoff_factor = float(growth_factor), float(backoff_factor)
        self._growth_interval, self._growth_tracker = int(growth_interval), 0
        self._stages: dict[int, str] = {}  # by id of the optimiser, since the last update()
        self._found_inf: dict[int, bool] = {}

    def scale(self, outputs: Any) -> Any:
        """The Tensor, or the Tensors of a list or tuple, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, _core.TensorBase):
            return outputs * self._scale
        if not isinstance(outputs, (tuple, list)):
            raise ValueError(f"[GradScaler] outputs must be a Tensor or a list of Tensors, got {type(outputs).__name__}")
        return type(outputs)([self.scale(y) for y in outputs])

    def unscale_(self, optimizer: Any) -> None:
        """Divides the gradients of the optimiser's parameters by the scale, in place. RuntimeError for a second time
        before `update`; ValueError for float16 gradients, which would vanish again (see MasterWeights)."""
        if not self._enabled:
            return
        stage = self._stages.get(id(optimizer), _READY)
        if stage != _READY:
            what = "unscale_" if stage == _UNSCALED else "step"
            raise RuntimeError(f"[GradScaler] unscale_ must be called once before update(), got it after {what}()")
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        masters = getattr(optimizer, "gather_gradients", None)
        if masters is None and any(g.dtype is _core.float16 for g in grads):
            raise ValueError("[GradScaler] gradients must not be float16: keep float32 weights and autocast, or use MasterWeights")
        if grads:
            self._found_inf[id(optimizer)] = not math.isfinite(_core.grad_norm(grads, math.inf))
            if masters is not None:
                masters(1.0 / self._scale)
            else:
                unscale(grads, 1.0 / self._scale)
        self._stages[id(optimizer)] = _UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step(*args, **kwargs), after `unscale_` unless that was called, and unless a gradient is infinite or NaN.
        RuntimeError for a closure, for a second call before `update`, or where no parameter has a gradient."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or args:
            raise RuntimeError("[GradScaler] step must be called without a closure, which loss scaling does not go with")
        if self._stages.get(id(optimizer)) == _STEPPED:
            raise RuntimeError("[GradScaler] step must be called once per optimiser before update(), got a second call")
        if self._stages.get(id(optimizer), _READY) == _READY:
            self.unscale_(optimizer)
        if id(optimizer) not in self._found_inf:
            raise RuntimeError("[GradScaler] optimizer must have a parameter with a gradient, got none")
        self._stages[id(optimizer)] = _STEPPED
        return None if self._found_inf[id(optimizer)] else optimizer.step(**kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Finds the scale of the next step, or sets it to new_scale. RuntimeError where nothing was unscaled or stepped."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._found_inf:
            raise RuntimeError("[GradScaler] update must be called after step(), got no step since the last update")
        elif any(self._found_inf.values()):
            self._scale, self._growth_tracker = self._scale * self._backoff_factor, 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                grown = self._scale * self._growth_factor
                self._scale = grown if grown <= 3.4028234663852886e38 else self._scale  # float32's greatest, as PyTorch
                self._growth_tracker = 0
        self._stages.clear()
        self._found_inf.clear()

    def get_scale(self) -> float:
        """The scale; 1 where disabled."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether it scales at all."""
        return self._enabled

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Sets `get_growth_factor()`."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after infinite gradients."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Sets `get_backoff_factor()`."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many good steps in a row the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Sets `get_growth_interval()`."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs; {} where disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict()` gave. RuntimeError for an empty one, as a disabled scaler gives it."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("[GradScaler] state_dict must be that of an enabled scaler, got an empty one")
        self._scale = float(state_dict["scale"])
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval, self._growth_tracker = int(state_dict["growth_interval"]), int(state_dict["_growth_tracker"])


def unscale(grads: list[Any], factor: float) -> None:
    """All gradients times factor, in place, in one pass."""
    plain, strided = _contiguous(grads)
    if plain:
        ops.scale_(plain, factor)
    for g in strided:
        g.mul_(factor)
