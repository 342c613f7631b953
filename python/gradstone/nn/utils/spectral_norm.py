"""Weights divided by their largest singular value (Miyato et al., 2018)."""

from __future__ import annotations

from typing import Any, TypeVar

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone.autograd.grad_mode import no_grad
from gradstone.nn import functional as F
from gradstone.nn.modules.conv import _ConvTransposeNd
from gradstone.nn.modules.module import Module
from gradstone.nn.parameter import Parameter
from gradstone.nn.utils._computed import add, check, remove

M = TypeVar("M", bound=Module)


class SpectralNorm:
    """Computes weight = W / sigma before each forward, sigma = u . W v from the buffers u and v,
    which each forward in training brings nearer to the first singular vectors."""

    def __init__(self, name: str, iterations: int, dim: int, eps: float) -> None:
        self.name = name
        self.iterations = iterations
        self.dim = dim
        self.eps = eps

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight (rows of dim, everything else)."""
        rest = [d for d in range(weight.dim()) if d != self.dim]
        return weight.permute(self.dim, *rest).reshape(weight.size(self.dim), -1)

    def compute(self, module: Module, iterations: int = 0) -> Tensor:
        """The weight of now, after some iterations of u and v."""
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = self.matrix(weight)
        with no_grad():
            for _ in range(iterations):
                v.copy_(F.normalize(matrix.t() @ u, dim=0, eps=self.eps))
                u.copy_(F.normalize(matrix @ v, dim=0, eps=self.eps))
            u, v = u.clone(), v.clone()  # the graph keeps those of now, later forwards change them
        return weight / (u @ (matrix @ v))

    def __call__(self, module: Module, args: Any) -> None:
        weight = self.compute(module, self.iterations if module.training else 0)
        object.__setattr__(module, self.name, weight)


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divides the parameter `name`, as a matrix with the rows of `dim` (outputs, unless given), by
    its largest singular value before each forward. The parameter becomes `name`_orig, beside the
    buffers `name`_u and `name`_v."""
    weight = check("spectral_norm", module, name, SpectralNorm)
    whole("spectral_norm", "n_power_iterations", n_power_iterations, 1)
    if dim is None:
        dim = 1 if isinstance(module, _ConvTransposeNd) else 0
    if weight.dim() == 0 or not -weight.dim() <= dim < weight.dim():
        raise ValueError(
            f"[spectral_norm] expected dim to be one of {name} of shape {tuple(weight.shape)}, got "
            f"{dim}."
        )
    rule = SpectralNorm(name, n_power_iterations, dim % weight.dim(), eps)
    with no_grad():
        for part, size in zip("uv", rule.matrix(weight).shape):
            vector = _C._empty((size,), weight.dtype, weight.device)
            _C._normal_(vector, 0.0, 1.0)
            module.register_buffer(f"{name}_{part}", F.normalize(vector, dim=0, eps=eps))
    original = Parameter(weight.detach(), weight.requires_grad)
    add(module, name, rule, {f"{name}_orig": original})
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """The quotient becomes the parameter `name` again."""
    rule: SpectralNorm = remove("spectral_norm", module, name, SpectralNorm)
    with no_grad():
        weight = rule.compute(module)
    for part in ("orig", "u", "v"):
        delattr(module, f"{name}_{part}")
    module.register_parameter(name, Parameter(weight))
    return module
