"""Spoken digits."""

from __future__ import annotations

import lzma
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gradstone._C import Tensor
from gradstone.audio.wav import parse_wav, read_wav
from gradstone.utils.data import Dataset

HOMEPAGE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
_RECORDING = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")


class SpokenDigits(Dataset[tuple[Any, Any]]):
    """The Free Spoken Digit Dataset (Jackson, 2016): recordings of 0 to 9 at 8 kHz. Items (samples
    (time,) float32, digit); ``speakers[i]`` and ``takes[i]`` say whose and which recording it is.

    The split is the official one: takes 0 to 4 of every speaker and digit test, the rest train;
    None gives all. Reads <digit>_<speaker>_<take>.wav in root, root/recordings or root/fsdd, or
    out of a tar archive (.tar, .tar.gz, .tar.xz) there whose name begins with "fsdd" or
    "free-spoken-digit-dataset".
    """

    sample_rate = 8000
    classes = [str(digit) for digit in range(10)]

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = "train",
        transform: Callable[[Tensor], Any] | None = None,
    ) -> None:
        if split not in ("train", "test", None):
            raise ValueError(f"split should be 'train', 'test' or None, got {split!r}")
        self.transform = transform
        found = []
        for name, read in _recordings(Path(root).expanduser()):
            match = _RECORDING.fullmatch(name)
            if match is None:
                continue
            digit, speaker, take = int(match[1]), match[2], int(match[3])
            if split is None or (take < 5) == (split == "test"):
                samples, rate = read()
                if rate != self.sample_rate:
                    raise RuntimeError(f"{name}: expected {self.sample_rate} Hz, got {rate} Hz.")
                found.append((digit, speaker, take, samples[0]))
        if not found:
            raise RuntimeError(f"[SpokenDigits] no recordings of the split {split!r} in {root}.")
        found.sort(key=lambda item: item[:3])
        self.targets = [item[0] for item in found]
        self.speakers = [item[1] for item in found]
        self.takes = [item[2] for item in found]
        self.samples = [item[3] for item in found]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> tuple[Any, int]:
        samples = self.samples[index]
        return (samples if self.transform is None else self.transform(samples)), self.targets[index]


def _recordings(root: Path) -> Iterator[tuple[str, Callable[[], tuple[Tensor, int]]]]:
    """(file name, how to read it) of every WAV file in a folder, or in an archive."""
    places = [root, root / "recordings", root / "fsdd", root / "fsdd" / "recordings"]
    for place in places:
        paths = sorted(place.glob("*.wav"))
        if paths:
            for path in paths:
                yield path.name, lambda path=path: read_wav(path)  # type: ignore[misc]
            return
    archives = [
        path
        for place in (root, root / "fsdd")
        for pattern in ("fsdd*.tar*", "free-spoken-digit-dataset*.tar*")
        for path in sorted(place.glob(pattern))
        if path.suffix != ".part"
    ]
    if not archives:
        raise RuntimeError(
            "[SpokenDigits] Dataset not found: there are no WAV files in "
            f"{', '.join(map(str, places))}, and no archive fsdd*.tar* or "
            f"free-spoken-digit-dataset*.tar* in {root} or {root / 'fsdd'}. "
            f"Put there what {HOMEPAGE} offers."
        )
    try:
        with tarfile.open(archives[0]) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".wav"):
                    file = archive.extractfile(member)
                    assert file is not None
                    name = member.name.rpartition("/")[2]
                    yield name, lambda file=file, name=name: parse_wav(name, file.read())  # type: ignore[misc]
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise RuntimeError(
            f"{archives[0]} is damaged: {error}. Delete it and fetch it again."
        ) from None
