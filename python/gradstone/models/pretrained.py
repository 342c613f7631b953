"""Published weights into a model: names compared, everything that does not fit listed at once."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from gradstone._C import Tensor
from gradstone.nn.modules._state import _IncompatibleKeys
from gradstone.nn.modules.module import Module

# What wrappers put before every name.
_WRAPPERS = ("module.", "_orig_mod.", "model.")


@dataclass(frozen=True)
class Rules:
    """What a model's published files have that the model has not."""

    prefixes: tuple[str, ...] = ()  # before names in some files and not in others
    ignored: tuple[str, ...] = ()  # patterns of whole names that may be left over
    renamed: dict[str, str] = field(default_factory=dict)  # old ends of names: new ends
    tied: dict[str, str] = field(default_factory=dict)  # second names: the first, same values


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors by name from a safetensors file, or from a file of ``gradstone.save`` or
    ``torch.save`` that holds a state_dict, alone or under the key "model", "state_dict" or
    "model_state_dict".

    FileNotFoundError, or RuntimeError with the reason. No code in a file is ever run.
    """
    from gradstone.serialization import load

    path = Path(path)
    with path.open("rb") as file:
        if file.read(9)[8:9] == b"{":
            found = _read_safetensors(path, file)
            if found is not None:
                return found
    state = load(path, map_location="cpu")
    for key in ("model", "state_dict", "model_state_dict"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not state:
        raise RuntimeError(f"[load_pretrained] {path} holds no state_dict: {type(state).__name__}.")
    wrong = [str(k) for k, v in state.items() if not isinstance(v, Tensor)]
    if wrong:
        raise RuntimeError(f"[load_pretrained] {path} has entries that are no tensors: {wrong}.")
    return dict(state)


def _read_safetensors(path: Path, file: BinaryIO) -> dict[str, Tensor] | None:
    """The tensors of a safetensors file in its order; None when ``gradstone.save`` wrote it.

    The library checks the header. The values are read here and not through its memory map: a file
    that is cut off while it is mapped ends the process.
    """
    import safetensors

    from gradstone.serialization.format import FORMAT, SAFETENSORS
    from gradstone.serialization.reading import from_bytes

    found = {}
    try:
        with safetensors.safe_open(path, "numpy") as checked:
            names = checked.offset_keys()
            if (checked.metadata() or {}).get("format") == FORMAT:
                return None
        file.seek(0)
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        for name in names:
            entry = header[name]
            dtype = SAFETENSORS.get(entry["dtype"])
            if dtype is None:
                raise RuntimeError(
                    f"[load_pretrained] {path}: {name} is of dtype {entry['dtype']}, which there "
                    "is not here."
                )
            begin, end = entry["data_offsets"]
            file.seek(8 + length + begin)
            values = file.read(end - begin)
            found[name] = from_bytes(dtype, tuple(entry["shape"]), values)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, struct.error) as error:
        raise RuntimeError(f"[load_pretrained] {path} is truncated or damaged: {error}.") from None
    return found


def match_names(
    found: Mapping[str, Tensor], wanted: set[str], prefixes: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """The tensors under the model's names: of leaving a prefix out, adding it, or neither, what
    finds the most. Wrappers' prefixes ("module.") go when all names have them."""
    names = dict(found)
    for wrapper in _WRAPPERS:
        if names and all(k.startswith(wrapper) for k in names):
            shorter = {k.removeprefix(wrapper): v for k, v in names.items()}
            if len(wanted & shorter.keys()) >= len(wanted & names.keys()):
                names = shorter
    best = names
    for prefix in prefixes:
        without = {k.removeprefix(prefix): v for k, v in names.items()}
        added = {prefix + k if prefix + k in wanted else k: v for k, v in names.items()}
        for candidate in (without, added):
            # Two names that become one would lose a tensor.
            if len(candidate) == len(names) and len(wanted & candidate.keys()) > len(
                wanted & best.keys()
            ):
                best = candidate
    return best


def load_pretrained(
    model: Module, path: str | os.PathLike[str], strict: bool = True
) -> _IncompatibleKeys:
    """Copies the weights in a file into `model`, whose dtype and device stay; gives the names
    (missing_keys, unexpected_keys), both empty when strict.

    Reads safetensors files and those of ``gradstone.save`` and ``torch.save`` (.pt, .pth, .bin;
    tensors alone, no code in them is run); never from the network. Prefixes such as "module.",
    "transformer." and "bert." are matched, old names of norms and second names of tied weights are
    known. RuntimeError lists all missing and unexpected names (with strict), and always all shapes
    that differ and whole numbers in the place of floats, before anything is written; with
    strict=False what fits is taken.
    """
    rules: Rules = getattr(model, "_pretrained", None) or Rules()
    own: dict[str, Tensor] = model.state_dict()
    found: dict[str, Tensor] = {}
    for name, value in read_weights(path).items():
        for old, new in rules.renamed.items():
            if name.endswith(old):
                name = name.removesuffix(old) + new
        found[name] = value
    names = match_names(found, own.keys() | rules.tied.keys(), rules.prefixes)
    problems: list[str] = []
    for second, first in rules.tied.items():
        if second not in names:
            continue
        value = names.pop(second)
        if first not in names:
            names[first] = value
        elif value.shape != names[first].shape or not bool((value == names[first]).all()):
            problems.append(f"differ, but are one in the model: {second}, {first}")
    ignored = re.compile("|".join(f"(?:{p})" for p in rules.ignored) or r"(?!)")
    # PyTorch before 0.4 had no such counter; it does not matter for inference.
    missing = [k for k in own if k not in names and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in names if k not in own and not ignored.fullmatch(k)]
    shapes = [
        f"{k} {tuple(names[k].shape)} in the file, {tuple(v.shape)} in the model"
        for k, v in own.items()
        if k in names and tuple(names[k].shape) != tuple(v.shape)
    ]
    if strict and missing:
        problems.append(f"missing in the file: {', '.join(missing)}")
    if strict and unexpected:
        problems.append(f"unexpected in the file: {', '.join(unexpected)}")
    if shapes:
        problems.append("shapes differ: " + "; ".join(shapes))
    # Whole numbers in the place of weights are quantised ones, whose scale is elsewhere.
    quantised = [
        f"{k} {names[k].dtype}"
        for k, v in own.items()
        if k in names and v.dtype.is_floating_point and not names[k].dtype.is_floating_point
    ]
    if quantised:
        problems.append("no floats in the file: " + ", ".join(quantised))
    if problems:
        raise RuntimeError(
            f"[load_pretrained] {Path(path).name} does not fit {type(model).__name__}:\n\t"
            + "\n\t".join(problems)
        )
    model.load_state_dict({k: v for k, v in names.items() if k in own}, strict=False)
    return _IncompatibleKeys(missing, unexpected)
