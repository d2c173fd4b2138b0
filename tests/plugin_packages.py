"""Small packages with entry points, put on the path as an installer would, without one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def install(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    *,
    package: str,
    sources: Mapping[str, str],
    entry_points: Mapping[str, Mapping[str, str]],
    version: str = "1.2.3",
) -> Path:
    """Write a package and its metadata into a folder of the path; return that folder."""
    for name, text in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    metadata = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n", encoding="utf-8"
    )
    lines = [
        line
        for group, entries in entry_points.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()), "")
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    on_path(monkeypatch, folder)
    return folder


def on_path(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Put a folder of packages and their metadata on the path until the test ends."""
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    for path in folder.iterdir():
        for name in [n for n in sys.modules if n.split(".")[0] == path.stem]:
            monkeypatch.delitem(sys.modules, name)
