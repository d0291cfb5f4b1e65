// SPDX-License-Identifier: MIT
// Creation, copies and views.
#include "families.h"
#include "ops/elementwise.h"
#include "ops/parallel.h"

namespace lamella {


static py::object as_view(Array a) {
  PyObject* t = wrap_view(std::move(a));
  if (!t) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(t);
}

static Shape with_inferred(const Array& x, Shape shape) {
  int64_t known = 1;
  int at = -1;
  for (int i = 0; i < shape.n; ++i) {
    if (shape[i] == -1) {
      check<ValueError>(at < 0, "[reshape] shape must have at most one -1, got ", shape);
      at = i;
    } else {
      check<ValueError>(shape[i] >= 0, "[reshape] sizes must not be negative, got ", shape);
      known *= shape[i];
    }
  }
  int64_t n = x.numel();
  bool ok = at < 0 ? known == n : known != 0 && n % known == 0;
  check<ValueError>(ok, "[reshape] shape must hold ", n, " elements as ", x.shape, " does, got ", shape);
  if (at >= 0) shape[at] = n / known;
  return shape;
}

// What a loop of the host writes, brought to this thread's device.
template <class F> static Array made_on_host(const F& f) {
  const Device device = here();
  Array a;
  {
    const On host(Device{});
    a = f();
  }
  return to_device(a, device);
}

// y[i] = start + i step for i < n, in double precision or whole numbers, in loops that compilers turn into vectors.
template <class T, class Y> static Array progression(T start, T step, int64_t n, DType t) {
  Array a = empty({n}, t);
  Y* const y = a.data<Y>();
  constexpr int64_t some = 32768;
  ops::parallel((n + some - 1) / some, [&](int64_t task) {
    const int64_t begin = task * some;
    const int count = int(std::min(n - begin, some));
    const auto at = [=](int k) {  // a count in whole numbers, then exact in double precision
      if constexpr (std::is_integral_v<T>) return start + (begin + k) * step;
      else return Y(start + (T(begin) + T(k)) * step);
    };
    Y* const to = y + begin;
    int i = 0;
    for (; i + 16 <= count; i += 16) for (int k = 0; k < 16; ++k) to[i + k] = at(i + k);
    for (; i < count; ++i) to[i] = at(i);
  });
  return a;
}
static Array progression(double start, double step, int64_t n, DType t) {
  if (t == DType::f32) return progression<double, float>(start, step, n, t);
  return ops::cast(progression<double, double>(start, step, n, DType::f64), t);
}
static Array progression(int64_t start, int64_t step, int64_t n, DType t) {
  return ops::cast(progression<int64_t, int64_t>(start, step, n, DType::i64), t);
}

static Array triangle_indices(int64_t rows, int64_t cols, int64_t offset, bool lower) {
  auto edge = [&](int64_t r) {  // lower: a row's columns before it, else those from it on
    const int64_t c = r + offset + lower;
    return c < 0 ? 0 : c > cols ? cols : c;
  };
  int64_t n = 0;
  for (int64_t r = 0; r < rows; ++r) n += lower ? edge(r) : cols - edge(r);
  Array y = empty({2, n}, DType::i64);
  int64_t *row = y.data<int64_t>(), *col = row + n;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = lower ? 0 : edge(r), end = lower ? edge(r) : cols; c < end; ++c) { *row++ = r; *col++ = c; }
  return y;
}

void bind_view(py::module_& m) {
  const auto place = py::arg("place") = Place{};
  def(m, "empty", [](const Shape& shape, DType t, const Place&) {
    for (int64_t s : shape) check<ValueError>(s >= 0, "[empty] shape must not be negative, got ", shape);
    return empty(shape, t);
  }, py::arg("shape"), py::arg("dtype"), place);
  def(m, "empty_like", [](const Array& x, DType t, bool preserve, const Place&) {
    return preserve ? ops::Order(x).make(x.shape, t) : empty(x.shape, t);
  }, py::arg("input"), py::arg("dtype"), py::arg("preserve"), place);
  def(m, "full", [](const Shape& shape, double value, DType t, const Place&) {
    for (int64_t s : shape) check<ValueError>(s >= 0, "[full] shape must not be negative, got ", shape);
    Array a = empty(shape, t);
    ops::fill_(a, value);
    return a;
  }, py::arg("shape"), py::arg("value"), py::arg("dtype"), place, nogil());
  def(m, "full_int", [](const Shape& shape, int64_t value, DType t, const Place&) {
    Array a = empty(shape, t);
    ops::fill_(a, value);
    return a;
  }, py::arg("shape"), py::arg("value"), py::arg("dtype"), place, nogil());
  def(m, "arange", [](double start, double step, int64_t n, DType t, const Place&) {
    return made_on_host([=] { return progression(start, step, n, t); });
  }, py::arg("start"), py::arg("step"), py::arg("n"), py::arg("dtype"), place, nogil());
  def(m, "arange_int", [](int64_t start, int64_t step, int64_t n, DType t, const Place&) {
    return made_on_host([=] { return progression(start, step, n, t); });
  }, py::arg("start"), py::arg("step"), py::arg("n"), py::arg("dtype"), place, nogil());
  def(m, "triangle_indices", [](int64_t rows, int64_t cols, int64_t offset, bool lower, const Place&) {
    return made_on_host([=] { return triangle_indices(rows, cols, offset, lower); });
  }, py::arg("rows"), py::arg("cols"), py::arg("offset"), py::arg("lower"), place, nogil());
  def(m, "copy", [](const Array& x) { return ops::copy(x); }, nogil());
  m.def("copy_", [](const Array& out, const Array& x, bool wait) {  // between devices, too
    const On device(out.device());
    Array o = out;
    ops::copy_(o, x, wait);
  }, py::arg("out"), py::arg("x"), py::arg("wait") = true, nogil());
  m.def("to_device", [](const Array& x, const Place& to, bool wait) {
    const On source(x.device());
    return to_device(ops::contiguous(x), to.device, wait);
  }, py::arg("x"), py::arg("to"), py::arg("wait") = true, nogil());
  m.def("pinned", [](const Array& x) {
    Array y;
    y.shape = x.shape;
    y.strides = contiguous_strides(x.shape);
    y.dtype = x.dtype;
    y.storage = pinned_storage(size_t(x.numel()) * size_t(size_of(x.dtype)));
    ops::copy_(y, x);
    return y;
  }, nogil());
  m.def("block_diag", [](const std::vector<Array>& blocks) {  // matrices of one dtype
    const On device(device_of("block_diag", blocks));
    int64_t rows = 0, cols = 0;
    for (const Array& b : blocks) rows += b.shape[0], cols += b.shape[1];
    Array y = empty({rows, cols}, blocks.front().dtype);
    ops::fill_(y, int64_t(0));
    rows = cols = 0;
    for (const Array& b : blocks) {
      Array place = y.slice(0, rows, rows + b.shape[0], 1).slice(1, cols, cols + b.shape[1], 1);
      ops::copy_(place, b);
      rows += b.shape[0], cols += b.shape[1];
    }
    return y;
  });
  m.def("is_pinned", [](const Array& x) { return x.storage->pinned; });
  def(m, "cast", [](const Array& x, DType t) { return x.dtype == t ? ops::clone(x) : ops::cast(x, t); }, nogil());
  def(m, "clone", &ops::clone, nogil());
  def(m, "contiguous", &ops::contiguous, nogil());
  def(m, "channels_last", &ops::channels_last, nogil());
  def(m, "fill_", [](const Array& x, double v) { Array o = x; ops::fill_(o, v); }, nogil());
  def(m, "fill_int_", [](const Array& x, int64_t v) { Array o = x; ops::fill_(o, v); }, nogil());
  def(m, "ternary", [](const std::string& op, const Array& a, const Array& b, py::object c, double p) {
    if (is_tensor(c.ptr())) {
      device_of(op.c_str(), a, as_tensor(c.ptr())->array);
      return ops::ternary(op, a, b, as_tensor(c.ptr())->array, p);
    }
    const double v = PyFloat_AsDouble(c.ptr());
    if (PyErr_Occurred()) throw py::error_already_set();
    return ops::ternary(op, a, b, v, p);
  });
  m.def("where", [](const Array& c, py::object a, py::object b) {
    auto operand = [](py::object& o) -> ops::Operand {
      if (is_tensor(o.ptr())) return ops::Operand(as_tensor(o.ptr())->array);
      if (PyBool_Check(o.ptr())) return ops::Operand(o.ptr() == Py_True);
      if (PyLong_Check(o.ptr())) return ops::Operand(int64_t(PyLong_AsLongLong(o.ptr())));
      double v = PyFloat_AsDouble(o.ptr());
      if (PyErr_Occurred()) throw py::error_already_set();
      return ops::Operand(v);
    };
    ops::Operand condition(c), x = operand(a), y = operand(b);
    Array held[3];  // numbers of the CPU go to the others' GPU
    ops::meeting_place("where", condition, x, held[0]);
    ops::meeting_place("where", condition, y, held[1]);
    const On device(ops::meeting_place("where", condition, x, held[2]));
    return ops::where(*condition.array, x, y);
  });
  m.def("promote", &promote);
  m.def("result_type", [](py::object a, py::object b) {
    auto operand = [](const py::object& o) -> ops::Operand {
      if (is_tensor(o.ptr())) return ops::Operand(as_tensor(o.ptr())->array);
      if (PyBool_Check(o.ptr())) return ops::Operand(true);
      return PyLong_Check(o.ptr()) ? ops::Operand(int64_t(1)) : ops::Operand(1.0);
    };
    return ops::result_type(operand(a), operand(b));
  });

  m.def("can_view", [](const Array& x, const Shape& s) { return x.can_view(with_inferred(x, s)); });
  m.def("reshape", [](const Array& x, const Shape& s) {  // a view where the strides allow it, else a copy
    Shape shape = with_inferred(x, s);
    if (x.can_view(shape)) return as_view(x.reshape(shape));
    const On device(x.device());
    return py::cast(ops::contiguous(x).reshape(shape));
  });
  m.def("view", [](const Array& x, const Shape& s) { return as_view(x.reshape(with_inferred(x, s))); });
  m.def("transpose", [](const Array& x, int64_t a, int64_t b) {
    return as_view(x.transpose(normalize_dim("transpose", a, x.ndim()), normalize_dim("transpose", b, x.ndim())));
  });
  m.def("permute", [](const Array& x, const Dims& order) {
    check<ValueError>(order.n == x.ndim(), "[permute] dims must name each of ", x.ndim(), " dimensions once, got ", order);
    Dims o;
    bool seen[kMaxDims] = {};
    for (int64_t d : order) {
      int k = normalize_dim("permute", d, x.ndim());
      check<ValueError>(!seen[k], "[permute] dims must name each dimension once, got ", order);
      seen[k] = true;
      o.push(k);
    }
    return as_view(x.permute(o));
  });
  m.def("expand", [](const Array& x, Shape shape) {
    check<ValueError>(shape.n >= x.ndim(), "[expand] shape must have at least ", x.ndim(), " dimensions, got ", shape);
    for (int i = 0; i < shape.n; ++i) {  // -1 keeps the size
      int j = i - (shape.n - x.ndim());
      if (shape[i] == -1 && j >= 0) shape[i] = x.shape[j];
    }
    return as_view(x.expand(shape));
  });
  m.def("unsqueeze", [](const Array& x, int64_t dim) {
    return as_view(x.unsqueeze(normalize_dim("unsqueeze", dim, x.ndim() + 1)));
  });
  m.def("squeeze", [](const Array& x, std::optional<Dims> dims) {
    bool drop[kMaxDims] = {};
    if (dims) for (int64_t d : *dims) drop[normalize_dim("squeeze", d, x.ndim())] = true;
    Array y = x;
    for (int i = x.ndim() - 1; i >= 0; --i)
      if (x.shape[i] == 1 && (!dims || drop[i])) y = y.squeeze(i);
    return as_view(y);
  });
  m.def("slice", [](const Array& x, int64_t dim, int64_t start, int64_t stop, int64_t step) {
    return as_view(x.slice(normalize_dim("slice", dim, x.ndim()), start, stop, step));
  });
  m.def("select", [](const Array& x, int64_t dim, int64_t index) {
    int d = normalize_dim("select", dim, x.ndim());
    check<IndexError>(index >= -x.shape[d] && index < x.shape[d], "[select] index must be in [", -x.shape[d], ", ",
                      x.shape[d], "), got ", index);
    return as_view(x.select(d, index < 0 ? index + x.shape[d] : index));
  });
  m.def("as_strided", [](const Array& x, const Shape& shape, const Dims& strides, std::optional<int64_t> offset) {
    check<ValueError>(shape.n == strides.n, "[as_strided] size and stride must have one length, got ", shape, " and ", strides);
    Array y = x;
    y.shape = shape;
    y.strides = strides;
    if (offset) y.offset = *offset;
    int64_t low = y.offset, high = y.offset;
    for (int i = 0; i < shape.n; ++i) {
      check<ValueError>(shape[i] >= 0, "[as_strided] size must not be negative, got ", shape);
      (strides[i] < 0 ? low : high) += (shape[i] - 1) * strides[i];
    }
    const int64_t room = int64_t(x.storage->bytes) / size_of(x.dtype);
    check<ValueError>(y.numel() == 0 || (low >= 0 && high < room), "[as_strided] view must stay within a storage of ", room,
                      " elements, got elements ", low, " to ", high);
    return as_view(y);
  });
  m.def("diagonal", [](const Array& x, int64_t offset, int64_t dim1, int64_t dim2) {
    int a = normalize_dim("diagonal", dim1, x.ndim()), b = normalize_dim("diagonal", dim2, x.ndim());
    check<ValueError>(a != b, "[diagonal] dim1 and dim2 must differ, got ", dim1);
    int64_t rows = x.shape[a] - (offset < 0 ? -offset : 0), cols = x.shape[b] - (offset > 0 ? offset : 0);
    int64_t n = std::max<int64_t>(0, std::min(rows, cols));
    Array y = x;
    if (n) y.offset += offset >= 0 ? offset * x.strides[b] : -offset * x.strides[a];
    int64_t step = x.strides[a] + x.strides[b];
    y.shape.erase(std::max(a, b)); y.strides.erase(std::max(a, b));
    y.shape.erase(std::min(a, b)); y.strides.erase(std::min(a, b));
    y.shape.push(n); y.strides.push(step);
    return as_view(y);
  });
}

}  // namespace lamella
