"""Sample pictures of a training: source, prediction, reference and difference of a slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from translators.data import Float, PreparedPair
from translators.spec import TargetSpec

HU_WINDOW = (-250.0, 450.0)
DIFFERENCE_HU = 300.0


def sample_picture(
    pair: PreparedPair,
    prediction: Float,
    spacing_mm: tuple[float, float, float],
    target: TargetSpec,
    path: Path,
) -> Path:
    """Draw one axial slice and one coronal slice of a pair with its prediction.

    The slices are those with most bone, or most body where there is no bone. Radiological
    convention: the patient's right is at the left of the picture, the head at its top.

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

    bone = pair.mask & (pair.target > 200)
    where = bone if bone.any() else pair.mask
    z = int(where.sum(axis=(0, 1)).argmax())
    y = int(where.sum(axis=(0, 2)).argmax())
    low, high = HU_WINDOW if target.quantity == "HU" else (target.low, target.high)
    span = DIFFERENCE_HU if target.quantity == "HU" else 0.3 * (target.high - target.low)
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
        ("prediction", prediction, "gray", (low, high), unit),
        ("reference", pair.target, "gray", (low, high), unit),
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
    for column, (title, volume, colours, window, label) in enumerate(columns):
        views = ((volume[:, :, z].T, dy / dx, "upper"), (volume[:, y, :].T, dz / dx, "lower"))
        for row, (image, aspect, origin) in enumerate(views):
            drawn = axes[row, column].imshow(
                image, cmap=colours, vmin=window[0], vmax=window[1], aspect=aspect, origin=origin
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
    figure.suptitle(
        f"{pair.case.case} ({pair.case.site}, {pair.case.split}) — "
        f"mean absolute error in the mask {mae:.1f} {unit}",
        fontsize=11,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path
