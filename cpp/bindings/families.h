// SPDX-License-Identifier: MIT
// One bind_<family>(module) per file of this folder.
#pragma once
#include "placed.h"

#define LAMELLA_FAMILIES(F) \
  F(attention)              \
  F(batch_norm)             \
  F(conv)                   \
  F(ctc)                    \
  F(cuda)                   \
  F(dlpack)                 \
  F(fold)                   \
  F(gate)                   \
  F(gemm)                   \
  F(index)                  \
  F(interop)                \
  F(layer_norm)             \
  F(loss)                   \
  F(optim)                  \
  F(padding)                \
  F(pool)                   \
  F(products)               \
  F(quant)                  \
  F(random)                 \
  F(recurrent)              \
  F(reduce)                 \
  F(resize)                 \
  F(rotary)                 \
  F(runtime)                \
  F(softmax)                \
  F(sort)                   \
  F(view)

namespace lamella {
#define F(family) void bind_##family(pybind11::module_& m);
LAMELLA_FAMILIES(F)
#undef F
}  // namespace lamella
