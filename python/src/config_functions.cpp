// Threads, instruction sets, memory, the default dtype, arrays, and the catalogue as data.
#include "arrays.h"
#include "binder.h"
#include "core/allocator.h"
#include "core/parallel.h"
#include "kernels/isa_control.h"
#include "tensor_slots.h"

namespace gs::python {
namespace {

int64_t thread_count() { return num_threads(); }
void set_thread_count(int64_t n) {
  GS_CHECK(n >= 1 && n <= 4096, Value, "set_num_threads", "expected a number in [1, 4096], got ", n,
           ".");
  set_num_threads(static_cast<int>(n));
}
int64_t cpu_count() { return available_cpus(); }

std::string isa() { return kernels::active_isa_name(); }
std::string best_isa() { return kernels::best_isa_name(); }
void set_isa(const std::string& name) { kernels::set_isa_by_name(name.c_str()); }

PyObject* memory() {
  const MemoryStats stats = memory_stats();
  py::dict out;
  out["in_use"] = stats.in_use;
  out["peak"] = stats.peak;
  out["cached"] = stats.cached;
  out["allocations"] = stats.allocations;
  return out.release().ptr();
}
void reset_peak() { reset_peak_memory(); }
void give_back_cache() { empty_cache(); }
void limit_memory(int64_t bytes) {
  GS_CHECK(bytes >= 0, Value, "set_memory_limit", "expected a number of bytes (0: no limit), got ",
           bytes, ".");
  set_memory_limit(bytes);
}

PyObject* get_default() { return Py_NewRef(dtype_object(default_dtype())); }
void set_default(DType dtype) {
  GS_CHECK(is_floating(dtype), Type, "set_default_dtype", "expected a floating dtype, got ", dtype,
           ".");
  set_default_dtype(dtype);
}
PyObject* promoted(DType a, DType b) { return Py_NewRef(dtype_object(promote(a, b))); }
bool castable(DType from, DType to) { return can_cast(from, to); }

Tensor from_numpy(PyObject* array) { return tensor_from_array(array); }
Tensor from_data(PyObject* data, std::optional<DType> dtype, Device device) {
  return tensor_from_data(data, dtype, device);
}
void set_repr(PyObject* function) { set_repr_function(function); }

PyObject* operations() {
  py::list out;
  const auto add = [&](const char* name, const char* signature, const char* kind, const char* doc) {
    py::dict row;
    const std::string text = signature;
    row["name"] = text.substr(0, text.find('('));
    row["cpp_name"] = name;
    row["signature"] = text;
    row["kind"] = kind;
    row["doc"] = doc;
    out.append(row);
  };
#define OP(Return, name, parameters, signature, kind, doc) add(#name, signature, #kind, doc);
#include "ops/catalogue/all.def"
#undef OP
  return out.release().ptr();
}

}  // namespace

void add_array_functions(Table& table) {
  table.add<&from_numpy>("from_numpy(array)", Kind::F, "A tensor on the array's own memory.");
  table.add<&from_data>("tensor_from_data(data, dtype=None, device=None)", Kind::N,
                        "A new tensor from numbers, nested sequences, arrays or tensors.");
  table.add<&set_repr>("_set_repr(function)", Kind::N, "Sets what repr() of a tensor calls.");
}

void add_config_functions(Table& table) {
  table.add<&thread_count>("num_threads()", Kind::N, "Threads an operation may use.");
  table.add<&set_thread_count>("set_num_threads(n)", Kind::F, "Sets the number of threads.");
  table.add<&cpu_count>("available_cpus()", Kind::N, "CPUs this process may run on.");
  table.add<&isa>("isa()", Kind::N, "The instruction set the CPU kernels use.");
  table.add<&best_isa>("best_isa()", Kind::N, "The best instruction set of this CPU.");
  table.add<&set_isa>("set_isa(name)", Kind::N,
                      "Chooses an instruction set: 'baseline', 'avx2' or 'avx512'.");
  table.add<&memory>("memory_stats()", Kind::N,
                     "Bytes in use, their peak, bytes cached, and allocations so far.");
  table.add<&reset_peak>("reset_peak_memory()", Kind::N, "Starts the peak anew.");
  table.add<&give_back_cache>("empty_cache()", Kind::N, "Gives cached memory back to the system.");
  table.add<&limit_memory>("set_memory_limit(bytes)", Kind::N,
                           "Limits the memory of tensors; 0 lifts it.");
  table.add<&get_default>("get_default_dtype()", Kind::F, "The dtype of floating numbers.");
  table.add<&set_default>("set_default_dtype(dtype)", Kind::F,
                          "Sets the dtype of floating numbers.");
  table.add<&promoted>("promote_types(type1, type2)", Kind::F,
                       "The dtype of an operation on these two.");
  table.add<&castable>("can_cast(from_, to)", Kind::F,
                       "Whether a conversion keeps the kind of number.");
  table.add<&operations>("operations()", Kind::N, "The catalogue: one dict for each operation.");
}

}  // namespace gs::python
