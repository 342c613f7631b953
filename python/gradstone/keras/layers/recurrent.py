"""Recurrent layers over (N, T, I), with Keras's gates, weights and options.

Without a mask, recurrent dropout or unusual activations the whole sequence is one native call;
otherwise the steps are taken one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.keras import activations
from gradstone.keras.layer import Layer, Shape
from gradstone.keras.layers.activation import dropped
from gradstone.keras.layers.core import known_size, positive


class RNNLayer(Layer):
    """What SimpleRNN, LSTM and GRU share. kernel (I, G * H), recurrent_kernel (H, G * H), bias (G *
    H); G gates, H units."""

    gates: int
    states = 1
    supports_masking = True
    _casts_integers = True
    _ndim = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        *,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if stateful:
            raise ValueError("stateful=True is not offered: pass initial_state to the call.")
        self._keep(locals())
        self.units = positive("units", units)
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))

    def _bias_shape(self) -> Shape:
        return (self.gates * self.units,)

    def build(self, input_shape: Any) -> None:
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        width = self.gates * self.units
        self._make("kernel", (known_size(shape), width))
        self._make("recurrent_kernel", (self.units, width), options="recurrent")
        self._make("bias", self._bias_shape(), self.use_bias)

    # ------------------------------------------------------------------------------- the arithmetic

    def _is_native(self) -> bool:
        raise NotImplementedError

    def _native(self, x: Tensor, states: list[Tensor], options: Any) -> Sequence[Tensor]:
        raise NotImplementedError

    def _step(self, x: Tensor, states: list[Tensor], h: Tensor) -> list[Tensor]:
        """The next states; `h` is the first state after recurrent dropout."""
        raise NotImplementedError

    def _native_weights(self) -> list[Tensor]:
        """Weights as the native kernels take them: (G * H, I), (G * H, H), and two biases."""
        weights = [_C.t(self.kernel), _C.t(self.recurrent_kernel)]
        if self.bias is not None:
            weights += [self.bias, _C._full((self.gates * self.units,), 0, *_place(self.bias))]
        return weights

    # ------------------------------------------------------------------------------------ sequences

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Tensor | None = None,
        training: bool = False,
    ) -> Any:
        if isinstance(sequences, (list, tuple)):
            sequences, initial_state = sequences[0], sequences[1:]
        self._check_last(sequences.shape, self.kernel.size(0))
        n = sequences.size(0)
        if initial_state is None:
            shape, place = (n, self.units), _place(sequences)
            states = [_C._full(shape, 0, *place) for _ in range(self.states)]
        else:
            several = isinstance(initial_state, (list, tuple))
            states = list(initial_state) if several else [initial_state]
            if len(states) != self.states:
                raise ValueError(
                    f"Layer '{self.name}' has {self.states} states, but was given {len(states)} "
                    "initial states."
                )
        if training and self.dropout:
            sequences = dropped(sequences, self.dropout, (n, 1, sequences.size(2)))
        if self.go_backwards:
            sequences = sequences.flip(1)
            mask = None if mask is None else mask.flip(1)
        recurrent = self.recurrent_dropout if training else 0.0
        if mask is None and not recurrent and self._is_native():
            options = (self.bias is not None, 1, 0.0, bool(training), False, True)
            output, *last = self._native(sequences, [s.unsqueeze(0) for s in states], options)
            states = [s.squeeze(0) for s in last]
        else:
            output, states = self._loop(sequences, states, mask, recurrent)
        result = output if self.return_sequences else states[0]
        if mask is not None:
            result._keras_mask = mask if self.return_sequences else None  # type: ignore[attr-defined]
        return [result, *states] if self.return_state else result

    def _loop(
        self, x: Tensor, states: list[Tensor], mask: Tensor | None, recurrent: float
    ) -> tuple[Tensor, list[Tensor]]:
        """Step by step. Where the mask is false the states stay, and so does the output."""
        kept = None
        if recurrent:
            kept = dropped(_C._full(tuple(states[0].shape), 1, *_place(x)), recurrent)
        outputs = []
        for t in range(x.size(1)):
            h = states[0] if kept is None else states[0] * kept
            new = self._step(x[:, t], states, h)
            if mask is not None:
                here = mask[:, t].unsqueeze(1)
                new = [_C._where(here, after, before) for after, before in zip(new, states)]
            states = new
            outputs.append(states[0])
        return _C.stack(outputs, 1), states

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        state = (shape[0], self.units)
        out = (*shape[:2], self.units) if self.return_sequences else state
        return [out, *[state] * self.states] if self.return_state else out


def _place(t: Tensor) -> tuple[Any, Any]:
    return t.dtype, t.device


def _product(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    out = _C.matmul(x, kernel)
    return out if bias is None else out + bias


class SimpleRNN(RNNLayer):
    """h' = activation(x kernel + h recurrent_kernel + bias)."""

    gates = 1

    def _is_native(self) -> bool:
        return self.activation in (activations.tanh, activations.relu)

    def _native(self, x: Tensor, states: list[Tensor], options: Any) -> Sequence[Tensor]:
        name = "tanh" if self.activation is activations.tanh else "relu"
        return _C._rnn(x, states[0], self._native_weights(), name, *options)

    def _step(self, x: Tensor, states: list[Tensor], h: Tensor) -> list[Tensor]:
        z = _product(x, self.kernel, self.bias) + _C.matmul(h, self.recurrent_kernel)
        return [self.activation(z)]


def _usual(layer: Any) -> bool:
    """Whether the activations are those of the native kernels."""
    gates, output = layer.recurrent_activation, layer.activation
    return output is activations.tanh and gates is activations.sigmoid


class LSTM(RNNLayer):
    """i, f, o = s(...), g = activation(...), c' = f * c + i * g, h' = o * activation(c'); gates in
    the order i, f, g, o (Hochreiter and Schmidhuber, 1997). The forget gate's bias starts at 1."""

    gates = 4
    states = 2

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        unit_forget_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, activation, use_bias=use_bias, **kwargs)
        self._keep(locals())

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self.use_bias and self.unit_forget_bias:
            with no_grad():
                self.bias[self.units : 2 * self.units].fill_(1.0)

    def _is_native(self) -> bool:
        return _usual(self)

    def _native(self, x: Tensor, states: list[Tensor], options: Any) -> Sequence[Tensor]:
        h, c = states
        return _C._lstm(x, h, c, self._native_weights(), *options)

    def _step(self, x: Tensor, states: list[Tensor], h: Tensor) -> list[Tensor]:
        z = _product(x, self.kernel, self.bias) + _C.matmul(h, self.recurrent_kernel)
        i, f, g, o = _C.chunk(z, 4, -1)
        gate = self.recurrent_activation
        c = gate(f) * states[1] + gate(i) * self.activation(g)
        return [gate(o) * self.activation(c), c]


class GRU(RNNLayer):
    """z, r = s(...), g = activation(...), h' = z * h + (1 - z) * g; gates in the order z, r, g (Cho
    et al., 2014). With reset_after (the default) r multiplies the product of h and its weights, and
    there are two biases: bias (2, 3 H)."""

    gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        reset_after: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, activation, use_bias=use_bias, **kwargs)
        self._keep(locals())

    def _bias_shape(self) -> Shape:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _is_native(self) -> bool:
        return _usual(self) and self.reset_after

    @staticmethod
    def _r_first(weight: Tensor) -> Tensor:
        """Gates r, z, g from z, r, g along the last dimension."""
        z, r, g = _C.chunk(weight, 3, -1)
        return _C.cat([r, z, g], -1)

    def _native(self, x: Tensor, states: list[Tensor], options: Any) -> Sequence[Tensor]:
        weights = [self._r_first(self.kernel).t(), self._r_first(self.recurrent_kernel).t()]
        if self.bias is not None:
            weights += list(_C.unbind(self._r_first(self.bias), 0))
        return _C._gru(x, states[0], weights, *options)

    def _step(self, x: Tensor, states: list[Tensor], h: Tensor) -> list[Tensor]:
        gate, h_kernel = self.recurrent_activation, self.recurrent_kernel
        first, second = None, None
        if self.bias is not None:
            first, second = _C.unbind(self.bias, 0) if self.reset_after else (self.bias, None)
        xz, xr, xg = _C.chunk(_product(x, self.kernel, first), 3, -1)
        if self.reset_after:
            hz, hr, hg = _C.chunk(_product(h, h_kernel, second), 3, -1)
            z, r = gate(xz + hz), gate(xr + hr)
            g = self.activation(xg + r * hg)
        else:
            kz, kr, kg = _C.chunk(h_kernel, 3, -1)
            z, r = gate(xz + _C.matmul(h, kz)), gate(xr + _C.matmul(h, kr))
            g = self.activation(xg + _C.matmul(r * h, kg))
        return [z * states[0] + (1.0 - z) * g]
