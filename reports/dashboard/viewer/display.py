"""What the viewer is told of a case: which volumes, in which windows, with which lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from qa_suite.core.record_names import STRUCTURE, VOLUMES_FOLDER
from qa_suite.core.records import CaseRecord
from reports.dashboard.store import Record
from reports.dashboard.viewer.shelf import SHELF
from reports.dashboard.viewer.volumes import CaseFiles, StoredCase, StoredVolume
from reports.facts.dose_cases import volumes_of
from reports.facts.pictures import source_unit_of, unit_of, windows_of
from reports.figures.dose_maps import ISODOSES

TITLES: Final = {
    "source": "Source",
    "reference": "Reference",
    "synthetic": "Synthetic",
    "dose_reference": "Dose on reference",
    "dose_synthetic": "Dose on synthetic",
    "gamma": "γ",
}
CT_PRESETS: Final = (
    ("soft tissue, W 400 L 40", (-160.0, 240.0)),
    ("bone, W 1800 L 400", (-500.0, 1300.0)),
    ("lung, W 1500 L −600", (-1350.0, 150.0)),
)
"""Windows as they are usual in reading CT."""
PET_PRESETS: Final = (
    ("SUV 0 to 5", (0.0, 5.0)), ("SUV 0 to 10", (0.0, 10.0)), ("SUV 0 to 20", (0.0, 20.0)),
)  # fmt: skip
STRUCTURE_COLOURS: Final = (
    "#ffd60a", "#7ae582", "#ff9f1c", "#b8c0ff", "#ff6b6b", "#00d1d1", "#e0aaff", "#f5f5f5",
)  # fmt: skip
"""Of the lines of structures, bright on black; every second line is dashed."""
_DOSE_DIFFERENCE: Final = 0.05
"""Of the prescription: where the colours of a dose difference end."""


def files_of(record: Record, case: CaseRecord, table: pd.DataFrame, plan: str) -> CaseFiles:
    """Return which files of a case are shown.

    Parameters
    ----------
    table
        Rows of the measures that say unit and scale of the images.
    plan
        Whose doses are shown; empty for none.
    """
    unit, hundred = unit_of(table, record.evaluation, case.case)
    images, _ = volumes_of(record.folder, plan, case)
    for role, name in case.volumes.items():
        if role.startswith(STRUCTURE):
            images[role] = record.folder / VOLUMES_FOLDER / name
    return CaseFiles(
        files=tuple(sorted(images.items())),
        unit=unit,
        source_unit=source_unit_of(record.evaluation),
        hundred=hundred,
    )


def display_of(
    files: CaseFiles,
    found: StoredCase,
    *,
    name: str,
    point: Sequence[int],
    places: Sequence[Sequence[float]],
    prescription_gy: float | None,
    session: str,
) -> dict[str, Any]:
    """Return what the viewer takes; addresses are made anew only for a case that is opened.

    Parameters
    ----------
    point
        Voxel that the lines cross in.
    places
        Voxels that were commented.
    prescription_gy
        What isodoses are percentages of; None where there is no dose.
    session
        Whose page this is; the addresses of the volumes are its own.
    """
    windows = windows_of(found.images)
    volumes = {
        role: _volume(files, role, one, windows.of(role).limits, SHELF.offer(files, role, session))
        for role, one in found.volumes.items()
    }
    base = {role: list(windows.of(role).limits) for role in ("reference", "synthetic")}
    if windows.source is not None:
        base["source"] = list(windows.source.limits)
    shown = {"HU": CT_PRESETS, "SUVbw": PET_PRESETS}.get(files.unit, ())
    presets = [{"name": "as in the report", "windows": base}]
    presets += [
        {"name": title, "windows": {"reference": list(w), "synthetic": list(w)}}
        for title, w in shown
    ]
    columns = [role for role in ("source", "reference", "synthetic") if role in volumes]
    top = max(prescription_gy or 0.0, found.highest_gy) or 1.0
    masks = []
    if "mask" in volumes:
        masks.append({"role": "mask", "name": "region examined", "colour": "#38d9ff", "dash": True})
    if "target" in volumes:
        masks.append({"role": "target", "name": "target", "colour": "#ff4fd8", "dash": False})
    names = sorted(role for role in volumes if role.startswith(STRUCTURE))
    masks += [
        {
            "role": role,
            "name": role.removeprefix(STRUCTURE),
            "colour": STRUCTURE_COLOURS[n % len(STRUCTURE_COLOURS)],
            "dash": n % 2 == 1,
            "hidden": True,
        }
        for n, role in enumerate(names)
    ]
    return {
        "key": f"{name}-{hash((files, prescription_gy)) & 0xFFFFFFFF:x}",
        "shape": list(found.grid.shape),
        "spacing": list(found.grid.spacing_mm),
        "origin": list(found.grid.origin_mm),
        "axes": list(found.grid.direction),
        "volumes": volumes,
        "columns": [*columns, "difference"] if "reference" in volumes else columns,
        "difference": windows.difference,
        "unit": files.unit,
        "presets": presets,
        "masks": masks,
        "isodoses": [
            {"gy": (prescription_gy or top) * level / 100, "colour": colour, "name": f"{level:g} %"}
            for level, colour in ISODOSES
        ],
        "dose_top": top,
        "dose_difference": (prescription_gy or top) * _DOSE_DIFFERENCE,
        "places": [{"point": list(place)} for place in places],
        "point": list(point),
    }


def _volume(
    files: CaseFiles, role: str, one: StoredVolume, window: tuple[float, float], address: str
) -> dict[str, Any]:
    unit = {"source": files.source_unit, "dose_reference": "Gy", "dose_synthetic": "Gy"}.get(role)
    plain = role in ("reference", "synthetic")
    return {
        "title": TITLES.get(role, role),
        "url": address,
        "slope": one.slope,
        "intercept": one.intercept,
        "digits": one.digits,
        "unit": files.unit if plain else unit or "",
        "window": list(window),
        "inverted": (files.unit if plain else unit) == "SUVbw",
        "outline": role in ("mask", "target") or role.startswith(STRUCTURE),
        "nearest": role == "gamma",
        "shape": list(one.shape),
        "start": None if one.start is None else list(one.start),
        "step": None if one.step is None else list(one.step),
    }
