// SPDX-License-Identifier: MIT
#pragma once
#include "isa.h"

namespace lamella {
namespace LAMELLA_ISA {

// Of each of `outer` rows of n elements, n few: the first k in order with the places they had, or, of a rank, the one element there.
// values may be null: they are not wanted.
struct SortFew {
  DType dtype;
  int64_t outer, n, k;
  bool descending;
  const void* x;
  void* values;
  int64_t* indices;
  const Kth* rank = nullptr;
};
bool are_few(DType dtype, int64_t n);
void sort_few(const SortFew&);

}  // namespace LAMELLA_ISA
}  // namespace lamella
