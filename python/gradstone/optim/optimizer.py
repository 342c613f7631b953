"""The base class of optimizers: parameter groups, state, and both as dictionaries in PyTorch's
layout."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._capture import recording
from gradstone._checks import real
from gradstone.autograd.grad_mode import enable_grad
from gradstone.utils.hooks import HookDict, RemovableHandle, add_hook

Params = Iterable[Any]
Closure = Callable[[], Any]


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required: Any = _Required()


class Optimizer:
    """Steps parameters by their gradients.

    `params`: tensors, (name, tensor) pairs, or dicts with the key "params" and options of that
    group. Subclasses write ``step``.
    """

    # Set by built-in optimizers, so that a scheduler can warn about the wrong order.
    _stepped: bool | None = None
    # What a GradScaler's step lays beside the parameters: the native step does nothing unless it
    # is 0.
    _found_inf: Tensor | None = None

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise TypeError(
                f"[{type(self).__name__}] expected params to be an iterable of tensors or dicts, "
                f"for example model.parameters(), got {type(params).__name__}."
            )
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._pre_hooks: HookDict = HookDict()
        self._post_hooks: HookDict = HookDict()
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds {"params": ..., options}: options left out take the optimizer's."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        if "params" not in param_group:
            raise ValueError(
                f"[{type(self).__name__}] expected a parameter group with the key 'params', got "
                f"the keys {list(param_group)}."
            )
        given = param_group["params"]
        if isinstance(given, Tensor):
            members: list[Any] = [given]
        elif isinstance(given, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        else:
            members = list(given)
        group = dict(param_group)
        if members and isinstance(members[0], tuple):
            group["param_names"] = [name for name, _ in members]
            members = [param for _, param in members]
        for param in members:
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is "
                    f"{type(param).__name__}"
                )
            if not param.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        group["params"] = members
        for name, default in self.defaults.items():
            if default is required and name not in group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            group.setdefault(name, default)
        if len({id(p) for p in members}) != len(members):
            raise ValueError("some parameters appear more than once in one parameter group")
        known = {id(p) for g in self.param_groups for p in g["params"]}
        if any(id(p) in known for p in members):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops all gradients, or sets them to 0."""
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param.grad = None
                elif param.grad is not None:
                    param.grad = param.grad.detach().zero_()

    def step(self, closure: Closure | None = None) -> Any:
        """One update. `closure` computes the loss and gradients anew and is called first."""
        args: tuple[Any, ...] = (self,) if closure is None else (self, closure)
        kwargs: dict[str, Any] = {}
        if self._pre_hooks:
            for hook in list(self._pre_hooks.values()):
                changed = hook(self, args, kwargs)
                if changed is not None:
                    args, kwargs = _checked_arguments(changed)
            closure = args[1] if len(args) > 1 else kwargs.get("closure")
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        self._stepped = True
        if self._post_hooks:
            for hook in list(self._post_hooks.values()):
                hook(self, args, kwargs)
        return loss

    def _layout(self, group: dict[str, Any]) -> Any:
        """The options that decide which state a step needs."""

    def _replay_with(self, group: dict[str, Any], patch: Callable[[], None]) -> None:
        """The step of the group was captured: has replays call `patch`, which does it again with
        the options of then. It only writes numbers down for the graph."""
        state, layout = self.state, self._layout(group)

        def checked() -> None:
            if self.state is not state or self._layout(group) != layout:
                raise RuntimeError(
                    f"[replay] the state of {type(self).__name__} was loaded, or its options ask "
                    "for other state, after the graph was captured: capture it anew."
                )
            patch()

        recording.add(checked)

    def _step_group(self, group: dict[str, Any]) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not say how to step.")

    def _reads_found_inf(self) -> bool:
        """Whether the native step looks at `_found_inf` by itself, so that nobody waits for it."""
        return False

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """hook(optimizer, args, kwargs) before each step and its closure; args begin with the
        optimizer. A pair (args, kwargs) that it returns takes their place."""
        return add_hook(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """hook(optimizer, args, kwargs) after each step."""
        return add_hook(self._post_hooks, hook)

    # ------------------------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: state}, "param_groups": [options and numbers]}; tensors are shared."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                numbers.setdefault(id(param), len(numbers))
            packed = {k: v for k, v in group.items() if k != "params"}
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {numbers.get(id(k), k): v for k, v in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes a copy of what ``state_dict`` gave, for the same parameters in the same order."""
        for key in ("state", "param_groups"):
            if key not in state_dict:
                raise ValueError(
                    f"[{type(self).__name__}] expected a state dict with the key {key!r}, got the "
                    f"keys {list(state_dict)}."
                )
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(g["params"]) != len(s["params"]) for g, s in zip(self.param_groups, saved)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group"
            )
        numbers = chain.from_iterable(g["params"] for g in saved)
        params = chain.from_iterable(g["params"] for g in self.param_groups)
        by_number = dict(zip(numbers, params))
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for number, values in state_dict["state"].items():
            param = by_number.get(number)
            if param is None:
                state[number] = copy.copy(values)
            else:
                state[param] = {k: _fit(k, v, param) for k, v in values.items()}
        groups = []
        for group, packed in zip(self.param_groups, saved):
            new = copy.deepcopy({k: v for k, v in packed.items() if k != "params"})
            for name, value in self.defaults.items():
                new.setdefault(name, value)
            new["params"] = group["params"]
            groups.append(new)
        self.state = state
        self.param_groups = groups

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._pre_hooks = HookDict()
        self._post_hooks = HookDict()

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            for key in sorted(group):
                if key != "params":
                    text += f"    {key}: {group[key]}\n"
        return text + ")"


def _checked_arguments(changed: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a hook before the step returned: new arguments of step."""
    if isinstance(changed, tuple) and len(changed) == 2:
        args, kwargs = changed
        if isinstance(args, tuple) and isinstance(kwargs, dict):
            return args, kwargs
    raise RuntimeError(
        "[Optimizer.step] a hook before the step must return None or a pair (args, kwargs), got "
        f"{changed!r}."
    )


def _fit(name: str, value: Any, param: Tensor) -> Any:
    """A copy of a state value, in the dtype and place of its parameter; step counters stay as they
    are."""
    if isinstance(value, Tensor):
        if name != "step" and param.dtype.is_floating_point:
            return value.detach().to(dtype=param.dtype, device=param.device, copy=True)
        return value.detach().clone()
    if isinstance(value, dict):
        return {k: _fit(k, v, param) for k, v in value.items()}
    return copy.copy(value)


def check(name: str, value: Any, below: float = math.inf) -> None:
    """TypeError for what is no number; outside 0 <= value < below ValueError in PyTorch's words."""
    if not 0.0 <= number(real("optimizer", name, value)) < below:
        raise ValueError(f"Invalid {name}: {value}")


def number(value: Any) -> float:
    """An option that may be a 0-dimensional tensor."""
    return value.item() if isinstance(value, Tensor) else value


def zeros_like(param: Tensor) -> Tensor:
    """State of a parameter's shape. RuntimeError while a graph is captured: replays would make it
    anew."""
    if _C._cuda_is_capturing():
        raise RuntimeError(
            "[Optimizer.step] the first step makes the optimizer's state, and cannot be part of a "
            "captured graph: do one step before (gs.cuda.make_graphed_step does)."
        )
    return _C._full(tuple(param.shape), 0, param.dtype, param.device)


def refuse_differentiable(differentiable: bool) -> None:
    """NotImplementedError for an argument of PyTorch's that cannot be ignored."""
    if differentiable:
        raise NotImplementedError("differentiable optimizers are not offered.")
