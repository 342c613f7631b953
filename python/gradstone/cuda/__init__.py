"""The CUDA device, under PyTorch's names. Without one, questions have the answer no and everything
else raises RuntimeError.

Work is put into a stream and runs in its order: a call returns when the work is in the stream, not
when it is done. `synchronize` waits; reading a value (`.item()`, `.numpy()`, `.cpu()`) waits too.
"""

from __future__ import annotations

from gradstone import random as _random
from gradstone._C import Tensor
from gradstone.cuda.devices import (
    DeviceProperties,
    current_device,
    device,
    device_count,
    get_device_capability,
    get_device_name,
    get_device_properties,
    is_available,
    is_initialized,
    set_device,
    synchronize,
)
from gradstone.cuda.graphed_step import GraphedStep, make_graphed_step
from gradstone.cuda.graphs import (
    CUDAGraph,
    graph,
    graph_pool_handle,
    is_current_stream_capturing,
)
from gradstone.cuda.memory import (
    empty_cache,
    max_memory_allocated,
    memory_allocated,
    memory_reserved,
    memory_stats,
    memory_summary,
    reset_peak_memory_stats,
    set_memory_limit,
    set_per_process_memory_fraction,
)
from gradstone.cuda.streams import Event, Stream, current_stream, set_stream, stream


def manual_seed(seed: int) -> None:
    """Seeds the generator. It is one for all devices: the same seed gives the same numbers."""
    _random.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seeds the generator. It is one for all devices: the same seed gives the same numbers."""
    _random.manual_seed(seed)


def get_rng_state_all() -> list[Tensor]:
    """The generator's state, once for each device."""
    return [_random.get_rng_state() for _ in range(device_count())]
