"""Archives unpacked below one folder, and nowhere else; gzip unpacked so far and no further."""

from __future__ import annotations

import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

# What the standard library's readers say of damaged archives, and of forms they do not know.
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    LookupError,
    ValueError,
    NotImplementedError,
    MemoryError,  # for what a header says, of which nothing need be there
)
_MOST = 1 << 26  # bytes of a picture or a recording in an archive


def cause(error: BaseException) -> str:
    """What an error says, or its name."""
    return str(error) or type(error).__name__


def gunzip(data: bytes, most: int) -> bytes:
    """What gzip packed, its first `most` bytes if there are more: a few packed bytes may unpack to
    a thousand times as many. ValueError when it is damaged up to there."""
    parts = []
    try:
        while data and most > 0:
            stream = zlib.decompressobj(wbits=31)
            parts.append(stream.decompress(data, most))
            most -= len(parts[-1])
            if not stream.eof and most > 0:
                raise ValueError("it ends in the middle")
            data = stream.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise ValueError(str(error)) from None
    return b"".join(parts)


def safe_name(name: str, archive: str | os.PathLike[str]) -> PurePosixPath:
    """A member's path. RuntimeError when it leads out of the folder it belongs to."""
    path = PurePosixPath(name.replace("\\", "/"))
    drive = path.parts and path.parts[0].endswith(":")
    if path.is_absolute() or drive or ".." in path.parts or "\0" in name:
        raise RuntimeError(
            f"{archive}: its member {name!r} would lie outside the folder it is unpacked into; "
            "nothing of the archive is used."
        )
    return path


def extract(archive: str | os.PathLike[str], folder: str | os.PathLike[str]) -> list[Path]:
    """Unpacks the files of a .tar (plain, .gz, .bz2, .xz) or .zip below `folder`: their paths.

    Plain files and folders alone. RuntimeError, before anything is written, when a member is a
    link or a device or would lie outside; RuntimeError too when the archive is damaged.
    """
    where = Path(folder)
    written = []
    try:
        with _opened(archive) as (members, open_member):
            names = [(safe_name(name, archive), member) for name, member in members]
            for name, member in names:
                target = where.joinpath(*name.parts)
                _check_inside(target.parent, where, archive)
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary = target.with_name(target.name + ".part")
                try:
                    with open_member(member) as source, temporary.open("wb") as out:
                        shutil.copyfileobj(source, out, 1 << 20)
                    os.replace(temporary, target)
                except BaseException:
                    temporary.unlink(missing_ok=True)
                    raise
                written.append(target)
    except DAMAGE as error:
        raise RuntimeError(f"{archive} could not be unpacked: {cause(error)}") from error
    return written


def _check_inside(parent: Path, folder: Path, archive: Any) -> None:
    """A link that was there before must not lead the files away."""
    if not parent.resolve().is_relative_to(folder.resolve()):
        raise RuntimeError(f"{archive}: {parent} leads out of {folder}.")


class _opened:
    """An archive's plain files, as (name, member), and how to open one."""

    def __init__(self, archive: str | os.PathLike[str]) -> None:
        self._name = archive
        zipped = zipfile.is_zipfile(archive) and not tarfile.is_tarfile(archive)
        self._file: Any = zipfile.ZipFile(archive) if zipped else tarfile.open(archive, "r:*")

    def __enter__(self) -> tuple[Iterator[tuple[str, Any]], Any]:
        if isinstance(self._file, zipfile.ZipFile):
            return _zip_members(self._file, self._name), self._file.open
        return tar_members(self._file, self._name), self._open_tar

    def _open_tar(self, member: tarfile.TarInfo) -> IO[bytes]:
        source = self._file.extractfile(member)
        assert source is not None
        return source

    def __exit__(self, *error: object) -> None:
        self._file.close()


def tar_members(file: tarfile.TarFile, archive: Any) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """The plain files; folders come with them. RuntimeError at a link, a device or a file with
    holes (a few bytes may be terabytes of zeros), TarError where the archive breaks off."""
    for member in file:
        if member.isfile() and not member.issparse():
            yield member.name, member
        elif not member.isdir():
            raise RuntimeError(
                f"{archive}: its member {member.name!r} is a link or a device; only plain files "
                "are unpacked."
            )
    check_end(file)


def read_member(file: tarfile.TarFile, member: tarfile.TarInfo, archive: Any) -> bytes:
    """A small file of an archive. RuntimeError when it is none."""
    source = file.extractfile(member)
    if source is None or member.size > _MOST:
        raise RuntimeError(
            f"{archive}: its member {member.name!r} has {member.size} bytes, expected at most "
            f"{_MOST} of a picture or a recording."
        )
    return source.read()


def check_end(file: tarfile.TarFile) -> None:
    """TarError unless an archive that was read to its end has one: tarfile takes a damaged header,
    and a missing one, for the end."""
    assert file.fileobj is not None
    file.fileobj.seek(file.offset)
    if file.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("what follows its last readable member is not an archive's end")


def _zip_members(file: zipfile.ZipFile, archive: Any) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    for member in file.infolist():
        if (member.external_attr >> 16) & 0o170000 == 0o120000:
            raise RuntimeError(f"{archive}: its member {member.filename!r} is a link.")
        if member.flag_bits & 1:
            raise RuntimeError(f"{archive}: its member {member.filename!r} is encrypted.")
        if not member.is_dir():
            yield member.filename, member
