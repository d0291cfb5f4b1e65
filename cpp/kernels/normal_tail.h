// SPDX-License-Identifier: MIT
// What the normal distribution has beyond a, 0 <= a <= 13, is e^(-a^2 / 2) u p(u), u = 1 / (1 + 0.3 a). These are the coefficients
// of p, for float32; a list, as compilers for GPUs want no tables of the host.
#pragma once
#define LAMELLA_NORMAL_TAIL \
  0.119616842, 0.120947657, 9.86869473e-2, 0.132668321, -6.1557096e-2, 0.215025987, -0.162302745, 3.69140854e-2
constexpr double kNormalTailSlope = 0.3;
