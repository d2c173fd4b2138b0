"""Figures of the commissioning page; virtual phantoms only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.commission.twins import agreement

Curves = Mapping[tuple[str, str], tuple[NDArray[np.float64], NDArray[np.float64]]]
LOOK = {
    "surrogate": ("surrogate, 10 MV", "#1f5fa8", "-"),
    "montecarlo": ("pyRadMC, 10 MV", "#1f5fa8", ":"),
    "surrogate6": ("surrogate, TPR 0.67", "#c05a1c", "-"),
    "pyradplan": ("pyRadPlan, 6 MV", "#c05a1c", "--"),
}


def photon_figure(curves: Curves, path: Path) -> None:
    """Depth doses, profiles, and the ratio with and without a slab."""
    panels = (
        ("water 100", "Water, 10×10 cm²", "dose (% of 10 cm)", (0, 250)),
        ("profile 100", "10 cm deep, 10×10 cm²", "dose (% of axis)", (-90, 90)),
        ("lung 100", "7.5 cm of lung, 10×10 cm²", "dose over water alone", (0, 200)),
        ("lung 40", "7.5 cm of lung, 4×4 cm²", "dose over water alone", (0, 200)),
        ("bone 100", "3 cm of bone, 10×10 cm²", "dose over water alone", (0, 200)),
        ("bone 40", "3 cm of bone, 4×4 cm²", "dose over water alone", (0, 200)),
    )
    figure, axes = _canvas(3, 2)
    for axis, (key, title, label, span) in zip(axes.ravel(), panels, strict=True):
        for engine, (name, colour, style) in LOOK.items():
            if (key, engine) in curves:
                x, y = curves[key, engine]
                axis.plot(x, y, color=colour, linestyle=style, linewidth=1.2, label=name)
        axis.set(
            title=title,
            ylabel=label,
            xlim=span,
            xlabel="depth (mm)" if "profile" not in key else "x (mm)",
        )
    axes[0, 0].legend(fontsize=7, frameon=False)
    _save(figure, path)


def off_axis_figure(curves: Curves, path: Path) -> None:
    """Shadows of edges beside the axis at three depths, and a profile of the large field."""
    panels = (
        ("crossline_lung 70", "Lung from 70 mm, crossline", (40, 120)),
        ("crossline_bone 70", "Bone from 70 mm, crossline", (40, 120)),
        ("inline_lung 58", "Lung from −58 mm, inline", (-100, -30)),
        ("crossline_lung 102.5", "Lung from 102.5 mm, 30×30 cm²", (70, 160)),
    )
    figure, axes = _canvas(3, 2)
    for axis, (key, title, span) in zip(axes.ravel(), panels, strict=False):
        for n, depth in enumerate(("130", "190", "250")):
            for engine, (name, colour, style) in LOOK.items():
                x, y = curves[f"{key} {depth}", engine]
                axis.plot(
                    x,
                    y + 0.15 * n,
                    color=colour,
                    linestyle=style,
                    linewidth=1.1,
                    label=name if n == 0 else None,
                )
            place = curves[f"{key} {depth}", "expected"][0][0]
            axis.plot([place] * 2, [0.9 + 0.15 * n, 1.3 + 0.15 * n], color="0.5", linewidth=0.7)
        axis.set(
            title=title,
            xlim=span,
            ylim=(0.8, 1.75),
            xlabel="distance from the axis (mm)",
            ylabel="dose over water alone",
        )
    axes[0, 0].legend(fontsize=7, frameon=False)
    profile = axes[2, 0]
    for engine, (_, colour, style) in LOOK.items():
        x, y = curves["large 100", engine]
        profile.plot(x, y, color=colour, linestyle=style, linewidth=1.1)
    profile.set(
        title="Water, 30×30 cm², 10 cm deep",
        xlim=(-200, 200),
        xlabel="x (mm)",
        ylabel="dose (% of axis)",
    )
    axes[2, 1].axis("off")
    axes[2, 1].text(
        0,
        0.5,
        "Shadows at 13, 19 and 25 cm depth, each 0.15 higher;\n"
        "grey: similar triangles from the source.",
        fontsize=8,
    )
    _save(figure, path)


def proton_figure(curves: Curves, path: Path) -> None:
    """Depth doses in water, and along the axis behind slabs."""
    figure, axes = _canvas(1, 2)
    look = {"surrogate": ("surrogate", "#1f5fa8", "-"), "pyradplan": ("pyRadPlan", "#c05a1c", "--")}
    for (key, engine), (x, y) in curves.items():
        name, colour, style = look[engine]
        water = key.startswith("water ")
        if not water and key not in ("water", "bone", "lung"):
            continue
        first = key in ("water 70 MeV", "water")
        axes[0 if water else 1].plot(
            x, y, color=colour, linestyle=style, linewidth=1.1, label=name if first else None
        )
    axes[0].set(
        title="Water: 70, 100, 130, 160, 200 MeV",
        xlabel="depth (mm)",
        ylabel="Gy·mm² per 10⁹ protons",
    )
    axes[1].set(
        title="160 MeV: bone, water, lung", xlabel="depth (mm)", ylabel="dose on the axis (Gy)"
    )
    axes[0].legend(fontsize=7, frameon=False)
    _save(figure, path)


def twin_figure(
    pairs: Mapping[str, list[tuple[float, float]]], shown: Mapping[str, Any], path: Path
) -> None:
    """Differences of the surrogate against those of the reference; a slice of each modality."""
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(7.6, 7.4), layout="constrained")
    rows = figure.subfigures(2, 1, height_ratios=[1, 1.25])
    axes = rows[0].subplots(1, len(pairs))
    for axis, (name, found) in zip(np.ravel(axes), pairs.items(), strict=True):
        rms, largest, array = agreement(found)
        reach = 1.08 * float(np.abs(array).max())
        axis.axline((0, 0), slope=1, color="0.7", linewidth=0.8)
        axis.plot(array[:, 1], array[:, 0], "o", color="#1f5fa8", markersize=3)
        axis.set(
            xlim=(-reach, reach),
            ylim=(-reach, reach),
            aspect="equal",
            xlabel="reference Δ (%)",
            ylabel="surrogate Δ (%)",
        )
        axis.set_title(f"{name}\nrms {rms:.2f}, most {largest:.2f}", fontsize=8)
    axes = rows[1].subplots(len(shown), 2)
    for row, (modality, made) in zip(np.atleast_2d(axes), shown.items(), strict=True):
        reach = float(np.quantile(np.abs(made["reference"]), 0.998))
        for axis, which in zip(row, ("surrogate", "reference"), strict=True):
            picture = axis.imshow(made[which].T, cmap="RdBu_r", vmin=-reach, vmax=reach)
            axis.contour(made["density"].T, levels=[0.5, 1.1], colors="0.4", linewidths=0.5)
            axis.contour(made["target"].T, levels=[0.5], colors="k", linewidths=0.8)
            axis.set(xticks=[], yticks=[])
            axis.set_title(f"{modality}, {made['twin']}: {which}", fontsize=8)
        rows[1].colorbar(picture, ax=list(row), shrink=0.8, label="Δ dose (%)")
    _save(figure, path)


def _canvas(rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        rows, columns, figsize=(7.6, 2.7 * rows), layout="constrained", squeeze=False
    )
    return figure, axes if rows > 1 else axes[0]


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
