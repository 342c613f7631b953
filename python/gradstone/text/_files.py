"""Where a data set's files lie, and fetching those that are missing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from gradstone.vision._download import fetch
from gradstone.vision._extract import gunzip

_MOST = 1 << 30  # bytes of text


def find(
    op: str, root: str | os.PathLike[str], folders: Sequence[str], names: Sequence[str]
) -> Path:
    """The first of `names` in root or in one of root's `folders`. RuntimeError that says where it
    was looked for."""
    base = Path(root).expanduser()
    places = [base, *(base / folder for folder in folders)]
    for place in places:
        for name in names:
            if (place / name).is_file():
                return place / name
    raise RuntimeError(
        f"[{op}] Dataset not found: there is no {' or '.join(names)} in "
        f"{', '.join(map(str, places))}. You can use download=True to download it."
    )


def download(
    root: str | os.PathLike[str],
    folder: str,
    files: Mapping[str, tuple[str, str]],
    present: Sequence[str] = (),
) -> None:
    """Fetches name -> (address, MD5) into root/folder, where a name is not there yet. RuntimeError
    when there is no network or a file is not the right one."""
    base = Path(root).expanduser()
    for name, (url, md5) in files.items():
        places = [base, *(base / f for f in (folder, *present))]
        if not any((place / name).is_file() for place in places):
            (base / folder).mkdir(parents=True, exist_ok=True)
            fetch([url], base / folder / name, md5)


def read_text(path: Path) -> str:
    """A UTF-8 file, gzipped or not, with its line ends as they are. RuntimeError when damaged, or
    when it unpacks to more than 1 GiB."""
    data = path.read_bytes()
    try:
        if data[:2] == b"\x1f\x8b":
            data = gunzip(data, _MOST + 1)
            if len(data) > _MOST:
                raise RuntimeError(f"{path} unpacks to more than {_MOST} bytes: it is not read.")
        return data.decode("utf-8-sig")
    except ValueError as error:
        raise RuntimeError(f"{path} is damaged: {error}. Delete it and fetch it again.") from None
