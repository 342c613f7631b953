"""Multiply-adds of the products that a forward computes itself, with ``@`` or a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

from gradstone._C import Tensor
from gradstone._watched_operations import watched

Arguments = dict[str, Any]


def _rows_times_columns(name: str) -> Callable[[Arguments, Tensor], int]:
    """(..., M, K) times (..., K, N): each result is a sum over K, this argument's last size."""
    return lambda given, result: result.numel() * given[name].size(-1)


def _convolution(given: Arguments, result: Tensor) -> int:
    """Each result is a sum over (C / groups) and the taps: weight (O, C / groups, k...)."""
    return result.numel() * prod(given["weight"].shape[1:])


def _transposed(given: Arguments, result: Tensor) -> int:
    """Each input is spread over (O / groups) and the taps: weight (C, O / groups, k...)."""
    return given["input"].numel() * prod(given["weight"].shape[1:])


def _attention(given: Arguments, result: Tensor) -> int:
    """T * S scores over D, then T rows of the result over S; a mask does not lower the count."""
    query, keys = given["query"], given["key"].size(-2)
    return query.numel() * keys + result.numel() * keys


def _einsum(given: Arguments, result: Tensor) -> int:
    """From left to right: a product of two operands takes one multiply-add for each value of all
    their letters together, where one of these is summed; "..." stands for letters of its own."""
    inputs, _, output = given["equation"].replace(" ", "").partition("->")
    operands = list(given["operands"])
    sizes: dict[str, int] = {}
    terms = []
    for term, operand in zip(inputs.split(","), operands):
        before, dots, after = term.partition("...")
        extra = operand.dim() - len(before) - len(after) if dots else 0
        letters = [*before, *(f"...{i}" for i in range(extra, 0, -1)), *after]
        for letter, size in zip(letters, operand.shape):
            sizes[letter] = max(sizes.get(letter, 1), size)
        terms.append(set(letters))
    if "->" not in given["equation"]:
        output = "".join(letter for letter in sizes if inputs.count(letter) == 1)
    kept = set(output) | {letter for letter in sizes if letter.startswith(".")}
    total, done = 0, terms[0]
    for i, term in enumerate(terms[1:], 2):
        together = done | term
        done = together & kept.union(*terms[i:])
        if done != together:
            total += prod(sizes[letter] for letter in together)
    return total


# By operation: its first arguments' names, and multiply-adds from arguments and result.
_COUNTED: dict[str, tuple[tuple[str, ...], Callable[[Arguments, Tensor], int]]] = {
    "linear": (("input", "weight"), _rows_times_columns("input")),
    **{
        name: (("input",), _rows_times_columns("input"))
        for name in ("matmul", "mm", "bmm", "mv", "dot")
    },
    "addmm": (("input", "mat1"), _rows_times_columns("mat1")),
    "baddbmm": (("input", "batch1"), _rows_times_columns("batch1")),
    "conv1d": (("input", "weight"), _convolution),
    "conv2d": (("input", "weight"), _convolution),
    "conv_transpose2d": (("input", "weight"), _transposed),
    "scaled_dot_product_attention": (("query", "key"), _attention),
    "_einsum": (("equation", "operands"), _einsum),
}


@contextmanager
def counting(record: Callable[[int], None]) -> Iterator[None]:
    """Inside the block, record(multiply-adds) for every product that this thread computes."""

    def see(name: str, args: tuple[Any, ...], kwargs: Arguments, result: Any) -> None:
        names, count = _COUNTED[name]
        record(count({**dict(zip(names, args)), **kwargs}, result))

    with watched(see, _COUNTED):
        yield
