"""Isodoses over the real CT, to be looked at; never kept in the project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dose_real.run import Planned
from qa_suite.core.volume import Volume
from qa_suite.dose.scene.gridding import averaged_onto, mask_onto

LEVELS_PCT = (10, 30, 50, 80, 95, 107)


def draw_isodoses(planned: Planned, others: Mapping[str, Volume], path: Path) -> None:
    """Draw the dose on the CT and on chosen twins through the isocentre, three planes each.

    Parameters
    ----------
    others
        Name of a twin to its dose; its difference from the CT's dose is drawn beside.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    scene = planned.scene
    hu = averaged_onto(scene.reference.hu + 1024, scene.image_grid, scene.grid) - 1024
    middle = np.rint(scene.grid.to_index(scene.isocentre_mm)).astype(int)
    rows = {"CT": planned.dose, **others}
    fig, axes = plt.subplots(len(rows), 3, figsize=(18, 5 * len(rows)), squeeze=False)
    for line, (name, dose) in enumerate(rows.items()):
        for column, axis in enumerate((2, 1, 0)):
            cut: list[Any] = [slice(None)] * 3
            cut[axis] = int(middle[axis])
            panel = axes[line][column]
            panel.set_title(f"{planned.template.name}, {name}")
            origin = "upper" if axis == 2 else "lower"
            panel.imshow(hu[tuple(cut)].T, cmap="gray", vmin=-200, vmax=400, origin=origin)
            share = 100 * dose.array[tuple(cut)].T / planned.prescription_gy
            if line == 0:
                drawn = panel.contour(share, LEVELS_PCT, cmap="jet", linewidths=1)
                panel.clabel(drawn, fontsize=7)
            else:
                change = share - 100 * planned.dose.array[tuple(cut)].T / planned.prescription_gy
                image = panel.imshow(
                    change, cmap="coolwarm", vmin=-10, vmax=10, alpha=0.6, origin=origin
                )
                fig.colorbar(image, ax=panel, label="% of prescription")
            for structure, mask in (("target", scene.target), *scene.structures.items()):
                where = mask_onto(mask, scene.image_grid, scene.grid)[tuple(cut)]
                if where.any():
                    colour = "red" if structure == "target" else "white"
                    panel.contour(where.T, [0.5], colors=colour, linewidths=0.8)
    fig.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=60)
    plt.close(fig)
