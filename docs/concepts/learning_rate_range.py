# SPDX-License-Identifier: MIT
"""The learning-rate range test

Train for a few dozen batches while the rate grows geometrically, and watch the loss (Smith 2017). Far too small: it does not
move. Right: it falls, fastest about a factor of ten below where it turns. Too large: it explodes. `LRFinder` puts model and
optimiser back as they were.
"""

import picture

import lamella
from lamella import nn
from lamella.data import DataLoader, digits

lamella.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
before = model[1].weight.detach().clone()
optimizer = lamella.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
finder = lamella.optim.LRFinder(model, optimizer, nn.CrossEntropyLoss())
finder.range_test(DataLoader(digits(), batch_size=64, shuffle=True), start_lr=1e-4, end_lr=100, num_iter=120)
assert lamella.equal(model[1].weight, before)
assert finder.suggestion().low < finder.suggestion().steepest <= finder.suggestion().high
fig, ax = picture.axes(width=6.5, height=3.2)
finder.plot(ax=ax)
picture.save(fig, __file__)
