// SPDX-License-Identifier: MIT
// One bind_<family>(module) per file of this folder.
#pragma once
#include "caster.h"

#define LAMELLA_FAMILIES(F) \
  F(runtime)                \
  F(view)                   \
  F(index)                  \
  F(interop)                \
  F(dlpack)                 \
  F(optim)                  \
  F(random)                 \
  F(reduce)                 \
  F(batch_norm)             \
  F(layer_norm)             \
  F(softmax)

namespace lamella {
#define F(family) void bind_##family(pybind11::module_& m);
LAMELLA_FAMILIES(F)
#undef F
}  // namespace lamella
