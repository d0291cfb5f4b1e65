# SPDX-License-Identifier: MIT
"""Advantage actor-critic on CartPole."""

from lamella import rl
from lamella.recipes import recipe


@recipe
def a2c(run, *, env: str = "CartPole-v1", steps: int = 200_000, lr: float = 7e-4, width: int = 64, episodes: int = 100, solved: float = 475.0,
        n_envs: int = 8, n_steps: int = 5, gamma: float = 0.99, ent_coef: float = 0.0, normalize: bool = False):  # fmt: skip
    """A2C on CartPole-v1: solved, 475 over 100 episodes, within 200,000 steps. Takes continuous actions as well.

    The best of the policies measured every 20,000 steps is kept; the figures are of 100 other episodes.
    """
    agent = rl.A2C(
        env,
        learning_rate=lr,
        n_steps=n_steps,
        gamma=gamma,
        ent_coef=ent_coef,
        normalize_obs=normalize,
        normalize_reward=normalize,
        hidden=(width, width),
        n_envs=n_envs,
        seed=run.seed,
    )
    agent, figures = rl.session(run, agent, steps, [rl.Evaluate(20_000, seed=run.seed)], episodes=episodes, solved=solved)
    run.save(agent.network, {"network": agent.network_sizes()})
    return figures


def build(meta):
    return rl.ActorCritic.of(**meta["network"])


if __name__ == "__main__":
    a2c.main()
