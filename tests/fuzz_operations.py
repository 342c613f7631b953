"""Calls every exported operation with wild arguments: `python fuzz_operations.py SEED ROUNDS`.

Each call is printed before it is made, so when the process dies the last line names the culprit.
Allowed outcomes: a result, or one of the documented exceptions."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import gradstone as gs
from gradstone import _C
from op_specs import BY_NAME
from op_specs.run import function, in_dtype, tensors

ALLOWED = (TypeError, ValueError, IndexError, RuntimeError, MemoryError, OverflowError)
HUGE = (2**31 - 1, 2**31, 2**32, 2**40, 2**61, 2**62, 2**63 - 1, -(2**63), 2**63, 2**100, -(2**31))
SMALL = (-3, -2, -1, 0, 1, 2, 3, 5, 13)
DTYPES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
)
SHAPES = (
    (),
    (0,),
    (1,),
    (3,),
    (2, 3),
    (3, 3),
    (0, 3),
    (2, 0),
    (1, 1, 1),
    (2, 3, 4),
    (1, 2, 4, 4),
    (2, 1, 3, 3),
    (1, 1, 0, 3),
    (1, 2, 1, 2, 1, 2),
)


def a_tensor(rng: random.Random) -> gs.Tensor:
    shape, dtype = (
        rng.choice(SHAPES),
        rng.choice((*DTYPES, "float32", "float32", "float32", "int64")),
    )
    values = np.random.default_rng(rng.randrange(2**32)).integers(-3, 4, shape)
    if rng.random() < 0.1:
        values = values * rng.choice((2**31, 2**40, 2**60))
    t = gs.tensor(np.asarray(values)).to(getattr(gs, dtype))
    if t.dtype.is_floating_point and rng.random() < 0.15:
        t = t * rng.choice((float("nan"), float("inf"), 1e30))
    kind = rng.random()
    if kind < 0.15 and t.dim() >= 2:
        t = t.transpose(0, -1)
    elif kind < 0.25 and t.dim() >= 1:
        t = _C._slice(t, 0, None, None, 2)
    elif kind < 0.35:
        t = t.expand(2, *t.shape)
    if t.dtype.is_floating_point and rng.random() < 0.3:
        t.requires_grad_(True)
    return t


def a_number(rng: random.Random) -> Any:
    return rng.choice(
        (
            *SMALL,
            *HUGE,
            0.5,
            -1.5,
            float("nan"),
            float("inf"),
            -float("inf"),
            1e300,
            True,
            np.int64(3),
            np.float32(2),
        )
    )


def anything(rng: random.Random) -> Any:
    return rng.choice(
        (
            None,
            "",
            "mean",
            "none",
            "ij,jk->ik",
            "\0",
            "é" * 50,
            b"x",
            object(),
            {},
            set(),
            1j,
            [],
            (),
            [None],
            [[1]],
            [1.5],
            float,
            slice(None),
            np.zeros(2),
            Ellipsis,
            gs.float32,
            gs.int64,
            "cpu",
            "cuda",
            "cuda:99",
            [1] * 50,
            range(3),
        )
    )


def some_ints(rng: random.Random) -> Any:
    value = [rng.choice(SMALL if rng.random() < 0.8 else HUGE) for _ in range(rng.randrange(5))]
    return tuple(value) if rng.random() < 0.5 else value


def one_value(rng: random.Random) -> Any:
    makers: tuple[Callable[[random.Random], Any], ...] = (
        a_tensor,
        a_tensor,
        a_number,
        a_number,
        some_ints,
        anything,
    )
    kind = rng.random()
    if kind < 0.1:
        return [a_tensor(rng) for _ in range(rng.randrange(4))]
    return rng.choice(makers)(rng)


def wild_call(rng: random.Random, signature: str) -> tuple[list, dict]:
    """Arguments from nothing but the number of parameters."""
    names = [
        p.split("=")[0].strip(" *")
        for p in signature[signature.index("(") + 1 : -1].split(",")
        if p.strip()
    ]
    needed = len([p for p in signature[signature.index("(") + 1 : -1].split(",") if "=" not in p])
    count = rng.randint(max(needed - (rng.random() < 0.05), 0), len(names) + (rng.random() < 0.03))
    args = [
        a_tensor(rng) if rng.random() < (0.8 if i == 0 else 0.2) else one_value(rng)
        for i in range(count)
    ]
    kwargs = {}
    if names and rng.random() < 0.1:
        kwargs[rng.choice((*names, "axis", "nonsense"))] = one_value(rng)
    return args, kwargs


def bent_call(rng: random.Random, name: str) -> tuple[list, dict]:
    """A call that is right but for one or two arguments."""
    sample = rng.choice(BY_NAME[name].cases())
    args = tensors(in_dtype(list(sample.args), rng.choice(("float32", "float64"))))
    kwargs = tensors(dict(sample.kwargs))
    for _ in range(rng.choice((1, 1, 2))):
        holder: Any = args
        at: Any = rng.randrange(len(args)) if args else None
        if kwargs and (at is None or rng.random() < 0.2):
            holder, at = kwargs, rng.choice(list(kwargs))
        if at is None:
            continue
        if isinstance(holder[at], list) and holder[at] and rng.random() < 0.6:
            holder = holder[at]
            at = rng.randrange(len(holder))
        old = holder[at]
        if isinstance(old, gs.Tensor) and rng.random() < 0.7:
            holder[at] = a_tensor(rng)
        elif isinstance(old, (int, float)) and rng.random() < 0.8:
            holder[at] = a_number(rng)
        elif isinstance(old, tuple) and old and rng.random() < 0.8:
            bent = list(old)
            bent[rng.randrange(len(bent))] = rng.choice((*SMALL, *HUGE))
            holder[at] = tuple(bent)
        else:
            holder[at] = one_value(rng)
    return args, kwargs


def describe(value: Any) -> str:
    if isinstance(value, gs.Tensor):
        mark = "!" if value.requires_grad else ""
        return f"{value.dtype}{tuple(value.shape)}{mark}/{tuple(value.stride())}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(describe(v) for v in value) + "]"
    return repr(value)[:60]


def main() -> None:
    seed, rounds = int(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(seed)
    _C.set_memory_limit(1 << 28)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a call that hangs ends the process
    tried = raised = 0
    for operation in sorted(_C.operations(), key=lambda o: o["name"]):
        name = operation["name"]
        call = function(name)
        for i in range(rounds):
            bent = name in BY_NAME and BY_NAME[name].cases() and i % 3
            args, kwargs = bent_call(rng, name) if bent else wild_call(rng, operation["signature"])
            print(
                "call",
                name,
                describe(args),
                {k: describe(v) for k, v in kwargs.items()},
                flush=True,
            )
            signal.alarm(20)
            tried += 1
            try:
                out = call(*args, **kwargs)
                for t in out if isinstance(out, tuple) else [out]:
                    if isinstance(t, gs.Tensor) and t.requires_grad and t.numel() < 10**6:
                        t.sum().backward()
            except ALLOWED as error:
                raised += 1
                assert str(error) or isinstance(error, MemoryError), "an exception without words"
            signal.alarm(0)
    print(f"{tried} operations tried, {raised} refused")


if __name__ == "__main__":
    main()
