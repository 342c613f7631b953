"""Gradients against central differences, in float64.

For each input element the function is evaluated a little to both sides; the slope of every output
element must agree with what backward says: |a - n| <= atol + rtol * |n|.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient disagrees with differences, or could not be checked."""


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    return [v for v in values if isinstance(v, Tensor)]


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    out = func(*inputs)
    if not isinstance(out, (Tensor, tuple, list)):
        raise GradcheckError(f"the function must return tensors, got {type(out).__name__}.")
    return [t for t in _tensors(out) if t.dtype.is_floating_point]


def _array(t: Tensor) -> np.ndarray:
    return np.array(t.detach().numpy(), dtype=np.float64)


def numerical_jacobians(
    func: Callable[..., Any], inputs: Sequence[Any], target: Tensor, eps: float
) -> list[np.ndarray]:
    """One (elements of target, elements of output) matrix for each output."""
    memory = target.detach().numpy()  # the input's own memory: written and put back
    rows: list[list[np.ndarray]] = []
    with no_grad():
        for where in np.ndindex(*memory.shape):
            before = memory[where]
            memory[where] = before + eps
            high = [_array(t) for t in _outputs(func, inputs)]
            memory[where] = before - eps
            low = [_array(t) for t in _outputs(func, inputs)]
            memory[where] = before
            rows.append([((h - l) / (2 * eps)).reshape(-1) for h, l in zip(high, low)])
        count = len(_outputs(func, inputs)) if not rows else len(rows[0])
    if not rows:
        return [np.zeros((0, 0))] * count
    return [np.stack([row[i] for row in rows]) for i in range(count)]


def analytical_jacobian(output: Tensor, target: Tensor) -> np.ndarray:
    """(elements of target, elements of output), one backward for each output element."""
    size = output.numel()
    jacobian = np.zeros((target.numel(), size))
    if not output.requires_grad:
        return jacobian
    for i in range(size):
        weight = np.zeros(size)
        weight[i] = 1.0
        seed = _C._cast(_C.from_numpy(weight), output.dtype).reshape(tuple(output.shape))
        (gradient,) = _C.grad([output], [target], [seed], True, False, True)
        if gradient is not None:
            if gradient.shape != target.shape or gradient.dtype != target.dtype:
                raise GradcheckError(
                    f"the gradient has shape {tuple(gradient.shape)} and dtype {gradient.dtype}, "
                    f"the input {tuple(target.shape)} and {target.dtype}."
                )
            jacobian[:, i] = _array(gradient).reshape(-1)
    return jacobian


def _check_inputs(inputs: Sequence[Any]) -> list[tuple[int, Tensor]]:
    targets = [(i, t) for i, t in enumerate(inputs) if isinstance(t, Tensor) and t.requires_grad]
    if not targets:
        raise ValueError("gradcheck expects at least one input that requires a gradient.")
    for i, t in targets:
        if not t.dtype.is_floating_point:
            raise ValueError(f"gradcheck input {i} must be floating, got {t.dtype}.")
        if any(size > 1 and stride == 0 for size, stride in zip(t.shape, t.stride())):
            raise ValueError(f"gradcheck input {i} is expanded: elements share memory. Clone it.")
    return targets


def _compare(func: Any, inputs: Sequence[Any], eps: float, atol: float, rtol: float) -> None:
    targets = _check_inputs(inputs)
    outputs = _outputs(func, inputs)
    if not any(t.requires_grad for t in outputs):
        raise ValueError("gradcheck expects an output that requires a gradient, got none.")
    for position, target in targets:
        numerical = numerical_jacobians(func, inputs, target, eps)
        for o, output in enumerate(outputs):
            expected = numerical[o].reshape(target.numel(), output.numel())
            got = analytical_jacobian(output, target)
            close = np.abs(got - expected) <= atol + rtol * np.abs(expected)
            close |= got == expected
            if not close.all():
                row, column = np.argwhere(~close)[0]
                single = target.dtype != _C.float64
                hint = (
                    "\nThe input is not float64; differences need that precision." if single else ""
                )
                raise GradcheckError(
                    f"Jacobian mismatch for output {o} with respect to input {position}: "
                    f"{int((~close).sum())} of {close.size} entries, the first at input element "
                    f"{row}, "
                    f"output element {column}: numerical {expected[row, column]:.8g}, "
                    f"analytical {got[row, column]:.8g} (atol {atol}, rtol {rtol}).{hint}\n"
                    f"numerical:\n{expected}\nanalytical:\n{got}"
                )


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
    check_undefined_grad: bool = True,
    check_batched_grad: bool = False,
) -> bool:
    """True when every gradient of func(*inputs) agrees with central differences.

    `inputs`: float64 tensors that require gradients, and whatever else the function takes.
    Otherwise GradcheckError, or False with ``raise_exception=False``. The last four arguments are
    PyTorch's and change nothing: the whole Jacobian is always checked, and results never depend on
    chance.
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    try:
        _compare(func, given, eps, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    gen_non_contig_grad_outputs: bool = False,
    fast_mode: bool = False,
    check_undefined_grad: bool = True,
    check_batched_grad: bool = False,
) -> bool:
    """Second derivatives: gradcheck of the gradient as a function of the inputs and of its weights.

    Without `grad_outputs` the weights are fixed pseudo-random numbers.
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outputs = [t for t in _outputs(func, given) if t.requires_grad]
    if grad_outputs is None:
        chance = np.random.default_rng(0)
        weights = [
            _C._cast(_C.from_numpy(chance.uniform(-1, 1, tuple(t.shape))), t.dtype).requires_grad_(
                True
            )
            for t in outputs
        ]
    else:
        weights = _tensors(grad_outputs)
    count = len(given)

    def first_derivative(*args: Any) -> tuple[Tensor, ...]:
        xs, ws = args[:count], args[count:]
        # Differences call this under no_grad, but it needs its own graph; leaves stay leaves.
        before = _C.is_grad_enabled()
        _C.set_grad_enabled(True)
        try:
            results = [t for t in _outputs(func, xs) if t.requires_grad]
            leaves = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
            grads = _C.grad(results, leaves, list(ws), True, True, True)
        finally:
            _C.set_grad_enabled(before)
        return tuple(g for g in grads if g is not None)

    try:
        try:
            _compare(first_derivative, (*given, *weights), eps, atol, rtol)
        except ValueError as error:
            if "an output that requires" not in str(error):
                raise  # a linear function: its gradient depends on the weights alone, or on nothing
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True
