"""gradstone and PyTorch as the rows see them: one set of names, and a clock of the device's.

A clock's interval is measured by two events in the stream. Where there is no GPU, PyTorch runs on
the CPU by the host's clock: that shows that the rows run, and its figures are not shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Missing(Exception):
    """The library does not have what the row needs."""


class Library:
    """What both have in common. `T` is the module, `device` where tensors live."""

    name = ""
    T: Any
    device = "cuda"
    note = ""  # what a row has to say of how it ran
    compiles = False  # torch.compile too

    def __init__(self, tiny: bool) -> None:
        self.tiny = tiny
        self._plug: Any = None
        self._plug_seconds = 0.0

    @property
    def is_torch(self) -> bool:
        return self.name == "torch"

    @property
    def F(self) -> Any:
        return self.T.nn.functional

    def dtype(self, name: str) -> Any:
        return getattr(self.T, name)

    def randn(self, *shape: int, dtype: str = "float32", grad: bool = False) -> Any:
        # Drawn in float32 on the device: not every library draws 16-bit floats.
        x = self.T.randn(*shape, device=self.device).to(self.dtype(dtype))
        return x.detach().requires_grad_() if grad else x

    def randint(self, high: int, *shape: int) -> Any:
        return self.T.randint(0, high, shape, device=self.device)

    def need(self, where: Any, name: str) -> Any:
        """An attribute, or Missing."""
        if not hasattr(where, name):
            raise Missing(f"{self.name} has no {name}")
        return getattr(where, name)

    # ---- the clock

    def synchronize(self) -> None:
        self.T.cuda.synchronize()

    def events(self) -> tuple[Any, Any]:
        return tuple(self.T.cuda.Event(enable_timing=True) for _ in range(2))

    def interval(self, events: tuple[Any, Any], work: Callable[[], None]) -> float:
        """Seconds between an event before the work and one behind it."""
        begin, end = events
        begin.record()
        work()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3

    def busy(self, seconds: float) -> None:
        """Gives the device work for so long, so that what follows is all in the stream before it
        begins: then the events hold no time in which the device waited for the host."""
        if self._plug is None:
            self._plug = self.T.zeros((1 << 10) if self.tiny else (1 << 26), device=self.device)
            self._plug.add_(1.0)
            once = self.interval(self.events(), lambda: self._plug.add_(1.0))
            self._plug_seconds = max(once, 1e-5)
        for _ in range(min(64, 1 + int(seconds / self._plug_seconds))):
            self._plug.add_(1.0)

    def empty_cache(self) -> None:
        self.T.cuda.empty_cache()

    # ---- settings

    def float32_products(self, how: str) -> None:
        """exact, tf32 or 3xtf32."""
        raise NotImplementedError

    def graphed(self, step: Callable[[], Any]) -> Callable[[], Any]:
        """The step recorded once and replayed."""
        cuda = self.T.cuda
        record, make = self.need(cuda, "graph"), self.need(cuda, "CUDAGraph")
        stream = cuda.Stream()
        stream.wait_stream(cuda.current_stream())
        with cuda.stream(stream):
            for _ in range(3):
                step()
        cuda.current_stream().wait_stream(stream)
        graph = make()
        with record(graph):
            step()

        def replay(kept: Any = step) -> None:  # what the graph reads and writes lives on with it
            graph.replay()

        return replay

    def settings(self) -> dict[str, Any]:
        raise NotImplementedError


class Gradstone(Library):
    name = "gradstone"

    def __init__(self, tiny: bool) -> None:
        super().__init__(tiny)
        import gradstone

        self.T = gradstone
        gradstone.manual_seed(0)

    def float32_products(self, how: str) -> None:
        words = {"exact": "highest", "3xtf32": "high", "tf32": "medium"}
        self.T.set_float32_matmul_precision(words[how])

    def settings(self) -> dict[str, Any]:
        return {
            "version": self.T.__version__,
            "device": self.T.cuda.get_device_name(),
            "float32_matmul_precision": self.T.get_float32_matmul_precision(),
            "memory format": "channels first",
        }


class Torch(Library):
    name = "torch"

    def __init__(self, tiny: bool, device: str = "cuda") -> None:
        super().__init__(tiny)
        import torch

        self.T, self.device = torch, device
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = True
        if device == "cuda" and not torch.cuda.is_available():
            raise Missing("this PyTorch sees no GPU")

    def float32_products(self, how: str) -> None:
        if how == "3xtf32":
            raise Missing("PyTorch has no products in three parts")
        self.T.backends.cuda.matmul.allow_tf32 = how == "tf32"
        self.T.backends.cudnn.allow_tf32 = how == "tf32"

    # On the CPU, to see whether the rows run.

    def synchronize(self) -> None:
        if self.device == "cuda":
            super().synchronize()

    def events(self) -> tuple[Any, Any]:
        return super().events() if self.device == "cuda" else (None, None)

    def interval(self, events: tuple[Any, Any], work: Callable[[], None]) -> float:
        if self.device == "cuda":
            return super().interval(events, work)
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    def empty_cache(self) -> None:
        if self.device == "cuda":
            super().empty_cache()

    def graphed(self, step: Callable[[], Any]) -> Callable[[], Any]:
        if self.device != "cuda":
            raise Missing("no graphs on the CPU")
        return super().graphed(step)

    def settings(self) -> dict[str, Any]:
        b = self.T.backends
        out = {
            "version": self.T.__version__,
            "device": self.device,
            "matmul.allow_tf32": b.cuda.matmul.allow_tf32,
            "cudnn.allow_tf32": b.cudnn.allow_tf32,
            "cudnn.benchmark": b.cudnn.benchmark,
            "float32_matmul_precision": self.T.get_float32_matmul_precision(),
            "bf16 reduced precision reduction":
                b.cuda.matmul.allow_bf16_reduced_precision_reduction,
            "memory format": "NCHW and channels_last, a row's name says which",
        }  # fmt: skip
        if self.device == "cuda":
            out |= {
                "device": self.T.cuda.get_device_name(),
                "cuda": self.T.version.cuda,
                "cudnn": b.cudnn.version(),
                "sdp": {
                    name: getattr(b.cuda, f"{name}_sdp_enabled")()
                    for name in ("flash", "mem_efficient", "math", "cudnn")
                },
            }
        return out


def library(name: str, tiny: bool, torch_device: str) -> Library:
    return Gradstone(tiny) if name == "gradstone" else Torch(tiny, torch_device)
