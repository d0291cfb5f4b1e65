// SPDX-License-Identifier: MIT
#include "array.h"
#include "backend.h"
#include <algorithm>

namespace lamella {

bool Array::is_channels_last() const {
  if (ndim() < 3 || is_contiguous()) return false;
  int64_t step = shape[1];
  for (int d = ndim() - 1; d >= 2; --d) {
    if (shape[d] != 1 && strides[d] != step) return false;
    step *= shape[d];
  }
  return (shape[1] == 1 || strides[1] == 1) && (shape[0] == 1 || strides[0] == step);
}

bool Array::is_contiguous() const {
  int64_t step = 1;
  for (int i = shape.n - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] == 1) continue;
    if (strides[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

// Strides of `to` over the same elements: dimensions of `from` that are contiguous with each other form a block, and
// the new sizes must fill block after block.
static bool view_strides(const Array& x, const Shape& to, Dims& out) {
  out = contiguous_strides(to);
  if (x.numel() == 0) return true;
  int j = to.n - 1;
  int64_t block = 1, base = 1;  // the block's size so far, and its innermost stride
  bool open = false;
  for (int i = x.ndim() - 1; i >= 0; --i) {
    if (x.shape[i] == 1) continue;
    if (!open) { base = x.strides[i]; block = 1; open = true; }
    block *= x.shape[i];
    int k = i - 1;
    while (k >= 0 && x.shape[k] == 1) --k;
    if (k >= 0 && x.strides[k] == base * block) continue;  // the next one out belongs to this block
    int64_t step = base;
    while (block > 1) {
      while (j >= 0 && to[j] == 1) --j;
      if (j < 0 || block % to[j]) return false;
      out[j] = step;
      step *= to[j];
      block /= to[j];
      --j;
    }
    open = false;
  }
  return true;
}

bool Array::can_view(const Shape& to) const {
  Dims s;
  return to.product() == numel() && view_strides(*this, to, s);
}

Array Array::reshape(const Shape& to) const {
  check<ValueError>(to.product() == numel(), "[view] shape must hold ", numel(), " elements as ", shape, " does, got ", to);
  Array r = *this;
  r.shape = to;
  check<ValueError>(view_strides(*this, to, r.strides), "[view] strides ", strides, " of ", shape,
                    " must allow shape ", to, " without a copy: use reshape");
  return r;
}

Array Array::transpose(int a, int b) const {
  Array r = *this;
  if (ndim() == 0) return r;
  std::swap(r.shape[a], r.shape[b]);
  std::swap(r.strides[a], r.strides[b]);
  return r;
}

Array Array::permute(const Dims& order) const {
  Array r = *this;
  for (int i = 0; i < order.n; ++i) {
    r.shape[i] = shape[int(order[i])];
    r.strides[i] = strides[int(order[i])];
  }
  return r;
}

Array Array::expand(const Shape& to) const {
  int lead = to.n - ndim();
  check<ValueError>(lead >= 0, "[expand] shape must have at least ", ndim(), " dimensions, got ", to);
  Array r = *this;
  r.shape = to;
  r.strides.n = to.n;
  for (int i = 0; i < to.n; ++i) {
    check<ValueError>(to[i] >= 0, "[expand] sizes must not be negative, got ", to);
    int64_t size = i < lead ? 1 : shape[i - lead];
    check<ValueError>(size == to[i] || size == 1, "[expand] ", shape, " must stretch to the shape (sizes equal or 1), got ", to);
    r.strides[i] = i < lead || (size == 1 && to[i] != 1) ? 0 : strides[i - lead];
  }
  return r;
}

Array Array::slice(int dim, int64_t start, int64_t stop, int64_t step) const {
  Array r = *this;
  int64_t n = step > 0 ? (stop - start + step - 1) / step : (start - stop - step - 1) / -step;
  r.shape[dim] = n > 0 ? n : 0;
  if (n > 0) r.offset += start * strides[dim];
  r.strides[dim] = strides[dim] * step;
  return r;
}

Array Array::select(int dim, int64_t index) const {
  Array r = *this;
  r.offset += index * strides[dim];
  r.shape.erase(dim);
  r.strides.erase(dim);
  return r;
}

Array Array::unsqueeze(int dim) const {
  Array r = *this;
  r.strides.insert(dim, dim < ndim() ? shape[dim] * strides[dim] : 1);
  r.shape.insert(dim, 1);
  return r;
}

Array Array::squeeze(int dim) const {
  Array r = *this;
  r.shape.erase(dim);
  r.strides.erase(dim);
  return r;
}

Array empty(const Shape& shape, DType dtype) {
  int64_t n = 1, span = 1;  // strides must fit too, also where another dim is 0
  for (int64_t s : shape) {
    if (__builtin_mul_overflow(span, s > 0 ? s : 1, &span) || span > (int64_t(1) << 48))
      throw MemoryError(text("[empty] shape ", shape, " must fit into memory"));
    n *= s;
  }
  Array a;
  a.shape = shape;
  a.strides = contiguous_strides(shape);
  a.dtype = dtype;
  a.storage = new_storage(size_t(n) * size_t(size_of(dtype)));
  return a;
}

Array empty_channels_last(const Shape& shape, DType dtype) {
  Array a = empty(shape, dtype);
  int64_t step = shape[1];
  a.strides[1] = 1;
  for (int d = shape.n - 1; d >= 2; --d) {
    a.strides[d] = step;
    step *= shape[d];
  }
  return a;
}

Array empty_like(const Array& x) { return empty(x.shape, x.dtype); }

void transfer(Array& to, const Array& from, bool wait) {
  const size_t bytes = size_t(from.numel()) * size_t(size_of(from.dtype));
  if (!bytes) return;
  const On gpu(to.device().is_cpu() ? from.device() : to.device());
  // memory that is not pinned was read when the call returns
  backend().copy(to.bytes(), to.device(), from.bytes(), from.device(), bytes, to.device().is_cpu() || (wait && from.storage->pinned));
}

Array to_device(const Array& x, Device device, bool wait) {
  if (x.device() == device) return x;
  check<ValueError>(x.is_contiguous(), "[to_device] input must be contiguous, got strides ", x.strides);
  const On target(device);
  Array y = empty(x.shape, x.dtype);
  transfer(y, x, wait);
  return y;
}

Array scalar(double value, DType dtype) {
  if (!here().is_cpu()) {
    const Device gpu = here();
    const On cpu(Device{});
    return to_device(scalar(value, dtype), gpu);
  }
  Array a = empty({}, dtype);
  void* p = a.bytes();
  switch (dtype) {
    case DType::f64: *static_cast<double*>(p) = value; break;
    case DType::f32: *static_cast<float*>(p) = float(value); break;
    case DType::f16: *static_cast<f16*>(p) = f16::from(float(value)); break;
    case DType::bf16: *static_cast<bf16*>(p) = bf16::from(float(value)); break;
    case DType::i64: *static_cast<int64_t*>(p) = int64_t(value); break;
    case DType::i32: *static_cast<int32_t*>(p) = int32_t(int64_t(value)); break;
    case DType::i16: *static_cast<int16_t*>(p) = int16_t(int64_t(value)); break;
    case DType::i8: *static_cast<int8_t*>(p) = int8_t(int64_t(value)); break;
    case DType::u8: *static_cast<uint8_t*>(p) = uint8_t(int64_t(value)); break;
    case DType::b8: *static_cast<bool*>(p) = value != 0; break;
  }
  return a;
}

std::ostream& operator<<(std::ostream& s, Described d) { return s << name_of(d.array.dtype) << " " << d.array.shape; }

}  // namespace lamella
