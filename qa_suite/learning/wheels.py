"""Wheels of installed packages, so that a registered model takes its code along.

A wheel is written from what is imported here, a checkout or an installation, and not built from
sources: what travels is what trained. The same files give the same bytes.

References
----------
The binary distribution format: packaging.python.org, *Binary distribution format* (PEP 427).
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from qa_suite.core.errors import InputError

OWN_PACKAGE = "qa-suite"
_WHEN = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
_COMPILED = {".so", ".pyd", ".dylib"}
_NOT_PACKED = {"__pycache__", ".git"}


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel and its file name."""

    name: str
    content: bytes


def wheel_of(package: str) -> Wheel:
    """Return the wheel of an installed package.

    Parameters
    ----------
    package
        As pip knows it.

    Raises
    ------
    InputError
        If it is not installed, or its code is not to be found in folders.
    """
    try:
        installed = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise InputError(
            f"The package {package} is not installed here, so no wheel of it can travel with a "
            f"model; install it with pip, as a checkout if you like."
        ) from None
    files = dict(_code(installed, package))
    named = f"{re.sub(r'[-_.]+', '_', package).lower()}-{installed.version.replace('-', '_')}"
    notes = f"{named}.dist-info"
    tag = _tag(files)
    files |= {f"{notes}/{name}": content for name, content in _notes(installed)}
    pure = str(tag == "py3-none-any").lower()
    files[f"{notes}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: qa-suite\nRoot-Is-Purelib: {pure}\nTag: {tag}\n"
    ).encode()
    record = f"{notes}/RECORD"
    lines = [f"{name},sha256={_encoded(content)},{len(content)}" for name, content in files.items()]
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    return Wheel(name=f"{named}-{tag}.whl", content=_zipped(files))


def _code(installed: metadata.Distribution, package: str) -> Iterator[tuple[str, bytes]]:
    """Give the files of the modules that a package is imported as."""
    names = (installed.read_text("top_level.txt") or "").split() or _imported(installed)
    for name in sorted(names):
        spec = find_spec(name)
        places = [] if spec is None else [Path(at) for at in spec.submodule_search_locations or ()]
        origin = None if spec is None or spec.origin is None else Path(spec.origin)
        if places and all(place.is_dir() for place in places):
            for place in places:
                for path in sorted(place.rglob("*")):
                    if path.is_file() and not _NOT_PACKED & set(path.parts):
                        yield f"{name}/{path.relative_to(place).as_posix()}", path.read_bytes()
        elif origin is not None and origin.is_file():
            yield origin.name, origin.read_bytes()
        else:
            raise InputError(
                f"The code of {package} ({name}) does not lie in a folder, so no wheel of it can "
                f"travel with a model; install it unpacked."
            )


def _imported(installed: metadata.Distribution) -> list[str]:
    """Return the names that a package is imported by, where it does not list them."""
    first = {path.parts[0] for path in installed.files or () if path.suffix == ".py"}
    return [name.removesuffix(".py") for name in sorted(first) if not name.startswith(("..", "__"))]


def _notes(installed: metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    """Give what an installation says of itself, its licences among it."""
    for name in ("METADATA", "entry_points.txt", "top_level.txt"):
        text = installed.read_text(name)
        if text is None and name == "METADATA":  # a checkout, beside which setuptools notes it
            text = installed.read_text("PKG-INFO")
        if text is not None:
            yield name, text.encode()
    for path in installed.files or ():
        folder, _, rest = path.as_posix().partition(".dist-info/")
        if rest.startswith("licenses/") and "/" not in folder:
            yield rest, Path(str(installed.locate_file(path))).read_bytes()


def _tag(files: dict[str, bytes]) -> str:
    if not any(Path(name).suffix in _COMPILED for name in files):
        return "py3-none-any"
    from packaging.tags import sys_tags

    return str(next(iter(sys_tags())))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def _zipped(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content)
    return target.getvalue()
