# SPDX-License-Identifier: MIT
"""Agents on Gymnasium's own environments, vector environments of every autoreset mode, recipes."""

import importlib.util
import sys

import numpy as np
import pytest

import lamella
from lamella import recipes, rl
from lamella.rl import A2C, DQN, PPO, REINFORCE, QLearning, VectorLoop


@pytest.fixture
def gym():
    return pytest.importorskip("gymnasium", reason="gymnasium is an optional extra")


def test_message_without_gymnasium(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ImportError, match=r"\[rl\] gymnasium must be installed: pip install 'lamella\[rl\]'"):
        PPO("CartPole-v1")


def test_wrong_kind_and_unknown_name(gym):
    with pytest.raises(ValueError, match=r"\[DQN\] env must have Discrete actions, got Pendulum-v1 with Box\("):
        DQN("Pendulum-v1")
    with pytest.raises(ValueError, match=r"\[QLearning\] env must have Discrete observations, got CartPole-v1 with Box\("):
        QLearning("CartPole-v1")
    with pytest.raises(ValueError, match=r"\[make\] env must be the id of an environment, got 'CartPool-v1': "):
        PPO("CartPool-v1")
    with pytest.raises(ValueError, match=r"\[rl\] vectorization must be None, 'sync', 'async'"):
        PPO("CartPole-v1", vectorization="threads")
    vector = gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    with pytest.raises(ValueError, match=r"\[REINFORCE\] env must be an id or single environments, got the vector"):
        REINFORCE(vector)



@pytest.mark.parametrize("mode", ["NEXT_STEP", "SAME_STEP", "DISABLED"])
def test_vector_environments_tell_the_same_story(gym, mode):
    """A vector environment of any mode gives the steps that EnvLoop gives, idle ones apart."""
    if not hasattr(gym.vector, "AutoresetMode"):
        pytest.skip("this Gymnasium has one autoreset mode")

    def make():
        return gym.make("CartPole-v1", max_episode_steps=16)

    count, seed = 3, 7
    vector = VectorLoop(gym.vector.SyncVectorEnv([make] * count, autoreset_mode=gym.vector.AutoresetMode[mode]))
    loop = rl.EnvLoop([make() for _ in range(count)])
    np.testing.assert_array_equal(loop.reset(seed), vector.reset(seed))
    rng, logs = np.random.default_rng(0), []
    policy = rng.integers(0, 2, (count, 200))  # the k-th step of each environment
    for envs in (loop, vector):
        places, log = np.zeros(count, int), [[] for _ in range(count)]
        while min(len(x) for x in log) < 60:
            before = envs.observations.copy()
            _, rewards, terminated, truncated, successors = envs.step(policy[np.arange(count), places])
            idle = getattr(envs, "idle", np.zeros(count, bool))
            for i in np.flatnonzero(~idle):
                log[i].append((*before[i], rewards[i], terminated[i], truncated[i], *successors[i]))
            places += ~idle
        logs.append([np.array(x[:60], np.float64) for x in log])
    for ours, theirs in zip(*logs, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    terminated, truncated = np.concatenate(logs[0])[:, 5:7].T
    assert terminated.any() and truncated.any() and max(length for _, length in vector.finished) == 16


def test_idle_steps_are_not_learned_from(gym):
    vector = gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")  # NEXT_STEP
    agent = PPO(vector, n_steps=64, hidden=(8,), seed=0)
    agent._observations = agent.envs.reset(seed=0)
    rollout = agent._rollout()
    ends = len(agent.envs.finished)
    assert ends and 128 - ends <= len(rollout.values) <= 128 - ends + 2 == 130 - ends  # an end may be at the last step
    assert len(rollout.inputs) == len(rollout.actions) == len(rollout.values)
    dqn = DQN(gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync"), learning_starts=10_000, seed=0).learn(200)
    assert len(dqn.buffer) < 200 and set(dqn.buffer.rewards[: len(dqn.buffer)]) == {1.0}


@pytest.mark.parametrize("vectorization", ["sync", "async", "vector_entry_point"])
def test_vectorizations_learn(gym, vectorization):
    agent = A2C("CartPole-v1", n_envs=2, vectorization=vectorization, hidden=(8,), seed=0).learn(200)
    assert agent.steps == 200 and agent.episodes and agent.envs.n == 2
    agent.close()


def test_resume_on_gymnasium_is_exact(gym, tmp_path):
    path, options = tmp_path / "a.safetensors", dict(n_steps=16, n_envs=2, hidden=(8,), seed=1, normalize_obs=True)
    whole = PPO("CartPole-v1", **options).learn(320)
    half = PPO("CartPole-v1", **options)
    half.learn(320, lambda agent: agent.steps < 160)
    half.save(path)
    again = PPO.load(path).learn(320)
    assert whole.episodes == again.episodes and again.envs.n == 2
    for ours, theirs in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert lamella.equal(ours, theirs)


def test_pixels_and_one_hot_states(gym):
    agent = PPO("FrozenLake", n_envs=2, n_steps=16, hidden=(8,), seed=0).learn(32)
    assert agent.network.actor[0].in_features == 16 and agent.act(3) in range(4)


def test_evaluation_uses_new_episodes_of_the_right_number(gym):
    agent = PPO("CartPole-v1", hidden=(8,), seed=0)
    found = agent.returns(episodes=11, seed=5)
    assert len(found) == 11 and (found == agent.returns(episodes=11, seed=5)).all()
    assert agent.evaluate(gym.make("CartPole-v1"), episodes=2, seed=5)[0] > 5
    circles = QLearning("CliffWalking", seed=0)
    circles.load_weights(np.tile([1.0, 0, 0, 0], (48, 1)))  # up for ever
    assert circles.returns(episodes=1, limit=30).tolist() == [-30.0]


def test_q_learning_recipe(gym, tmp_path):
    pytest.importorskip("matplotlib")
    figures = recipes.get("q_learning")(out=tmp_path, env="FrozenLake", steps=6000, seed=0)
    assert figures["optimal"] and figures["return"] == 1.0
    drawn = {p.name for p in tmp_path.glob("*.png")}
    assert drawn >= {"rewards.png", "losses.png", "policy.png"} and ("episode.png" in drawn) == bool(importlib.util.find_spec("pygame"))
    table, meta, _ = recipes.load_model(tmp_path / "model.safetensors")
    assert table.weight.shape == (16, 4) and meta["states"] == 16


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("dqn", dict(steps=300)),
        ("ppo", dict(env="Pendulum-v1", steps=64, n_envs=2, n_steps=16, n_epochs=1, normalize=True)),
        ("a2c", dict(steps=100)),
        ("reinforce", dict(steps=100)),
    ],
)
def test_recipes_leave_what_they_promise(gym, name, settings, tmp_path, monkeypatch):
    pictures = []
    monkeypatch.setattr(recipes.Run, "figure", lambda run, name, *rest, **more: pictures.append(name))  # drawn in test_q_learning_recipe
    figures = recipes.get(name)(out=tmp_path, seed=0, episodes=3, width=8, solved=1e9, **settings)
    assert figures["solved"] is False and figures["steps"] >= settings["steps"] and {"rewards", "episode"} <= set(pictures)
    network, _, _ = recipes.load_model(tmp_path / "model.safetensors")
    agent = rl.Agent.load(tmp_path / "agent.safetensors")
    assert agent.steps == figures["steps"]
    assert [p.shape for p in network.parameters()] == [p.shape for p in agent.network.parameters()]
