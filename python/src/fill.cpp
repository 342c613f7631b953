// The memory of a batch that the background thread writes, for the data loader.
#include "ops/fill.h"

#include "convert.h"

namespace gs::python {
namespace {

Tensor image_batch(ops::Fill& fill, const Tensor& images, const Tensor& index, const Tensor& table,
                   const std::pair<int64_t, int64_t>& size, const Tensor& corners,
                   const Tensor& flip, int64_t outside) {
  return fill.image_batch(images, index, table, {size.first, size.second}, corners, flip, outside);
}

// Others may run Python while this thread waits; it does so only for a chunk that is being written.
void finish(ops::Fill& fill) {
  if (fill.do_rest()) return;
  const py::gil_scoped_release others_may_run;
  fill.wait();
}

}  // namespace

void add_fill_type(py::module_& m) {
  py::class_<ops::Fill>(m, "_Fill",
                        "Tensors whose memory is written in the background: not to be read before "
                        "finish(). True when there are any.")
      .def(py::init<bool>(), py::arg("pinned") = false)
      .def("select", &ops::Fill::select, py::arg("input"), py::arg("index"),
           "As index_select(input, 0, index).")
      .def("image_batch", &image_batch, py::arg("images"), py::arg("index"), py::arg("table"),
           py::arg("size"), py::arg("corners") = py::none(), py::arg("flip") = py::none(),
           py::arg("fill") = 0, "As _image_batch.")
      .def("start", &ops::Fill::start, "Hands what is left for later to the background thread.")
      .def("finish", &finish, "Does what has not begun, and waits for the rest.")
      .def("__bool__", [](const ops::Fill& fill) { return !fill.empty(); });
}

}  // namespace gs::python
