// Creation, arithmetic and elementwise maths: every catalogue row becomes a Python function.
#include "binder.h"

namespace gs::python {

using namespace ops;

void add_elementwise_operations(Table& table) {
#define OP(Return, name, parameters, signature, kind, doc)                              \
  table.add<static_cast<Return(*) parameters>(&ops::name), autocast::policy_of(#name)>( \
      signature, Kind::kind, doc);
#include "ops/catalogue/create.def"
#include "ops/catalogue/elementwise.def"
#undef OP
}

}  // namespace gs::python
