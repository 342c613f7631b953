"""Layers that run other layers: in both directions, at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras.layer import Layer, Shape
from gradstone.keras.layers.recurrent import RNNLayer

_MERGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum": lambda ahead, back: ahead + back,
    "mul": lambda ahead, back: ahead * back,
    "ave": lambda ahead, back: (ahead + back) / 2,
    "concat": lambda ahead, back: _C.cat([ahead, back], -1),
}


class Bidirectional(Layer):
    """A recurrent layer and a copy of it that runs backwards; their outputs side by side
    ("concat"), summed, multiplied ("mul"), averaged ("ave"), or both (None)."""

    supports_masking = True

    def __init__(
        self,
        layer: RNNLayer,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: RNNLayer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, RNNLayer):
            raise ValueError(
                "Please initialize `Bidirectional` layer with a recurrent layer such as LSTM. "
                f"Received: layer={layer}"
            )
        if merge_mode is not None and merge_mode not in _MERGES:
            raise ValueError(
                f"Invalid merge mode. Received: merge_mode={merge_mode}. Merge mode should be one "
                "of {'sum', 'mul', 'ave', 'concat', None}"
            )
        if backward_layer is None:
            turned = {"name": f"backward_{layer.name}", "go_backwards": not layer.go_backwards}
            backward_layer = type(layer)(**{**layer.get_config(), **turned})
        self.forward_layer = type(layer)(**{**layer.get_config(), "name": f"forward_{layer.name}"})
        self.backward_layer = backward_layer
        self.merge_mode = merge_mode
        self._batch_shape = self._batch_shape or layer._batch_shape
        self._given = weights

    @property
    def layer(self) -> Layer:
        """The layer that runs forwards."""
        return self.forward_layer

    def build(self, input_shape: Any) -> None:
        self.forward_layer._build(input_shape)
        self.backward_layer._build(input_shape)
        if self._given is not None:
            self.set_weights(self._given)

    def call(
        self,
        sequences: Tensor,
        initial_state: Any = None,
        mask: Tensor | None = None,
        training: bool = False,
    ) -> Any:
        first = second = None
        if initial_state is not None:
            half = len(initial_state) // 2
            first, second = initial_state[:half], initial_state[half:]
        options = {"mask": mask, "training": training}
        ahead = self.forward_layer(sequences, initial_state=first, **options)
        back = self.backward_layer(sequences, initial_state=second, **options)
        states: list[Tensor] = []
        if self.forward_layer.return_state:
            (ahead, *left), (back, *right) = ahead, back
            states = [*left, *right]
        if self.forward_layer.return_sequences:
            back = back.flip(1)
        if self.merge_mode is None:
            return [ahead, back, *states]
        merged = _MERGES[self.merge_mode](ahead, back)
        if mask is not None and not self.forward_layer.return_sequences:
            merged._keras_mask = None  # type: ignore[attr-defined]
        return [merged, *states] if states else merged

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = self.forward_layer.compute_output_shape(input_shape)
        out, states = (shape[0], shape[1:]) if self.forward_layer.return_state else (shape, [])
        if self.merge_mode == "concat":
            out = (*out[:-1], 2 * out[-1])
        outs = [out, out] if self.merge_mode is None else [out]
        return [*outs, *states, *states] if len(outs) > 1 or states else out


class TimeDistributed(Layer):
    """The same layer at every step of (N, T, ...)."""

    supports_masking = True

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any) -> None:
        if not self.layer.built:
            self.layer._build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: Tensor) -> Tensor:
        n, steps = inputs.shape[:2]
        out = self.layer(inputs.reshape(n * steps, *inputs.shape[2:]))
        return out.reshape(n, steps, *out.shape[1:])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        inner = self.layer.compute_output_shape((input_shape[0], *input_shape[2:]))
        return (*input_shape[:2], *inner[1:])
