"""Modules in a row without gradients: what stands next to each other and has one native operation
runs as that."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone.nn.modules.activation import ReLU
from gradstone.nn.modules.conv import Conv2d
from gradstone.nn.modules.linear import Linear
from gradstone.nn.modules.module import Module
from gradstone.nn.modules.pooling import MaxPool2d


def _is_plain(module: Module, kind: type[Module]) -> bool:
    """Of this very class, and nobody watches or replaces its call."""
    return type(module) is kind and not module._has_hooks and "forward" not in module.__dict__


def _is_convolution(module: Any) -> bool:
    return (
        _is_plain(module, Conv2d)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


def _is_pooling(module: Any) -> bool:
    return (
        _is_plain(module, MaxPool2d)
        and module.dilation in (1, (1, 1))
        and not module.ceil_mode
        and not module.return_indices
    )


def infer(modules: tuple[Any, ...], input: Any) -> Any:
    """The modules called one after the other."""
    at, count = 0, len(modules)
    while at < count:
        module = modules[at]
        at += 1
        before_relu = at < count and _is_plain(modules[at], ReLU)
        if _is_plain(module, Linear):
            linear = _C._linear_relu if before_relu else _C.linear
            input = linear(input, module.weight, module.bias)
            at += before_relu
        elif before_relu and _is_convolution(module):
            at += 1
            pooling: tuple[Any, ...] = ()
            if at < count and _is_pooling(modules[at]):
                pool = modules[at]
                pooling = (pool.kernel_size, pool.stride, pool.padding)
                at += 1
            input = _C._conv2d_relu(
                input, module.weight, module.bias, module.stride, module.padding, module.dilation,
                module.groups, *pooling,
            )  # fmt: skip
        else:
            input = module(input)
    return input
