// SPDX-License-Identifier: MIT
#include "random.h"

namespace lamella {

Generator& default_generator() {
  static Generator g;
  return g;
}

}  // namespace lamella
