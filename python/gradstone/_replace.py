"""Files that are replaced whole: whoever reads one, after a crash too, has the old or the new."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes `data` to a file beside `path`, brings it to the disk and gives it the name.

    A link stays one: what it names is replaced, and keeps its permissions. A pipe or a device takes
    the bytes and is not replaced. OSError leaves the old file as it was, and no other one.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as out:  # of a folder this says what is wrong
            out.write(data)
        return
    target = Path(os.path.realpath(path))
    folder = target.parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no folder", str(folder))
    temporary = folder / f".{target.name[:40]}.{os.urandom(6).hex()}.tmp"
    try:
        with temporary.open("xb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    # The name too; the file is there already, and not every file system can do this.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
