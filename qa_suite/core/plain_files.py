"""Files from outside: what is opened at all, how much of it is read, and what is known of it.

A path may lead anywhere: to a device that never ends, a pipe that nobody writes to, a folder.
So what lies there is asked of the file system first, and only a plain file is opened.
"""

from __future__ import annotations

import hashlib
import re
import stat
from pathlib import Path

from qa_suite.core.errors import InputError

MOST_BYTES = 256 << 20
"""Of a text that machines write, such as a manifest or a table; people's own is shorter."""
_BLOCK = 1 << 20
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def require_file(path: Path, *, most_bytes: int | None = None) -> int:
    """Return the size of a plain file in bytes, without opening it.

    Raises
    ------
    InputError
        If there is none, or it is larger than ``most_bytes``.
    """
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        raise InputError(f"There is no file at {path}.") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        raise InputError(f"{path!s} cannot be opened ({reason_of(error)}).") from None
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        raise InputError(f"{path} is {_KINDS.get(kind, 'something else')}, and no file.")
    if most_bytes is not None and found.st_size > most_bytes:
        raise InputError(
            f"{path} has {found.st_size / 2**20:.0f} MiB; at most {most_bytes >> 20} MiB are read "
            f"of such a file."
        )
    return found.st_size


def is_file(path: Path) -> bool:
    """Whether a plain file lies there; nothing is opened, and no path is an error."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def misplaced(folder: Path, file: str, *, linked: bool) -> str:
    """Say what is wrong with a file that a list in a folder names, or nothing; it is not opened.

    Parameters
    ----------
    folder
        Where the list lies.
    file
        As it is written there.
    linked
        Whether it is known to be a link to a file elsewhere.
    """
    if Path(file).is_absolute() or ".." in Path(file).parts or not file.strip():
        return f"lies outside of {folder}"
    path = folder / file
    try:
        if not path.exists():
            return "does not exist"
        if not path.is_file():
            return "is no file but a folder, a device or a pipe"
        if not linked and not path.resolve().is_relative_to(folder.resolve()):
            return f"is a link to outside of {folder} that no import made"
    except (OSError, ValueError, RuntimeError) as error:
        return f"cannot be found ({reason_of(error)})"
    return ""


def read_bytes(path: Path, *, most_bytes: int = MOST_BYTES) -> bytes:
    """Read a plain file.

    Raises
    ------
    InputError
        If there is none, it is too large, or it cannot be opened.
    """
    size = require_file(path, most_bytes=most_bytes)
    try:
        with Path(path).open("rb") as stream:
            return stream.read(size)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({reason_of(error)}).") from None


def read_text(path: Path, *, most_bytes: int = MOST_BYTES, mark: bool = False) -> str:
    """Read a text in UTF-8, with line ends as they are written in Python.

    Parameters
    ----------
    path
        Of the file.
    most_bytes
        Its largest size.
    mark
        Whether it may begin with the mark that spreadsheets put before UTF-8.

    Raises
    ------
    InputError
        If it is none.
    """
    data = read_bytes(path, most_bytes=most_bytes)
    try:
        text = data.decode("utf-8-sig" if mark else "utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file in UTF-8.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def reason_of(error: Exception) -> str:
    """Say in a few words what an error of a library or of the system means; no path is named."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:160] or type(error).__name__


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces.

    Of an image whose header names the file that holds its voxels (``.mhd``, ``.nhdr``; ``.mha``
    and ``.nrrd`` may do so) that of the header followed by that file: both make the image.

    Raises
    ------
    InputError
        If it is no plain file, or names a file that is none.
    """
    digest = hashlib.sha256()
    for part in files_of_image(path):
        require_file(part)
        try:
            with part.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
        except OSError as error:
            raise InputError(f"{part} cannot be opened ({reason_of(error)}).") from None
    return digest.hexdigest()


MOST_HEADER_BYTES = 1 << 20
_NAMED = {
    ".mha": re.compile(rb"^[ \t]*ElementDataFile[ \t]*=(.*)$", re.MULTILINE),
    ".nrrd": re.compile(rb"^data ?file:(?!=)(.*)$", re.MULTILINE | re.IGNORECASE),
}
_NAMED |= {".mhd": _NAMED[".mha"], ".nhdr": _NAMED[".nrrd"]}


def files_of_image(path: Path) -> tuple[Path, ...]:
    """Return the files that make one image: itself, and the one that it says its voxels are in.

    Raises
    ------
    InputError
        If it names several files, or one that lies elsewhere than in its folder.
    """
    path = Path(path)
    named = _NAMED.get(path.suffix.lower())
    if named is None:
        return (path,)
    require_file(path)
    with path.open("rb") as stream:
        header = stream.read(MOST_HEADER_BYTES)
    if path.suffix.lower() in (".nrrd", ".nhdr"):
        header = re.split(rb"\r?\n\r?\n", header, maxsplit=1)[0]
    found = named.search(header)
    name = b"" if found is None else found[1].strip()
    if name.upper() in (b"", b"LOCAL"):
        return (path,)
    return path, _beside(path, name)


def _beside(path: Path, written: bytes) -> Path:
    """Return the file that a header names, which must lie in the header's own folder."""
    name = written.decode("utf-8", errors="replace")
    if name.split()[0].upper() == "LIST" or re.search(r"%\d*d", name):
        raise InputError(f"{path} spreads its voxels over several files; save it as one file.")
    if Path(name).name != name or "\0" in name or "\ufffd" in name:
        raise InputError(
            f"{path} says that its voxels are in {name[:200]!r}; only a file in its own folder is "
            f"read."
        )
    return path.parent / name
