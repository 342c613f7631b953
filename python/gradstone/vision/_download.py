"""Fetching a file from one of several addresses, with a check at the end and a way to go on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradstone.vision._progress import DownloadProgress

_CHUNK = 1 << 16
_TIMEOUT = 30.0
_TRIES_WITHOUT_PROGRESS = 2


def digest_of(path: Path, like: str) -> str:
    """The file's MD5 or SHA-256 in hexadecimal, whichever `like` is. ValueError when neither."""
    if len(like) not in (32, 64):
        raise ValueError(f"a checksum is an MD5 or a SHA-256 in hexadecimal, got {like!r}.")
    # MD5 is what most data sets publish; it tells damage, not malice.
    digest = hashlib.md5(usedforsecurity=False) if len(like) == 32 else hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _kind(checksum: str) -> str:
    return "MD5" if len(checksum) == 32 else "SHA-256"


class _CutOffError(OSError):
    """A server sent less than it said."""


def _transfer(url: str, part: Path, name: str) -> None:
    """Appends to `part` what it lacks; starts again when the server does not go on from there."""
    from urllib.request import Request, urlopen

    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "gradstone"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as answer:
        going_on = have > 0 and _goes_on(answer, have)
        have = have if going_on else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length is not None else None
        with (
            part.open("ab" if going_on else "wb") as out,
            DownloadProgress(name, total, have) as progress,
        ):
            while chunk := answer.read(_CHUNK):
                out.write(chunk)
                have += len(chunk)
                progress.add(len(chunk))
    if total is not None and have < total:
        raise _CutOffError(f"the connection ended after {have} of {total} bytes")


def _goes_on(answer: Any, have: int) -> bool:
    """Whether an answer begins where our part ends."""
    said = answer.headers.get("Content-Range")
    return answer.status == 206 and (said is None or said.strip().startswith(f"bytes {have}-"))


def _fetch_from(url: str, part: Path, name: str, checksum: str) -> str | None:
    """Brings `part` to its end from one address: None, or why not.

    A connection that breaks is taken up again while more of the file comes each time.
    """
    from http.client import HTTPException

    problem, fruitless = "", 0
    while fruitless < _TRIES_WITHOUT_PROGRESS:
        before = part.stat().st_size if part.exists() else 0
        try:
            _transfer(url, part, name)
        except (OSError, HTTPException, ValueError) as error:
            problem = f"{url}: {error}"
            size = part.stat().st_size if part.exists() else 0
            # A part that is complete already makes the server refuse the range.
            if getattr(error, "code", None) == 416 and size:
                if digest_of(part, checksum) == checksum:
                    return None
                part.unlink()
                fruitless += 1
            elif size <= before or not isinstance(error, (_CutOffError, TimeoutError)):
                return problem
            continue
        found = digest_of(part, checksum)
        if found == checksum:
            return None
        part.unlink()
        problem = f"{url}: the file's {_kind(checksum)} is {found}, not {checksum}"
        if before == 0:
            return problem
        fruitless += 1  # what was there before may have been wrong: once from the start
    return problem


def fetch(urls: Sequence[str], target: Path, checksum: str) -> None:
    """Downloads to `target`, through a file that ends in .part and survives an interruption.

    `checksum` is the file's MD5 or SHA-256. RuntimeError that names every address tried when none
    gives the right file.
    """
    part = target.with_name(target.name + ".part")
    if part.exists() and digest_of(part, checksum) == checksum:
        os.replace(part, target)
        return
    problems = []
    for url in urls:
        problem = _fetch_from(url, part, target.name, checksum)
        if problem is None:
            os.replace(part, target)
            return
        problems.append(problem)
    raise RuntimeError(
        f"Could not download {target.name}: is there a network? Tried:\n  "
        + "\n  ".join(problems)
        + f"\nWithout one, put the file into {target.parent} yourself."
    )
