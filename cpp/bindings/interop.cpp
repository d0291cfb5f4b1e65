// SPDX-License-Identifier: MIT
// NumPy both ways without a copy, and single elements. bfloat16, which NumPy lacks, travels as uint16 bit patterns.
#include <pybind11/numpy.h>
#include "families.h"

namespace lamella {

static const char* const kNumpyNames[kDTypes] = {"float64", "float32", "float16", nullptr, "int64",
                                                 "int32",   "int16",   "int8",    "uint8", "bool"};

static DType from_numpy_dtype(const py::array& a) {
  char kind = a.dtype().kind();
  int size = int(a.dtype().itemsize());
  bool native = a.dtype().byteorder() == '=' || a.dtype().byteorder() == '|' || a.dtype().byteorder() == '<';
  if (native)
    for (int i = 0; i < kDTypes; ++i) {
      if (!kNumpyNames[i]) continue;
      char k = is_floating(DType(i)) ? 'f' : DType(i) == DType::b8 ? 'b' : DType(i) == DType::u8 ? 'u' : 'i';
      if (k == kind && size_of(DType(i)) == size) return DType(i);
    }
  throw TypeError(text("[from_numpy] array must have a dtype lamella has (float64/32/16, int64/32/16/8, uint8, bool, in "
                       "native byte order), got ", std::string(py::str(a.dtype()))));
}

static void release_object(void* o) {
  py::gil_scoped_acquire gil;
  Py_DECREF(static_cast<PyObject*>(o));
}

static Array from_numpy(const py::array& a) {
  DType t = from_numpy_dtype(a);
  check<ValueError>(a.ndim() <= kMaxDims, "[from_numpy] array must have at most ", kMaxDims, " dimensions, got ", a.ndim());
  Array r;
  r.dtype = t;
  int64_t low = 0, high = size_of(t);  // bytes reached from data()
  bool empty_array = false;
  for (int i = 0; i < a.ndim(); ++i) {
    int64_t stride = a.strides(i), n = a.shape(i);
    check<ValueError>(n < 2 || stride % size_of(t) == 0, "[from_numpy] strides must be whole elements, got ", stride,
                      " bytes for ", name_of(t), ": pass a copy");
    r.shape.push(n);
    r.strides.push(stride / size_of(t));
    empty_array |= n == 0;
    if (n > 0) (stride < 0 ? low : high) += stride * (n - 1);
  }
  if (empty_array) low = high = 0;
  check<ValueError>(reinterpret_cast<uintptr_t>(a.data()) % size_of(t) == 0,
                    "[from_numpy] array must be aligned to its elements: pass a copy");
  char* first = static_cast<char*>(const_cast<void*>(a.data())) + low;
  r.storage = wrap_storage(first, size_t(high - low), release_object, py::object(a).release().ptr(), !a.writeable());
  r.offset = -low / size_of(t);
  return r;
}

// A view on x's memory; the array keeps the storage alive. bfloat16 comes as uint16 bits where `bits`.
static py::array to_numpy(const Array& x, bool bits) {
  check<TypeError>(x.device().is_cpu(), "[numpy] tensor must lie on the CPU, got ", x.device().str(), ": use .cpu().numpy()");
  check<TypeError>(x.dtype != DType::bf16 || bits,
                   "[numpy] tensor must have a dtype NumPy has, got bfloat16: use .float().numpy()");
  py::dtype dtype(x.dtype == DType::bf16 ? "uint16" : kNumpyNames[int(x.dtype)]);
  std::vector<py::ssize_t> shape, strides;
  for (int i = 0; i < x.ndim(); ++i) {
    shape.push_back(x.shape[i]);
    strides.push_back(x.strides[i] * size_of(x.dtype));
  }
  py::capsule base(new StoragePtr(x.storage), [](void* s) { delete static_cast<StoragePtr*>(s); });
  py::array a(dtype, shape, strides, x.bytes(), base);
  if (x.storage->readonly) a.attr("flags").attr("writeable") = false;
  return a;
}

static py::object item(const Array& given) {
  check<ValueError>(given.numel() == 1, "[item] tensor must have one element, got ", given.shape);
  const Array x = on_host(given);
  const void* p = x.bytes();
  switch (x.dtype) {
    case DType::f64: return py::float_(*static_cast<const double*>(p));
    case DType::f32: return py::float_(double(*static_cast<const float*>(p)));
    case DType::f16: return py::float_(double(static_cast<const f16*>(p)->to()));
    case DType::bf16: return py::float_(double(static_cast<const bf16*>(p)->to()));
    case DType::i64: return py::int_(*static_cast<const int64_t*>(p));
    case DType::i32: return py::int_(*static_cast<const int32_t*>(p));
    case DType::i16: return py::int_(*static_cast<const int16_t*>(p));
    case DType::i8: return py::int_(int(*static_cast<const int8_t*>(p)));
    case DType::u8: return py::int_(int(*static_cast<const uint8_t*>(p)));
    case DType::b8: return py::bool_(*static_cast<const bool*>(p));
  }
  return py::none();
}

void bind_interop(py::module_& m) {
  m.def("from_numpy", &from_numpy, py::arg("array").noconvert());
  m.def("to_numpy", &to_numpy, py::arg("x"), py::arg("bits") = false);
  m.def("item", &item);
  // The same bytes as another dtype of the same size.
  m.def("bitcast", [](const Array& x, DType t) {
    check<TypeError>(size_of(t) == size_of(x.dtype), "[view] dtype must have elements of ", size_of(x.dtype),
                     " bytes, got ", name_of(t));
    Array y = x;
    y.dtype = t;
    return y;
  });
  m.def("scalar", &scalar, py::arg("value"), py::arg("dtype"));
  m.def("is_readonly", [](const Array& x) { return x.storage->readonly; });
}

}  // namespace lamella
