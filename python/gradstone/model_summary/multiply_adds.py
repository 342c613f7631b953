"""How many multiply-adds a layer's call computes: the formulas.

A multiply-add is one multiplication whose result is added to a sum: what a matrix product, a
convolution or a dot product is made of. Additions of biases, activations, normalisations, pooling,
and the elementwise products inside recurrent cells are not counted, and zeros that pad a
convolution count as numbers. This is the usual count (two floating-point operations each).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from gradstone import nn
from gradstone._C import Tensor
from gradstone.nn.modules.conv import _ConvNd
from gradstone.nn.modules.normalization import _Affine
from gradstone.nn.modules.rnn import RNNBase
from gradstone.nn.modules.rnn_cells import RNNCellBase
from gradstone.nn.utils.rnn import PackedSequence

# formula(module, args, kwargs, output) -> multiply-adds of one call, the children's calls left out.
Formula = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], int]


def _given(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str) -> Any:
    """An argument of forward, however it was passed."""
    return args[position] if len(args) > position else kwargs[name]


def _linear(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> int:
    """rows * in * out: each of the outputs is a dot product of length in."""
    return output.numel() * module.in_features


def _bilinear(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> int:
    """rows * out * (in1 * in2 + in2): x1^T W_o for each output o, then that times x2."""
    return output.numel() * module.in2_features * (module.in1_features + 1)


def _convolution(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> int:
    """N * O * output positions * (C / groups) * product of k. Transposed, every input number is
    spread over a window: N * C * input positions * (O / groups) * product of k."""
    taps = prod(module.kernel_size)
    if module.transposed:
        spread = _given(args, kwargs, 0, "input").numel()
        return spread * (module.out_channels // module.groups) * taps
    return output.numel() * (module.in_channels // module.groups) * taps


def _recurrent(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> int:
    """T * N * sum over layers and directions of G * H * (I + H): G gates (RNN 1, GRU 3, LSTM 4),
    I the features that the layer sees."""
    input = _given(args, kwargs, 0, "input")
    if isinstance(input, PackedSequence):
        input = input.data
    steps = input.numel() // module.input_size  # T * N
    weights = (w for group in module.all_weights for w in group[:2])  # weight_ih, weight_hh
    return steps * sum(w.numel() for w in weights)


def _cell(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> int:
    """N * G * H * (I + H): one step of :func:`_recurrent`."""
    input = _given(args, kwargs, 0, "input")
    rows = input.numel() // module.input_size
    return rows * (module.weight_ih.numel() + module.weight_hh.numel())


def _attention(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> int:
    """N * T * E * E for the queries, N * S * (kdim + vdim) * E for keys and values, N * T * S * E
    for the scores and as much again for the weighted sums. The output's projection is a layer of
    its own, counted there. A mask, a causal one too, does not lower the count."""
    query, key = (_given(args, kwargs, i, name) for i, name in enumerate(("query", "key")))
    e = module.embed_dim
    batch_dim = 0 if module.batch_first else 1
    n = query.size(batch_dim) if query.dim() == 3 else 1
    t, s = query.numel() // (n * e), key.numel() // (n * module.kdim)
    return n * t * e * e + n * s * (module.kdim + module.vdim) * e + 2 * n * t * s * e


def _nothing(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> int:
    """0: rows looked up, or elementwise work."""
    return 0


# The first class that a module is an instance of decides.
FORMULAS: dict[type, Formula] = {
    nn.Linear: _linear,
    nn.Bilinear: _bilinear,
    _ConvNd: _convolution,
    RNNBase: _recurrent,
    RNNCellBase: _cell,
    nn.MultiheadAttention: _attention,
    nn.Embedding: _nothing,
    _Affine: _nothing,  # every normalisation
    nn.PReLU: _nothing,
}


def multiply_adds(
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: Any,
    formulas: Mapping[type, Formula],
) -> int | None:
    """Multiply-adds of one call, the calls of children left out: by `formulas`, else by the table
    above. None where there is no formula, or a layer has another forward than ours: then the
    products that the forward computes count."""
    forward = getattr(module.forward, "__module__", "")
    ours = forward.startswith("gradstone.nn.modules.")
    for table in (formulas, FORMULAS) if ours else (formulas,):
        for kind, formula in table.items():
            if isinstance(module, kind):
                return formula(module, args, kwargs, output)
    return None
