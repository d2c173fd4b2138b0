"""Pictures of the virtual patients for the documentation.

Run ``python -m qa_suite.lab.phantom.picture docs/images`` to draw them again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.lab.phantom.further import PETScan, scan_cbct, scan_pet
from qa_suite.lab.phantom.hospitals import HOSPITALS
from qa_suite.lab.phantom.scan import VirtualPatient, make_patient

CT_WINDOW_HU = (-160.0, 240.0)  # W400 L40
PET_WINDOW_SUV = (0.0, 7.0)
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


def draw_scanners(patient: VirtualPatient, path: Path) -> None:
    """Draw the PET and the cone-beam CT of a patient, through his lesion."""
    from matplotlib.figure import Figure

    pet, cone = scan_pet(patient), scan_cbct(patient)
    where = np.argwhere(patient.structures["GTV"]).mean(axis=0)
    at_mm = tuple(float(v) for v in patient.grid.to_world(where))
    figure = Figure(figsize=(15.5, 7.8), facecolor="black", layout="constrained")
    axes = figure.subplots(2, 3)
    site = patient.hospital
    for column, (axis, plane) in enumerate(_PLANES):
        title = f"{plane}, {'xyz'[axis]} = {at_mm[axis]:.0f} mm"
        if axis == 0:  # the whole patient instead of a third plane: the view that PET is read in
            _draw_projection(axes[0, column], patient, pet)
        else:
            _draw_plane(
                axes[0, column],
                patient,
                pet.image.array,
                axis,
                at_mm[axis],
                PET_WINDOW_SUV,
                "gray_r",
            )
            _outline(axes[0, column], patient, pet, axis, at_mm[axis])
            axes[0, column].set_title(title, color="white", fontsize=9)
        _draw_plane(axes[1, column], patient, cone.image.array, axis, at_mm[axis], CT_WINDOW_HU)
        axes[1, column].set_title(title, color="white", fontsize=9)
    for row, label in enumerate(
        (
            f"{site.pet_model}: FDG, {site.pet.reconstruction}; SUVbw",
            f"{site.cbct_model}: cone-beam CT, {site.cbct.diameter_mm:g} mm; HU",
        )
    ):
        bar = figure.colorbar(axes[row, 0].images[0], ax=axes[row, :], shrink=0.85, pad=0.01)
        bar.set_label(label, color="white", fontsize=9)
        bar.ax.tick_params(colors="white", labelsize=8)
    figure.suptitle(
        f"Virtual patient {patient.case}, {patient.grid.describe()}. Orange: GTV, SUV "
        f"{pet.uptake.suv['lesion']:.1f} in truth; blue: a focus that MR and CT do not show, "
        f"SUV {pet.uptake.focus.suv if pet.uptake.focus else 0:.1f}",
        color="white",
        fontsize=11,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, facecolor="black", metadata={"Software": None})


def _draw_projection(axes: Any, patient: VirtualPatient, pet: PETScan) -> None:
    """Draw the largest value along each ray from front to back."""
    highest = np.broadcast_to(pet.image.array.max(axis=1, keepdims=True), patient.grid.shape)
    _draw_plane(axes, patient, highest, 1, 0.0, PET_WINDOW_SUV, "gray_r")
    axes.set_title("coronal projection, maximum intensity", color="white", fontsize=9)
    for mask, colour in ((patient.structures["GTV"], "#e66100"), (pet.focus, "#1a6fdf")):
        _contour(axes, patient, np.asarray(mask.any(axis=1)), 1, colour)


def _outline(axes: Any, patient: VirtualPatient, pet: PETScan, axis: int, at_mm: float) -> None:
    index = _index(patient, axis, at_mm)
    for mask, colour in ((patient.structures["GTV"], "#e66100"), (pet.focus, "#1a6fdf")):
        _contour(axes, patient, np.asarray(mask.take(index, axis=axis)), axis, colour)


def _contour(
    axes: Any, patient: VirtualPatient, mask: NDArray[np.bool_], axis: int, colour: str
) -> None:
    if not mask.any():
        return
    first, second = (
        patient.grid.origin_mm[a] + patient.grid.spacing_mm[a] * np.arange(patient.grid.shape[a])
        for a in range(3)
        if a != axis
    )
    axes.contour(first, second, mask.T.astype(float), [0.5], colors=colour, linewidths=1.2)


def _index(patient: VirtualPatient, axis: int, at_mm: float) -> int:
    return round((at_mm - patient.grid.origin_mm[axis]) / patient.grid.spacing_mm[axis])


def _draw_plane(
    axes: Any,
    patient: VirtualPatient,
    array: NDArray[np.float32],
    axis: int,
    at_mm: float,
    window: tuple[float, float],
    colours: str = "gray",
) -> None:
    grid = patient.grid
    index = _index(patient, axis, at_mm)
    first, second = (a for a in range(3) if a != axis)
    edges = [
        (
            grid.origin_mm[a] - grid.spacing_mm[a] / 2,
            grid.origin_mm[a] + grid.spacing_mm[a] * (grid.shape[a] - 0.5),
        )
        for a in (first, second)
    ]
    upright = second == 2
    picture = array.take(index, axis=axis).T
    axes.imshow(
        picture,
        cmap=colours,
        vmin=window[0],
        vmax=window[1],
        origin="lower" if upright else "upper",
        extent=(*edges[0], *(edges[1] if upright else edges[1][::-1])),
        interpolation="nearest",
    )
    axes.set_axis_off()
    _label(axes, _ENDS[axis], edges, "#ffd34d" if colours == "gray" else "#7a1f5c")


def _label(axes: Any, ends: tuple[str, ...], edges: list[tuple[float, float]], colour: str) -> None:
    style = {"color": colour, "fontsize": 11, "transform": axes.transAxes}
    axes.text(0.01, 0.5, ends[0], va="center", ha="left", **style)
    axes.text(0.99, 0.5, ends[1], va="center", ha="right", **style)
    axes.text(0.5, 0.98, ends[2], va="top", ha="center", **style)
    axes.text(0.5, 0.02, ends[3], va="bottom", ha="center", **style)
    width = edges[0][1] - edges[0][0]
    bar = 100.0 / width
    axes.plot([0.04, 0.04 + bar], [0.05, 0.05], color=colour, lw=2, transform=axes.transAxes)
    axes.text(
        0.04 + bar / 2,
        0.06,
        "10 cm",
        ha="center",
        va="bottom",
        color=colour,
        fontsize=8,
        transform=axes.transAxes,
    )


def main(folder: Path) -> None:
    """Draw one patient of each hospital, the levels of the first, and PET and cone-beam CT."""
    for name in HOSPITALS:
        patient = make_patient(name, 1, seed=SEED, spacing_mm=(1.5, 1.5, 1.5))
        draw_patient(patient, folder / f"phantom-{name}.png")
        if name == "A":
            draw_levels(patient, folder / "phantom-levels.png")
    draw_scanners(truncated_patient(), folder / "phantom-scanners.png")


def truncated_patient() -> VirtualPatient:
    """Return a patient whom the cone-beam CT of his hospital truncates, with an occult focus."""
    return make_patient("D", 29, seed=SEED, spacing_mm=(2.0, 2.0, 2.0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
