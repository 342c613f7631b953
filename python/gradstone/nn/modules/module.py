"""The base class of everything that has parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gradstone import _C
from gradstone._C import Tensor
from gradstone._tensor import parse_to
from gradstone._types import DeviceLike
from gradstone.autograd.grad_mode import no_grad
from gradstone.nn.modules._backward_hooks import BackwardHooks
from gradstone.nn.modules._registry import REGISTRIES, Registry
from gradstone.nn.modules._state import ModuleState
from gradstone.nn.parameter import Parameter
from gradstone.utils.hooks import HookDict, RemovableHandle, add_hook

M = TypeVar("M", bound="Module")

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def _addindent(text: str, spaces: int) -> str:
    first, *rest = text.split("\n")
    return "\n".join([first, *(" " * spaces + line for line in rest)])


class Module(ModuleState):
    """Parameters, buffers and child modules, and a ``forward`` that uses them.

    Assigning a :class:`Parameter` or a module to an attribute registers it; ``register_buffer``
    does so for tensors that are state but are not trained.
    """

    training: bool
    _has_hooks: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or kwargs:
            given = next(iter(kwargs)) if kwargs else f"{len(args)} positional"
            raise TypeError(f"{type(self).__name__}.__init__() got unexpected arguments: {given}.")
        values = self.__dict__
        values["training"] = True
        for name in REGISTRIES:
            values[name] = Registry(self)
        values["_non_persistent_buffers_set"] = set()
        for name in _HOOKS:
            values[name] = HookDict()
        values["_has_hooks"] = False

    # --------------------------------------------------------------------------------- calling

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; written by every subclass."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._has_hooks:
            return self.forward(*args, **kwargs)
        return self._call_with_hooks(args, kwargs)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for key, hook in list(self._forward_pre_hooks.items()):
            if key in self._forward_pre_hooks_with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError(
                            "forward pre-hook must return None or a tuple of (new_args, "
                            f"new_kwargs), but got {changed}."
                        )
                    args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        backward = None
        if self._backward_hooks or self._backward_pre_hooks:
            backward = BackwardHooks(
                self, list(self._backward_hooks.values()), list(self._backward_pre_hooks.values())
            )
            args = backward.watch_inputs(args)
        result = self.forward(*args, **kwargs)
        for key, hook in list(self._forward_hooks.items()):
            if key in self._forward_hooks_with_kwargs:
                changed = hook(self, args, kwargs, result)
            else:
                changed = hook(self, args, result)
            if changed is not None:
                result = changed
        return result if backward is None else backward.watch_outputs(result)

    def _add_hook(
        self,
        hooks: HookDict,
        hook: Callable[..., Any],
        prepend: bool = False,
        flags: HookDict | None = None,
    ) -> RemovableHandle:
        self.__dict__["_has_hooks"] = True
        return add_hook(hooks, hook, prepend, flags)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """hook(module, args) before forward; what it returns replaces the arguments."""
        flags = self._forward_pre_hooks_with_kwargs if with_kwargs else None
        return self._add_hook(self._forward_pre_hooks, hook, prepend, flags)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """hook(module, args, output) after forward; what it returns replaces the output."""
        flags = self._forward_hooks_with_kwargs if with_kwargs else None
        return self._add_hook(self._forward_hooks, hook, prepend, flags)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """hook(module, grad_input, grad_output) once both are known; its result replaces
        grad_input."""
        return self._add_hook(self._backward_hooks, hook, prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """hook(module, grad_output) before the module's backward; its result replaces
        grad_output."""
        return self._add_hook(self._backward_pre_hooks, hook, prepend)

    # ------------------------------------------------------------------------------- registering

    def _check_name(self, name: str, kind: str, registry: dict[str, Any]) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in registry:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter (or None, which reserves the name)."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name(name, "parameter", self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                    "(gradstone.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must "
                    "be created explicitly."
                )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds state that is not trained; in ``state_dict`` unless `persistent` is False."""
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name(name, "buffer", self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' "
                "(gradstone Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """``add_module`` under another name."""
        self.add_module(name, module)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a child."""
        if "_modules" not in self.__dict__:
            raise AttributeError("cannot assign module before Module.__init__() call")
        if not isinstance(module, Module) and module is not None:
            if isinstance(module, type):
                hint = f"the class {module.__name__}; make one with {module.__name__}(...)"
            else:
                hint = type(module).__name__
            raise TypeError(f"[{type(self).__name__}] expected a module for '{name}', got {hint}.")
        self._check_name(name, "module", self._modules)
        self._modules[name] = module

    def __setattr__(self, name: str, value: Any) -> None:
        values = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in values:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
            return
        if isinstance(value, Module):
            if "_modules" not in values:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_modules")
            self._modules[name] = value
            return
        if "_parameters" in values:
            for registry, kind, wanted in (
                ("_parameters", "parameter", "gradstone.nn.Parameter"),
                ("_modules", "child module", "gradstone.nn.Module"),
                ("_buffers", "buffer", "gradstone.Tensor"),
            ):
                if name in values[registry]:
                    tensor = registry == "_buffers" and isinstance(value, Tensor)
                    if value is not None and not tensor:
                        raise TypeError(
                            f"cannot assign '{type(value).__name__}' as {kind} '{name}' "
                            f"({wanted} or None expected)"
                        )
                    values[registry][name] = value
                    return
        object.__setattr__(self, name, value)

    def _forget(self, name: str, keep: str) -> None:
        """Drops `name` wherever it stands, but in the registry `keep`."""
        values = self.__dict__
        if name in values[keep]:
            return
        for registry in REGISTRIES:
            values[registry].pop(name, None)
        self._non_persistent_buffers_set.discard(name)
        values.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for registry in REGISTRIES:
            if name in self.__dict__[registry]:
                del self.__dict__[registry][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        values = self.__dict__
        values.update(state)
        for name in REGISTRIES:
            values[name] = Registry(self, values[name])
        for name in _HOOKS:
            values[name] = HookDict(values.get(name, {}))

    def __dir__(self) -> list[str]:
        return sorted({*dir(type(self)), *self.__dict__})

    # ---------------------------------------------------------------------------------- changing

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """fn(module) for every module below, children first, then for this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def _apply(self: M, fn: Callable[[Tensor], Tensor]) -> M:
        for child in self.children():
            child._apply(fn)
        for param in self._parameters.values():
            if param is not None:
                with no_grad():
                    param.data = fn(param.detach())
                    if param.grad is not None:
                        param.grad = fn(param.grad.detach())
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """to(dtype), to(device), to(device, dtype), to(tensor): floating parameters and buffers
        change dtype, all change device. In place. ``non_blocking`` as in ``Tensor.to``."""
        dtype, device, non_blocking, _ = parse_to(args, kwargs)
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(
                f"nn.Module.to only accepts floating point dtypes, but got desired dtype={dtype}"
            )

        def convert(t: Tensor) -> Tensor:
            if dtype is not None and t.dtype.is_floating_point:
                t = _C._cast(t, dtype)
            return t if device is None else _C._to_device(t, device, non_blocking)

        return self._apply(convert)

    def _to_dtype(self: M, dtype: Any) -> M:
        return self._apply(lambda t: _C._cast(t, dtype) if t.dtype.is_floating_point else t)

    def float(self: M) -> M:
        """Floating parameters and buffers become float32."""
        return self._to_dtype(_C.float32)

    def double(self: M) -> M:
        """Floating parameters and buffers become float64."""
        return self._to_dtype(_C.float64)

    def half(self: M) -> M:
        """Floating parameters and buffers become float16."""
        return self._to_dtype(_C.float16)

    def bfloat16(self: M) -> M:
        """Floating parameters and buffers become bfloat16."""
        return self._to_dtype(_C.bfloat16)

    def cpu(self: M) -> M:
        """Everything to main memory."""
        return self._apply(lambda t: _C._to_device(t, "cpu"))

    def cuda(self: M, device: DeviceLike = None) -> M:
        """Everything to a GPU. RuntimeError where there is none."""
        return self._apply(lambda t: _C._to_device(t, "cuda" if device is None else device))

    def train(self: M, mode: bool = True) -> M:
        """Training or evaluation mode, for this module and all below it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self: M) -> M:
        """``train(False)``."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Sets ``requires_grad`` of all parameters."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradients of all parameters, or sets them to 0."""
        for param in self.parameters():
            if param.grad is None:
                continue
            if set_to_none:
                param.grad = None
            else:
                param.grad = param.grad.detach().zero_()

    def share_memory(self: M) -> M:
        """The module itself: forked workers see the parent's memory as it was."""
        return self

    # -------------------------------------------------------------------------------------- text

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands in the brackets of the module's text."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [
            f"({name}): {_addindent(repr(child), 2)}" for name, child in self._modules.items()
        ]
        if not children and len(lines) <= 1:
            return f"{self._get_name()}({''.join(lines)})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines + children) + "\n)"
