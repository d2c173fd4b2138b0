"""Sample pictures of a training: source, prediction, reference and difference of a slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qa_suite.core.arrays import Float32Array
from translators.data import PreparedPair
from translators.spec import TargetSpec

WINDOWS = {"HU": (-250.0, 450.0), "SUVbw": (0.0, 7.0)}
DIFFERENCES = {"HU": 300.0, "SUVbw": 3.0}
BRIGHT = {"HU": 200.0, "SUVbw": 2.5}
"""By quantity: what is shown, the largest difference, and what a slice is chosen for."""


def sample_picture(
    pair: PreparedPair,
    prediction: Float32Array,
    spacing_mm: tuple[float, float, float],
    target: TargetSpec,
    path: Path,
) -> Path:
    """Draw one axial slice and one coronal slice of a pair with its prediction.

    The slices are those with most bone (CT) or most hot tissue (PET), or most body where there is
    none. PET is dark where it is hot. Radiological convention: the patient's right is at the left
    of the picture, the head at its top.

    Parameters
    ----------
    pair, prediction
        In working voxels (x, y, z), the prediction in the target's unit.
    spacing_mm
        Of the working voxels, for true proportions.
    path
        The PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bright = pair.mask & (pair.target > BRIGHT.get(target.quantity, np.inf))
    where = bright if bright.any() else pair.mask
    z = int(where.sum(axis=(0, 1)).argmax())
    y = int(where.sum(axis=(0, 2)).argmax())
    low, high = WINDOWS.get(target.quantity, (target.low, target.high))
    span = DIFFERENCES.get(target.quantity, 0.3 * (target.high - target.low))
    colours = "gray_r" if target.quantity == "SUVbw" else "gray"
    difference = np.where(pair.mask, prediction - pair.target, 0)
    unit = {"HU": "HU", "arbitrary": "a.u."}.get(target.quantity, target.quantity)
    columns = (
        (
            "source, normalised",
            pair.image,
            "gray",
            (-1.1, 1.5),
            "1st and 99th percentile of the body at −1 and 1",
        ),
        ("prediction", prediction, colours, (low, high), unit),
        ("reference", pair.target, colours, (low, high), unit),
        ("prediction − reference, in mask", difference, "RdBu_r", (-span, span), unit),
    )
    dx, dy, dz = spacing_mm
    nx, ny, nz = pair.image.shape
    heights = [ny * dy, nz * dz]
    width = 3.1
    rows = [min(max(width * h / (nx * dx), 0.8), 5.0) for h in heights]
    figure = Figure(figsize=(4 * width + 1.2, sum(rows) + 1.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4, gridspec_kw={"height_ratios": rows})
    for column, (title, volume, colour_map, window, label) in enumerate(columns):
        views = ((volume[:, :, z].T, dy / dx, "upper"), (volume[:, y, :].T, dz / dx, "lower"))
        for row, (image, aspect, origin) in enumerate(views):
            drawn = axes[row, column].imshow(
                image, cmap=colour_map, vmin=window[0], vmax=window[1], aspect=aspect, origin=origin
            )
            axes[row, column].set_xticks([])
            axes[row, column].set_yticks([])
        axes[0, column].set_title(title, fontsize=10)
        bar = figure.colorbar(drawn, ax=axes[:, column], location="bottom", pad=0.02, shrink=0.9)
        bar.set_label(label, fontsize=8)
        bar.ax.tick_params(labelsize=8)
    axes[0, 0].set_ylabel(f"axial, slice {z}", fontsize=9)
    axes[1, 0].set_ylabel(f"coronal, row {y}", fontsize=9)
    mae = float(np.abs(difference[pair.mask]).mean())
    digits = 2 if target.quantity == "SUVbw" else 1
    figure.suptitle(
        f"{pair.case.case} ({pair.case.site}, {pair.case.split}) — "
        f"mean absolute error in the mask {mae:.{digits}f} {unit}",
        fontsize=11,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path
