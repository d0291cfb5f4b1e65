# SPDX-License-Identifier: MIT
"""Q-learning on a grid

Q(s, a) is what action a in state s is worth: the reward now plus the discounted worth of the best action next (Watkins 1989). Each step
moves Q a little towards that. It learns the best way while it walks at random (off-policy). The table becomes a network when states
are too many: `td_loss` is the same formula.
"""

import random

import picture

import lamella
import lamella.nn.functional as F

random.seed(0)
field = ["....#...", ".##.#.#.", "...#..#.", ".#...#..", ".##.#..#", "...#...G"]
rows, cols, goal = 6, 8, 47
moves = [(-1, 0), (1, 0), (0, -1), (0, 1)]


def step(state, action):
    """(next state, reward, done); walls hold one back, and each step costs a little."""
    r, c = state // cols + moves[action][0], state % cols + moves[action][1]
    free = 0 <= r < rows and 0 <= c < cols and field[r][c] != "#"
    state = r * cols + c if free else state
    return state, 1.0 if state == goal else -0.02, state == goal


q = lamella.zeros(rows * cols, 4)
table = q.tolist()  # scalar steps: plain numbers are quicker
for _ in range(300):
    state, done = 0, False
    while not done:
        action = random.randrange(4) if random.random() < 0.3 else max(range(4), key=table[state].__getitem__)
        after, reward, done = step(state, action)
        table[state][action] += 0.5 * (reward + (0 if done else 0.95 * max(table[after])) - table[state][action])
        state = after

q = lamella.tensor(table)
state, way = 0, [0]
while state != goal and len(way) < 30:
    state = step(state, int(q[state].argmax()))[0]
    way.append(state)
assert way[-1] == goal and len(way) == 21  # the shortest
after, reward, done = step(0, 1)
error = F.td_loss(q[0, 1], lamella.tensor(reward), q[after].max(), lamella.tensor(done), discount=0.95)
assert error.item() < 1e-3  # Bellman's equation holds
fig, ax = picture.axes(width=5.2, height=3.8)
best = q.max(1).values.reshape(rows, cols).clone()
best[goal // cols, goal % cols] = 1.0
walls = lamella.tensor([[cell == "#" for cell in row] for row in field])
ax.figure.colorbar(ax.imshow(lamella.where(walls, float("nan"), best), cmap="viridis"), label="worth of the best action")
ax.plot([s % cols for s in way], [s // cols for s in way], "w.-")
picture.bare(ax)
picture.save(fig, __file__)
