"""What other packages bring: entry points of a group, found, loaded once and named in the record.

A package says in its ``pyproject.toml`` what it brings::

    [project.entry-points."qa_suite.metrics"]
    acme = "acme_metrics.image"

The name is told in messages, and the value is a module; importing it registers what it brings.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from qa_suite.core.errors import raise_problems
from qa_suite.core.records import PluginFacts

_LOADED: dict[tuple[str, str, str], PluginFacts | str] = {}
"""Group, package and name to the facts, or to why it is broken: a second import would say less."""


def plugin_names(group: str) -> tuple[str, ...]:
    """Return the names of a group's entry points, sorted, without loading any."""
    return tuple(sorted({entry.name for entry in _entries(group)}))


def load_plugins(group: str, *names: str) -> tuple[PluginFacts, ...]:
    """Load every entry point of a group, each once in a process.

    Parameters
    ----------
    group
        Such as ``qa_suite.metrics``.
    names
        Of the entry points that are wanted; without any, all of them.

    Returns
    -------
    tuple of PluginFacts
        What was loaded, sorted by package and name.

    Raises
    ------
    Problems
        If one cannot be loaded: every broken one, with its package and the way out.
    """
    found: list[PluginFacts] = []
    broken: list[str] = []
    for entry in _entries(group):
        if names and entry.name not in names:
            continue
        key = (group, _whose(entry)[0], entry.name)
        if key not in _LOADED:
            _LOADED[key] = _load(entry)
        known = _LOADED[key]
        if isinstance(known, str):
            broken.append(known)
        else:
            found.append(known)
    raise_problems(f"The group {group} of installed plug-ins", broken)
    return tuple(found)


def loaded_plugins() -> tuple[PluginFacts, ...]:
    """Return what this process has loaded, of every group, sorted; for the record."""
    found = [facts for facts in _LOADED.values() if not isinstance(facts, str)]
    return tuple(sorted(found, key=lambda facts: (facts.group, facts.package, facts.name)))


def source_digest(module: str) -> str:
    """Return ``sha256:`` and the digest of the package that a module belongs to.

    Of a package it is that of every file in its folder, bytecode left out, by their sorted
    paths; of a module that stands alone, of its one file.

    Raises
    ------
    ModuleNotFoundError
        If there is no such module.
    FileNotFoundError
        If its source lies in no file, so that it cannot be told what it does.
    """
    top = _first_with_files(module)
    digest = hashlib.sha256()
    for name, path in _files(top):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return f"sha256:{digest.hexdigest()}"


def _first_with_files(module: str) -> Path:
    """Return the folder or file of the outermost package that is no namespace of many."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        spec = util.find_spec(".".join(parts[:depth]))
        if spec is None:
            raise ModuleNotFoundError(f"there is no module {'.'.join(parts[:depth])}")
        if spec.origin is not None:
            path = Path(spec.origin)
            if not path.is_file():
                raise FileNotFoundError(f"the source of {module} lies in no file: {spec.origin}")
            return path.parent if spec.submodule_search_locations else path
    raise FileNotFoundError(f"{module} is a folder without an __init__.py, and no module")


def _files(top: Path) -> Iterator[tuple[str, Path]]:
    if top.is_file():
        yield top.name, top
        return
    for path in sorted(top.rglob("*"), key=lambda p: p.relative_to(top).as_posix()):
        if path.is_file() and path.suffix != ".pyc":
            yield f"{top.name}/{path.relative_to(top).as_posix()}", path


def _entries(group: str) -> tuple[metadata.EntryPoint, ...]:
    return _entries_on(group, tuple(sys.path))


@cache
def _entries_on(group: str, path: tuple[str, ...]) -> tuple[metadata.EntryPoint, ...]:
    """Look once through the metadata of every installed package, for one state of the path."""
    found = metadata.entry_points(group=group)
    return tuple(sorted(found, key=lambda entry: (_whose(entry), entry.name)))


def _load(entry: metadata.EntryPoint) -> PluginFacts | str:
    """Import what an entry point names; return its facts, or one sentence on why it is broken."""
    package, version = _whose(entry)
    try:
        if not version:
            raise ValueError("its metadata say no name and version")
        module, _, attribute = entry.value.partition(":")
        if attribute:
            raise ValueError(f"it must name a module, not {attribute!r} in one")
        digest = source_digest(module)
        importlib.import_module(module)
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}".rstrip(" .")
        return (
            f"{entry.name} = {entry.value} of the package {f'{package} {version}'.strip()} cannot "
            f"be loaded ({why}); mend that package, or uninstall it"
        )
    return PluginFacts(
        group=entry.group, name=entry.name, package=package, version=version, digest=digest
    )


def _whose(entry: metadata.EntryPoint) -> tuple[str, str]:
    """Return the package of an entry point and its version; empty where its metadata are broken."""
    try:
        said: Any = entry.dist.metadata if entry.dist is not None else {}
        return str(said["Name"] or "(unnamed)"), str(said["Version"] or "")
    except (KeyError, TypeError, OSError):  # a folder .dist-info without METADATA
        return "(unnamed)", ""
