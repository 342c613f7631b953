#include "core/random.h"

namespace gs {

Generator& default_generator() {
  static Generator generator;
  return generator;
}

}  // namespace gs
