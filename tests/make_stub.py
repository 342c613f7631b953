"""Writes python/gradstone/_C.pyi: the operations from the catalogue, the rest from the text below.

python tests/make_stub.py            # writes the file
python tests/make_stub.py --check    # fails when the file is not what the catalogue says
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = ROOT / "csrc" / "ops" / "catalogue"
STUB = ROOT / "python" / "gradstone" / "_C.pyi"

ROW = re.compile(
    r'^OP\((?P<returns>[\w:]+), (?P<name>\w+), \((?P<parameters>.*?)\), "(?P<signature>.*?)", '
    r'(?P<kind>F|M|FM|N), "(?P<doc>.*)"\)$'
)

RETURNS = {
    "Tensor": "Tensor",
    "Tensors": "tuple[Tensor, ...]",
    "ValuesIndices": "ValuesIndices",
    "double": "float",
    "bool": "builtins.bool",
    "int64_t": "builtins.int",
    "void": "None",
}
TYPES = {
    "const Tensor&": "Tensor",
    "const Operand&": "_Operand",
    "const Tensors&": "Sequence[Tensor]",
    "Scalar": "_Number",
    "int64_t": "_Int",
    "double": "_Number",
    "bool": "builtins.bool",
    "const Dims&": "_Dims",
    "OptionalDims": "_Dims | None",
    "OptionalDType": "_DType | None",
    "DType": "_DType",
    "Device": "_Device | str | None",
    "const std::string&": "str",
    "std::optional<int64_t>": "_Int | None",
    "std::optional<double>": "_Number | None",
    "std::optional<bool>": "builtins.bool | None",
}

HEAD = """\
# Made by tests/make_stub.py from csrc/ops/catalogue: change that, not this file.
# fmt: off
import builtins
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, SupportsIndex, TypeAlias, TypeVar

import numpy as np

_Int: TypeAlias = SupportsIndex
_Number: TypeAlias = builtins.float | builtins.int | np.generic | Tensor
_Operand: TypeAlias = Tensor | builtins.float | builtins.int | np.generic
_Dims: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
_Hook: TypeAlias = Callable[[Tensor], Tensor | None]
_TensorType = TypeVar("_TensorType", bound="Tensor")

version: str
default_generator: Generator

class dtype:
    is_floating_point: builtins.bool
    is_complex: builtins.bool
    is_signed: builtins.bool
    itemsize: int
    name: str

_DType: TypeAlias = dtype

bool: dtype
uint8: dtype
int8: dtype
int16: dtype
int32: dtype
int64: dtype
float16: dtype
bfloat16: dtype
float32: dtype
float64: dtype

class device:
    def __init__(self, type: device | str, index: builtins.int | None = None) -> None: ...
    @property
    def type(self) -> Literal["cpu", "cuda"]: ...
    @property
    def index(self) -> builtins.int | None: ...

_Device: TypeAlias = device

class Size(tuple[builtins.int, ...]):
    def numel(self) -> builtins.int: ...

class ValuesIndices(NamedTuple):
    values: Tensor
    indices: Tensor

class Generator:
    offset: builtins.int
    def __init__(self, device: device | str = "cpu") -> None: ...
    def manual_seed(self, seed: _Int) -> Generator: ...
    def initial_seed(self) -> builtins.int: ...
    def seed(self) -> builtins.int: ...
    def get_state(self) -> Tensor: ...
    def set_state(self, new_state: Tensor) -> None: ...
    def _next(self) -> tuple[builtins.int, builtins.int]: ...
    @property
    def device(self) -> _Device: ...

class Node:
    def name(self) -> str: ...
    @property
    def next_functions(self) -> tuple[tuple[Node | None, builtins.int], ...]: ...

class RemovableHandle:
    def remove(self) -> None: ...
    def __enter__(self) -> RemovableHandle: ...
    def __exit__(self, *args: Any) -> None: ...

class FunctionLink:
    def saved_tensors(self) -> tuple[Tensor, ...]: ...

def _set_repr(function: Callable[[Tensor], str]) -> None: ...
def _make_subclass(
    cls: type[_TensorType], data: Tensor, requires_grad: builtins.bool = False
) -> _TensorType: ...
def _rebuild_tensor(
    cls: type[_TensorType], data: bytes, dtype: _DType, shape: _Dims, requires_grad: builtins.bool
) -> _TensorType: ...
def _rebuild_generator(seed: builtins.int, offset: builtins.int) -> Generator: ...
def _apply_function(
    cls: type, ctx: Any, args: tuple[Any, ...], forward: Callable[..., Any]
) -> Any: ...
def backward(
    tensors: Sequence[Tensor],
    grads: Sequence[Tensor | None] = (),
    retain_graph: builtins.bool | None = None,
    create_graph: builtins.bool = False,
    inputs: Sequence[Tensor] = (),
) -> None: ...
def grad(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    grads: Sequence[Tensor | None] = (),
    retain_graph: builtins.bool | None = None,
    create_graph: builtins.bool = False,
    allow_unused: builtins.bool = False,
) -> tuple[Tensor | None, ...]: ...
def is_grad_enabled() -> builtins.bool: ...
def set_grad_enabled(mode: builtins.bool) -> None: ...
def is_inference_mode() -> builtins.bool: ...
def set_inference_mode(mode: builtins.bool) -> None: ...
def from_numpy(array: np.ndarray[Any, Any]) -> Tensor: ...
def tensor_from_data(
    data: Any, dtype: _DType | None = None, device: _Device | str | None = None
) -> Tensor: ...
def numel(input: Tensor) -> builtins.int: ...
def is_floating_point(input: Tensor) -> builtins.bool: ...
def is_complex(input: Tensor) -> builtins.bool: ...
def is_inference(input: Tensor) -> builtins.bool: ...
def num_threads() -> builtins.int: ...
def set_num_threads(n: _Int) -> None: ...
def available_cpus() -> builtins.int: ...
def isa() -> str: ...
def best_isa() -> str: ...
def set_isa(name: str) -> None: ...
def memory_stats() -> dict[str, builtins.int]: ...
def reset_peak_memory() -> None: ...
def empty_cache() -> None: ...
def set_memory_limit(bytes: _Int) -> None: ...
def get_default_dtype() -> _DType: ...
def set_default_dtype(dtype: _DType) -> None: ...
def promote_types(type1: _DType, type2: _DType) -> _DType: ...
def can_cast(from_: _DType, to: _DType) -> builtins.bool: ...
def operations() -> list[dict[str, str]]: ...
"""

TENSOR = """
class Tensor:
    grad: Tensor | None
    data: Tensor
    requires_grad: builtins.bool
    def __new__(cls, *args: Any, **kwargs: Any) -> Any: ...
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    # Attributes that users set, and the methods that the package adds.
    def __getattr__(self, name: str) -> Any: ...
    @property
    def shape(self) -> Size: ...
    @property
    def dtype(self) -> _DType: ...
    @property
    def device(self) -> _Device: ...
    @property
    def ndim(self) -> builtins.int: ...
    @property
    def itemsize(self) -> builtins.int: ...
    @property
    def nbytes(self) -> builtins.int: ...
    @property
    def is_cuda(self) -> builtins.bool: ...
    @property
    def grad_fn(self) -> Node | None: ...
    @property
    def is_leaf(self) -> builtins.bool: ...
    @property
    def T(self) -> Tensor: ...
    @property
    def mT(self) -> Tensor: ...
    @property
    def H(self) -> Tensor: ...
    @property
    def _version(self) -> builtins.int: ...
    @property
    def _base(self) -> Tensor | None: ...
    @staticmethod
    def _make_subclass(
        cls: type[_TensorType], data: Tensor, requires_grad: builtins.bool = False
    ) -> _TensorType: ...
    def size(self, dim: _Int | None = None) -> Any: ...
    def stride(self, dim: _Int | None = None) -> Any: ...
    def dim(self) -> builtins.int: ...
    def ndimension(self) -> builtins.int: ...
    def numel(self) -> builtins.int: ...
    def nelement(self) -> builtins.int: ...
    def element_size(self) -> builtins.int: ...
    def storage_offset(self) -> builtins.int: ...
    def data_ptr(self) -> builtins.int: ...
    def is_contiguous(self) -> builtins.bool: ...
    def is_floating_point(self) -> builtins.bool: ...
    def is_complex(self) -> builtins.bool: ...
    def is_signed(self) -> builtins.bool: ...
    def is_inference(self) -> builtins.bool: ...
    def is_set_to(self, tensor: Tensor) -> builtins.bool: ...
    def item(self) -> Any: ...
    def tolist(self) -> Any: ...
    def numpy(self, force: builtins.bool = False) -> np.ndarray[Any, Any]: ...
    def requires_grad_(self: _TensorType, requires_grad: builtins.bool = True) -> _TensorType: ...
    def retain_grad(self) -> None: ...
    def detach_(self: _TensorType) -> _TensorType: ...
    def register_hook(self, hook: _Hook) -> RemovableHandle: ...
    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: builtins.bool | None = None,
        create_graph: builtins.bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None: ...
    def __array__(
        self, dtype: Any = None, copy: builtins.bool | None = None
    ) -> np.ndarray[Any, Any]: ...
    def __deepcopy__(self: _TensorType, memo: dict[builtins.int, Any]) -> _TensorType: ...
    def __reduce_ex__(self, protocol: SupportsIndex) -> Any: ...
    def __format__(self, format_spec: str) -> str: ...
    def __len__(self) -> builtins.int: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __contains__(self, value: Any) -> builtins.bool: ...
    def __getitem__(self, index: Any) -> Tensor: ...
    def __setitem__(self, index: Any, value: Any) -> None: ...
    def __bool__(self) -> builtins.bool: ...
    def __int__(self) -> builtins.int: ...
    def __float__(self) -> builtins.float: ...
    def __index__(self) -> builtins.int: ...
    def __hash__(self) -> builtins.int: ...
    def __neg__(self) -> Tensor: ...
    def __pos__(self) -> Tensor: ...
    def __abs__(self) -> Tensor: ...
    def __invert__(self) -> Tensor: ...
    def __matmul__(self, other: Tensor) -> Tensor: ...
    def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __lt__(self, other: _Operand) -> Tensor: ...
    def __le__(self, other: _Operand) -> Tensor: ...
    def __gt__(self, other: _Operand) -> Tensor: ...
    def __ge__(self, other: _Operand) -> Tensor: ...
"""

ARITHMETIC = "add sub mul truediv floordiv mod pow and or xor".split()
SHIFTS = ["lshift", "rshift"]


class Row(NamedTuple):
    returns: str
    name: str
    types: list[str]
    signature: str
    kind: str
    doc: str


def split_parameters(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text.strip() else []


def read_rows() -> list[Row]:
    rows = []
    for include in (CATALOGUE / "all.def").read_text().splitlines():
        match = re.match(r'#include "ops/catalogue/(.*)"', include)
        if not match:
            continue
        for line in (CATALOGUE / match[1]).read_text().splitlines():
            if not line.startswith("OP("):
                continue
            row = ROW.match(line)
            if not row:
                raise SystemExit(f"{match[1]}: cannot read the row: {line}")
            types = [p.rsplit(" ", 1)[0] for p in split_parameters(row["parameters"])]
            rows.append(
                Row(row["returns"], row["name"], types, row["signature"], row["kind"], row["doc"])
            )
    return rows


def python_parameters(row: Row) -> list[str]:
    """The parameters of a row as Python writes them, with their types."""
    names = split_parameters(
        row.signature[row.signature.index("(") + 1 : row.signature.rindex(")")]
    )
    out = []
    for name, cpp in zip(names, row.types, strict=True):
        kind = TYPES[cpp]
        name, _, default = name.partition("=")
        if cpp == "const Tensors&" and row.name.startswith("index"):
            kind = "Sequence[Tensor | None]"
        if default == "None" and "None" not in kind or default == "''":
            kind += " | None"
        out.append(f"{name}: {kind}" + (f" = {default}" if default else ""))
    return out


def function_text(row: Row, method: bool) -> str:
    name = row.signature[: row.signature.index("(")]
    parameters = python_parameters(row)
    if method:
        parameters = ["self", *parameters[1:]]
    indent = "    " if method else ""
    returns = RETURNS[row.returns]
    head = f"{indent}def {name}({', '.join(parameters)}) -> {returns}: ..."
    if len(head) <= 100:
        return head
    body = "".join(f"{indent}    {p},\n" for p in parameters)
    return f"{indent}def {name}(\n{body}{indent}) -> {returns}: ..."


def stub_text() -> str:
    rows = read_rows()
    lines = [HEAD.rstrip("\n"), ""]
    lines += [function_text(row, method=False) for row in rows if row.kind in ("F", "FM", "N")]
    lines += [TENSOR.rstrip("\n")]
    for name in ARITHMETIC:
        lines.append(f"    def __{name}__(self, other: Any) -> Tensor: ...")
        lines.append(f"    def __r{name}__(self, other: Any) -> Tensor: ...")
        lines.append(f"    def __i{name}__(self: _TensorType, other: Any) -> _TensorType: ...")
    for name in SHIFTS:
        lines.append(f"    def __{name}__(self, other: _Operand) -> Tensor: ...")
        lines.append(f"    def __r{name}__(self, other: _Operand) -> Tensor: ...")
    lines += [function_text(row, method=True) for row in rows if row.kind in ("M", "FM")]
    return "\n".join(lines) + "\n"


def main() -> None:
    text = stub_text()
    if "--check" in sys.argv[1:]:
        if not STUB.is_file() or STUB.read_text() != text:
            raise SystemExit(
                f"{STUB.relative_to(ROOT)} is out of date: run python tests/make_stub.py"
            )
        return
    STUB.write_text(text)


if __name__ == "__main__":
    main()
