// SPDX-License-Identifier: MIT
// lamella._core: the table of contents.
#include "caster.h"
#include "families.h"

PYBIND11_MODULE(_core, m) {
  using namespace lamella;
  m.doc() = "lamella's extension module: kernels behind plain functions. The public API is the package lamella.";
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const py::builtin_exception&) {
      throw;
    } catch (const py::error_already_set&) {
      throw;
    } catch (...) {
      raise_current_exception();
    }
  });
  if (!init_dtype_type(m.ptr()) || !init_tensor_type(m.ptr()) || !init_node_type(m.ptr()) || !init_engine(m.ptr()) ||
      !init_elementwise(m.ptr()) || !init_grad_mode(m.ptr()))
    throw py::error_already_set();
#define F(family) bind_##family(m);
  LAMELLA_FAMILIES(F)
#undef F
}
