"""From a row of the table to calls: tensors in every layout, results compared, and derivatives by
finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import gradstone as gs
from gradstone import _C
from op_specs.spec import EPS, NUMPY, DType, Fixed, HostArray, Sample, Spec

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")


# Where the table's tensors live: `pytest --device cuda` sets it.
DEVICE = "cpu"


def instruction_sets() -> list[str]:
    if DEVICE != "cpu":
        return [_C.best_isa()]
    best = INSTRUCTION_SETS.index(_C.best_isa())
    return list(INSTRUCTION_SETS[: best + 1])


def dtype_name(t: gs.Tensor) -> str:
    return str(t.dtype).rsplit(".", 1)[-1]


def function(name: str) -> Callable[..., Any]:
    """The operation: a function of _C, otherwise a method of Tensor."""
    if hasattr(_C, name):
        return getattr(_C, name)
    return getattr(gs.Tensor, name)


# ---- values in a dtype


def in_dtype(value: Any, dtype: str) -> Any:
    """The sample's float64 arrays as they are in `dtype`; other values unchanged."""
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        if dtype == "bool":
            return np.asarray(value > 0)
        if dtype == "uint8":
            value = np.asarray(np.abs(value))
        with np.errstate(all="ignore"):
            return value.astype(NUMPY[dtype])
    if isinstance(value, Fixed):
        return value.array
    if isinstance(value, (list, tuple)):
        return type(value)(in_dtype(v, dtype) for v in value)
    return value


def widened(value: Any) -> Any:
    """For the reference: floats in float64, integers in int64."""
    if isinstance(value, np.ndarray):
        if value.dtype == NUMPY["bfloat16"] or value.dtype.kind == "f":
            return value.astype(np.float64)
        return value.astype(np.int64) if value.dtype.kind in "iu" else value
    if isinstance(value, (list, tuple)):
        return type(value)(widened(v) for v in value)
    return value


# ---- layouts: the same values somewhere else in memory


def contiguous(array: np.ndarray) -> gs.Tensor:
    tensor = _C.from_numpy(np.array(array, order="C"))
    return tensor if isinstance(array, HostArray) else tensor.to(DEVICE)


def transposed(array: np.ndarray) -> gs.Tensor:
    order = tuple(reversed(range(array.ndim)))
    return contiguous(np.transpose(array)).permute(order)


def stepped(array: np.ndarray) -> gs.Tensor:
    if array.ndim == 0:
        return contiguous(np.stack([array, array]))[1]
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return _C._slice(contiguous(wide), -1, 0, None, 2)


def misaligned(array: np.ndarray) -> gs.Tensor:
    flat = np.concatenate([np.zeros(1, array.dtype), np.reshape(array, -1)])
    return _C._slice(contiguous(flat), 0, 1).view(array.shape)


def inner_window(array: np.ndarray) -> gs.Tensor:
    """Rows of a wider matrix."""
    if array.ndim == 0:
        return misaligned(array)
    wide = np.pad(array, [(0, 0)] * (array.ndim - 1) + [(1, 2)])
    return _C._slice(contiguous(wide), -1, 1, array.shape[-1] + 1)


LAYOUTS = {
    "transposed": transposed,
    "stepped": stepped,
    "misaligned": misaligned,
    "window": inner_window,
}


def tensors(value: Any, make: Callable[[np.ndarray], gs.Tensor] = contiguous) -> Any:
    """Arguments for the operation: tensors for arrays, dtypes for DType."""
    if isinstance(value, np.ndarray):
        return make(value)
    if isinstance(value, DType):
        return getattr(gs, value.name)
    if isinstance(value, dict):
        return {k: tensors(v, make) for k, v in value.items()}
    if isinstance(value, list):
        return [tensors(v, make) for v in value]
    if isinstance(value, tuple):
        return tuple(tensors(v, make) for v in value)
    return value


def all_tensors(value: Any) -> list[gs.Tensor]:
    if isinstance(value, gs.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in all_tensors(v)]
    return []


# ---- comparing


def on_host(value: Any) -> Any:
    """The same results where NumPy can look at them."""
    if isinstance(value, gs.Tensor):
        return value.cpu()
    if type(value) in (list, tuple):
        return type(value)(on_host(v) for v in value)
    return value


def numbers(t: gs.Tensor) -> np.ndarray:
    """The values, in float64 where they are floating."""
    t = t.detach().cpu()
    return t.double().numpy() if t.dtype.is_floating_point else t.numpy()


def expected_dtype(row: Spec, dtype: str, reference: np.ndarray) -> str | None:
    if row.out == "same":
        return dtype
    if row.out == "float":
        return dtype if dtype in EPS else "float32"
    if row.out == "sum":
        return dtype if dtype in EPS else "int64"
    if row.out == "reference":
        return {v: k for k, v in NUMPY.items()}[np.asarray(reference).dtype]
    return None if row.out == "any" else row.out


def assert_close(
    got: gs.Tensor, want: Any, bound: float, what: str, floor: float = 2.0**-20
) -> None:
    """Within the bound; a result smaller than `floor` is judged as if it were that large."""
    want = np.asarray(want)
    assert tuple(got.shape) == want.shape, (
        f"{what}: shape {tuple(got.shape)}, expected {want.shape}"
    )
    name, values = dtype_name(got), numbers(got)
    if name not in EPS:
        if name == "bool":
            want = want.astype(bool)
        wrapped = (
            want if want.dtype.kind == "f" else want.astype(NUMPY[name])
        )  # integers wrap round
        assert np.array_equal(values, wrapped), f"{what}: got\n{values}\nexpected\n{want}"
        return
    with np.errstate(all="ignore"):
        want = want.astype(np.float64)
        if bound == 0:
            stored = want.astype(NUMPY[name]).astype(np.float64)
            same = (values == stored) | (np.isnan(values) & np.isnan(stored))
            assert same.all(), f"{what}: got\n{values}\nexpected\n{stored}"
            return
        finite = np.isfinite(want)
        scale = np.abs(want[finite]).max(initial=floor)
        limit = (bound + 1) * EPS[name] * (np.abs(want) + scale)
        # Beyond the largest number of the type there is only infinity.
        rounded = want.astype(NUMPY[name]).astype(np.float64)
        finite &= np.isfinite(rounded)
        bad = np.where(
            finite,
            ~(np.abs(values - want) <= limit),
            ~((values == rounded) | (np.isnan(values) & np.isnan(rounded))),
        )
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise AssertionError(
            f"{what}: {bad.sum()} of {bad.size} values differ, first at {at}: got {values[at]!r}, "
            f"expected {want[at]!r}, allowed {limit[at]:.3g}"
        )


def results(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else [value]


def sample_dtypes(row: Spec, sample: Sample) -> tuple[str, ...]:
    return sample.dtypes or row.dtypes


def evaluate(row: Spec, sample: Sample, dtype: str) -> tuple[list, dict, list[np.ndarray] | None]:
    """Arguments in `dtype` and what NumPy says they give."""
    args, kwargs = (
        in_dtype(list(sample.args), dtype),
        {k: in_dtype(v, dtype) for k, v in sample.kwargs.items()},
    )
    if row.reference is None:
        return args, kwargs, None
    with np.errstate(all="ignore"):
        want = row.reference(*widened(args), **{k: widened(v) for k, v in kwargs.items()})
    return args, kwargs, [np.asarray(w) for w in results(want)]


def run(
    row: Spec,
    args: list,
    kwargs: dict,
    want: list[np.ndarray] | None,
    dtype: str,
    make: Callable[[np.ndarray], gs.Tensor] = contiguous,
    what: str = "",
    floor: float = 2.0**-20,
) -> None:
    """One call, looked at from all sides."""
    what = f"{row.name} {what} {dtype}"
    inputs, named = tensors(args, make), tensors(kwargs, make)
    given = all_tensors([inputs, named])
    versions = [t._version for t in given]
    before = [numbers(t).copy() for t in given]
    got = function(row.name)(*inputs, **named)
    if row.inplace:
        assert got is inputs[0], f"{what}: returns another tensor"
        assert inputs[0]._version > versions[0], f"{what}: the version was not advanced"
    written = len(given) if row.writes else 1 if row.inplace else 0
    for t, old, version in list(zip(given, before, versions))[written:]:
        assert t._version == version and np.array_equal(numbers(t), old, equal_nan=True), (
            f"{what}: wrote an input"
        )
    outputs = given if row.writes and row.out == "any" else all_tensors(got)
    if want is not None:
        assert len(outputs) == len(want), f"{what}: {len(outputs)} results, expected {len(want)}"
        for i, (t, w) in enumerate(zip(outputs, want)):
            expected = "int64" if row.indices and i == 1 else expected_dtype(row, dtype, w)
            if expected is not None:
                assert dtype_name(t) == expected, (
                    f"{what}: dtype {dtype_name(t)}, expected {expected}"
                )
            assert_close(t, w, row.bound_of.get(dtype, row.bound), what, floor)
    if row.check is not None:
        row.check(on_host(got), args, kwargs)


# ---- derivatives


class Differentiable:
    """A call as a function of its differentiable arguments: float64 arrays in, tensors out."""

    def __init__(self, row: Spec, sample: Sample, dtype: str = "float64"):
        self.row, self.dtype = row, dtype
        self.args = in_dtype(list(sample.args), "float64")
        self.kwargs = {k: in_dtype(v, "float64") for k, v in sample.kwargs.items()}

    def _places(self) -> Iterator[tuple[Any, Any, np.ndarray]]:
        holders = [(self.args, i) for i in range(len(self.args)) if i not in self.row.constant]
        holders += [(self.kwargs, k) for k in self.kwargs if k not in self.row.constant]
        for holder, at in holders:
            value = holder[at]
            if isinstance(value, list):
                for i, v in enumerate(value):
                    if isinstance(v, np.ndarray) and v.dtype == np.float64:
                        yield value, i, v
            elif isinstance(value, np.ndarray) and value.dtype == np.float64:
                yield holder, at, value

    def inputs(self) -> list[np.ndarray]:
        return [v for _, _, v in self._places()]

    def call(self, variables: list[gs.Tensor]) -> list[gs.Tensor]:
        """The floating outputs."""
        args = [list(a) if isinstance(a, list) else a for a in self.args]
        copy = Differentiable.__new__(Differentiable)
        copy.row, copy.args, copy.kwargs = self.row, args, dict(self.kwargs)
        for (holder, at, _), v in zip(list(copy._places()), variables):
            holder[at] = v
        args, kwargs = tensors(in_dtype(args, self.dtype)), tensors(copy.kwargs)
        if self.row.inplace and isinstance(args[0], gs.Tensor):
            args[0] = args[0].clone()
        out = function(self.row.name)(*args, **kwargs)
        return [t for t in all_tensors(out) if t.dtype.is_floating_point]


def variables(values: list[np.ndarray]) -> list[gs.Tensor]:
    return [contiguous(v).requires_grad_(True) for v in values]


def inner(tensors_: list[np.ndarray], weights: list[np.ndarray]) -> float:
    return float(sum((t * w).sum() for t, w in zip(tensors_, weights)))


def directions(values: list[np.ndarray], seed: int) -> Iterator[list[np.ndarray]]:
    """Every element by itself where they are few, otherwise random directions in each array."""
    rng = np.random.default_rng(seed)
    for k, v in enumerate(values):
        for i in range(v.size if v.size <= 12 else 6):
            d = [np.zeros_like(u) for u in values]
            if v.size <= 12:
                d[k].reshape(-1)[i] = 1.0
            else:
                d[k] = rng.standard_normal(v.shape) / np.sqrt(v.size)
            yield d


def compare_slopes(
    f: Callable[[list[np.ndarray]], float],
    values: list[np.ndarray],
    analytic: list[np.ndarray],
    what: str,
    step: float = 1e-6,
) -> None:
    """The gradient `analytic` of f at `values` against central differences."""
    for d in directions(values, 7):
        up = f([v + step * u for v, u in zip(values, d)])
        down = f([v - step * u for v, u in zip(values, d)])
        numeric, exact = (up - down) / (2 * step), inner(analytic, d)
        scale = max(1.0, abs(numeric), abs(up))
        assert abs(numeric - exact) < 3e-6 * scale, (
            f"{what}: derivative {exact!r}, by differences {numeric!r}"
        )


def cotangents(outputs: list[gs.Tensor], seed: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(tuple(t.shape))) for t in outputs]


def gradients(
    f: Differentiable,
    values: list[np.ndarray],
    weights: list[np.ndarray],
    create_graph: bool = False,
) -> tuple[list[gs.Tensor], list[gs.Tensor], list[gs.Tensor]]:
    """Variables, cotangents, and d(sum of weights * outputs)/d(variables)."""
    xs, ws = variables(values), [contiguous(w) for w in weights]
    if create_graph:
        ws = [w.requires_grad_(True) for w in ws]
    pairs = [(y, w) for y, w in zip(f.call(xs), ws) if y.requires_grad]
    if not pairs:
        return xs, ws, [gs.zeros_like(x) for x in xs]
    found = gs.autograd.grad(
        [y for y, _ in pairs],
        xs,
        [w for _, w in pairs],
        create_graph=create_graph,
        allow_unused=True,
    )
    return xs, ws, [gs.zeros_like(x) if g is None else g for x, g in zip(xs, found)]


def check_first(row: Spec, sample: Sample) -> None:
    f = Differentiable(row, sample)
    values = f.inputs()
    weights = cotangents(f.call([contiguous(v) for v in values]))
    fused = [numbers(g) for g in gradients(f, values, weights)[2]]
    composed = [numbers(g) for g in gradients(f, values, weights, create_graph=True)[2]]
    for a, b, v in zip(fused, composed, values):
        assert a.shape == v.shape, (
            f"{row.name}: gradient of shape {a.shape} for an input of shape {v.shape}"
        )
        assert np.allclose(a, b, rtol=1e-9, atol=1e-11), (
            f"{row.name}: the gradient differs with create_graph:\n{a}\n{b}"
        )

    def loss(at: list[np.ndarray]) -> float:
        with gs.no_grad():
            return inner([numbers(y) for y in f.call([contiguous(v) for v in at])], weights)

    compare_slopes(loss, values, fused, row.name)


def check_second(row: Spec, sample: Sample) -> None:
    """The gradient as a function of inputs and cotangents, differentiated once more."""
    f = Differentiable(row, sample)
    values = f.inputs()
    weights = cotangents(f.call([contiguous(v) for v in values]))
    xs, ws, grads = gradients(f, values, weights, create_graph=True)
    outer = cotangents(grads, 11)
    reached = [(g, o) for g, o in zip(grads, outer) if g.requires_grad]
    everything = values + weights
    if reached:
        found = gs.autograd.grad(
            [g for g, _ in reached], xs + ws, [contiguous(o) for _, o in reached], allow_unused=True
        )
        analytic = [
            np.zeros_like(v) if g is None else numbers(g) for g, v in zip(found, everything)
        ]
    else:
        analytic = [np.zeros_like(v) for v in everything]

    def loss(at: list[np.ndarray]) -> float:
        return inner(
            [numbers(g) for g in gradients(f, at[: len(values)], at[len(values) :])[2]], outer
        )

    compare_slopes(loss, everything, analytic, f"second derivative of {row.name}")
