# SPDX-License-Identifier: MIT
"""Environments in a batch, whatever they are made of, behind one interface.

`step(actions)` gives (observations, rewards, terminated, truncated, successors): `observations` (N, ...) are those to act
on next; `successors` are those the step led to. They are the same array but where an episode ended: there the next episode
has begun already, and its first observation is among `observations`, the last one of the old episode among `successors`.
Values are bootstrapped from successors where an episode was truncated (it would have gone on), never where it terminated.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .spaces import name_of, storage

Step = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def gymnasium() -> Any:
    """The package; ImportError says how to get it."""
    try:
        return importlib.import_module("gymnasium")
    except ImportError:
        raise ImportError("[rl] gymnasium must be installed: pip install 'lamella[rl]'") from None


def makes(env: Any) -> bool:
    """Whether env is an id or a function (or class) that makes an environment, not one itself."""
    return isinstance(env, str | type) or (callable(env) and not hasattr(env, "step"))


def make(env: Any, **options: Any) -> Any:
    """A Gymnasium environment from its id ("CartPole-v1"; without a version: the newest), or from a function that makes one.

    ValueError for an id that is not there; what Gymnasium says of it is in the message.
    """
    if not isinstance(env, str):
        return env()
    gym = gymnasium()
    if "-v" not in env:
        versions = [(spec.version or 0, name) for name, spec in gym.registry.items() if spec.name == env and spec.namespace is None]
        env = max(versions)[1] if versions else env
    try:
        return gym.make(env, **options)
    except gym.error.UnregisteredEnv as error:
        raise ValueError(f"[make] env must be the id of an environment, got {env!r}: {error}") from None


class EnvLoop:
    """Environments that are stepped in turn in this process, each with the interface of gymnasium.Env.

    What gymnasium.vector.SyncVectorEnv does with AutoresetMode.SAME_STEP, in less time (no copies, no dict of infos), for
    any object with `reset` and `step`, and with a state that can be saved: the random state at the start of each episode
    and the actions since. From these an environment is brought to where it was, provided that its random numbers come from
    `env.np_random`, as Gymnasium asks.
    """

    def __init__(self, envs: Sequence[Any]) -> None:
        self.envs, first = list(envs), envs[0]
        self.n = len(self.envs)
        self.name = name_of(first)
        self.observation_space, self.action_space = first.observation_space, first.action_space
        shape, dtype = storage(self.observation_space)
        self.observations = np.zeros((self.n, *shape), dtype)
        self.returns, self.lengths = [0.0] * self.n, [0] * self.n  # of the running episodes
        self.finished: list[tuple[float, int]] = []  # (return, length) of episodes, until somebody takes them
        self._starts: list[Any] = [None] * self.n
        self._actions: list[list[Any]] = [[] for _ in self.envs]

    def _begin(self, i: int, seed: int | None = None) -> Any:
        env = self.envs[i]
        if seed is None:
            generator = getattr(getattr(env, "unwrapped", env), "np_random", None)
            self._starts[i] = generator.bit_generator.state if generator is not None else None
        else:
            self._starts[i] = seed
        self._actions[i] = []
        return env.reset(seed=seed)[0]

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Begins an episode in every environment: the one at place i from seed + i."""
        for i in range(self.n):
            self.observations[i] = self._begin(i, None if seed is None else seed + i)
        self.returns, self.lengths = [0.0] * self.n, [0] * self.n
        return self.observations.copy()

    def advance(self, i: int, action: Any) -> tuple[Any, float, bool, bool, Any]:
        """One step of the environment at place i: (observation, reward, terminated, truncated, successor)."""
        self._actions[i].append(action)
        observation, reward, terminated, truncated, _ = self.envs[i].step(action)
        self.returns[i] += float(reward)
        self.lengths[i] += 1
        if not (terminated or truncated):
            return observation, reward, False, False, observation
        last = np.array(observation)  # an environment may use one array for all its observations
        self.finished.append((self.returns[i], self.lengths[i]))
        self.returns[i], self.lengths[i] = 0.0, 0
        return self._begin(i), reward, terminated, truncated, last

    def step(self, actions: np.ndarray, which: np.ndarray | None = None) -> Step:
        """One step of each environment, or of those numbered in `which`, to which all rows then belong."""
        numbers = range(self.n) if which is None else which.tolist()
        count = len(numbers)
        rewards, terminated, truncated = np.empty(count), np.empty(count, bool), np.empty(count, bool)
        observations, lasts = self.observations, []
        for row, (i, action) in enumerate(zip(numbers, actions.tolist() if actions.ndim == 1 else actions, strict=True)):
            observations[i], rewards[row], terminated[row], truncated[row], last = self.advance(i, action)
            if terminated[row] or truncated[row]:
                lasts.append((row, last))
        after = successors = observations.copy() if which is None else observations[which]
        if lasts:
            successors = after.copy()
            for row, last in lasts:
                successors[row] = last
        return after, rewards, terminated, truncated, successors

    def state_dict(self) -> dict[str, Any]:
        """How each running episode began, and its actions so far."""
        logs = [np.array(log) if log else np.zeros(0) for log in self._actions]
        return {"starts": list(self._starts), "actions": logs, "observations": self.observations.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Replays the episodes. False, with a warning, where an environment went another way: new episodes begin then."""
        for i, (begun, actions) in enumerate(zip(state["starts"], state["actions"], strict=True)):
            env = self.envs[i]
            if isinstance(begun, dict):
                getattr(env, "unwrapped", env).np_random.bit_generator.state = begun
            observation, reward = self._begin(i, begun if isinstance(begun, int) else None), 0.0
            self.returns[i] = 0.0
            for action in actions.tolist() if actions.ndim == 1 else actions:
                self._actions[i].append(action)
                observation, reward, *_ = env.step(action)
                self.returns[i] += float(reward)
            self.observations[i], self.lengths[i] = observation, len(actions)
        same = np.array_equal(self.observations, state["observations"])
        if not same:
            warnings.warn(f"[load] {self.name} did not repeat its episodes from the same random state: new ones begin", stacklevel=3)
            self.reset()
        return same

    def close(self) -> None:
        """Closes every environment."""
        for env in self.envs:
            getattr(env, "close", lambda: None)()


class VectorLoop:
    """A gymnasium.vector.VectorEnv of any autoreset mode behind the interface of EnvLoop.

    With AutoresetMode.NEXT_STEP, the step after the end of an episode only resets: such rows are marked in `idle` and must
    be left out of what is learned from. Episodes cannot be saved: after a load, new ones begin.
    """

    def __init__(self, env: Any) -> None:
        self.env, self.n = env, env.num_envs
        self.name = name_of(env)
        self.observation_space, self.action_space = env.single_observation_space, env.single_action_space
        self.mode = getattr(env.metadata.get("autoreset_mode"), "value", "NextStep")
        self.observations = np.zeros(0)
        self.returns, self.lengths = np.zeros(self.n), np.zeros(self.n, np.int64)
        self.finished: list[tuple[float, int]] = []
        self.idle = np.zeros(self.n, bool)
        self._ended = np.zeros(self.n, bool)

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Begins an episode in every environment."""
        self.observations = np.array(self.env.reset(seed=seed)[0])
        self.returns[:] = self.lengths[:] = 0
        self._ended[:] = False
        return self.observations.copy()

    def step(self, actions: np.ndarray, which: np.ndarray | None = None) -> Step:
        """One step of each environment."""
        if which is not None:
            raise ValueError(f"[rl] env must be an id or single environments for whole episodes, got the vector {self.name}")
        self.idle = self._ended.copy() if self.mode == "NextStep" else np.zeros(self.n, bool)
        found, rewards, terminated, truncated, infos = self.env.step(actions)
        observations = np.array(found)
        self._ended = ended = terminated | truncated
        self.returns += rewards
        self.lengths += ~self.idle
        successors = observations
        if ended.any():
            rows = np.flatnonzero(ended)
            self.finished += list(zip(self.returns[rows].tolist(), self.lengths[rows].tolist(), strict=True))
            self.returns[rows] = self.lengths[rows] = 0
            if self.mode == "SameStep":
                successors = observations.copy()
                for i in rows:
                    successors[i] = infos["final_obs"][i]
            elif self.mode == "Disabled":
                observations = np.where(
                    ended.reshape(-1, *[1] * (observations.ndim - 1)),
                    self.env.reset(options={"reset_mask": ended})[0],
                    observations,
                )
        self.observations = observations
        return observations, np.asarray(rewards, np.float64), terminated, truncated, successors

    def state_dict(self) -> dict[str, Any]:
        """Nothing: see the class."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """False: new episodes begin."""
        self.reset()
        return False

    def close(self) -> None:
        """Closes them all."""
        self.env.close()


def batch_of(env: Any, n_envs: int | None, default: int, vectorization: str | None) -> EnvLoop | VectorLoop:
    """The environments of an agent: `env` is an id or a function (n_envs of them are made), one environment, a list of
    environments or a gymnasium.vector.VectorEnv. vectorization: None for EnvLoop, or "sync", "async" (a process each) or
    "vector_entry_point" (the environment's own), made by Gymnasium."""
    if isinstance(env, EnvLoop | VectorLoop):
        return env
    if not makes(env) and hasattr(env, "num_envs") and hasattr(env, "single_action_space"):
        if n_envs not in (None, env.num_envs):
            raise ValueError(f"[rl] n_envs must be {env.num_envs} for this vector environment, got {n_envs}")
        return VectorLoop(env)
    if isinstance(env, list | tuple):
        return EnvLoop(env)
    if not makes(env) and hasattr(env, "step"):
        if n_envs not in (None, 1):
            raise ValueError(f"[rl] env must be an id or a function that makes one for n_envs = {n_envs}, got one {name_of(env)}")
        return EnvLoop([env])
    if not makes(env):
        raise TypeError(f"[rl] env must be an id, an environment or a function that makes one, got {type(env).__name__}")
    count = default if n_envs is None else n_envs
    if count < 1:
        raise ValueError(f"[rl] n_envs must be at least 1, got {count}")
    if vectorization is None:
        return EnvLoop([make(env) for _ in range(count)])
    return VectorLoop(_vector(env, count, vectorization))


def _vector(env: Any, n: int, vectorization: str) -> Any:
    gym = gymnasium()
    if vectorization == "vector_entry_point":
        return gym.make_vec(env, num_envs=n, vectorization_mode="vector_entry_point")
    kinds = {"sync": gym.vector.SyncVectorEnv, "async": gym.vector.AsyncVectorEnv}
    if vectorization not in kinds:
        raise ValueError(f"[rl] vectorization must be None, 'sync', 'async' or 'vector_entry_point', got {vectorization!r}")
    makers: list[Callable[[], Any]] = [lambda: make(env)] * n
    modes = getattr(gym.vector, "AutoresetMode", None)  # since Gymnasium 1.1; NEXT_STEP was the only one before
    return kinds[vectorization](makers, **({"autoreset_mode": modes.SAME_STEP} if modes else {}))
