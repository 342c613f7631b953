"""Parameters that become plain tensors, computed from others before each forward."""

from __future__ import annotations

from typing import Any, Protocol

from gradstone._C import Tensor
from gradstone.nn.modules.module import Module
from gradstone.nn.parameter import Parameter


class Rule(Protocol):
    """A forward pre-hook that sets the tensor `name`."""

    name: str

    def compute(self, module: Module) -> Tensor:
        """The tensor of now."""

    def __call__(self, module: Module, args: Any) -> None: ...


def _found(module: Module, name: str, kind: type[Any]) -> int | None:
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, kind) and hook.name == name:
            return key
    return None


def check(op: str, module: Module, name: str, kind: type[Any]) -> Parameter:
    """The parameter to be replaced. RuntimeError when it is already, ValueError when there is
    none."""
    if _found(module, name, kind) is not None:
        raise RuntimeError(f"[{op}] {name} of {type(module).__name__} has it already.")
    weight = module._parameters.get(name)
    if weight is None:
        names = [n for n, _ in module.named_parameters(recurse=False)]
        raise ValueError(
            f"[{op}] expected the name of a parameter of {type(module).__name__}, which has "
            f"{names}, got {name!r}."
        )
    return weight


def add(module: Module, name: str, rule: Rule, parts: dict[str, Parameter]) -> None:
    """Registers the parts in the place of the parameter."""
    delattr(module, name)
    for part, value in parts.items():
        module.register_parameter(part, value)
    # A module can be copied as long as it holds no result of operations.
    object.__setattr__(module, name, rule.compute(module).detach())
    module.register_forward_pre_hook(rule)


def remove(op: str, module: Module, name: str, kind: type[Any]) -> Any:
    """Takes the rule and the computed tensor away; the parts stay. ValueError when there is no
    rule."""
    key = _found(module, name, kind)
    if key is None:
        raise ValueError(f"[{op}] {name!r} of {type(module).__name__} has none to remove.")
    rule = module._forward_pre_hooks.pop(key)
    delattr(module, name)
    return rule
