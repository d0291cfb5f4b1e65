// SPDX-License-Identifier: MIT
// This ISA's table, derived from the list.
#include "isa.h"

namespace lamella {
#ifdef LAMELLA_DOT_BASE  // another ISA's table, with the kernels that use dot-product instructions replaced
namespace LAMELLA_DOT_BASE { extern const Kernels table; }
#endif
namespace LAMELLA_ISA {

extern const Kernels table;

#ifdef LAMELLA_DOT_BASE
#if defined(__AVX512BF16__)
#define LAMELLA_DOT_LIST LAMELLA_DOT_KERNELS
#else
#define LAMELLA_DOT_LIST LAMELLA_VNNI_KERNELS
#endif
static Kernels overridden() {
  Kernels t = LAMELLA_DOT_BASE::table;
  t.isa = LAMELLA_STRING(LAMELLA_ISA);
#define K(name, Args) t.name = name;
  LAMELLA_DOT_LIST(K)
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
