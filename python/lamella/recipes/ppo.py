# SPDX-License-Identifier: MIT
"""Proximal policy optimisation on CartPole."""

from lamella import rl
from lamella.recipes import recipe


@recipe
def ppo(run, *, env: str = "CartPole-v1", steps: int = 100_000, lr: float = 1e-3, width: int = 64, episodes: int = 100, solved: float = 475.0,
        n_envs: int = 8, n_steps: int = 32, n_epochs: int = 20, gamma: float = 0.98, gae_lambda: float = 0.8, clip: float = 0.2,
        ent_coef: float = 0.0, normalize: bool = False):  # fmt: skip
    """PPO on CartPole-v1: solved, 475 over 100 episodes, within 100,000 steps. Takes continuous actions as well.

    normalize: observations and rewards by their running deviations (for Pendulum-v1: steps=200000 n_steps=128 n_epochs=10
    gamma=0.9 gae_lambda=0.95 normalize=true solved=-200).
    """
    agent = rl.PPO(
        env,
        learning_rate=rl.LinearSchedule(lr),
        clip_range=rl.LinearSchedule(clip),
        n_steps=n_steps,
        n_epochs=n_epochs,
        gamma=gamma,
        gae_lambda=gae_lambda,
        ent_coef=ent_coef,
        normalize_obs=normalize,
        normalize_reward=normalize,
        hidden=(width, width),
        n_envs=n_envs,
        seed=run.seed,
    )
    agent, figures = rl.session(run, agent, steps, episodes=episodes, solved=solved)
    run.save(agent.network, {"network": agent.network_sizes()})
    return figures


def build(meta):
    return rl.ActorCritic.of(**meta["network"])


if __name__ == "__main__":
    ppo.main()
