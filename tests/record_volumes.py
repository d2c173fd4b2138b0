"""The volumes of a case: a crude pelvis, right in geometry only."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_names import VOLUMES_FOLDER
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.images import write_image

GRID = Grid(shape=(76, 56, 24), spacing_mm=(5.0, 5.0, 7.5), origin_mm=(-190.0, -140.0, -90.0))


def write_volumes(folder: Path, case: str, error_hu: float) -> dict[str, str]:
    """Write the four volumes of a case under the hash of their bytes; return role to file."""
    rng = np.random.default_rng(int(hashlib.sha256(case.encode()).hexdigest()[:8], 16))
    names = {}
    for role, volume in pelvis(rng, error_hu).items():
        draft = folder / VOLUMES_FOLDER / "draft.nii.gz"
        write_image(volume, draft)
        names[role] = f"{sha256_of(draft)[:32]}.nii.gz"
        draft.replace(draft.with_name(names[role]))
    return names


def pelvis(rng: np.random.Generator, error_hu: float) -> dict[str, Volume]:
    """Return an elliptic body with two femora, a sacrum, a bladder and gas on the left."""
    x, y, z = np.meshgrid(
        *(
            o + s * np.arange(n)
            for n, s, o in zip(GRID.shape, GRID.spacing_mm, GRID.origin_mm, strict=True)
        ),
        indexing="ij",
    )

    def ball(cx: float, cy: float, rx: float, ry: float) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1
        return inside

    wide = float(rng.uniform(0.95, 1.05))
    body = ball(0, 0, 170 * wide, 115)
    ct = np.full(GRID.shape, -1000.0)
    mr = np.zeros(GRID.shape)
    layers = [
        (body, -100.0, 900.0),
        (ball(0, 0, 150 * wide, 95), 45.0, 380.0),
        (ball(0, -30, 40, 30) & (np.abs(z) < 50), 8.0, 120.0),
        (ball(-95 * wide, 10, 26, 26), 700.0, 60.0),
        (ball(95 * wide, 10, 26, 26), 700.0, 60.0),
        (ball(-95 * wide, 10, 18, 18), 250.0, 700.0),
        (ball(95 * wide, 10, 18, 18), 250.0, 700.0),
        (ball(0, 75, 45, 16) & (z > -40), 450.0, 250.0),
        (ball(25, 45, 12, 9), -900.0, 5.0),
    ]
    for inside, hu, signal in layers:
        ct[inside], mr[inside] = hu, signal
    ct += 12 * rng.standard_normal(GRID.shape)
    smooth = np.sin(x / 60 + rng.uniform(0, 6)) * np.cos(z / 45) * error_hu * 1.3
    synthetic = ct + smooth + np.where(ct > 200, -2.0 * error_hu, 0.0)
    synthetic[~body] = -1000.0
    mr = np.abs(mr * (1 + 0.2 * x / 200) + 15 * rng.standard_normal(GRID.shape))

    def volume(array: NDArray[np.float64], quantity: Literal["HU", "arbitrary"]) -> Volume:
        return Volume(array=array.astype(np.float32), grid=GRID, quantity=quantity)

    return {
        "source": volume(mr, "arbitrary"),
        "reference": volume(ct, "HU"),
        "synthetic": volume(synthetic, "HU"),
        "mask": Volume(array=body, grid=GRID, quantity="label"),
    }
