// Reductions, shapes, indexing and matrix products: every catalogue row becomes a Python function.
#include "binder.h"

namespace gs::python {

using namespace ops;

void add_shape_operations(Table& table) {
#define OP(Return, name, parameters, signature, kind, doc)                              \
  table.add<static_cast<Return(*) parameters>(&ops::name), autocast::policy_of(#name)>( \
      signature, Kind::kind, doc);
#include "ops/catalogue/index.def"
#include "ops/catalogue/linalg.def"
#include "ops/catalogue/reduce.def"
#include "ops/catalogue/shape.def"
#undef OP
}

}  // namespace gs::python
