"""Seeds and states of every source of random numbers that a training run draws from."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from gradstone import random as gs_random
from gradstone._C import Generator

_KINDS = (Generator, np.random.Generator, np.random.RandomState, random.Random)
# Where a loader keeps what may hold a generator, and where those parts keep it in turn.
_PARTS = ("sampler", "batch_sampler", "dataset", "collate_fn", "transform", "target_transform")


def seed_everything(seed: int) -> None:
    """Seeds gradstone's default generator, NumPy's global one and Python's ``random``.

    Call it before the model is made, so that its weights are drawn from the seed too.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"[seed_everything] expected a whole number >= 0, got {seed!r}.")
    gs_random.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def generators_of(owners: Iterable[Any]) -> list[Any]:
    """The generators (gradstone's, NumPy's, Python's) that are attributes of these loaders, of
    their samplers, data sets, transforms and collating functions, each once."""
    found: list[Any] = []
    for owner in owners:
        for part in _parts(owner, 6):
            for value in vars(part).values():
                if isinstance(value, _KINDS) and all(g is not value for g in found):
                    found.append(value)
    return found


def _parts(owner: Any, depth: int) -> Iterator[Any]:
    """The object and the parts of it that may hold a generator."""
    if depth and hasattr(owner, "__dict__") and not isinstance(owner, type):
        yield owner
        for name in _PARTS:
            yield from _parts(vars(owner).get(name), depth - 1)


# ------------------------------------------------------------------------------------------- states


def snapshot(generators: Sequence[Any]) -> dict[str, Any]:
    """The states of the global sources and of these generators, as ``gs.save`` takes them."""
    return {
        "gradstone": gs_random.get_rng_state(),
        "numpy": _plain(np.random.get_state(legacy=False)),
        "python": random.getstate(),
        "others": [_state(generator) for generator in generators],
    }


def restore(state: dict[str, Any], generators: Sequence[Any]) -> None:
    """Takes everything back to a ``snapshot``."""
    np.random.set_state(_arrays(state["numpy"]))
    random.setstate(state["python"])
    for generator, one in zip(generators, state["others"]):
        _set_state(generator, one)
    gs_random.set_rng_state(state["gradstone"])


def _state(generator: Any) -> Any:
    if isinstance(generator, Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return _plain(generator.get_state(legacy=False))
    return _plain(generator.bit_generator.state)


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, Generator):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(_arrays(state))
    else:
        generator.bit_generator.state = _arrays(state)


def _plain(value: Any) -> Any:
    """NumPy's states as numbers, texts, lists and dicts."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "array": value.tolist()}
    return value


def _arrays(value: Any) -> Any:
    """The inverse of ``_plain``."""
    if not isinstance(value, dict):
        return value
    if set(value) == {"dtype", "array"}:
        return np.array(value["array"], value["dtype"])
    return {k: _arrays(v) for k, v in value.items()}
