# SPDX-License-Identifier: MIT
"""REINFORCE on CartPole."""

from lamella import rl
from lamella.recipes import recipe


@recipe
def reinforce(run, *, env: str = "CartPole-v1", steps: int = 150_000, lr: float = 3e-3, width: int = 64, episodes: int = 100, solved: float = 475.0,
              n_envs: int = 8, gamma: float = 0.99, ent_coef: float = 0.0, baseline: bool = True):  # fmt: skip
    """REINFORCE with a baseline on CartPole-v1: solved, 475 over 100 episodes, within 150,000 steps.

    baseline=false: returns as they are, as in 1992. The best of the policies measured every 15,000 steps is kept.
    """
    agent = rl.REINFORCE(
        env, learning_rate=lr, gamma=gamma, ent_coef=ent_coef, baseline=baseline, hidden=(width, width), n_envs=n_envs, seed=run.seed
    )
    agent, figures = rl.session(run, agent, steps, [rl.Evaluate(15_000, seed=run.seed)], episodes=episodes, solved=solved)
    run.save(agent.network, {"network": agent.network_sizes()})
    return figures


def build(meta):
    return rl.ActorCritic.of(**meta["network"])


if __name__ == "__main__":
    reinforce.main()
