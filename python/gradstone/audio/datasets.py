"""Spoken digits."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gradstone._C import Tensor
from gradstone.audio.wav import parse_wav, read_wav
from gradstone.utils.data import Dataset
from gradstone.vision._download import fetch
from gradstone.vision._extract import DAMAGE, cause, check_end, read_member

HOMEPAGE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
_RECORDING = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")


class SpokenDigits(Dataset[tuple[Any, Any]]):
    """The Free Spoken Digit Dataset (Jackson, 2016): recordings of 0 to 9 at 8 kHz. Items (samples
    (time,) float32, digit); ``speakers[i]`` and ``takes[i]`` say whose and which recording it is.

    The split is the official one: takes 0 to 4 of every speaker and digit test, the rest train;
    None gives all. Reads <digit>_<speaker>_<take>.wav in root, root/recordings or root/fsdd, or
    out of a tar archive (.tar, .tar.gz, .tar.xz) there whose name begins with "fsdd" or
    "free-spoken-digit-dataset". `download` fetches release 1.0.9 (12 MB, five speakers) into
    root/fsdd where there is none of these.
    """

    # The SHA-256 is the one that TensorFlow Datasets lists for this archive.
    resources = {
        "free-spoken-digit-dataset-1.0.9.tar.gz": (
            HOMEPAGE + "/archive/v1.0.9.tar.gz",
            "8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0",
        )
    }

    sample_rate = 8000
    classes = [str(digit) for digit in range(10)]

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = "train",
        transform: Callable[[Tensor], Any] | None = None,
        download: bool = False,
    ) -> None:
        if split not in ("train", "test", None):
            raise ValueError(f"split should be 'train', 'test' or None, got {split!r}")
        self.transform = transform
        base, found = Path(root).expanduser(), []
        if download and not _folder(base) and not _archive(base):
            (base / "fsdd").mkdir(parents=True, exist_ok=True)
            for name, (url, checksum) in self.resources.items():
                fetch([url], base / "fsdd" / name, checksum)
        for name, read in _recordings(base):
            match = _RECORDING.fullmatch(name)
            if match is None:
                continue
            digit, speaker, take = int(match[1]), match[2], int(match[3])
            if split is None or (take < 5) == (split == "test"):
                samples, rate = read()
                if rate != self.sample_rate:
                    raise RuntimeError(f"{name}: expected {self.sample_rate} Hz, got {rate} Hz.")
                if samples.size(0) != 1:
                    raise RuntimeError(f"{name}: expected 1 channel, got {samples.size(0)}.")
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


def _places(root: Path) -> list[Path]:
    return [root, root / "recordings", root / "fsdd", root / "fsdd" / "recordings"]


def _folder(root: Path) -> Path | None:
    """The first folder with WAV files."""
    return next((place for place in _places(root) if any(place.glob("*.wav"))), None)


def _archive(root: Path) -> Path | None:
    """The first archive of recordings."""
    for place in (root, root / "fsdd"):
        for pattern in ("fsdd*.tar*", "free-spoken-digit-dataset*.tar*"):
            for path in sorted(place.glob(pattern)):
                if path.suffix != ".part":
                    return path
    return None


def _recordings(root: Path) -> Iterator[tuple[str, Callable[[], tuple[Tensor, int]]]]:
    """(file name, how to read it) of every WAV file in a folder, or in an archive."""
    folder, archive = _folder(root), _archive(root)
    if folder is not None:
        for path in sorted(folder.glob("*.wav")):
            yield path.name, lambda path=path: read_wav(path)  # type: ignore[misc]
    elif archive is not None:
        yield from _packed(archive)
    else:
        raise RuntimeError(
            "[SpokenDigits] Dataset not found: there are no WAV files in "
            f"{', '.join(map(str, _places(root)))}, and no archive fsdd*.tar* or "
            f"free-spoken-digit-dataset*.tar* in {root} or {root / 'fsdd'}. You can use "
            f"download=True to download it, or put there what {HOMEPAGE} offers."
        )


def _packed(path: Path) -> Iterator[tuple[str, Callable[[], tuple[Tensor, int]]]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".wav"):
                    name = member.name.rpartition("/")[2]
                    data = read_member(archive, member, path)
                    yield name, lambda name=name, data=data: parse_wav(f"{path}: {name}", data)  # type: ignore[misc]
            check_end(archive)
    except DAMAGE as error:
        raise RuntimeError(
            f"{path} is damaged: {cause(error)}. Delete it and fetch it again."
        ) from None
