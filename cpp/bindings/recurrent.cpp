// SPDX-License-Identifier: MIT
#include "ops/recurrent.h"
#include "families.h"

namespace lamella {

// (cell, sides, bias, projected), x, sizes, h0, c0, weights
using Kind = std::tuple<std::string, int, bool, bool>;
using Maybe = std::optional<Array>;
static ops::RecurrentLayer layer_of(const Kind& kind, const Array& x, const Maybe& sizes, const Maybe& h0, const Maybe& c0,
                                    const std::vector<Array>& weights) {
  const auto& [cell, sides, bias, projected] = kind;
  return {ops::recurrent_cell(cell), sides, bias, projected, x, sizes, h0, c0, weights};
}

void bind_recurrent(py::module_& m) {
  m.def("recurrent_fwd", [](const Kind& kind, const Array& x, const Maybe& sizes, const Maybe& h0, const Maybe& c0,
                            const std::vector<Array>& weights, bool keep) {
    const On device(x.device());  // sizes may be the CPU's
    ops::RecurrentOutput o = ops::recurrent_fwd(layer_of(kind, x, sizes, h0, c0, weights), keep);
    return std::make_tuple(o.y, o.hn, o.cn, o.gates, o.cells);
  }, nogil());
  m.def("recurrent_bwd", [](const Kind& kind, const Array& x, const Maybe& sizes, const Maybe& h0, const Maybe& c0,
                            const std::vector<Array>& weights, const Array& y, const Maybe& gates, const Maybe& cells,
                            const Maybe& dy, const Maybe& dhn, const Maybe& dcn, bool need_x, bool need_h0, bool need_weights) {
    const On device(x.device());
    const ops::RecurrentOutput saved{y, {}, {}, gates.value_or(Array()), cells.value_or(Array())};
    ops::RecurrentGrads g = ops::recurrent_bwd(layer_of(kind, x, sizes, h0, c0, weights), saved, dy, dhn, dcn, need_x, need_h0,
                                               need_weights);
    return std::make_tuple(g.dx, g.dh0, g.dc0, g.dweights);
  }, nogil());
}

}  // namespace lamella
