"""What programs written for PyTorch ask of its backends and tell them.

There is one core here, so the answers are short: `cudnn`, `mkldnn` and `mps` do not exist, and
results are deterministic whatever is set. ``backends.cuda.matmul.allow_tf32`` counts, and is
``set_float32_matmul_precision`` under another name.
"""

from gradstone.backends import cuda, cudnn, mkldnn, mps

__all__ = ["cuda", "cudnn", "mkldnn", "mps"]
