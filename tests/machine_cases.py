"""Machine files as they are shipped, and as a user writes them."""

from __future__ import annotations

from pathlib import Path

import yaml

from qa_suite.dose.machines.photon import load_photon_machine, shipped_photon_machines

SHIPPED = shipped_photon_machines()


def said(name: str = "elekta_6MV") -> dict[str, object]:
    return load_photon_machine(name).model_dump(mode="json")


def written(folder: Path, **changes: object) -> Path:
    """A machine file: that of 6 MV with changes; None takes a key away."""
    data = {k: v for k, v in (said() | {"name": "mine"} | changes).items() if v is not None}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    return path
