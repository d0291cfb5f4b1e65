// SPDX-License-Identifier: MIT
// What the files of the index family share.
#pragma once
#include "core/array.h"

namespace lamella::ops {

// index as contiguous int64, each in [0, size), or, with `wrap`, in [-size, size) and made non-negative. An IndexError
// names the first that is not (and `dim`, unless -1).
Array checked_index(const char* op, const Array& index, int64_t size, bool wrap, int dim = -1);

// The same where this thread's device is a GPU, by a pass of it; `ignore` may stand for any index as well.
Array safe_index(const char* op, const Array& index, int64_t size, bool wrap, int64_t ignore = 0);

Array true_positions(const Array& mask);  // int64 (found): row-major positions of the elements that are not zero

}  // namespace lamella::ops
