// SPDX-License-Identifier: MIT
// DLPack both ways without a copy: the versioned capsule (1.0) where the consumer knows it, the old one otherwise.
// Struct layouts are the DLPack standard's (dmlc/dlpack, include/dlpack/dlpack.h, ABI 1.0).
#include "core/backend.h"
#include "families.h"

namespace lamella {
namespace {

struct DLDevice { int32_t type; int32_t id; };
struct DLDataType { uint8_t code, bits; uint16_t lanes; };
struct DLTensor {
  void* data; DLDevice device; int32_t ndim; DLDataType dtype;
  int64_t *shape, *strides; uint64_t byte_offset;
};
struct DLManaged { DLTensor t; void* context; void (*deleter)(DLManaged*); };
struct DLVersion { uint32_t major, minor; };
struct DLManagedVersioned { DLVersion version; void* context; void (*deleter)(DLManagedVersioned*); uint64_t flags; DLTensor t; };

constexpr int32_t kCpu = 1, kCuda = 2, kCudaHost = 3;  // the last: pinned memory of the CPU
constexpr uint64_t kReadOnly = 1;
constexpr const char *kNew = "dltensor_versioned", *kNewUsed = "used_dltensor_versioned";
constexpr const char *kOld = "dltensor", *kOldUsed = "used_dltensor";

struct Code { uint8_t code, bits; };  // code: 0 int, 1 uint, 2 float, 4 bfloat, 6 bool
constexpr Code kCodes[kDTypes] = {{2, 64}, {2, 32}, {2, 16}, {4, 16}, {0, 64}, {0, 32}, {0, 16}, {0, 8}, {1, 8}, {6, 8}};

template <class M> struct Export { M managed; Array array; };  // owns what the tensor inside points to

template <class M> void fill(Export<M>* e) {
  Array& a = e->array;
  Code c = kCodes[int(a.dtype)];
  e->managed.t = {a.bytes(), a.device().is_cpu() ? DLDevice{kCpu, 0} : DLDevice{kCuda, a.device().index}, a.ndim(), {c.code, c.bits, 1}, a.shape.v, a.strides.v, 0};
  e->managed.context = e;
  e->managed.deleter = [](M* m) { delete static_cast<Export<M>*>(m->context); };
}

template <class M> PyObject* capsule(Export<M>* e, const char* name) {
  return PyCapsule_New(&e->managed, name, [](PyObject* o) {
    const char* n = PyCapsule_GetName(o);
    if (n && std::string(n).rfind("used_", 0) == 0) return;  // the consumer owns it
    M* m = static_cast<M*>(PyCapsule_GetPointer(o, n));
    if (m) m->deleter(m);
  });
}

py::object to_dlpack(const Array& x, bool versioned) {
  PyObject* o;
  if (versioned) {
    auto* e = new Export<DLManagedVersioned>{{}, x};
    fill(e);
    e->managed.version = {1, 0};
    e->managed.flags = x.storage->readonly ? kReadOnly : 0;
    o = capsule(e, kNew);
  } else {
    if (x.storage->readonly) {
      PyErr_SetString(PyExc_BufferError, "[__dlpack__] consumer must accept DLPack 1.0 (max_version) to take read-only memory");
      throw py::error_already_set();
    }
    auto* e = new Export<DLManaged>{{}, x};
    fill(e);
    o = capsule(e, kOld);
  }
  if (!o) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(o);
}

template <class M> void release(void* m) {
  py::gil_scoped_acquire gil;  // the producer's deleter may need it
  M* managed = static_cast<M*>(m);
  if (managed->deleter) managed->deleter(managed);
}

Array import(const DLTensor& t, void* managed, void (*release)(void*), bool readonly) {
  Array a;
  bool found = false;
  for (int i = 0; i < kDTypes; ++i)
    if (t.dtype.code == kCodes[i].code && t.dtype.bits == kCodes[i].bits && t.dtype.lanes == 1) a.dtype = DType(i), found = true;
  check<TypeError>(found, "[from_dlpack] tensor must have a dtype lamella has, got DLPack code ", int(t.dtype.code),
                   " with ", int(t.dtype.bits), " bits");
  check<RuntimeError>(t.device.type == kCpu || t.device.type == kCuda || t.device.type == kCudaHost,
                      "[from_dlpack] tensor must lie on the CPU or an NVIDIA GPU, got DLPack device type ", t.device.type);
  if (t.device.type == kCuda) backend();  // or why there is none
  check<ValueError>(t.ndim <= kMaxDims, "[from_dlpack] tensor must have at most ", kMaxDims, " dimensions, got ", t.ndim);
  for (int i = 0; i < t.ndim; ++i) a.shape.push(t.shape[i]);
  a.strides = contiguous_strides(a.shape);
  int64_t low = 0, high = 1;
  for (int i = 0; i < t.ndim; ++i) {
    if (t.strides) a.strides[i] = t.strides[i];
    if (a.shape[i] > 0) (a.strides[i] < 0 ? low : high) += a.strides[i] * (a.shape[i] - 1);
  }
  char* first = static_cast<char*>(t.data) + t.byte_offset + low * size_of(a.dtype);
  a.storage = wrap_storage(first, size_t(high - low) * size_t(size_of(a.dtype)), release, managed, readonly);
  a.storage->pinned = t.device.type == kCudaHost;
  if (t.device.type == kCuda) a.storage->device = {DeviceType::cuda, int8_t(t.device.id)};
  a.offset = -low;
  return a;
}

Array from_dlpack(py::object o) {
  PyObject* c = o.ptr();
  if (PyCapsule_IsValid(c, kNew)) {
    auto* m = static_cast<DLManagedVersioned*>(PyCapsule_GetPointer(c, kNew));
    check<ValueError>(m->version.major == 1, "[from_dlpack] capsule must be of DLPack 1, got ", m->version.major);
    Array a = import(m->t, m, release<DLManagedVersioned>, m->flags & kReadOnly);
    PyCapsule_SetName(c, kNewUsed);
    return a;
  }
  check<TypeError>(PyCapsule_IsValid(c, kOld), "[from_dlpack] __dlpack__ must give an unused DLPack capsule");
  auto* m = static_cast<DLManaged*>(PyCapsule_GetPointer(c, kOld));
  Array a = import(m->t, m, release<DLManaged>, false);
  PyCapsule_SetName(c, kOldUsed);
  return a;
}

}  // namespace

void bind_dlpack(py::module_& m) {
  m.def("to_dlpack", &to_dlpack);
  m.def("from_dlpack", &from_dlpack);
}

}  // namespace lamella
