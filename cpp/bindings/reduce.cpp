// SPDX-License-Identifier: MIT
// Reductions: one function per op of the list, (x, dims or None, keepdim, dtype or None).
#include "caster.h"
#include "families.h"
#include "ops/reduce.h"

namespace lamella {

void bind_reduce(py::module_& m) {
#define R(name)                                                                                                  \
  def(m, "reduce_" #name, [](const Array& x, const std::optional<Dims>& dim, bool keepdim, std::optional<DType> t) { \
    return ops::reduce(ReduceOp::name, x, dim ? *dim : Dims(), keepdim, t);                                      \
  }, py::arg("x"), py::arg("dim") = py::none(), py::arg("keepdim") = false, py::arg("dtype") = py::none(), nogil());
  LAMELLA_REDUCE_OPS(R)
#undef R
  def(m, "var_mean", [](const Array& x, const std::optional<Dims>& dim, double correction, bool keepdim) {
    ops::VarMean r = ops::var(x, dim ? *dim : Dims(), correction, keepdim);
    return std::make_pair(r.var, r.mean);
  }, nogil());
#define S(name, op)                                                                                              \
  def(m, name, [](const Array& x, int64_t dim, std::optional<DType> t) { return ops::scan(op, x, dim, t).values; }, \
        py::arg("x"), py::arg("dim"), py::arg("dtype") = py::none(), nogil());
  S("cumsum", ScanOp::sum) S("cumprod", ScanOp::prod) S("logcumsumexp", ScanOp::logsumexp)
#undef S
  def(m, "cumextreme", [](const Array& x, int64_t dim, bool greatest) {
    ops::Scanned y = ops::scan(greatest ? ScanOp::max : ScanOp::min, x, dim);
    return std::make_pair(y.values, y.index);
  }, nogil());
  def(m, "sum_to", &ops::sum_to, nogil());
}

}  // namespace lamella
