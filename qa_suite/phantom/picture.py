"""Pictures of the virtual patients for the documentation.

Run ``python -m qa_suite.phantom.picture docs/images`` to draw them again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.phantom.hospitals import HOSPITALS
from qa_suite.phantom.scan import VirtualPatient, make_patient

CT_WINDOW_HU = (-160.0, 240.0)  # W400 L40
SEED = 7
_PLANES = ((2, "axial"), (1, "coronal"), (0, "sagittal"))
_ENDS = {2: ("R", "L", "A", "P"), 1: ("R", "L", "S", "I"), 0: ("A", "P", "S", "I")}


def draw_patient(patient: VirtualPatient, path: Path) -> None:
    """Draw CT and MR of a patient in three planes, labelled as a viewer does."""
    from matplotlib.figure import Figure

    at_mm = (0.0, 0.0, 2.0)
    figure = Figure(figsize=(15, 7.6), facecolor="black", layout="constrained")
    axes = figure.subplots(2, 3)
    protocol = patient.hospital.mr
    top = float(np.percentile(patient.mr.array[patient.body], 99.5))
    middle = float(np.median(patient.mr.array[patient.body]))
    high = min(top, 2.2 * middle)
    rows = (
        ("CT, W400 L40 HU", patient.ct.array, CT_WINDOW_HU),
        (
            f"MR {protocol.sequence}, {protocol.field_t:g} T, TR {protocol.repetition_ms:g} "
            f"TE {protocol.echo_ms:g} ms, 0 to {high:.0f}",
            patient.mr.array,
            (0.0, high),
        ),
    )
    for row, (title, array, window) in enumerate(rows):
        for column, (axis, plane) in enumerate(_PLANES):
            _draw_plane(axes[row, column], patient, array, axis, at_mm[axis], window)
            name = "xyz"[axis]
            axes[row, column].set_title(
                f"{title}\n{plane}, {name} = {at_mm[axis]:g} mm", color="white", fontsize=9
            )
    figure.suptitle(
        f"Virtual patient {patient.case}, {patient.grid.describe()}", color="white", fontsize=11
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, facecolor="black", metadata={"Software": None})


def draw_levels(patient: VirtualPatient, path: Path) -> None:
    """Draw nine axial levels of a patient's CT."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 11), facecolor="black", layout="constrained")
    for axes, level in zip(
        figure.subplots(3, 3).ravel(), (95, 75, 50, 25, 5, -15, -35, -55, -80), strict=True
    ):
        _draw_plane(axes, patient, patient.ct.array, 2, float(level), CT_WINDOW_HU)
        axes.set_title(f"z = {level} mm", color="white", fontsize=9)
    figure.suptitle(f"Virtual patient {patient.case}: CT, W400 L40", color="white", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80, facecolor="black", metadata={"Software": None})


def _draw_plane(
    axes: Any,
    patient: VirtualPatient,
    array: NDArray[np.float32],
    axis: int,
    at_mm: float,
    window: tuple[float, float],
) -> None:
    grid = patient.grid
    index = round((at_mm - grid.origin_mm[axis]) / grid.spacing_mm[axis])
    first, second = (a for a in range(3) if a != axis)
    edges = [
        (grid.origin_mm[a] - grid.spacing_mm[a] / 2,
         grid.origin_mm[a] + grid.spacing_mm[a] * (grid.shape[a] - 0.5))
        for a in (first, second)
    ]  # fmt: skip
    upright = second == 2
    picture = array.take(index, axis=axis).T
    axes.imshow(
        picture,
        cmap="gray",
        vmin=window[0],
        vmax=window[1],
        origin="lower" if upright else "upper",
        extent=(*edges[0], *(edges[1] if upright else edges[1][::-1])),
        interpolation="nearest",
    )
    axes.set_axis_off()
    _label(axes, _ENDS[axis], edges)


def _label(axes: Any, ends: tuple[str, ...], edges: list[tuple[float, float]]) -> None:
    style = {"color": "#ffd34d", "fontsize": 11, "transform": axes.transAxes}
    axes.text(0.01, 0.5, ends[0], va="center", ha="left", **style)
    axes.text(0.99, 0.5, ends[1], va="center", ha="right", **style)
    axes.text(0.5, 0.98, ends[2], va="top", ha="center", **style)
    axes.text(0.5, 0.02, ends[3], va="bottom", ha="center", **style)
    width = edges[0][1] - edges[0][0]
    bar = 100.0 / width
    axes.plot([0.04, 0.04 + bar], [0.05, 0.05], color="#ffd34d", lw=2, transform=axes.transAxes)
    axes.text(0.04 + bar / 2, 0.06, "10 cm", ha="center", va="bottom", color="#ffd34d",
              fontsize=8, transform=axes.transAxes)  # fmt: skip


def main(folder: Path) -> None:
    """Draw one patient of each hospital, and the levels of the first."""
    for name in HOSPITALS:
        patient = make_patient(name, 1, seed=SEED, spacing_mm=(1.5, 1.5, 1.5))
        draw_patient(patient, folder / f"phantom-{name}.png")
        if name == "A":
            draw_levels(patient, folder / "phantom-levels.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
