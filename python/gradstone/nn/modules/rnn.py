"""Recurrent layers: whole sequences in one native call, and single steps."""

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
from gradstone.nn.modules._parameters import empty_parameter, optional_parameter
from gradstone.nn.modules.module import Module
from gradstone.nn.parameter import Parameter
from gradstone.nn.utils.rnn import PackedSequence


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

    def _state(self, state: Tensor | None, batch: int, like: Tensor, name: str) -> Tensor:
        """The given state as (layers * directions, N, H), or zeros."""
        shape = (self.num_layers * (1 + self.bidirectional), batch, self.hidden_size)
        if state is None:
            return _C._full(shape, 0, like.dtype, like.device)
        if tuple(state.shape) != shape:
            raise ValueError(
                f"[{type(self).__name__}] expected {name} of shape {shape}, got "
                f"{tuple(state.shape)}."
            )
        return state

    def _native(
        self, x: Tensor, states: Sequence[Tensor], weights: list[Any], options: tuple[Any, ...]
    ) -> Any:
        """Output and states after the last step, in one native call."""
        raise NotImplementedError

    def _forward(self, input: Tensor, given: dict[str, Tensor | None]) -> tuple[Any, list[Tensor]]:
        """Output and states from an input with or without a batch, or a packed one; `given` are
        the states with their names."""
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, given)
        self._check(input)
        batched = input.dim() == 3
        for name, state in given.items():
            if state is not None and state.dim() != input.dim():
                kind = "batched 3-D" if batched else "unbatched 2-D"
                raise ValueError(
                    f"For {kind} input, {name} should also be {input.dim()}-D but got "
                    f"{state.dim()}-D tensor"
                )
        time = 1 if self.batch_first else 0
        x = input if batched else input.unsqueeze(1 - time)
        states = [
            self._state(s if batched or s is None else s.unsqueeze(1), x.size(1 - time), x, name)
            for name, s in given.items()
        ]
        output, *states = self._native(x, states, self._weights(), self._options())
        if batched:
            return output, states
        return output.squeeze(1 - time), [s.squeeze(1) for s in states]

    def _forward_packed(
        self, input: PackedSequence, given: dict[str, Tensor | None]
    ) -> tuple[PackedSequence, list[Tensor]]:
        data, batch_sizes, order, back = input
        if data.dim() != 2 or data.size(1) != self.input_size:
            raise ValueError(
                f"[{type(self).__name__}] expected packed steps of {self.input_size} features, got "
                f"data of shape {tuple(data.shape)}."
            )
        batch = int(batch_sizes[0])
        states = []
        for name, s in given.items():
            state = self._state(s, batch, data, name)
            states.append(state if order is None else _C.index_select(state, 1, order))
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
        output, (h,) = self._forward(input, {"hx": hx})
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
        output, (h, c) = self._forward(input, {"hx": h0, "cx": c0})
        return output, (h, c)


# ------------------------------------------------------------------------------------------ cells


class RNNCellBase(Module):
    """Parameters of one step: weight_ih (G * H, I), weight_hh (G * H, H), bias_ih and bias_hh (G *
    H)."""

    gates: int
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: DeviceLike = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__()
        self.input_size = whole(type(self).__name__, "input_size", input_size)
        self.hidden_size = whole(type(self).__name__, "hidden_size", hidden_size)
        self.bias = bias
        rows = self.gates * hidden_size
        self.weight_ih = empty_parameter((rows, input_size), device, dtype)
        self.weight_hh = empty_parameter((rows, hidden_size), device, dtype)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, optional_parameter(bias, (rows,), device, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new values."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _prepare(self, input: Tensor, *states: Tensor | None) -> tuple[bool, list[Tensor]]:
        """Whether there is a batch, and input and states with one."""
        if input.dim() not in (1, 2):
            raise ValueError(
                f"[{type(self).__name__}] expected input to be 1D or 2D, got shape "
                f"{tuple(input.shape)}."
            )
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        out = [x]
        for state in states:
            if state is None:
                state = _C._full((x.size(0), self.hidden_size), 0, x.dtype, x.device)
            elif not batched:
                state = state.unsqueeze(0)
            out.append(state)
        return batched, out

    def _weights(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        return text


class RNNCell(RNNCellBase):
    """One step of :class:`RNN`: input (N, I) or (I), h (N, H) or (H)."""

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: DeviceLike = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"[RNNCell] expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}."
            )
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        batched, (x, h) = self._prepare(input, hx)
        w_ih, w_hh, b_ih, b_hh = self._weights()
        out = _C._rnn_cell(x, h, w_ih, w_hh, b_ih, b_hh, self.nonlinearity)
        return out if batched else out.squeeze(0)

    def extra_repr(self) -> str:
        text = super().extra_repr()
        if self.nonlinearity != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text


class GRUCell(RNNCellBase):
    """One step of :class:`GRU`: input (N, I) or (I), h (N, H) or (H)."""

    gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        batched, (x, h) = self._prepare(input, hx)
        out = _C._gru_cell(x, h, *self._weights())
        return out if batched else out.squeeze(0)


class LSTMCell(RNNCellBase):
    """One step of :class:`LSTM`: input (N, I) or (I), hx = (h, c), each (N, H) or (H); gives (h,
    c)."""

    gates = 4

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        if hx is not None and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
            raise TypeError(f"[LSTM] expected hx to be a pair (h, c), got {type(hx).__name__}.")
        h0, c0 = (None, None) if hx is None else hx
        batched, (x, h, c) = self._prepare(input, h0, c0)
        h, c = _C._lstm_cell(x, h, c, *self._weights())
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))
