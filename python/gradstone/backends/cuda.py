"""How products are made on a GPU."""

from __future__ import annotations

from gradstone import _C
from gradstone.config import get_float32_matmul_precision, set_float32_matmul_precision


class _Matmul:
    @property
    def allow_tf32(self) -> bool:
        """Whether float32 products may use the tensor cores: a precision other than "highest"."""
        return get_float32_matmul_precision() != "highest"

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        set_float32_matmul_precision("high" if allowed else "highest")


matmul = _Matmul()


def is_built() -> bool:
    """Whether the kernels for CUDA are in this build."""
    return bool(_C._cuda_built())
