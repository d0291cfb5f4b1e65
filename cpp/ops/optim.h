// SPDX-License-Identifier: MIT
// Optimiser steps over lists of tensors: parameters and state are written in place, gradients only read.
#pragma once
#include <optional>
#include <vector>
#include "core/array.h"

namespace lamella::ops {

using Arrays = std::vector<Array>;

// One update of all of p by a rule of kernels/optim_rules.h. states[k]: state `names[k]` of every parameter; numbers: the
// formula's. `op` names the optimiser in errors. Parameters may lie in any layout.
struct OptimOptions {
  const char *op, *rule;
  std::vector<const char*> names;
  std::vector<double> numbers;
  double decay, shrink;  // d = g + decay p, p = shrink p before the formula
  bool maximize;
  std::optional<Array> live = {};  // kernels.h: OptimStep
};
void optim_step(const Arrays& p, const Arrays& g, const std::vector<Arrays>& states, const OptimOptions&);

Array grad_norm(const Arrays& g, double p);   // the p-norm of all elements; p is 1, 2 or infinity
void scale_all(const Arrays& g, double scale, const Array* factor = nullptr);  // factor: a float64 number
void clamp_all(const Arrays& g, double low, double high);

}  // namespace lamella::ops
