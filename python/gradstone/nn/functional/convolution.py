"""Convolution, and the padding and patches around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradstone import _C
from gradstone._C import Tensor
from gradstone._creation import eye
from gradstone.nn.functional._arguments import Ints, same_padding, tuple_of

conv_transpose2d = _C.conv_transpose2d


def _conv(
    native: Callable[..., Tensor],
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints | str,
    dilation: Ints,
    groups: int,
) -> Tensor:
    """Convolution with padding as a word: "valid" is none, "same" keeps the size at stride 1."""
    if padding == "valid":
        return native(input, weight, bias, stride, 0, dilation, groups)
    if padding != "same":
        raise ValueError(f"[conv{n}d] padding must be numbers, 'valid' or 'same', got {padding!r}.")
    if any(s != 1 for s in tuple_of(stride, n, f"conv{n}d", "stride")):
        raise ValueError(f"[conv{n}d] padding='same' needs stride 1, got {stride}.")
    sides, even = same_padding(
        tuple(weight.shape[2:]), tuple_of(dilation, n, f"conv{n}d", "dilation")
    )
    if even:
        return native(input, weight, bias, 1, tuple(reversed(sides[::2])), dilation, groups)
    return native(_C._pad(input, sides), weight, bias, 1, 0, dilation, groups)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """input (N, C, L) or (C, L), weight (O, C/groups, k), bias (O)."""
    if isinstance(padding, str):
        return _conv(_C.conv1d, 1, input, weight, bias, stride, padding, dilation, groups)
    return _C.conv1d(input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """input (N, C, H, W) or (C, H, W), weight (O, C/groups, kH, kW), bias (O)."""
    if isinstance(padding, str):
        return _conv(_C.conv2d, 2, input, weight, bias, stride, padding, dilation, groups)
    return _C.conv2d(input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """input (N, C, L) or (C, L), weight (C, O/groups, k), bias (O): conv_transpose2d of images of
    one row."""
    if input.dim() not in (2, 3) or weight.dim() != 3:
        raise ValueError(
            "[conv_transpose1d] expected input of shape (N, C, L) or (C, L) and weight of shape "
            f"(C, O/groups, k), got {tuple(input.shape)} and {tuple(weight.shape)}."
        )
    (s,), (p,), (o,), (d,) = (
        tuple_of(value, 1, "conv_transpose1d", name)
        for value, name in (
            (stride, "stride"), (padding, "padding"), (output_padding, "output_padding"),
            (dilation, "dilation"),
        )
    )  # fmt: skip
    out = conv_transpose2d(
        input.unsqueeze(-2), weight.unsqueeze(-2), bias, (1, s), (0, p), (0, o), groups, (1, d)
    )
    return out.squeeze(-2)


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Pads the last dimensions; pad = (left, right, top, bottom, ...); negative values crop."""
    if not isinstance(pad, (tuple, list)):
        raise TypeError(f"[pad] expected pad to be a sequence (left, right, ...), got {pad!r}.")
    return _C._pad(input, tuple(pad), mode, 0.0 if value is None else float(value))


def unfold(
    input: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Tensor:
    """The patches of (N, C, H, W) or (C, H, W) as columns: (N, C * kH * kW, L), without N when the
    input has none."""
    if input.dim() == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if input.dim() != 4:
        raise ValueError(
            f"[unfold] expected input of shape (N, C, H, W) or (C, H, W), got {tuple(input.shape)}."
        )
    kh, kw = tuple_of(kernel_size, 2, "unfold", "kernel_size")
    dh, dw = tuple_of(dilation, 2, "unfold", "dilation")
    ph, pw = tuple_of(padding, 2, "unfold", "padding")
    sh, sw = tuple_of(stride, 2, "unfold", "stride")
    x = _C._pad(input, (pw, pw, ph, ph)) if ph or pw else input
    x = x.unfold(2, dh * (kh - 1) + 1, sh).unfold(3, dw * (kw - 1) + 1, sw)
    x = x[..., ::dh, ::dw]  # N C oH oW kH kW
    n, c, oh, ow = x.shape[:4]
    return x.permute(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, oh * ow)


def fold(
    input: Tensor,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Tensor:
    """Columns (N, C * kH * kW, L) or (C * kH * kW, L), as ``unfold`` gives them, summed where
    patches overlap: (N, C, H, W) or (C, H, W)."""
    if input.dim() == 2:
        return fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride)[0]
    sizes, kernel, dilations, paddings, strides = (
        tuple_of(value, 2, "fold", name)
        for value, name in (
            (output_size, "output_size"), (kernel_size, "kernel_size"), (dilation, "dilation"),
            (padding, "padding"), (stride, "stride"),
        )
    )  # fmt: skip
    rows = []
    for size, k, d, p, s in zip(sizes, kernel, dilations, paddings, strides):
        rows.append((size + 2 * p - d * (k - 1) - 1) // s + 1 if s > 0 else 0)
    taps, (oh, ow) = kernel[0] * kernel[1], rows
    if input.dim() != 3 or taps < 1 or input.size(1) % taps or input.size(2) != oh * ow or oh < 1:
        raise ValueError(
            f"[fold] expected input of shape (N, C * {kernel[0]} * {kernel[1]}, {oh} * {ow}) to "
            f"give images of {sizes}, got {tuple(input.shape)}."
        )
    # A transposed convolution whose kernels put each row of a column in its place.
    channels = input.size(1) // taps
    places = eye(taps, dtype=input.dtype).reshape(taps, 1, *kernel).repeat(channels, 1, 1, 1)
    extra = tuple(
        size + 2 * p - d * (k - 1) - 1 - (n - 1) * s
        for size, k, d, p, s, n in zip(sizes, kernel, dilations, paddings, strides, rows)
    )
    return conv_transpose2d(
        input.reshape(input.size(0), input.size(1), oh, ow),
        _C._to_device(places, input.device),
        None, strides, paddings, extra, channels, dilations,
    )  # fmt: skip
