"""Recurrent layers: whole sequences in one native call."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._types import DeviceLike, DTypeLike
from gradstone.nn import init
from gradstone.nn.modules._packed import run_packed
from gradstone.nn.modules._parameters import empty_parameter
from gradstone.nn.modules.module import Module
from gradstone.nn.parameter import Parameter
from gradstone.nn.utils.rnn import PackedSequence

Given = tuple[Tensor | None, ...]  # the states that forward was given
_NAMES = ("hx", "cx")


class RNNBase(Module):
    """Parameters of stacked recurrent layers under PyTorch's names: weight_ih_l0 (G * H, I),
    weight_hh_l0 (G * H, H), bias_ih_l0, bias_hh_l0 (G * H), with _reverse for the backward
    direction; G gates.

    All start uniform in [-k, k], k = 1 / sqrt(H).
    """

    gates: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: DeviceLike = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__()
        op = type(self).__name__
        whole(op, "input_size", input_size)
        whole(op, "hidden_size", hidden_size, 1)
        whole(op, "num_layers", num_layers, 1)
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        if proj_size:
            raise NotImplementedError(f"[{op}] proj_size is not offered.")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={num_layers}",
                stacklevel=3,
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = 0
        self._names: list[list[str]] = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse")[: 1 + bidirectional]:
                inputs = input_size if layer == 0 else hidden_size * (1 + bidirectional)
                rows = self.gates * hidden_size
                shapes: dict[str, tuple[int, ...]] = {
                    f"weight_ih_l{layer}{suffix}": (rows, inputs),
                    f"weight_hh_l{layer}{suffix}": (rows, hidden_size),
                }
                if bias:
                    shapes[f"bias_ih_l{layer}{suffix}"] = (rows,)
                    shapes[f"bias_hh_l{layer}{suffix}"] = (rows,)
                for name, shape in shapes.items():
                    self.register_parameter(name, empty_parameter(shape, device, dtype))
                self._names.append(list(shapes))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new values."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: weights are packed where they are used."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, one list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._names]

    def _weights(self) -> list[Any]:
        own = self.__dict__  # some may be computed: nn.utils.weight_norm
        return [own[name] for names in self._names for name in names]

    def _check(self, input: Tensor) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(
                f"[{type(self).__name__}] expected input to be 2D or 3D, got shape "
                f"{tuple(input.shape)}."
            )
        if input.size(-1) != self.input_size:
            raise ValueError(
                f"[{type(self).__name__}] expected input of shape (..., {self.input_size}), got "
                f"{tuple(input.shape)}."
            )

    def _states(self, given: Given, batch: int, like: Tensor) -> list[Tensor]:
        """The given states as (layers * directions, N, H), or zeros."""
        shape = (self.num_layers * (1 + self.bidirectional), batch, self.hidden_size)
        if given[0] is None and given[-1] is None:
            return [_C._full(shape, 0, like.dtype, like.device)] * len(given)
        states = []
        for name, state in zip(_NAMES, given):
            if state is None:
                state = _C._full(shape, 0, like.dtype, like.device)
            elif tuple(state.shape) != shape:
                raise ValueError(
                    f"[{type(self).__name__}] expected {name} of shape {shape}, got "
                    f"{tuple(state.shape)}."
                )
            states.append(state)
        return states

    def _native(
        self, x: Tensor, states: Sequence[Tensor], weights: list[Any], options: tuple[Any, ...]
    ) -> Any:
        """Output and states after the last step, in one native call."""
        raise NotImplementedError

    def _forward(self, input: Any, given: Given) -> tuple[Any, list[Tensor]]:
        """Output and states from an input with or without a batch, or a packed one."""
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, given)
        self._check(input)
        time = 1 if self.batch_first else 0
        if input.dim() == 2:
            return self._forward_single(input, given, time)
        for name, state in zip(_NAMES, given):
            if state is not None and state.dim() != 3:
                raise ValueError(
                    f"For batched 3-D input, {name} should also be 3-D but got {state.dim()}-D "
                    "tensor"
                )
        states = self._states(given, input.size(1 - time), input)
        output, *states = self._native(input, states, self._weights(), self._options())
        return output, states

    def _forward_single(
        self, input: Tensor, given: Given, time: int
    ) -> tuple[Tensor, list[Tensor]]:
        """The same for one sequence (T, I), with states (layers * directions, H)."""
        for name, state in zip(_NAMES, given):
            if state is not None and state.dim() != 2:
                raise ValueError(
                    f"For unbatched 2-D input, {name} should also be 2-D but got {state.dim()}-D "
                    "tensor"
                )
        batched = tuple(None if s is None else s.unsqueeze(1) for s in given)
        output, states = self._forward(input.unsqueeze(1 - time), batched)
        return output.squeeze(1 - time), [s.squeeze(1) for s in states]

    def _forward_packed(
        self, input: PackedSequence, given: Given
    ) -> tuple[PackedSequence, list[Tensor]]:
        data, batch_sizes, order, back = input
        if data.dim() != 2 or data.size(1) != self.input_size:
            raise ValueError(
                f"[{type(self).__name__}] expected packed steps of {self.input_size} features, got "
                f"data of shape {tuple(data.shape)}."
            )
        states = self._states(given, int(batch_sizes[0]), data)
        if order is not None:
            states = [_C.index_select(s, 1, order) for s in states]
        output, states = run_packed(self, data, batch_sizes, states)
        if back is not None:
            states = [_C.index_select(s, 1, back) for s in states]
        return input._replace(data=output), states

    def _options(self) -> tuple[Any, ...]:
        return (
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
            self.batch_first,
        )

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.batch_first is not False:
            text += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            text += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text


class _OneState(RNNBase):
    """Layers with a single state h."""

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """input (T, N, I), (N, T, I) with batch_first, (T, I), or packed; hx (layers * directions,
        N, H).

        Gives (output, h_n): output has H (times directions) features and is packed when the input
        is, h_n has the shape of hx.
        """
        output, (h,) = self._forward(input, (hx,))
        return output, h


class RNN(_OneState):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu."""

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: DeviceLike = None,
        dtype: DTypeLike = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity

    def _native(
        self, x: Tensor, states: Sequence[Tensor], weights: list[Any], options: tuple[Any, ...]
    ) -> Any:
        (h,) = states
        return _C._rnn(x, h, weights, self.nonlinearity, *options)


class GRU(_OneState):
    """r = s(W_ir x + W_hr h), z = s(W_iz x + W_hz h), n = tanh(W_in x + r * (W_hn h)),
    h' = (1 - z) * n + z * h, with biases; gates in the order r, z, n (Cho et al., 2014)."""

    gates = 3

    def _native(
        self, x: Tensor, states: Sequence[Tensor], weights: list[Any], options: tuple[Any, ...]
    ) -> Any:
        (h,) = states
        return _C._gru(x, h, weights, *options)


class LSTM(RNNBase):
    """i, f, o = s(...), g = tanh(...), c' = f * c + i * g, h' = o * tanh(c'); gates in the order i,
    f, g, o (Hochreiter and Schmidhuber, 1997)."""

    gates = 4

    def _native(
        self, x: Tensor, states: Sequence[Tensor], weights: list[Any], options: tuple[Any, ...]
    ) -> Any:
        h, c = states
        return _C._lstm(x, h, c, weights, *options)

    def forward(
        self, input: Any, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        """input (T, N, I), (N, T, I) with batch_first, (T, I), or packed; hx = (h, c), each (layers
        * directions, N, H). Gives (output, (h_n, c_n)); the output is packed when the input is."""
        if hx is not None and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
            raise TypeError(f"[LSTM] expected hx to be a pair (h, c), got {type(hx).__name__}.")
        h0, c0 = (None, None) if hx is None else hx
        output, (h, c) = self._forward(input, (h0, c0))
        return output, (h, c)
