"""Single steps of recurrent layers."""

from __future__ import annotations

import math
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._types import DeviceLike, DTypeLike
from gradstone.nn import init
from gradstone.nn.modules._parameters import empty_parameter, optional_parameter
from gradstone.nn.modules.module import Module
from gradstone.nn.parameter import Parameter


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
