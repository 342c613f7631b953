"""How long calls take: medians of intervals between two events."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from libraries import Library

# Seconds of calls between two events, at least: so that events count for little, and of a loop so
# that its first step does.
OF_DEVICE, OF_LOOP = 300e-6, 5e-3
MOST_CALLS = 64


def measure(lib: Library, calls: list[Callable[[], Any]], seconds: float, device: bool) -> dict:
    """Seconds per call of about so many seconds' calls, taken in turn.

    `device`: the device is given other work before each interval, and the calls are all in the
    stream before it gets to them.
    """
    events = lib.events()
    if lib.tiny:
        for call in calls:
            lib.interval(events, call)
        return {"samples": [0.0], "host": 0.0, "calls": 1}
    for call in calls:
        call()
    once = max(1e-7, lib.interval(events, calls[0]))
    count = max(1, min(MOST_CALLS, int((OF_DEVICE if device else OF_LOOP) / once) + 1))
    taken, samples, host = 0, [], []

    def some() -> None:
        nonlocal taken
        begin = time.perf_counter()
        for i in range(count):
            calls[(taken + i) % len(calls)]()
        host.append((time.perf_counter() - begin) / count)
        taken += count

    end = time.perf_counter() + seconds
    while len(samples) < 5 or (time.perf_counter() < end and len(samples) < 200):
        if device:
            lib.busy(1.5 * count * (statistics.median(host) if host else once))
        samples.append(lib.interval(events, some) / count)
        if time.perf_counter() > end + 10:
            break  # slower by far than it looked
    return {"samples": samples, "host": statistics.median(host), "calls": count}


def summary(parts: list[dict]) -> dict[str, Any]:
    """Median and spread (half the width of the middle 80 %, of the median) over all turns."""
    samples = sorted(x for part in parts for x in part["samples"])
    middle = statistics.median(samples)
    low, high = samples[len(samples) // 10], samples[-1 - len(samples) // 10]
    return {
        "median": middle,
        "low": low,
        "high": high,
        "spread": (high - low) / 2 / middle if middle else 0.0,
        "samples": len(samples),
        "host": statistics.median(part["host"] for part in parts),
    }
