# SPDX-License-Identifier: MIT
"""SARSA beside Q-learning on the cliff."""

from lamella import nn, rl
from lamella.ops import from_numpy
from lamella.recipes import recipe


@recipe
def sarsa(run, *, env: str = "CliffWalking", steps: int = 50_000, lr: float = 0.5, gamma: float = 1.0, epsilon: float = 0.1):
    """SARSA and Q-learning on CliffWalking: on-policy keeps away from the edge, off-policy walks along it (Sutton and Barto 6.6).

    learning_return: the mean of the last 100 episodes while learning, a tenth of whose steps are random: SARSA's is the
    higher. return: of the greedy policies: Q-learning's -13 is the shortest way, SARSA's -17 the safe one.
    """
    figures = {}
    made = {"sarsa": rl.SARSA, "q_learning": rl.QLearning}
    agents = {}
    for name, kind in made.items():
        agent = kind(env, learning_rate=lr, gamma=gamma, epsilon=epsilon, seed=run.seed)
        run.print(f"{name}:")
        agents[name] = agent.learn(steps, progress=not run.quiet)
        figures[f"{name}_learning_return"] = agent.recent()["return"]
        figures[f"{name}_return"] = agent.evaluate(episodes=1, seed=run.seed)[0]
        if agent.q.shape == (48, 4):
            run.figure(f"policy_{name}", rl.plots.policy_grid, agent.q, (4, 12), arrows="↑→↓←", title=name)
        run.figure(f"episode_{name}", rl.draw, agent, None, run.seed)
    run.figure("rewards", rl.plots.rewards, agents)
    states, actions = agents["sarsa"].q.shape
    table = nn.Embedding(states, actions, _weight=from_numpy(agents["sarsa"].q).float())
    run.save(table, {"states": states, "actions": actions})
    return figures


def build(meta):
    """The table, as a layer: state -> Q of every action."""
    return nn.Embedding(meta["states"], meta["actions"])


if __name__ == "__main__":
    sarsa.main()
