"""Seeds and random-number state.

All random numbers come from one counter-based generator (Philox 4x32-10): number i of a random
operation depends on the seed, on how many random operations came before, and on i. So a seed gives
the same numbers for any number of threads, and the whole state is two integers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from gradstone._C import Generator, Tensor, default_generator
from gradstone._checks import real

__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


def manual_seed(seed: int) -> Generator:
    """Seeds the default generator. Negative seeds count from 2**64, as in PyTorch."""
    return default_generator.manual_seed(int(real("manual_seed", "seed", seed)))


def seed() -> int:
    """Seeds the default generator from the operating system and returns the seed."""
    value = int.from_bytes(os.urandom(8), "little") >> 1
    default_generator.manual_seed(value)
    return value


def initial_seed() -> int:
    """The seed the default generator was given last."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """State of the default generator: a uint8 tensor of 16 bytes (seed, operations so far)."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Takes the default generator back to a state that :func:`get_rng_state` gave."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(devices: object = None, enabled: bool = True) -> Iterator[None]:
    """Inside the block random numbers are drawn as usual; after it the state is as before."""
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


def stream(generator: Generator | None) -> tuple[int, int]:
    """(seed, offset) for one native random operation, advancing `generator`.

    (-1, -1) tells the operation to use, and advance, the default generator.
    """
    if generator is None or generator is default_generator:
        return -1, -1
    if not isinstance(generator, Generator):
        raise TypeError(f"expected generator to be a Generator, got {type(generator).__name__}.")
    return generator._next()
