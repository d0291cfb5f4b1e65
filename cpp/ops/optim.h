// SPDX-License-Identifier: MIT
// Optimiser steps over lists of tensors: parameters and state are written in place, gradients only read.
#pragma once
#include <vector>
#include "core/array.h"

namespace lamella::ops {

using Arrays = std::vector<Array>;

struct SgdOptions { double lr, momentum, dampening, weight_decay; bool nesterov, maximize, first; };
void sgd_step(const Arrays& p, const Arrays& g, const Arrays& momentum, const SgdOptions&);  // momentum: empty if 0

struct AdamOptions { double lr, beta1, beta2, eps, weight_decay; int64_t step; bool decoupled, maximize; };
void adam_step(const Arrays& p, const Arrays& g, const Arrays& m, const Arrays& v, const Arrays& vmax, const AdamOptions&);

double grad_norm(const Arrays& g, double p);   // the p-norm of all elements; p is 1, 2 or infinity
void scale_all(const Arrays& g, double scale);
void clamp_all(const Arrays& g, double low, double high);

}  // namespace lamella::ops
