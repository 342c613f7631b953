"""The table: rows by class, ratios beside their goals, geometric means."""

from __future__ import annotations

import math
import statistics
from typing import Any

from rows import Class, Row

# Ceilings: of the program gradstone_ceilings, and the best product of the run for the tensor cores.
UNITS = {"bf16": "TFLOP/s", "tf32": "TFLOP/s", "fp32": "TFLOP/s"}


def show(seconds: float) -> str:
    for unit, scale in (("s ", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.2f} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


def timed(time: dict[str, Any] | None, figures: bool) -> str:
    """A time with its spread, or why there is none."""
    if not time:
        return "not run"
    if "missing" in time:
        return "not there"
    if "error" in time:
        return "failed"
    return f"{show(time['median'])} ±{100 * time['spread']:.0f} %" if figures else "ran"


def key(side: str, way: str) -> str:
    return f"{side}:{way}"


def time_of(times: dict, side: str, way: str) -> dict[str, Any] | None:
    """Of a way, or of the fastest of theirs."""
    if way != "best":
        return times.get(key(side, way))
    found = [t for k, t in times.items()
             if k.startswith(side) and k != key(side, "unfused") and "median" in t]  # fmt: skip
    return min(found, key=lambda t: t["median"]) if found else None


def ratio_of(times: dict, pair: tuple[str, str, Any]) -> float | None:
    ours, theirs = time_of(times, "ours", pair[0]), time_of(times, "theirs", pair[1])
    if not ours or not theirs or "median" not in ours or "median" not in theirs:
        return None
    return theirs["median"] / ours["median"] if ours["median"] else None


def reached(row: Row, time: dict[str, Any] | None, ceilings: dict[str, float]) -> str:
    """What gradstone's time amounts to, and which share of the ceiling that is."""
    if not time or "median" not in time or not time["median"]:
        return ""
    seconds = time["median"]
    # What is nearer to its ceiling limits the row.
    if row.flops and row.peak:
        value, peak = row.flops / seconds / 1e12, ceilings.get(row.peak)
        share = f" ({100 * value / peak:.0f} %)" if peak else ""
        return f"{value:.1f} TFLOP/s{share}"
    if row.bytes:
        value, peak = row.bytes / seconds / 1e9, ceilings.get("copy_gbytes")
        share = f" ({100 * value / peak:.0f} %)" if peak else ""
        return f"{value:.0f} GB/s{share}"
    return ""


def lines_of(row: Row, times: dict, ceilings: dict[str, float], figures: bool) -> list[str]:
    out = []
    for pair in row.pairs:
        ours, theirs, goal = pair
        mine, other = time_of(times, "ours", ours), time_of(times, "theirs", theirs)
        ratio = ratio_of(times, pair) if figures else None
        name = row.name + (f" [{ours}]" if ours and len(row.ours) > 1 else "")
        way = f" {theirs}" if theirs else ""
        line = f"  {name:46} {timed(mine, figures):>18} {timed(other, figures):>18}{way:15}"
        line += f" {ratio:6.2f}" if ratio else "      -"
        line += f" {goal:5.2f}" if goal else "     -"
        word = "" if not (ratio and goal) else "reached" if ratio >= goal else "missed"
        host = ""
        if figures and mine and row.device and mine.get("host", 0) > mine.get("median", 0) > 0:
            host = f", host {show(mine['host'])}"
        line += f" {word:8} {reached(row, mine, ceilings) if figures else ''}{host}"
        out.append(line.rstrip())
    for name, time in times.items():
        side = "gradstone" if name.startswith("ours") else "PyTorch"
        way = name.partition(":")[2]
        if time.get("note"):
            out.append(f"      {side}: {time['note']}")
        for word in ("missing", "error"):
            if word in time and not time.get("refused"):  # said once, above the table
                out.append(f"      {side}{' ' + way if way else ''}: {time[word]}")
    return out


def mean(values: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def means_of(of: Class, results: dict[str, dict]) -> list[dict[str, Any]]:
    """The geometric mean of each pair's ratios over the rows that have them."""
    found: dict[tuple[str, str], list[tuple[float, float | None]]] = {}
    for row in of.rows:
        for pair in row.pairs:
            ratio = ratio_of(results.get(f"{of.name}/{row.name}", {}), pair)
            if ratio:
                found.setdefault(pair[:2], []).append((ratio, pair[2]))
    out = []
    for (ours, theirs), values in found.items():
        goals = [goal for _, goal in values if goal]
        out.append({
            "class": of.name, "ours": ours, "theirs": theirs,
            "mean": mean([ratio for ratio, _ in values]), "rows": len(values),
            "goal": mean(goals) if goals else None,
        })  # fmt: skip
    return out


def table(
    all_classes: list[Class], results: dict[str, dict], errors: dict[str, dict],
    ceilings: dict[str, float], figures: bool,
) -> tuple[list[str], list[dict[str, Any]]]:  # fmt: skip
    lines, means = [], []
    for of in all_classes:
        lines.append("")
        lines.append(f"{of.title}" + (f"  [{of.reaches}]" if of.reaches else ""))
        lines.append(f"  {'case':46} {'gradstone':>18} {'PyTorch':>18}{'':15}  ratio  goal")
        for row in of.rows:
            name = f"{of.name}/{row.name}"
            if name not in results:
                lines.append(f"  {row.name:46} not reached in time")
                continue
            lines += lines_of(row, results[name], ceilings, figures)
            if name in errors:
                lines.append("      " + error_line(errors[name], row.error_goal))
        if not figures:
            continue
        for m in means_of(of, results):
            means.append(m)
            goal = f", goal {m['goal']:.2f}" if m["goal"] else ""
            lines.append(f"  geometric mean{between(m)} of {m['rows']}: {m['mean']:.2f}{goal}")
        if of.extra:
            lines.append(f"  {of.extra}")
    return lines, means


def between(m: dict[str, Any]) -> str:
    ours, theirs = m["ours"], m["theirs"]
    return (f" of {ours}" if ours else "") + (f" to {theirs}" if theirs else "")


def error_line(found: dict[str, Any], goal: float) -> str:
    ours, theirs = found.get("ours"), found.get("theirs")
    text = f"error: gradstone {ours:.3g}" if ours is not None else "error: gradstone not there"
    if theirs is not None:
        text += f", PyTorch {theirs:.3g}"
    if ours is not None and theirs:
        text += f", {ours / theirs:.2f} times (at most {goal:.2f})"
    return text
