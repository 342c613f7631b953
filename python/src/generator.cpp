// The random number generator as an object: a seed and a position in its stream.
#include <cstring>
#include <random>

#include "convert.h"
#include "core/random.h"

namespace gs::python {
namespace {

// Any Python int: negative ones and large ones are taken modulo 2^64.
uint64_t seed_argument(const py::object& seed) {
  GS_CHECK(PyIndex_Check(seed.ptr()) && !PyBool_Check(seed.ptr()), Type, "manual_seed",
           "expected an int, got ", type_name(seed.ptr()), ".");
  const py::object number = own(PyNumber_Index(seed.ptr()));
  const uint64_t value = PyLong_AsUnsignedLongLongMask(number.ptr());
  if (PyErr_Occurred()) throw py::error_already_set();
  return value;
}

uint64_t fresh_seed(Generator& generator) {
  std::random_device device;
  const uint64_t seed = (uint64_t(device()) << 32 | device()) >> 11;  // exact as a float as well
  generator.manual_seed(seed);
  return seed;
}

Tensor get_state(const Generator& generator) {
  const uint64_t state[2] = {generator.seed(), generator.offset()};
  Tensor out = empty({int64_t(sizeof(state))}, DType::UInt8);
  std::memcpy(out.raw(), state, sizeof(state));
  return out;
}

void set_state(Generator& generator, const Tensor& state) {
  uint64_t words[2];
  GS_CHECK(state.defined() && state.dtype() == DType::UInt8 &&
               state.shape() == Shape({int64_t(sizeof(words))}),
           Type, "set_state", "expected a uint8 tensor of 16 elements, from get_state().");
  const Tensor plain = ops::contiguous(state);
  std::memcpy(words, plain.raw(), sizeof(words));
  generator.manual_seed(words[0]);
  generator.set_offset(words[1]);
}

}  // namespace

void add_generator_type(py::module_& m) {
  py::class_<Generator> type(m, "Generator",
                             "A stream of random numbers: the same seed gives the same numbers.");
  type.def(py::init([](const py::object& device) {
             Device where;
             GS_CHECK(to_device(device.ptr(), &where), Type, "Generator", "expected a device, got ",
                      type_name(device.ptr()), ".");
             return Generator();
           }),
           py::arg("device") = "cpu")
      .def(
          "manual_seed",
          [](const py::object& self, const py::object& seed) {
            self.cast<Generator&>().manual_seed(seed_argument(seed));
            return self;
          },
          py::arg("seed"))
      .def("initial_seed", &Generator::seed)
      .def("seed", &fresh_seed, "Takes a seed that nobody can foretell, and returns it.")
      .def("get_state", &get_state)
      .def("set_state", &set_state, py::arg("new_state"))
      .def_property(
          "offset", &Generator::offset,
          [](Generator& g, const py::object& offset) { g.set_offset(seed_argument(offset)); })
      .def_property_readonly("device", [](const Generator&) { return own(device_object({})); })
      .def(
          "_next",
          [](Generator& g) { return py::make_tuple(int64_t(g.seed()), int64_t(g.next())); },
          "(seed, offset) for one operation; the offset is used up.")
      .def("__reduce__", [](const py::object& self) {
        const Generator& g = self.cast<Generator&>();
        const py::object rebuild = py::module_::import("gradstone._C").attr("_rebuild_generator");
        return py::make_tuple(rebuild, py::make_tuple(g.seed(), g.offset()));
      });
  m.def("_rebuild_generator", [](uint64_t seed, uint64_t offset) {
    Generator g(seed);
    g.set_offset(offset);
    return g;
  });
  m.attr("default_generator") = py::cast(default_generator(), py::return_value_policy::reference);
}

}  // namespace gs::python
