// SPDX-License-Identifier: MIT
// What the shared formulas are written in: vectors of lanes on a CPU, one float or double of a thread on a GPU.
#pragma once
#ifdef LAMELLA_GPU
#include "../../cuda/lanes.cuh"
#else
#include "power.h"
#include "vecmath.h"
#endif
