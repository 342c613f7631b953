// Networks, random numbers and optimizers: every catalogue row becomes a Python function.
#include "binder.h"

namespace gs::python {

using namespace ops;

void add_network_operations(Table& table) {
#define OP(Return, name, parameters, signature, kind, doc)                              \
  table.add<static_cast<Return(*) parameters>(&ops::name), autocast::policy_of(#name)>( \
      signature, Kind::kind, doc);
#include "ops/catalogue/nn.def"
#include "ops/catalogue/optim.def"
#include "ops/catalogue/random.def"
#undef OP
}

}  // namespace gs::python
