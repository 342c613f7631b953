"""Fetching a file from one of several addresses, with a check at the end and a way to go on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

_CHUNK = 1 << 16
_TIMEOUT = 30.0


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # what the data sets publish
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _transfer(url: str, part: Path) -> None:
    """Appends to `part` what it lacks; starts again when the server does not go on from there."""
    from urllib.request import Request, urlopen

    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "gradstone"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as answer:
        going_on = have > 0 and answer.status == 206
        with part.open("ab" if going_on else "wb") as out:
            while chunk := answer.read(_CHUNK):
                out.write(chunk)


def fetch(urls: Sequence[str], target: Path, md5: str) -> None:
    """Downloads to `target`, through a file that ends in .part and survives an interruption.

    RuntimeError that names every address tried when none gives the right file.
    """
    from http.client import HTTPException

    part = target.with_name(target.name + ".part")
    problems = []
    for url in urls:
        for _ in range(2):
            resumed = part.exists()
            try:
                _transfer(url, part)
            except (OSError, HTTPException) as error:
                # A part that is complete already makes the server refuse the range.
                if not (resumed and part.exists() and _md5(part) == md5):
                    problems.append(f"{url}: {error}")
                    if getattr(error, "code", None) == 416:
                        part.unlink()
                        continue
                    break
            if _md5(part) == md5:
                os.replace(part, target)
                return
            part.unlink()
            if not resumed:
                problems.append(f"{url}: the file's MD5 is not {md5}")
                break
    raise RuntimeError(
        f"Could not download {target.name}: is there a network? Tried:\n  "
        + "\n  ".join(problems)
        + f"\nWithout one, put the file into {target.parent} yourself."
    )
