// SPDX-License-Identifier: MIT
// Array: a strided view on a storage. Arrays compute; they know nothing of gradients.
#pragma once
#include "device.h"
#include "dtype.h"
#include "errors.h"
#include "shape.h"
#include "storage.h"

namespace lamella {

struct Array {
  StoragePtr storage;
  int64_t offset = 0;  // in elements
  DType dtype = DType::f32;
  Shape shape;
  Dims strides;        // in elements; 0 where broadcast, may be negative

  Array() = default;
  bool defined() const { return bool(storage); }
  int ndim() const { return shape.n; }
  int64_t size(int dim) const { return shape[dim < 0 ? dim + shape.n : dim]; }
  int64_t numel() const { return shape.product(); }
  Device device() const { return storage->device; }
  char* bytes() const { return static_cast<char*>(storage->data) + offset * size_of(dtype); }
  template <class T = void> T* data() const { return reinterpret_cast<T*>(bytes()); }
  bool is_contiguous() const;  // row-major, sizes of 1 ignored
  bool is_channels_last() const;  // dense (N, ..., C) memory seen as (N, C, ...), and not contiguous as well

  // Views: share the storage.
  Array reshape(const Shape&) const;   // a view; ValueError where the strides do not allow it or the count differs
  bool can_view(const Shape&) const;
  Array transpose(int a, int b) const;
  Array permute(const Dims& order) const;
  Array expand(const Shape&) const;    // sizes of 1 stretch, new leading dims may appear
  Array slice(int dim, int64_t start, int64_t stop, int64_t step) const;  // in range already; step != 0
  Array select(int dim, int64_t index) const;
  Array unsqueeze(int dim) const;
  Array squeeze(int dim) const;        // that dimension must be 1
};

Array empty(const Shape&, DType);              // contiguous, uninitialised, on this thread's device; an empty shape is a scalar
Array empty_like(const Array&);                // contiguous
Array empty_channels_last(const Shape&, DType);  // (N, C, ...) with adjacent channels; at least 3 dimensions
Array scalar(double value, DType);             // 0-d
// Itself, or a contiguous copy there (x is contiguous). It is waited for, but where x is pinned and `wait` is false: then x
// must stay as it is until the copy is done.
Array to_device(const Array& x, Device, bool wait = true);
void transfer(Array& to, const Array& from, bool wait = true);  // between devices; contiguous, of one shape and dtype
inline Array on_host(const Array& x) { return to_device(x, Device{}); }

struct Described { const Array& array; };      // written only when a message is: checks that pass pay nothing
std::ostream& operator<<(std::ostream&, Described);  // "float32 (2, 3)"
inline Described describe(const Array& a) { return {a}; }

}  // namespace lamella
