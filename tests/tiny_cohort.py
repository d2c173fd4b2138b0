"""A tiny paired cohort for the translators' tests: an ellipse of tissues with a bone in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qa_suite.core.cohort import Case, Cohort, Split, save_cohort
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.identity import fingerprint, voxel_hash
from qa_suite.io.images import write_image

SHAPE = (40, 32, 12)
SPACING_MM = (8.0, 8.0, 8.0)
HU = {"air": -1000.0, "fat": -100.0, "muscle": 50.0, "bone": 800.0, "gas": -900.0}
SIGNAL = {"air": 0.0, "fat": 900.0, "muscle": 350.0, "bone": 60.0, "gas": 10.0}
TISSUES = tuple(HU)
SCANS = ("source", "reference")


def tissue_labels(seed: int) -> np.ndarray:
    """Label every voxel with the number of its tissue; each seed is another patient."""
    rng = np.random.default_rng(seed)
    x, y, _ = np.meshgrid(*[np.arange(n, dtype=float) for n in SHAPE], indexing="ij")
    cx, cy = (SHAPE[0] - 1) / 2 + rng.uniform(-1, 1), (SHAPE[1] - 1) / 2 + rng.uniform(-1, 1)
    a, b = rng.uniform(14, 17), rng.uniform(11, 13)
    labels = np.zeros(SHAPE, dtype=int)

    def ellipse(dx: float, dy: float, rx: float, ry: float) -> np.ndarray:
        return ((x - cx - dx) / rx) ** 2 + ((y - cy - dy) / ry) ** 2 <= 1

    labels[ellipse(0, 0, a, b)] = 1
    labels[ellipse(0, 0, a - 3, b - 3)] = 2
    labels[ellipse(-6, 1, 3, 3.5)] = 3
    labels[ellipse(6, 1, 3, 3.5)] = 3
    labels[ellipse(1, 4, 1.5, 1.5)] = 4
    return labels


def grid() -> Grid:
    return Grid(shape=SHAPE, spacing_mm=SPACING_MM, origin_mm=(-160.0, -128.0, 0.0))


def pair(seed: int, *, gain: float = 1.0, scan: int = 7) -> tuple[Volume, Volume, Volume]:
    """Return MR, CT and body mask of one patient; each scan has noise of its own."""
    rng = np.random.default_rng([seed, scan])
    labels = tissue_labels(seed)
    signal = np.array([SIGNAL[t] for t in TISSUES])[labels] * gain
    signal = np.abs(signal + rng.normal(0, 15 * gain, SHAPE))
    ct = np.array([HU[t] for t in TISSUES])[labels] + rng.normal(0, 10, SHAPE)
    return (
        Volume(array=signal.astype(np.float32), grid=grid(), quantity="arbitrary"),
        Volume(array=ct.astype(np.float32), grid=grid(), quantity="HU"),
        Volume(array=(labels > 0).astype(np.int32), grid=grid(), quantity="label"),
    )


def make_tiny_cohort(folder: Path, splits: str = "ttvs") -> Cohort:
    """Write a cohort with one case a letter: train, validation or (s) test."""
    names: dict[str, Split] = {"t": "train", "v": "validation", "s": "test"}
    cases = []
    for number, letter in enumerate(splits, 1):
        volumes = dict(zip(("source", "reference", "mask"), pair(number, gain=number), strict=True))
        files = {role: f"volumes/case{number}_{role}.nii.gz" for role in volumes}
        for role, volume in volumes.items():
            write_image(volume, folder / files[role])
        cases.append(
            Case(
                case=f"case{number}",
                patient=f"patient{number}",
                site="AB"[number % 2],
                split=names[letter],
                voxel_hashes={role: voxel_hash(volumes[role]) for role in SCANS},
                fingerprints={role: fingerprint(volumes[role]) for role in SCANS},
                **files,
            )
        )
    cohort = Cohort(name="tiny", source_modality="MR", anatomy="pelvis", cases=tuple(cases))
    save_cohort(cohort, folder)
    return cohort
