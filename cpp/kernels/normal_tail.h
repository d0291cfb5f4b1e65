// SPDX-License-Identifier: MIT
// -log2 of what the normal distribution has beyond a, 0 <= a <= 13, is 1 + a (a / (2 ln 2) + p(t)), t = 2 a / 13 - 1. These
// are the coefficients of p, for float32; a list, as compilers for GPUs want no tables of the host.
#pragma once
#define LAMELLA_NORMAL_TAIL                                                                                           \
  0.47054106, -0.258029997, 0.160298616, -0.102619879, 6.57313988e-2, -4.13418151e-2, 2.51387581e-2, -1.53350309e-2,  \
      9.28724278e-3, -3.09727411e-3, -5.95738762e-4, -1.73052948e-3, 2.77890451e-3, 9.46842076e-4, -2.4513281e-3,     \
      8.32734455e-4
