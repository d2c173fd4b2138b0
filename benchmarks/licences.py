"""The licences of everything that an installation brings, from what its packages say themselves.

python -m benchmarks.licences --write docs/appendix/licences.md
"""

from __future__ import annotations

import argparse
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.filling import fill

ROOT = Path(__file__).resolve().parent.parent
JOBS = ("images", "track", "train", "dose", "pdf", "dashboard", "dask", "onnx")
WORDS = {
    "0BSD": "0BSD",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "BSD License": "BSD",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD-3-Clause": "BSD-3-Clause",
    "BSL-1.0": "BSL-1.0",
    "CC0-1.0": "CC0-1.0",
    "ISC License (ISCL)": "ISC",
    "MIT": "MIT",
    "MIT License": "MIT",
    "MIT-0": "MIT-0",
    "MIT-CMU": "MIT-CMU",
    "MPL-2.0": "MPL-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSF-2.0": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Zlib": "Zlib",
    "Apache-2.0 WITH LLVM-exception": "Apache-2.0 WITH LLVM-exception",
}
"""What packages write, and the identifier of SPDX that it is: the licences that are allowed.

All are permissive but MPL-2.0, a weak copyleft of single files, which asks nothing of who uses
them unchanged.
"""
BY_HAND = {
    "dask-jobqueue": ("BSD-3-Clause", "its file LICENSE.txt"),
    "huey": ("MIT", "its file LICENSE"),
    "partd": ("BSD-3-Clause", "its file LICENSE.txt"),
    "pydosert": ("MIT", "its file LICENSE"),
    "skops": ("MIT", "its file LICENSE"),
}
"""Packages whose metadata does not say, with the licence and where it is said."""
OF_CUDA = ("nvidia-", "cuda-")
"""Beside a CUDA build of torch alone, under NVIDIA's own terms; no test sees them on a CPU."""


def declared() -> list[Requirement]:
    """Return what the project names: the base and its extras by job."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    words = [*project["dependencies"], *(one for job in JOBS for one in extras[job])]
    return [Requirement(one) for one in words if not one.startswith("qa-suite")]


def installed() -> dict[str, metadata.Distribution]:
    """Return every package that the declared ones bring here, by name; markers are respected.

    What is declared and not installed here, such as the packages for clusters, is left out.
    """
    found: dict[str, metadata.Distribution] = {}
    waiting, done = declared(), set()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        key = (name, frozenset(one.extras))
        if key in done or name.startswith(OF_CUDA):
            continue
        done.add(key)
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        for word in found[name].requires or ():
            need = Requirement(word)
            marker = need.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in one.extras or {""}):
                waiting.append(need)
    return dict(sorted(found.items()))


def licence_of(name: str, package: metadata.Distribution) -> str | None:
    """Return the licence of a package by SPDX, or None where it is unknown or not allowed."""
    if name in BY_HAND:
        return BY_HAND[name][0]
    said = package.metadata
    expression = said.get("License-Expression") or ""
    classes = [
        one.rpartition("::")[2].strip()
        for one in said.get_all("Classifier", [])
        if one.startswith("License ::")
    ]
    free = (said.get("License") or "").strip()
    parts = expression or free
    alternatives = [[p.strip(" ()") for p in one.split(" AND ")] for one in parts.split(" OR ")]
    for kind in ([classes] if classes and not expression else []) + alternatives:
        if kind and all(part in WORDS for part in kind):
            return " AND ".join(dict.fromkeys(WORDS[part] for part in kind))
    return None


def table() -> str:
    """Return the lines of the table, without versions: those stand in constraints.txt."""
    lines = ["| Package | Licence |", "|---|---|"]
    for name, package in installed().items():
        where = f" ({BY_HAND[name][1]})" if name in BY_HAND else ""
        lines.append(f"| {name} | {licence_of(name, package) or 'unknown'}{where} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table and, where asked, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    print(table())
    if given.write:
        fill(given.write, {"licences": table()})


if __name__ == "__main__":
    main()
