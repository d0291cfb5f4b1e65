# SPDX-License-Identifier: MIT
"""What all agents share: learning in iterations, acting, evaluation, saving and resuming."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import numpy as np

from .. import serialize
from .callbacks import Progress
from .envs import EnvLoop, VectorLoop, batch_of, make, makes
from .schedules import Setting, at, decode, encode
from .spaces import is_discrete, name_of, require, start, storage

_KIND = "lamella agent 1"


class Agent:
    """Learns in an environment. Subclasses write `_iterate` (some steps and what is learned from them; the figures to
    report) and `_choose` (actions for a batch of observations).

    steps: of all environments together. episodes: (steps done when it ended, return, length) of every episode.
    history: a dict every `log_every` steps, with "steps", "return" and "length" (means of the last 100 episodes) and the
    means of the algorithm's own figures.
    """

    _observations_kinds: tuple[str, ...] = ("Box", "Discrete")
    _actions_kinds: tuple[str, ...] = ("Discrete",)
    _n_envs = 1
    kinds: dict[str, type[Agent]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        Agent.kinds[cls.__name__] = cls

    def _start(self, arguments: dict[str, Any]) -> None:
        """Keeps every setting under its own name and opens the environments; first in a subclass's __init__, with locals()."""
        for name in self._setting_names():
            setattr(self, name, arguments[name])
        op, env = type(self).__name__, arguments["env"]
        self.envs: EnvLoop | VectorLoop = batch_of(env, self.n_envs, self._n_envs, self.vectorization)
        self._made_by = env if makes(env) else None
        require(op, "observations", self.envs.observation_space, self._observations_kinds, self.envs.name)
        require(op, "actions", self.envs.action_space, self._actions_kinds, self.envs.name)
        if self.seed is None:
            self.seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.rng = np.random.default_rng(self.seed)
        self.steps, self.total_steps = 0, 0
        self.episodes: list[tuple[int, float, int]] = []
        self.history: list[dict[str, float]] = []
        self.callbacks: list[Callable[[Agent], Any]] = []
        self._pending: list[dict[str, float]] = []  # figures since the last row of the history
        self._callback_states: dict[str, Any] = {}
        self._observations: np.ndarray | None = None

    @classmethod
    def _setting_names(cls) -> list[str]:
        return [n for n in inspect.signature(cls.__init__).parameters if n not in ("self", "env", "policy")]

    # ---- learning ----------------------------------------------------------------------------------------------------
    def learn(
        self,
        total_steps: int,
        callbacks: Iterable[Callable[[Agent], Any]] | Callable[[Agent], Any] = (),
        progress: bool | Callable[[Agent], Any] = False,
        log_every: int = 1000,
    ) -> Self:
        """Goes on until `total_steps` steps were made in all, so that a stopped and loaded agent ends where an unstopped
        one would; schedules run over that number.

        callbacks are called with the agent after every iteration; one that returns False ends learning. progress: True for
        a line now and then, or a callback of one's own. Ctrl-C ends learning after the iteration that is under way, so that
        what callbacks then save can be resumed to the bit; a second one ends it at once.
        """
        calls = [callbacks] if callable(callbacks) else list(callbacks)
        if progress:
            calls.append(progress if callable(progress) else Progress())
        self.total_steps = total_steps
        if self._observations is None:
            self._observations = self.envs.reset(seed=int(self.rng.integers(2**31)))
        self.callbacks = calls
        for call in calls:
            state = self._callback_states.pop(type(call).__name__, None)
            if state is not None and hasattr(call, "load_state_dict"):
                call.load_state_dict(state)
            getattr(call, "start", lambda agent: None)(self)
        with held_interrupt() as interrupted:
            try:
                self._learn(calls, log_every, interrupted)
            finally:
                for call in calls:
                    getattr(call, "end", lambda agent: None)(self)
        return self

    def _learn(self, calls: list[Callable[[Agent], Any]], log_every: int, interrupted: list[int]) -> None:
        going = True
        while going and not interrupted and self.steps < self.total_steps:
            figures = self._iterate()
            self.episodes += [(self.steps, *episode) for episode in self.envs.finished]
            self.envs.finished.clear()
            if figures:
                self._pending.append(figures)
            logged = self.history[-1]["steps"] if self.history else 0
            if self.steps - logged >= log_every or self.steps >= self.total_steps:
                self.history.append({"steps": self.steps, **self.recent(), **_means(self._pending)})
                self._pending = []
            going = all([call(self) is not False for call in calls])  # every one is called

    def recent(self, count: int = 100) -> dict[str, float]:
        """{"return", "length"}: means of the last `count` episodes; empty before the first."""
        last = self.episodes[-count:]
        if not last:
            return {}
        return {"return": sum(e[1] for e in last) / len(last), "length": sum(e[2] for e in last) / len(last)}

    def _at(self, setting: Setting) -> float:
        return at(setting, self.steps / self.total_steps if self.total_steps else 0.0)

    def _iterate(self) -> dict[str, float]:
        raise TypeError(f"[{type(self).__name__}] _iterate must be defined by the subclass")

    def _choose(self, observations: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        raise TypeError(f"[{type(self).__name__}] _choose must be defined by the subclass")

    # ---- using -------------------------------------------------------------------------------------------------------
    def act(self, obs: Any, deterministic: bool = True) -> Any:
        """The action for one observation (an int for Discrete actions), or those for a batch of them."""
        x, shape = np.asarray(obs), storage(self.envs.observation_space)[0]
        if x.shape == shape:
            action = self._choose(x[None], deterministic, self.rng)[0]
            return int(action) if is_discrete(self.envs.action_space) else action
        if x.shape[1:] != shape or x.ndim != len(shape) + 1:
            raise ValueError(f"[act] obs must have shape {shape}, or (N, ...) of it, got {x.shape}")
        return self._choose(x, deterministic, self.rng)

    def returns(
        self, env: Any = None, episodes: int = 10, deterministic: bool = True, seed: int | None = None, limit: int = 10_000
    ) -> np.ndarray:
        """The returns of as many new episodes. env: as for the agent; None makes new environments of its own kind. limit: an
        episode that has not ended after as many steps (a greedy policy can walk in circles) counts as it is.

        Each of up to 8 environments plays its share of the episodes: taking those that end first would favour short ones.
        """
        given = env is not None
        if not given and self._made_by is None:
            raise ValueError(f"[evaluate] env must be given: {self.envs.name} was given as an object, not by its id")
        envs = batch_of(env if given else self._made_by, None, min(8, episodes), None)
        for what in ("observation_space", "action_space"):
            if str(getattr(envs, what)) != str(getattr(self.envs, what)):
                wanted = getattr(self.envs, what)
                raise ValueError(f"[evaluate] env must have the {what} {wanted}, got {envs.name} with {getattr(envs, what)}")
        rng = np.random.default_rng(seed)
        quota = np.full(envs.n, episodes // envs.n)
        quota[: episodes % envs.n] += 1
        observations, sums, lengths, found = envs.reset(seed=seed), np.zeros(envs.n), np.zeros(envs.n, int), []
        single = isinstance(envs, EnvLoop)
        rows = np.flatnonzero(quota > 0) if single else np.arange(envs.n)
        observations = observations[rows]
        while (quota > 0).any():
            actions = self._choose(observations, deterministic, rng)
            observations, rewards, terminated, truncated, _ = envs.step(actions, rows if single else None)
            sums[rows] += rewards
            lengths[rows] += 1
            over = lengths[rows] >= limit
            ended = rows[terminated | truncated | over]
            if ended.size:
                found += [sums[i] for i in ended if quota[i] > 0]
                sums[ended] = lengths[ended] = 0
                quota[ended] -= 1
                quota[rows[over]] = 0  # without a reset there is no next episode
                if single:
                    keep = quota[rows] > 0
                    rows, observations = rows[keep], observations[keep]
        if not given:
            envs.close()
        return np.array(found)

    def evaluate(
        self, env: Any = None, episodes: int = 10, deterministic: bool = True, seed: int | None = None
    ) -> tuple[float, float]:
        """(mean, standard deviation) of the returns of new episodes: see `returns`."""
        found = self.returns(env, episodes, deterministic, seed)
        return float(found.mean()), float(found.std())

    # ---- files -------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """All that learning depends on: weights, optimiser, random streams, the running episodes."""
        return {
            "steps": self.steps,
            "rng": self.rng.bit_generator.state,
            "episodes": np.array(self.episodes, np.float64).reshape(-1, 3),
            "history": self.history,
            "pending": self._pending,
            "callbacks": {type(c).__name__: c.state_dict() for c in self.callbacks if hasattr(c, "state_dict")},
            "envs": None if self._observations is None else self.envs.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what `state_dict()` gave."""
        self.steps, self.rng.bit_generator.state = state["steps"], state["rng"]
        self.episodes = [(int(a), float(b), int(c)) for a, b, c in state["episodes"].tolist()]
        self.history, self._pending = list(state["history"]), list(state["pending"])
        self._callback_states = dict(state["callbacks"])
        if state["envs"] is not None:
            self.envs.load_state_dict(state["envs"])
            self._observations = self.envs.observations.copy()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Everything, atomically, in one safetensors file. Learning goes on after `load` as if it had not been stopped, to
        the bit where an environment repeats itself from a random state (see EnvLoop); opening the file runs no code."""
        settings = {name: encode(getattr(self, name)) for name in self._setting_names()}
        for name, value in settings.items():
            if callable(value):
                raise TypeError(f"[save] {name} must be a number or one of lamella.rl's schedules to be saved, got {value!r}")
        env = self._made_by if isinstance(self._made_by, str) else None
        settings["n_envs"] = self.envs.n if self._made_by is not None else None
        data = {"kind": _KIND, "agent": type(self).__name__, "env": env, "settings": settings, "state": self.state_dict()}
        serialize.save(data, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], env: Any = None, **changes: Any) -> Any:
        """The agent of a file: of the class it was saved from (Agent.load takes any). env: needed where the agent was not
        given an id; changes: settings to replace, and `policy` where it had a network of one's own."""
        data = serialize.load(path)
        if not isinstance(data, dict) or data.get("kind") != _KIND or data.get("agent") not in Agent.kinds:
            raise ValueError(f"[load] {os.fspath(path)}: must be a file of an agent's save()")
        kind = Agent.kinds[data["agent"]]
        if not issubclass(kind, cls):
            raise ValueError(f"[load] {os.fspath(path)}: must hold a {cls.__name__}, got a {kind.__name__}")
        env = data["env"] if env is None else env
        if env is None:
            raise ValueError(f"[load] {os.fspath(path)}: env must be given, the agent was made with an object")
        settings = {name: decode(value) for name, value in data["settings"].items()}
        if not makes(env):
            settings["n_envs"] = None
        agent = kind(env, **{**settings, **changes})
        try:
            agent.load_state_dict(data["state"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"[load] {os.fspath(path)}: the state must be one of this agent: {error}") from None
        return agent

    def close(self) -> None:
        """Closes the environments."""
        self.envs.close()

    def _to_env(self, actions: np.ndarray) -> np.ndarray:
        """Actions as the environment takes them: numbered from the space's start, within a Box's bounds."""
        space = self.envs.action_space
        if is_discrete(space):
            return actions + start(space) if start(space) else actions
        return np.clip(actions, space.low, space.high)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.envs.name}, n_envs={self.envs.n}, steps={self.steps})"


@contextlib.contextmanager
def held_interrupt() -> Iterator[list[int]]:
    """Inside, the first Ctrl-C only fills the list that is given; KeyboardInterrupt comes at the end of the block."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: Any) -> None:
        caught.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, handle)
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, before)
    if caught:
        raise KeyboardInterrupt


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {n: float(np.mean([row[n] for row in rows if n in row])) for n in names}


def episode(agent: Agent, env: Any = None, seed: int | None = None, limit: int = 10_000) -> tuple[list[Any], float]:
    """(frames, return) of one episode of the agent's greedy policy, rendered: env is an environment made with
    render_mode="rgb_array", or None for one of the agent's own kind."""
    if env is None:
        env = make(agent._made_by, render_mode="rgb_array") if isinstance(agent._made_by, str) else None
    if env is None or getattr(env, "render_mode", None) != "rgb_array":
        raise ValueError(f"[episode] env must be made with render_mode='rgb_array', got {name_of(env) if env is not None else None}")
    observation, _ = env.reset(seed=seed)
    frames, total = [env.render()], 0.0
    for _ in range(limit):
        observation, reward, terminated, truncated, _ = env.step(agent.act(observation))
        frames.append(env.render())
        total += float(reward)
        if terminated or truncated:
            break
    return frames, total
