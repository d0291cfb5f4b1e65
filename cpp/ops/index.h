// SPDX-License-Identifier: MIT
// Gather, scatter and advanced indexing. Indices are of any integer dtype and are checked: one out of range is an
// IndexError that says which. Functions ending in _ write in place, into views too.
#pragma once
#include <optional>
#include <vector>
#include "core/array.h"
#include "kernels/kernels.h"

namespace lamella::ops {

Array embedding_fwd(const Array& index, const Array& weight);  // (...) of weight (rows, width) -> (..., width)
// The gradient (rows, width) of weight; the row padding_idx (-1: none) gets none.
Array embedding_bwd(const Array& dy, const Array& index, int64_t rows, int64_t padding_idx);

// Bags of rows: `offsets` (int64, ascending from 0; the last is the end where `last`) cut index (count) into bags, and those
// equal to padding_idx (-1: none) are left out. Of what is left, in order: start (bags + 1), and for each its row and, where
// any may be left out, its place in the original.
struct Bags { Array start, index; std::optional<Array> place; };
Bags bags_of(const Array& index, const Array& offsets, bool last, int64_t rows, int64_t padding_idx);
Array bag_numbers(const Array& start, int64_t count);  // of each, its bag
Array bag_sum(const Array& start, const Array& index, const std::optional<Array>& weight, const Array& x);  // (bags, width)
// Its gradient (rows, width) for x: the same sum of dy (bags, width), with rows and bags exchanged.
Array bag_sum_grad(const Array& index, const Array& bag, const std::optional<Array>& weight, const Array& dy, int64_t rows);
std::pair<Array, Array> bag_max(const Array& start, const Array& index, const Array& x);  // with the row that won, or -1
Array bag_dot(const Array& i, const Array& a, const Array& j, const Array& b);  // a[i[t]] . b[j[t]], float32 or float64

// index (m): the slices of x at index along dim; index_add_ adds y's slices there.
Array index_select(const Array& x, int64_t dim, const Array& index);
void index_add_(Array& x, int64_t dim, const Array& index, const Array& y);

// index has x's dims and is no larger than it outside `dim`: y[i][j] = x[index[i][j]][j] for dim 0.
Array gather(const Array& x, int64_t dim, const Array& index);
// The reverse for y, no smaller than index; `op` joins it with what is there. fresh: nobody sees x if this throws.
void scatter_(Array& x, int64_t dim, const Array& index, const Array& y, ScatterOp op, bool fresh = false);

// x[indices]: one entry for each leading dimension of x, or one boolean mask for several; nullopt takes the dimension
// whole. Integer entries broadcast together (NumPy's rule, also for where their dimensions go: in place of the first if
// they stand side by side, else in front) and wrap.
using Indices = std::vector<std::optional<Array>>;
Array index_get(const Array& x, const Indices& indices);
void index_put_(Array& x, const Indices& indices, const Array& y, bool accumulate);  // y broadcasts

Array nonzero(const Array& x);                                   // int64 (found, ndim), in row-major order
Array triangle(const Array& x, int64_t diagonal, bool upper);    // tril, triu

Array cat(const std::vector<Array>& parts, int64_t dim);         // of the promoted dtype

}  // namespace lamella::ops
