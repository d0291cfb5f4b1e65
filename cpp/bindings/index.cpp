// SPDX-License-Identifier: MIT
// x[index]: the parser of Python's index expressions, and the index family.
#include <pybind11/numpy.h>
#include "families.h"
#include "ops/bincount.h"
#include "ops/index.h"

namespace lamella {
namespace {

struct Parsed {
  Array view;            // what ints, slices, None and ... make of x
  ops::Indices indices;  // one entry per dimension of view, or mask over several; empty where there is none
  bool advanced = false;
};

// A list, NumPy array or NumPy scalar as an Array of its own.
Array converted(PyObject* o) {
  auto a = py::reinterpret_borrow<py::object>(o);
  py::array array = py::module_::import("numpy").attr("array")(a);
  char kind = array.dtype().kind();
  if (array.size() == 0 && kind == 'f') kind = 'i';  // []
  check<IndexError>(kind == 'b' || kind == 'i' || kind == 'u', "[index] index must be made of ints, slices, None, ..., "
                    "and integer or bool tensors, got ", std::string(py::str(array.dtype())));
  if (kind != 'b') array = array.attr("astype")("int64");
  return py::cast<Array>(py::module_::import("lamella._core").attr("from_numpy")(array));
}

int64_t value_of(const Array& given) {
  const Array a = on_host(given);
  switch (a.dtype) {
    case DType::i64: return *a.data<int64_t>();
    case DType::i32: return *a.data<int32_t>();
    case DType::i16: return *a.data<int16_t>();
    case DType::i8: return *a.data<int8_t>();
    default: return *a.data<uint8_t>();
  }
}

Array select_checked(const Array& x, int dim, int64_t i) {
  int64_t n = x.shape[dim];
  check<IndexError>(i >= -n && i < n, "[index] index must be in [", -n, ", ", n, ") along dimension ", dim, ", got ", i);
  return x.select(dim, i < 0 ? i + n : i);
}

Array sliced(const Array& x, int dim, PyObject* slice) {
  Py_ssize_t start, stop, step;
  if (PySlice_Unpack(slice, &start, &stop, &step) < 0) throw py::error_already_set();
  Py_ssize_t n = PySlice_AdjustIndices(x.shape[dim], &start, &stop, step);
  if (n == x.shape[dim] && step == 1) return x;
  if (n <= 0) return x.slice(dim, 0, 0, 1);
  if (n == 1) step = 1;  // a step past the end may be as large as it likes
  return x.slice(dim, start, start + n * step, step);
}

void parse(const Array& x, PyObject* index, Parsed& p) {
  bool tuple = PyTuple_Check(index);
  PyObject* const* items = tuple ? &PyTuple_GET_ITEM(index, 0) : &index;
  int n = tuple ? int(PyTuple_GET_SIZE(index)) : 1;
  auto is_int = [](PyObject* o) { return PyLong_Check(o) && !PyBool_Check(o); };
  std::vector<Array> arrays;
  int taken = 0, dots = 0;
  for (int i = 0; i < n; ++i) {  // how many dimensions of x there are besides those of `...`
    PyObject* o = items[i];
    if (is_int(o) || PySlice_Check(o)) { ++taken; continue; }
    if (o == Py_None || PyBool_Check(o)) continue;
    if (o == Py_Ellipsis) { ++dots; continue; }
    if (arrays.empty()) arrays.resize(size_t(n));
    Array& a = arrays[size_t(i)];
    a = is_tensor(o) ? as_tensor(o)->array : converted(o);
    check<IndexError>(!is_floating(a.dtype), "[index] index tensors must have an integer or bool dtype, got ",
                      name_of(a.dtype));
    taken += a.dtype == DType::b8 ? a.ndim() : 1;
  }
  check<IndexError>(dots <= 1, "[index] index must hold at most one '...', got ", dots);
  check<IndexError>(taken <= x.ndim(), "[index] index must name at most the ", x.ndim(), " dimensions of ", x.shape,
                    ", got ", taken);
  Array v = x;
  int dim = 0;
  auto keep = [&](int count) {
    dim += count;
    p.indices.resize(p.indices.size() + size_t(count));
  };
  auto mask = [&](bool value) {
    Array m = empty({1}, DType::b8);
    *m.data<bool>() = value;
    v = v.unsqueeze(dim++);
    p.indices.emplace_back(std::move(m));
    p.advanced = true;
  };
  for (int i = 0; i < n; ++i) {
    PyObject* o = items[i];
    if (is_int(o)) {
      int64_t k = PyLong_AsLongLong(o);
      if (k == -1 && PyErr_Occurred()) throw py::error_already_set();
      v = select_checked(v, dim, k);
    } else if (PySlice_Check(o)) {
      v = sliced(v, dim, o);
      keep(1);
    } else if (o == Py_None) {
      v = v.unsqueeze(dim);
      keep(1);
    } else if (o == Py_Ellipsis) {
      keep(x.ndim() - taken);
    } else if (PyBool_Check(o)) {
      mask(o == Py_True);
    } else {
      Array& a = arrays[size_t(i)];
      bool is_mask = a.dtype == DType::b8;
      if (a.ndim() == 0 && is_mask) { mask(*on_host(a).data<bool>()); continue; }
      if (a.ndim() == 0) { v = select_checked(v, dim, value_of(a)); continue; }
      dim += is_mask ? a.ndim() : 1;
      p.indices.emplace_back(a);
      p.advanced = true;
    }
  }
  p.view = std::move(v);
}

// getitem(x, index, rule) -> a view, or (view, indices) where tensors are among the indices; x itself where the view is all
// of it. The view is recorded under `rule`, with (x.shape, index) as its ctx. A plain C function: it is called a lot.
PyObject* getitem(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  try {
    check<TypeError>(nargs == 3 && is_tensor(args[0]), "[index] input must be a Tensor");
    TensorObject* x = as_tensor(args[0]);
    const Array& a = x->array;
    Parsed p;
    parse(a, args[1], p);
    py::object view;
    if (p.advanced && p.view.shape == a.shape && p.view.strides == a.strides && p.view.offset == a.offset) {
      view = py::reinterpret_borrow<py::object>(args[0]);
    } else {
      view = py::reinterpret_steal<py::object>(wrap_view(std::move(p.view)));
      if (!view) return nullptr;
      if (grad_enabled()) set_base(view.ptr(), args[0]);
      if (grad_enabled() && args[2] != Py_None && wants_gradient(args[0])) {
        py::tuple ctx = py::make_tuple(a.shape, py::handle(args[1]));
        PyObject* out = view.ptr();
        if (!record(&out, 1, args[2], args, 1, ctx.ptr(), false)) return nullptr;
      }
    }
    return (p.advanced ? py::make_tuple(view, py::cast(p.indices)) : std::move(view)).release().ptr();
  } catch (py::error_already_set& e) {
    e.restore();
  } catch (...) {
    raise_current_exception();
  }
  return nullptr;
}

PyMethodDef functions[] = {{"getitem", (PyCFunction)(void (*)())getitem, METH_FASTCALL, nullptr},
                           {nullptr, nullptr, 0, nullptr}};

}  // namespace

void bind_index(py::module_& m) {
  if (PyModule_AddFunctions(m.ptr(), functions) < 0) throw py::error_already_set();
  def(m, "index_get", &ops::index_get, nogil());
  def(m, "index_put_", [](Array x, const ops::Indices& i, const Array& y, bool add) { ops::index_put_(x, i, y, add); },
        nogil());
  m.def("bincount", &ops::bincount, nogil());
  def(m, "embedding_fwd", &ops::embedding_fwd, nogil());
  def(m, "embedding_bwd", &ops::embedding_bwd, nogil());
  def(m, "bags_of", [](const Array& index, const Array& offsets, bool last, int64_t rows, int64_t padding_idx) {
    const ops::Bags b = ops::bags_of(index, offsets, last, rows, padding_idx);
    return py::make_tuple(b.start, b.index, b.place);
  });
  def(m, "bag_numbers", &ops::bag_numbers, nogil());
  def(m, "bag_sum", &ops::bag_sum, nogil());
  def(m, "bag_sum_grad", &ops::bag_sum_grad, nogil());
  def(m, "bag_max", &ops::bag_max, nogil());
  def(m, "bag_dot", &ops::bag_dot, nogil());
  // Indices may be the CPU's beside a GPU's tensor: they go there.
  m.def("index_select", [](const Array& x, int64_t dim, const Array& i) {
    const On device(x.device());
    return ops::index_select(x, dim, i);
  }, nogil());
  m.def("index_add_", [](Array x, int64_t dim, const Array& i, const Array& y) {
    const On device(device_of("index_add", x, y));
    ops::index_add_(x, dim, i, y);
  }, nogil());
  m.def("gather", [](const Array& x, int64_t dim, const Array& i) {
    const On device(x.device());
    return ops::gather(x, dim, i);
  }, nogil());
  m.def("scatter_", [](Array x, int64_t dim, const Array& i, const Array& y, bool add, bool fresh) {
    const On device(device_of("scatter", x, y));
    ops::scatter_(x, dim, i, y, add ? ScatterOp::add : ScatterOp::put, fresh);
  }, py::arg("x"), py::arg("dim"), py::arg("index"), py::arg("y"), py::arg("add"), py::arg("fresh") = false, nogil());
  m.def("scatter_join_", [](Array x, int64_t dim, const Array& i, const Array& y, const std::string& how) {
    const On device(device_of("scatter_reduce", x, y));
    const ScatterOp op = how == "sum" ? ScatterOp::add : how == "prod" ? ScatterOp::prod : how == "amax" ? ScatterOp::max : ScatterOp::min;
    ops::scatter_(x, dim, i, y, op);
  }, nogil());
  def(m, "nonzero", &ops::nonzero, nogil());
  def(m, "triangle", &ops::triangle, nogil());
  def(m, "cat", &ops::cat, nogil());
}

}  // namespace lamella
