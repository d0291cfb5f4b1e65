# SPDX-License-Identifier: MIT
"""Mixed precision's rounding

bfloat16 has float32's range with 8 bits of precision, float16 has 11 bits but ends at 65,504 and loses gradients below 6e-8. Products
may be rounded to either as long as sums are float32. Weights may not: an update below 1/256 of a weight rounds away in bfloat16, and
training stands still. So one keeps float32 master weights, and for float16 scales the loss up.
"""

import picture

import lamella

kinds = (lamella.float32, lamella.float16, lamella.bfloat16)
fig, axes = picture.axes(1, 2, width=4.5)
size = lamella.logspace(-9, 6, 200, dtype=lamella.float64)
for kind in kinds[1:]:
    error = (size.to(kind).double() - size).abs() / size
    axes[0].loglog(size, error.clamp(1e-5, 1), label=str(kind).split(".")[-1])
axes[0].set(title="relative error of rounding", xlabel="value")
axes[0].legend()

ends = {}
for kind in kinds:
    weight, path = lamella.tensor(1.0, dtype=kind), []
    for _ in range(300):
        weight = weight + lamella.tensor(0.001, dtype=kind)
        path.append(weight.item())
    ends[kind] = path[-1]
    axes[1].plot(path, label=str(kind).split(".")[-1])
axes[1].set(title="1 + 0.001 + 0.001 + …", xlabel="step")
axes[1].legend()
assert ends[lamella.bfloat16] == 1 and abs(ends[lamella.float32] - 1.3) < 1e-4
assert lamella.tensor(1e-8).half().item() == 0 and (lamella.tensor(1e-8) * 2**14).half().item() > 0  # what loss scaling is for
many = lamella.ones(4096, dtype=lamella.bfloat16)
assert many.sum().item() == 4096  # summed in float32; one by one in bfloat16 it would stop at 256
picture.save(fig, __file__)
