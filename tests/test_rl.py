# SPDX-License-Identifier: MIT
"""Reinforcement learning on small environments of the tests' own: Gymnasium is not needed."""

import numpy as np
import pytest

import lamella
from lamella import nn, rl
from lamella.rl import A2C, DQN, PPO, REINFORCE, SARSA, EnvLoop, LinearSchedule, QLearning, ReplayBuffer


class Discrete:
    def __init__(self, n, start=0):
        self.n, self.start = n, start

    def __repr__(self):
        return f"Discrete({self.n})"


class Box:
    def __init__(self, low, high, shape, dtype=np.float32):
        self.low, self.high, self.shape, self.dtype = np.full(shape, low), np.full(shape, high), shape, np.dtype(dtype)

    def __repr__(self):
        return f"Box{self.shape}"


class Corridor:
    """States 0 .. 5, left and right; each step costs 0.1, the end at 5 pays 1. `slip`: the chance of going the other way."""

    length, limit = 6, 50

    def __init__(self, slip=0.0):
        self.slip, self.np_random = slip, np.random.default_rng()
        self.observation_space, self.action_space = Discrete(self.length), Discrete(2)
        self.P = [[[(1.0, *self._to(s, a))] for a in (0, 1)] for s in range(self.length)]
        self.initial_state_distrib = np.eye(self.length)[0]

    def _to(self, s, a):
        s = min(max(0, s + (1 if a else -1)), self.length - 1)
        return s, 1.0 if s == self.length - 1 else -0.1, s == self.length - 1

    def reset(self, seed=None):
        if seed is not None:
            self.np_random = np.random.default_rng(seed)
        self.state, self.time = 0, 0
        return self.state, {}

    def step(self, action):
        self.time += 1
        other = self.slip and self.np_random.random() < self.slip
        self.state, reward, terminated = self._to(self.state, 1 - action if other else action)
        return self.state, reward, terminated, self.time >= self.limit, {}


class Target:
    """A point on a line is moved by the action; the reward is minus the square of its distance from 0. Ends by time."""

    def __init__(self, limit=8):
        self.limit, self.np_random = limit, np.random.default_rng()
        self.observation_space, self.action_space = Box(-np.inf, np.inf, (2,)), Box(-1.0, 1.0, (1,))

    def reset(self, seed=None):
        if seed is not None:
            self.np_random = np.random.default_rng(seed)
        self.x, self.time = self.np_random.normal(), 0
        return np.array([self.x, 1.0], np.float32), {}

    def step(self, action):
        assert self.action_space.low <= action[0] <= self.action_space.high
        self.x, self.time = self.x + float(action[0]), self.time + 1
        return np.array([self.x, 1.0], np.float32), -(self.x**2), False, self.time >= self.limit, {}


class Sides:
    """An observation in the plane; the right action is whether x > y. Episodes of 5 steps that terminate."""

    def __init__(self):
        self.np_random = np.random.default_rng()
        self.observation_space, self.action_space = Box(-1.0, 1.0, (2,)), Discrete(2, start=3)

    def _new(self):
        self.now = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.now

    def reset(self, seed=None):
        if seed is not None:
            self.np_random = np.random.default_rng(seed)
        self.time = 0
        return self._new(), {}

    def step(self, action):
        assert action in (3, 4)
        reward = float((self.now[0] > self.now[1]) == (action == 4))
        self.time += 1
        return self._new(), reward, self.time >= 5, False, {}


# ---- returns and advantages ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("steps", [1, 2, 7, 8, 33])
def test_gae_is_its_definition(steps):
    rng = np.random.default_rng(steps)
    rewards, values, following = rng.normal(size=(3, steps, 3))
    terminated, truncated = rng.random((2, steps, 3)) < 0.15
    ended = terminated | truncated
    following = np.where(terminated, 0.0, following)
    advantages, returns = rl.gae(rewards, values, following, ended, 0.9, 0.8)
    for i in range(3):
        for t in range(steps):
            total, factor, k = 0.0, 1.0, t
            while True:
                total += factor * (rewards[k, i] + 0.9 * following[k, i] - values[k, i])
                if ended[k, i] or k == steps - 1:
                    break
                factor, k = factor * 0.9 * 0.8, k + 1
            assert advantages[t, i] == pytest.approx(total, abs=1e-12)
    np.testing.assert_allclose(returns, advantages + values)


def test_discounted_returns_end_with_the_episode():
    rewards = np.arange(1.0, 7.0).reshape(6, 1)
    ended = np.array([[0], [0], [1], [0], [0], [1]], bool)
    tail = np.zeros((6, 1))
    tail[5] = 10.0  # what lies beyond the cut
    found = rl.discounted_returns(rewards, ended, 0.5, tail)[:, 0]
    assert found.tolist() == [1 + 1 + 0.75, 2 + 1.5, 3, 4 + 2.5 + 4, 5 + 8, 16]


def test_running_statistics_are_those_of_all_rows():
    rows = np.random.default_rng(0).normal(3, 2, (1000, 4))
    stats = rl.RunningMeanStd((4,))
    for part in np.split(rows, [1, 10, 500]):
        stats.update(part)
    np.testing.assert_allclose(stats.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(stats.var, rows.var(0), rtol=1e-12)
    assert abs(stats.normalize(rows).mean()) < 1e-6


# ---- the buffer ------------------------------------------------------------------------------------------------------
def test_replay_buffer_keeps_the_last():
    buffer = ReplayBuffer(5, (2,))
    for first in (0, 3, 6):
        k = np.arange(first, first + 3)
        buffer.add(np.stack([k, -k], 1), k, 10.0 * k, np.stack([k + 1, -k - 1], 1), k % 2 == 0)
    assert len(buffer) == 5 and sorted(buffer.actions.tolist()) == [4, 5, 6, 7, 8]
    states, actions, rewards, after, done = buffer.sample(200, np.random.default_rng(0))
    assert set(actions.tolist()) == {4, 5, 6, 7, 8} and (states == np.stack([actions, -actions], 1)).all()
    assert (rewards == 10 * actions).all() and (after[:, 0] == actions + 1).all() and (done == (actions % 2 == 0)).all()
    other = ReplayBuffer(5, (2,))
    other.load_state_dict(buffer.state_dict())
    again = other.sample(200, np.random.default_rng(0))
    assert all((a == b).all() for a, b in zip(again, (states, actions, rewards, after, done), strict=True))
    with pytest.raises(ValueError, match="at most 5 transitions"):
        buffer.add(*[np.zeros((6, 2))] * 2, *[np.zeros(6)] * 3)
    with pytest.raises(ValueError, match="empty buffer"):
        ReplayBuffer(5).sample(1, np.random.default_rng(0))


# ---- environments ----------------------------------------------------------------------------------------------------
def test_loop_gives_the_last_observation_and_begins_anew():
    loop = EnvLoop([Target(limit=2), Target(limit=3)])
    first = loop.reset(seed=5)
    x0 = np.array([np.random.default_rng(5 + i).normal() for i in range(2)])
    np.testing.assert_allclose(first[:, 0], x0, rtol=1e-6)
    push = np.full((2, 1), 0.5, np.float32)
    after, rewards, _, truncated, successors = loop.step(push)
    assert successors is after and not truncated.any()
    np.testing.assert_allclose(rewards, -((x0 + 0.5) ** 2), rtol=1e-6)
    after, _, terminated, truncated, successors = loop.step(push)
    assert truncated.tolist() == [True, False] and not terminated.any()
    np.testing.assert_allclose(successors[:, 0], x0 + 1, rtol=1e-6)
    assert after[0, 0] != successors[0, 0] and after[1, 0] == successors[1, 0]
    ((total, length),) = loop.finished
    assert length == 2 and total == pytest.approx(-((x0[0] + 0.5) ** 2) - (x0[0] + 1) ** 2)


def test_loop_comes_back_to_where_it_was():
    loop, rng = EnvLoop([Corridor(slip=0.3), Corridor(slip=0.3)]), np.random.default_rng(0)
    loop.reset(seed=0)
    for _ in range(57):
        loop.step(rng.integers(0, 2, 2))
    state, going = loop.state_dict(), rng.bit_generator.state
    wanted = [loop.step(rng.integers(0, 2, 2)) for _ in range(40)]
    other = EnvLoop([Corridor(slip=0.3), Corridor(slip=0.3)])
    rng.bit_generator.state = going
    assert other.load_state_dict(state)
    for step in wanted:
        for a, b in zip(step, other.step(rng.integers(0, 2, 2)), strict=True):
            assert (a == b).all()


# ---- tables ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [QLearning, SARSA])
def test_table_finds_the_way(kind):
    agent = kind(Corridor, learning_rate=0.5, gamma=0.9, epsilon=LinearSchedule(1.0, 0.0), seed=0).learn(5000)
    assert agent.policy[:5].tolist() == [1] * 5
    assert rl.optimality_gap(Corridor(), agent.policy, 0.9) < 1e-9
    assert agent.evaluate(episodes=3) == (pytest.approx(1 - 0.4), 0.0)
    np.testing.assert_allclose(agent.q[:5, 1], rl.value_iteration(Corridor(), 0.9)[:5, 1], atol=2e-3)


def test_first_update_of_each_rule():
    """One step from a table of known values."""
    for kind, options in ((QLearning, {}), (SARSA, {}), (SARSA, {"expected": True})):
        agent = kind(Corridor, learning_rate=0.5, gamma=0.9, epsilon=0.4, seed=1, **options)
        agent._table = [[1.0, 3.0] for _ in range(6)]
        agent._explore = lambda state, epsilon: 0  # always to the left
        agent._observations, agent._drawn = agent.envs.reset(seed=0), []
        agent._iterate()
        worth = {QLearning: 3.0, SARSA: None}[kind]
        value = 1.0
        for _ in range(100):  # state 0, action 0, again and again; the table's own entry for SARSA
            after = worth if worth else (0.6 * 3 + 0.2 * (value + 3) if options else value)
            value += 0.5 * (-0.1 + 0.9 * after - value)
        assert agent.q[0, 0] == pytest.approx(value) and (agent.q[1:] == [1.0, 3.0]).all()


def test_policy_value_is_the_sum_of_rewards():
    env = Corridor()
    assert rl.policy_value(env, np.ones(6, int), 0.9)[0] == pytest.approx(sum(-0.1 * 0.9**k for k in range(4)) + 0.9**4)
    assert rl.policy_value(env, np.zeros(6, int), 0.9)[0] == pytest.approx(-1.0)
    with pytest.raises(ValueError, match=r"env.unwrapped.P, got Target"):
        rl.value_iteration(Target())


# ---- networks --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("double", [False, True])
def test_dqn_moves_towards_its_targets(double):
    agent = DQN(Sides, double=double, gamma=0.9, batch_size=4, gradient_steps=1, hidden=(8,), max_grad_norm=None, seed=0)
    for p in agent.target.parameters():
        p.data = p + 0.1
    rng = np.random.default_rng(0)
    states, after = rng.normal(size=(2, 4, 2)).astype(np.float32)
    actions, rewards, done = np.array([0, 1, 1, 0]), np.array([1.0, 0, 5, 0]), np.array([0, 0, 1, 1])
    agent.buffer.add(states, actions, rewards, after, done)
    drawn = [x.copy() for x in (states, actions, np.float32(rewards), after, np.float32(done))]
    agent.buffer.sample = lambda n, rng: drawn
    with lamella.no_grad():
        online, target = (f(lamella.tensor(after)).numpy() for f in (agent.network, agent.target))
        q = agent.network(lamella.tensor(states)).numpy()
    best = target[np.arange(4), online.argmax(1)] if double else target.max(1)
    error = np.abs(q[np.arange(4), actions] - (rewards + 0.9 * (1 - done) * best))
    figures = agent._train()
    assert figures["loss"] == pytest.approx(np.where(error < 1, error**2 / 2, error - 0.5).mean(), rel=1e-4)
    assert agent.updates == 1


def test_dueling_advantages_have_mean_zero():
    net = rl.QNetwork(Box(-1, 1, (3,)), 4, hidden=(8,), dueling=True)
    x = lamella.randn(5, 3)
    np.testing.assert_allclose(net(x).mean(1).detach().numpy(), net.value(net.body(x)).flatten().detach().numpy(), atol=1e-6)


def test_rollout_bootstraps_where_it_was_cut():
    agent = PPO(lambda: Target(limit=4), n_envs=2, n_steps=6, gamma=0.9, gae_lambda=0.7, seed=0, hidden=(8,))
    agent._observations = agent.envs.reset(seed=0)
    steps, step = [], agent.envs.step
    agent.envs.step = lambda actions: steps.append(step(actions)) or steps[-1]
    first = agent._observations
    rollout = agent._rollout()

    def value(x):
        with lamella.no_grad():
            return agent.network.value(lamella.tensor(x)).numpy()

    states = np.stack([first, *(s[0] for s in steps)])
    rewards, ended = (np.stack([s[k] for s in steps]) for k in (1, 3))
    assert ended.sum() == 2
    following = np.stack([value(s[4]) for s in steps])  # of what the steps led to, whether cut or not
    values = np.stack([value(x) for x in states[:-1]])
    advantages, returns = rl.gae(rewards, values, following, ended, 0.9, 0.7)
    np.testing.assert_allclose(rollout.advantages, advantages.reshape(-1), atol=1e-4)
    np.testing.assert_allclose(rollout.returns, returns.reshape(-1), atol=1e-4)


def test_ppo_loss_is_its_formula_and_stops_at_target_kl():
    agent = PPO(Sides, n_envs=2, n_steps=8, batch_size=16, n_epochs=1, clip_range_vf=0.1, seed=0, hidden=(8,), ent_coef=0.01)
    agent._observations = agent.envs.reset(seed=0)
    r = agent._rollout()
    with lamella.no_grad():
        pi = agent.network.distribution(r.inputs)
        log_prob, entropy, value = pi.log_prob(r.actions).numpy(), pi.entropy().mean().item(), agent.network.value(r.inputs).numpy()
    old = log_prob + np.linspace(-0.5, 0.5, 16, dtype=np.float32)
    values = r.values + np.linspace(-0.3, 0.3, 16, dtype=np.float32)
    figures, kl = agent._update(r.inputs, r.actions, lamella.tensor(old), r.advantages, r.returns, values, 0.2, True)
    a, ratio = (r.advantages - r.advantages.mean()) / r.advantages.std(), np.exp(log_prob - old)
    assert figures["policy_loss"] == pytest.approx(-np.minimum(ratio * a, np.clip(ratio, 0.8, 1.2) * a).mean(), abs=1e-5)
    near = values + np.clip(value - values, -0.1, 0.1)
    assert figures["value_loss"] == pytest.approx(np.maximum((value - r.returns) ** 2, (near - r.returns) ** 2).mean(), rel=1e-4)
    assert kl == pytest.approx((ratio - 1 - np.log(ratio)).mean(), rel=1e-3) and figures["entropy"] == pytest.approx(entropy)
    assert figures["clip_fraction"] == pytest.approx((np.abs(ratio - 1) > 0.2).mean())
    agent.target_kl = 10.0
    before = agent.network.actor[0].weight.detach().clone()
    agent._update(r.inputs, r.actions, lamella.tensor(old), r.advantages, r.returns, values, 0.2, False)
    assert not lamella.equal(before, agent.network.actor[0].weight)
    agent.target_kl = 1e-9
    before = agent.network.actor[0].weight.detach().clone()
    agent._update(r.inputs, r.actions, lamella.tensor(old), r.advantages, r.returns, values, 0.2, False)
    assert lamella.equal(before, agent.network.actor[0].weight)


LEARNERS = {
    "DQN": (lambda **k: DQN(Sides, learning_starts=100, exploration=0.1, gamma=0.5, learning_rate=3e-3, hidden=(32,), **k), 3000),
    "dueling": (lambda **k: DQN(Sides, learning_starts=100, exploration=0.1, gamma=0.5, hidden=(32,), dueling=True, double=False, **k), 4000),
    "REINFORCE": (lambda **k: REINFORCE(Sides, learning_rate=1e-2, gamma=0.5, hidden=(32,), **k), 4000),
    "A2C": (lambda **k: A2C(Sides, learning_rate=5e-3, gamma=0.5, hidden=(32,), **k), 6000),
    "PPO": (lambda **k: PPO(Sides, learning_rate=5e-3, gamma=0.5, n_steps=32, batch_size=64, hidden=(32,), **k), 4000),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_agent_learns_which_side(name):
    make, steps = LEARNERS[name]
    agent = make(seed=0).learn(steps)
    assert agent.evaluate(episodes=40, seed=1)[0] > 4.6  # of 5; by chance 2.5
    assert agent.history[-1]["steps"] == agent.steps >= steps
    assert agent.act(np.array([0.9, -0.9], np.float32)) == 4 and agent.act(np.array([[-0.9, 0.9]])).tolist() == [3]


@pytest.mark.parametrize("kind", [REINFORCE, A2C, PPO])
def test_box_actions(kind):
    options = {REINFORCE: {}, A2C: {"n_steps": 8}, PPO: {"n_steps": 16, "batch_size": 64}}[kind]
    agent = kind(Target, learning_rate=1e-2, gamma=0.5, hidden=(16,), n_envs=8, seed=0, **options)
    before = agent.evaluate(episodes=40, seed=1)[0]
    agent.learn(6000)
    assert agent.evaluate(episodes=40, seed=1)[0] > before / 3  # less than a third of the loss
    assert agent.act(np.array([0.5, 1.0])).shape == (1,)


def test_normalised_inputs_and_rewards():
    agent = PPO(Target, normalize_obs=True, normalize_reward=True, n_steps=16, n_envs=2, hidden=(8,), seed=0).learn(256)
    assert agent.obs_stats.count == 256 and agent.obs_stats.var[1] == pytest.approx(0, abs=1e-9)
    rewards, ended = np.random.default_rng(0).normal(size=(9, 2)), np.zeros((9, 2), bool)
    ended[4, 0] = True
    agent.reward_stats, agent._discounted, agent.gamma = rl.RunningMeanStd(), np.array([2.0, -1.0]), 0.5
    running, found = np.array([2.0, -1.0]), []
    for r, e in zip(rewards, ended, strict=True):
        running = 0.5 * running + r
        found.append(running)
        running = np.where(e, 0, running)
    scaled = agent._scaled(rewards, ended)
    np.testing.assert_allclose(agent.reward_stats.var, np.var(found), rtol=1e-12)
    np.testing.assert_allclose(scaled, rewards / np.sqrt(np.var(found) + 1e-8))
    np.testing.assert_allclose(agent._discounted, running)


# ---- resuming, bad input ---------------------------------------------------------------------------------------------
RESUMED = {
    **{name: make for name, (make, _) in LEARNERS.items()},
    "PPO box": lambda **k: PPO(Target, n_steps=8, n_envs=3, normalize_obs=True, normalize_reward=True, hidden=(8,), **k),
    "QLearning": lambda **k: QLearning(lambda: Corridor(slip=0.2), **k),
    "SARSA": lambda **k: SARSA(lambda: Corridor(slip=0.2), **k),
}


@pytest.mark.parametrize("name", RESUMED)
def test_resumed_ends_in_the_same_bits(name, tmp_path):
    make = RESUMED[name]
    whole = make(seed=3).learn(600)
    half = make(seed=3).learn(600, lambda agent: agent.steps < 300)
    assert 300 <= half.steps < 600
    half.save(tmp_path / "agent.safetensors")
    again = rl.Agent.load(tmp_path / "agent.safetensors", half._made_by)
    assert type(again) is type(half)
    again.learn(600)
    assert whole.episodes == again.episodes and len(whole.episodes) > 5

    def leaves(x, path=""):
        if isinstance(x, dict):
            for key, value in x.items():
                yield from leaves(value, f"{path}.{key}")
        elif isinstance(x, lamella.Tensor | np.ndarray):
            yield path, np.asarray(x.detach().numpy() if isinstance(x, lamella.Tensor) else x)

    ours, theirs = dict(leaves(whole.state_dict())), dict(leaves(again.state_dict()))
    assert ours.keys() == theirs.keys() and len(ours) > 2
    assert not [key for key in ours if not np.array_equal(ours[key], theirs[key])]


def test_evaluate_keeps_the_best_and_ends():
    made = []

    class Spy(rl.Evaluate):
        def __call__(self, agent):
            made.append(agent.steps)
            agent._table = [[0.0, 1.0 if len(made) == 2 else -1.0] for _ in range(6)]  # good at the second call alone
            return super().__call__(agent)

    best = Spy(100, episodes=2)
    agent = QLearning(Corridor, seed=0).learn(400, best)
    assert [row["return"] for row in best.rows] == [pytest.approx(x) for x in (-5.0, 0.6, -5.0, -5.0)]
    assert agent.policy.tolist() == [1] * 6
    agent = QLearning(Corridor, seed=0).learn(10_000, rl.Evaluate(100, episodes=2, threshold=-6.0))
    assert agent.steps == 100


def test_environment_of_the_wrong_kind():
    with pytest.raises(ValueError, match=r"\[DQN\] env must have Discrete actions, got Target with Box\(1,\)"):
        DQN(Target)
    with pytest.raises(ValueError, match=r"\[QLearning\] env must have Discrete observations, got Sides with Box\(2,\)"):
        QLearning(Sides)
    with pytest.raises(ValueError, match=r"\[SARSA\] env must be one environment, got 2"):
        SARSA([Corridor(), Corridor()])
    with pytest.raises(TypeError, match=r"\[rl\] env must be an id, an environment or a function that makes one, got int"):
        PPO(3)
    with pytest.raises(ValueError, match=r"n_envs = 4, got one Sides"):
        PPO(Sides(), n_envs=4)
    with pytest.raises(ValueError, match=r"\[PPO\] env must have Box observations for normalize_obs, got Corridor"):
        PPO(Corridor, normalize_obs=True)
    network = rl.ActorCritic(nn.Linear(2, 2), nn.Linear(2, 1))
    with pytest.raises(ValueError, match=r"\[A2C\] policy must be for Box\(1,\), got one for Discrete actions"):
        A2C(Target, policy=network)
    agent = PPO(Sides, hidden=(8,))
    with pytest.raises(ValueError, match=r"\[act\] obs must have shape \(2,\), or \(N, ...\) of it, got \(3,\)"):
        agent.act(np.zeros(3))
    with pytest.raises(ValueError, match=r"\[evaluate\] env must have the observation_space"):
        agent.evaluate(Corridor())


def test_files_of_others(tmp_path):
    path = tmp_path / "a.safetensors"
    lamella.save({"x": 1}, path)
    with pytest.raises(ValueError, match=r"\[load\] .*a.safetensors: must be a file of an agent's save"):
        PPO.load(path)
    agent = PPO(Sides(), hidden=(8,), seed=0)
    agent.save(path)
    with pytest.raises(ValueError, match=r"must hold a DQN, got a PPO"):
        DQN.load(path, Sides())
    with pytest.raises(ValueError, match=r"env must be given"):
        PPO.load(path)
    with pytest.raises(ValueError, match=r"a.safetensors: the state must be one of this agent"):
        PPO.load(path, Sides(), hidden=(9,))
    x = np.array([0.1, 0.2], np.float32)
    assert PPO.load(path, Sides()).act(x) == agent.act(x)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"\[load\] .*a.safetensors"):
        PPO.load(path, Sides())


def test_pictures():
    pytest.importorskip("matplotlib")
    agents = [QLearning(Corridor, seed=s).learn(2000) for s in range(2)]
    for figure in (
        rl.plots.rewards(agents[0], solved=0.6),
        rl.plots.rewards({"table": agents, "one": agents[0]}, window=5),
        rl.plots.losses(agents[0]),
        rl.plots.frames([np.full((4, 6, 3), i, np.uint8) for i in range(30)], columns=4, title="x"),
        rl.plots.policy_grid(agents[0].q, (2, 3), arrows="←→"),
    ):
        figure.canvas.draw()
        assert figure.axes
    assert [a.get_title() for a in rl.plots.frames([np.zeros((2, 2, 3))] * 30, columns=2, rows=2).axes] == ["step 0", "step 10", "step 19", "step 29"]
    with pytest.raises(ValueError, match=r"\[losses\] names must be among \['td_error'"):
        rl.plots.losses(agents[0], ["loss"])
