// SPDX-License-Identifier: MIT
// The list of update rules: R(name, formula in optim_formulas.h, states of a parameter, numbers of the formula). To add an
// optimiser: a line here, its formula there, a class in python/lamella/optim.
#pragma once

namespace lamella {

#define LAMELLA_OPTIM_RULES(R)                           \
  R(sgd, Sgd, 0, 1)                                      \
  R(momentum, Momentum, 1, 4)                            \
  R(adam, Adam, 2, 7)                                    \
  R(amsgrad, Amsgrad, 3, 7)                              \
  R(nadam, NAdam, 2, 8)                                  \
  R(radam, RAdam, 2, 7)                                  \
  R(adamax, Adamax, 2, 5)                                \
  R(adagrad, Adagrad, 1, 2)                              \
  R(adadelta, Adadelta, 2, 4)                            \
  R(rmsprop, RMSprop, 1, 4)                              \
  R(rmsprop_momentum, RMSpropMomentum, 2, 5)             \
  R(rmsprop_centered, RMSpropCentered, 2, 4)             \
  R(rmsprop_centered_momentum, RMSpropCenteredMomentum, 3, 5) \
  R(rprop, Rprop, 2, 4)                                  \
  R(asgd, ASGD, 1, 2)                                    \
  R(lion, Lion, 1, 5)                                    \
  R(lars, Lars, 1, 9)                                    \
  R(lamb, Lamb, 2, 13)                                   \
  R(lerp, Lerp, 0, 1)                                    \
  R(soft_threshold, SoftThreshold, 0, 1)

enum class OptimRule : int {
#define R(name, Formula, states, numbers) name,
  LAMELLA_OPTIM_RULES(R)
#undef R
};
constexpr int kMaxOptimStates = 3;

}  // namespace lamella
