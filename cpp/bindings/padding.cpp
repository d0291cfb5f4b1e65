// SPDX-License-Identifier: MIT
#include "ops/padding.h"
#include "families.h"

namespace lamella {

static PadMode pad_mode(const std::string& name) {
  const char* const names[] = {"constant", "reflect", "replicate", "circular"};
  for (int i = 0; i < 4; ++i)
    if (name == names[i]) return PadMode(i);
  throw ValueError(text("[pad] mode must be 'constant', 'reflect', 'replicate' or 'circular', got '", name, "'"));
}

void bind_padding(py::module_& m) {
  // sides: (dimension, before, after); widths that the mode can take from x
  def(m, "pad", [](const Array& x, const std::vector<std::tuple<int, int64_t, int64_t>>& sides, const std::string& mode, double value) {
    std::vector<ops::PadSide> s;
    for (const auto& [dim, before, after] : sides) s.push_back({dim, before, after});
    return ops::pad(x, s, pad_mode(mode), value);
  }, nogil());
}

}  // namespace lamella
