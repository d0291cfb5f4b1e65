# SPDX-License-Identifier: MIT
"""A whole run of an agent: learning that can be stopped and resumed, the final evaluation, pictures."""

from __future__ import annotations

import os
from typing import Any

from . import plots
from .agent import Agent, episode
from .callbacks import Checkpoint, Progress
from .envs import gymnasium


def session(
    run: Any, agent: Agent, steps: int, callbacks: Any = (), *, episodes: int = 100, solved: float | None = None, env: Any = None
) -> tuple[Agent, dict[str, float]]:
    """(agent, figures) of a recipe's run: learns for `steps`, keeping agent.safetensors in the run's folder (from which a
    resumed run goes on), evaluates on new episodes, draws rewards.png and episode.png.

    solved: the mean return that counts as solved: a line in the picture, and the figure "solved". env: makes the
    environment that is drawn, called with render_mode; None: the agent's own.
    """
    path = run.out / "agent.safetensors"
    if run.resuming and path.exists():
        agent = type(agent).load(path, agent._made_by)
    shown = [] if run.quiet else [Progress()]
    agent.learn(steps, [Checkpoint(path, max(1, steps // 5)), *callbacks, *shown])
    run._left(path.name)
    mean, std = agent.evaluate(episodes=episodes, seed=run.seed + 1_000_000)  # seeds that learning did not see
    figures: dict[str, Any] = {"return": mean, "std": std, "steps": agent.steps, "episodes": len(agent.episodes)}
    if solved is not None:
        figures["solved"] = mean >= solved
    run.figure("rewards", plots.rewards, agent, solved=solved)
    if agent.history and len(agent.history) > 1:
        run.figure("losses", plots.losses, agent)
    run.figure("episode", draw, agent, env, run.seed)
    return agent, figures


def draw(agent: Agent, env: Any = None, seed: int | None = None) -> Any:
    """A Figure of one episode; ImportError where what Gymnasium renders with is missing (pygame)."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame looks for a screen otherwise
    made = env(render_mode="rgb_array") if env is not None else None
    try:
        pictures, total = episode(agent, made, seed)
    except gymnasium().error.DependencyNotInstalled as error:
        raise ImportError(f"[rl] pictures of an episode need pygame: {error}") from None
    return plots.frames(pictures, title=f"{agent.envs.name}, return {total:g}")
