// SPDX-License-Identifier: MIT
#include "ops/sort.h"
#include "families.h"

namespace lamella {

void bind_sort(py::module_& m) {
  m.def("sort", &ops::sort, nogil());
  m.def("topk", &ops::topk, nogil());
  m.def("search_sorted", &ops::search_sorted, nogil());
#define R(name)                                                                                          \
  m.def(#name, [](const Array& x, int64_t k, int64_t dim, bool keepdim) {                                 \
    return ops::kth(x, k, dim, keepdim, Rank::name);                                                      \
  }, nogil());
  R(kth) R(median) R(nanmedian)
#undef R
}

}  // namespace lamella
