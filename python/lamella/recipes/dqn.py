# SPDX-License-Identifier: MIT
"""Deep Q-learning on CartPole."""

from lamella import rl
from lamella.recipes import recipe


@recipe
def dqn(run, *, env: str = "CartPole-v1", steps: int = 50_000, lr: float = 2e-3, width: int = 128, episodes: int = 100, solved: float = 475.0,
        double: bool = True, dueling: bool = False):  # fmt: skip
    """Double DQN on CartPole-v1: solved, 475 over 100 episodes, within 50,000 steps.

    Every 2,500 steps 20 episodes are played greedily; the best weights are kept, and learning ends early at full marks.
    The figures are of 100 other episodes.
    """
    agent = rl.DQN(
        env,
        learning_rate=rl.LinearSchedule(lr, lr / 20),
        hidden=(width, width),
        double=double,
        dueling=dueling,
        exploration=rl.LinearSchedule(1.0, 0.04, 0.16),
        target_update_interval=250,
        train_freq=64,
        gradient_steps=32,
        seed=run.seed,
    )
    best = rl.Evaluate(2500, episodes=20, threshold=1.05 * solved, seed=run.seed)
    agent, figures = rl.session(run, agent, steps, [best], episodes=episodes, solved=solved)
    sizes = {"observations": rl.features(agent.envs.observation_space), "actions": agent.actions}
    run.save(agent.network, {**sizes, "width": width, "dueling": dueling})
    return figures


def build(meta):
    return rl.QNetwork(meta["observations"], meta["actions"], (meta["width"],) * 2, meta["dueling"])


if __name__ == "__main__":
    dqn.main()
