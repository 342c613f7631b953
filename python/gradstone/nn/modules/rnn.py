"""Recurrent layers: whole sequences in one native call, and single steps."""

from __future__ import annotations

import math
import warnings
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._types import DeviceLike, DTypeLike
from gradstone.nn import init
from gradstone.nn.modules._parameters import empty_parameter, optional_parameter
from gradstone.nn.modules.module import Module
from gradstone.nn.parameter import Parameter


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
        own = self._parameters
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

    def _state(self, state: Tensor | None, input: Tensor, batched: bool, name: str) -> Tensor:
        """The given state as (layers * directions, N, H), or zeros."""
        batch = input.size(0 if self.batch_first else 1)
        shape = (self.num_layers * (1 + self.bidirectional), batch, self.hidden_size)
        if state is None:
            return _C._full(shape, 0, input.dtype, input.device)
        if not batched:
            if state.dim() != 2:
                raise ValueError(
                    f"For unbatched 2-D input, {name} should also be 2-D but got {state.dim()}-D "
                    "tensor"
                )
            state = state.unsqueeze(1)
        elif state.dim() != 3:
            raise ValueError(
                f"For batched 3-D input, {name} should also be 3-D but got {state.dim()}-D tensor"
            )
        if tuple(state.shape) != shape:
            raise ValueError(
                f"[{type(self).__name__}] expected {name} of shape {shape}, got "
                f"{tuple(state.shape)}."
            )
        return state

    def _options(self) -> tuple[Any, ...]:
        return (
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
            self.batch_first,
        )

    def _batch(self, input: Tensor) -> Tensor:
        return input.unsqueeze(0 if self.batch_first else 1)

    def _unbatch(self, output: Tensor) -> Tensor:
        return output.squeeze(0 if self.batch_first else 1)

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

    def _run(self, input: Tensor, h: Tensor) -> Any:
        raise NotImplementedError

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """input (T, N, I), (N, T, I) with batch_first, or (T, I); hx (layers * directions, N, H).

        Gives (output, h_n): output has H (times directions) features, h_n the shape of hx.
        """
        self._check(input)
        batched = input.dim() == 3
        x = input if batched else self._batch(input)
        output, h = self._run(x, self._state(hx, x, batched, "hx"))
        return (output, h) if batched else (self._unbatch(output), h.squeeze(1))


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

    def _run(self, input: Tensor, h: Tensor) -> Any:
        return _C._rnn(input, h, self._weights(), self.nonlinearity, *self._options())


class GRU(_OneState):
    """r = s(W_ir x + W_hr h), z = s(W_iz x + W_hz h), n = tanh(W_in x + r * (W_hn h)),
    h' = (1 - z) * n + z * h, with biases; gates in the order r, z, n (Cho et al., 2014)."""

    gates = 3

    def _run(self, input: Tensor, h: Tensor) -> Any:
        return _C._gru(input, h, self._weights(), *self._options())


class LSTM(RNNBase):
    """i, f, o = s(...), g = tanh(...), c' = f * c + i * g, h' = o * tanh(c'); gates in the order i,
    f, g, o (Hochreiter and Schmidhuber, 1997)."""

    gates = 4

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """input (T, N, I), (N, T, I) with batch_first, or (T, I); hx = (h, c), each (layers *
        directions, N, H). Gives (output, (h_n, c_n))."""
        self._check(input)
        batched = input.dim() == 3
        x = input if batched else self._batch(input)
        if hx is not None and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
            raise TypeError(f"[LSTM] expected hx to be a pair (h, c), got {type(hx).__name__}.")
        h0, c0 = (None, None) if hx is None else hx
        h = self._state(h0, x, batched, "hx")
        c = self._state(c0, x, batched, "cx")
        output, h_n, c_n = _C._lstm(x, h, c, self._weights(), *self._options())
        if batched:
            return output, (h_n, c_n)
        return self._unbatch(output), (h_n.squeeze(1), c_n.squeeze(1))


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
