"""Seeds and states of every source of random numbers that a training run draws from."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gradstone import random as gs_random
from gradstone._C import Generator


def seed_everything(seed: int) -> None:
    """Seeds gradstone's default generator, NumPy's global one and Python's ``random``.

    Call it before the model is made, so that its weights are drawn from the seed too.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"[seed_everything] expected a whole number >= 0, got {seed!r}.")
    gs_random.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def generators_of(loaders: Iterable[Any]) -> list[Generator]:
    """The generators that these loaders and their samplers were given, each once."""
    found: list[Generator] = []
    for loader in loaders:
        sampler = getattr(loader, "sampler", None)
        batches = getattr(loader, "batch_sampler", None)
        inner = getattr(batches, "sampler", None)
        for owner in (loader, sampler, batches, inner):
            generator = getattr(owner, "generator", None)
            if isinstance(generator, Generator) and all(g is not generator for g in found):
                found.append(generator)
    return found


def snapshot(generators: Sequence[Generator]) -> dict[str, Any]:
    """The states, as ``gs.save`` takes them."""
    numbers: Any = np.random.get_state()
    kind, key, position, has_gauss, gauss = numbers
    version, words, following = random.getstate()
    return {
        "gradstone": gs_random.get_rng_state(),
        "numpy": (str(kind), key.tolist(), int(position), int(has_gauss), float(gauss)),
        "python": (version, list(words), following),
        "loaders": [generator.get_state() for generator in generators],
    }


def restore(state: dict[str, Any], generators: Sequence[Generator]) -> None:
    """Takes everything back to a ``snapshot``. ValueError when the loaders have other generators
    than then."""
    if len(state["loaders"]) != len(generators):
        raise ValueError(
            f"[Trainer.fit] the checkpoint was written with {len(state['loaders'])} generators in "
            f"the loaders, now there are {len(generators)}: give the loaders the same generators."
        )
    kind, key, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, np.array(key, np.uint32), position, has_gauss, gauss))
    version, words, following = state["python"]
    random.setstate((version, tuple(words), following))
    for generator, one in zip(generators, state["loaders"]):
        generator.set_state(one)
    gs_random.set_rng_state(state["gradstone"])
