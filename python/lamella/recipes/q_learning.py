# SPDX-License-Identifier: MIT
"""Q-learning on Gymnasium's toy worlds."""

from lamella import nn, rl
from lamella.ops import from_numpy
from lamella.recipes import recipe

STEPS = {"Taxi": 150_000, "FrozenLake": 30_000}


@recipe
def q_learning(run, *, env: str = "Taxi", steps: int = 0, lr: float = 1.0, gamma: float = 0.99, epsilon: float = 0.3):
    """Tabular Q-learning on Taxi or FrozenLake (not slippery): the optimal policy (lr 1: these worlds have no chance).

    env: Taxi, FrozenLake or FrozenLake8x8. steps: 0 for what the world needs. gap: what the greedy policy loses against the
    optimum, known from the world's model, in the worst of the states an episode can begin in.
    """
    options = {"is_slippery": False} if env.startswith("FrozenLake") else {}

    def make(**more):
        return rl.make(env, **options, **more)

    rate = rl.LinearSchedule(1.0, epsilon, 0.7)  # the chance of a random action
    agent = rl.QLearning(make, learning_rate=lr, gamma=gamma, epsilon=rate, seed=run.seed)
    steps = steps or STEPS.get(env.split("-")[0], 200_000)
    agent, figures = rl.session(run, agent, steps, env=make)
    states, actions = agent.q.shape
    run.save(nn.Embedding(states, actions, _weight=from_numpy(agent.q).float()), {"states": states, "actions": actions})
    world = make()
    gap = rl.optimality_gap(world, agent.policy, gamma)
    if options:
        run.figure("policy", rl.plots.policy_grid, agent.q, world.unwrapped.desc.shape, title=env)
    return {**figures, "gap": gap, "optimal": gap < 1e-6}


def build(meta):
    """The table, as a layer: state -> Q of every action."""
    return nn.Embedding(meta["states"], meta["actions"])


if __name__ == "__main__":
    q_learning.main()
