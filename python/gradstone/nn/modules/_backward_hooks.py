"""Hooks that see the gradients of a whole module: one gate before it, one behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.function import Function

if TYPE_CHECKING:
    from gradstone.nn.modules.module import Module

Grads = tuple[Tensor | None, ...]


class _Gate(Function):
    """The identity. Its backward passes the gradients through `rule`."""

    @staticmethod
    def forward(ctx: Any, rule: Callable[[Grads], Grads], *tensors: Tensor) -> Any:
        ctx.rule = rule
        ctx.set_materialize_grads(False)
        return tuple(t.view_as(t) for t in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        return (None, *ctx.rule(grads))


class BackwardHooks:
    """One forward call's hooks: the outer gate notes grad_output, the inner one ends with
    grad_input."""

    def __init__(
        self, module: Module, hooks: list[Callable[..., Any]], pre_hooks: list[Callable[..., Any]]
    ) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_output: Grads = ()
        self.input_count = 0
        self.inputs_need_grad = False

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, tensors behind a gate."""
        self.input_count = len(args)
        where = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        if not _C.is_grad_enabled() or not any(args[i].requires_grad for i in where):
            return args
        self.inputs_need_grad = True

        def rule(grads: Grads) -> Grads:
            full: list[Tensor | None] = [None] * self.input_count
            for i, g in zip(where, grads):
                full[i] = g
            out = self._run(tuple(full))
            return tuple(out[i] for i in where)

        gated = _Gate.apply(rule, *(args[i] for i in where))
        new = list(args)
        for i, t in zip(where, gated):
            new[i] = t
        return tuple(new)

    def watch_outputs(self, result: Any) -> Any:
        """The result, tensors behind a gate. Results other than a tensor or a tuple of tensors
        pass."""
        single = isinstance(result, Tensor)
        if not single and not isinstance(result, (tuple, list)):
            return result
        outputs = [result] if single else list(result)
        where = [i for i, t in enumerate(outputs) if isinstance(t, Tensor) and t.requires_grad]
        if not where:
            return result

        def rule(grads: Grads) -> Grads:
            full: list[Tensor | None] = [None] * len(outputs)
            for i, g in zip(where, grads):
                full[i] = g
            given = tuple(full)
            for hook in self.pre_hooks:
                changed = hook(self.module, given)
                if changed is not None:
                    given = changed if isinstance(changed, tuple) else (changed,)
            self.grad_output = given
            if not self.inputs_need_grad:
                self._run((None,) * self.input_count)
            return tuple(given[i] for i in where)

        for i, t in zip(where, _Gate.apply(rule, *(outputs[i] for i in where))):
            outputs[i] = t
        if single:
            return outputs[0]
        return type(result)(*outputs) if hasattr(result, "_fields") else type(result)(outputs)

    def _run(self, grad_input: Grads) -> Grads:
        for hook in self.hooks:
            changed = hook(self.module, grad_input, self.grad_output)
            if changed is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != len(grad_input):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, "
                    f"got {len(changed)}, but expected {len(grad_input)}"
                )
            grad_input = changed
        return grad_input
