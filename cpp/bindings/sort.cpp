// SPDX-License-Identifier: MIT
#include "ops/sort.h"
#include "families.h"

namespace lamella {

void bind_sort(py::module_& m) {
  def(m, "sort", &ops::sort, nogil());
  def(m, "topk", &ops::topk, nogil());
  def(m, "search_sorted", &ops::search_sorted, nogil());
#define R(name)                                                                                          \
  def(m, #name, [](const Array& x, int64_t k, int64_t dim, bool keepdim) {                                 \
    return ops::kth(x, k, dim, keepdim, Rank::name);                                                      \
  }, nogil());
  R(kth) R(median) R(nanmedian)
#undef R
}

}  // namespace lamella
