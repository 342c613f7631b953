"""TensorBoard's event files, by tensorboardX (``pip install 'gradstone[tensorboard]'``)."""

from __future__ import annotations

try:
    from tensorboardX import SummaryWriter
except ImportError:
    raise ImportError(
        "gradstone.utils.tensorboard writes with tensorboardX: pip install 'gradstone[tensorboard]'"
    ) from None

__all__ = ["SummaryWriter"]
