# SPDX-License-Identifier: MIT
"""Reinforcement learning on Gymnasium's environments: tables, deep Q-learning, policy gradients.

>>> from lamella.rl import PPO
>>> agent = PPO("CartPole-v1", seed=0).learn(total_steps=100_000)        # doctest: +SKIP
>>> agent.evaluate(episodes=100)                                         # doctest: +SKIP
"""

from . import plots
from .a2c import A2C
from .agent import Agent, episode
from .buffers import ReplayBuffer
from .callbacks import Checkpoint, Evaluate, Progress
from .dqn import DQN
from .envs import EnvLoop, VectorLoop, make
from .normalize import RunningMeanStd
from .on_policy import explained_variance
from .policies import ActorCritic, QNetwork
from .ppo import PPO
from .reinforce import REINFORCE
from .returns import discounted_returns, gae
from .schedules import ExponentialSchedule, LinearSchedule
from .session import draw, session
from .spaces import features
from .tabular import SARSA, QLearning, optimality_gap, policy_value, value_iteration

__all__ = [
    "A2C",
    "DQN",
    "PPO",
    "REINFORCE",
    "SARSA",
    "ActorCritic",
    "Agent",
    "Checkpoint",
    "EnvLoop",
    "Evaluate",
    "ExponentialSchedule",
    "LinearSchedule",
    "Progress",
    "QLearning",
    "QNetwork",
    "ReplayBuffer",
    "RunningMeanStd",
    "VectorLoop",
    "discounted_returns",
    "draw",
    "episode",
    "explained_variance",
    "features",
    "gae",
    "make",
    "optimality_gap",
    "plots",
    "policy_value",
    "session",
    "value_iteration",
]
