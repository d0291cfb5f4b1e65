// SPDX-License-Identifier: MIT
// This ISA's table, derived from the list.
#include "isa.h"

namespace lamella {
#ifdef LAMELLA_DOT_BASE  // another ISA's table, with the kernels that use dot-product instructions replaced
namespace LAMELLA_DOT_BASE { extern const Kernels table; }
#ifdef LAMELLA_DOT_INT8  // the ISA whose int8 products these are, too
namespace LAMELLA_DOT_INT8 { void gemm_int8(const GemmInt8&); }
#endif
#endif
namespace LAMELLA_ISA {

extern const Kernels table;

#ifdef LAMELLA_DOT_BASE
static Kernels overridden() {
  Kernels t = LAMELLA_DOT_BASE::table;
  t.isa = LAMELLA_STRING(LAMELLA_ISA);
#define K(name, Args) t.name = name;
#ifdef LAMELLA_DOT_INT8
  t.gemm_int8 = LAMELLA_DOT_INT8::gemm_int8;
  LAMELLA_DOT_KERNELS(K)
#else
  LAMELLA_VNNI_KERNELS(K)
#endif
#undef K
  return t;
}
const Kernels table = overridden();
#else
const Kernels table = {
    LAMELLA_STRING(LAMELLA_ISA),
#define K(name, Args) name,
    LAMELLA_KERNELS(K)
#undef K
};
#endif

}  // namespace LAMELLA_ISA
}  // namespace lamella
