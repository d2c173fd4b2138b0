"""The learned segmenter: how long it takes, how good it is, also on a good synthetic CT.

The noise floor is Dice against the true labels on real CTs of patients it never saw; the last
column is the same on the oracle's synthetic CT (fresh noise, slight blur, a smooth ±10 HU
field), which must not fall behind.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch

from qa_suite.core.cohort import Cohort, assign_splits, save_cohort
from qa_suite.core.volume import Grid, Volume
from qa_suite.instruments.material import load_images
from qa_suite.instruments.segmenter import TrainedSegmenter
from qa_suite.instruments.train_segmenter import noise_floor, train_segmenter
from qa_suite.io.cases import load_case
from qa_suite.lab.phantom import oracle_translate
from qa_suite.lab.phantom.make import make_phantom_cohort

PATIENTS = 16  # a hospital; two hospitals
SPACING_MM = (4.0, 4.0, 6.0)
THREADS = 2


def rows() -> list[dict[str, Any]]:
    """Time training and one 256×256×100 volume."""
    return measured()[0]


def measured() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Train once; time training and one volume; compare real and synthetic."""
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cohort = _cohort(folder)
        started, busy = time.perf_counter(), time.process_time()
        segmenter = train_segmenter(cohort, folder, seed=0, device="cpu")
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        counts = {split: len(cohort.in_split(split)) for split in ("train", "validation")}
        fit = segmenter.facts.settings["fit"]
        found = [
            _row(
                "train the segmenter",
                f"{counts['train']} + {counts['validation']} patients",
                seconds,
                f"{fit['iterations']} iterations, {busy:.0f} s of CPU time",
            ),
            _row("segment a CT", "256×256×100, 1.5×1.5×2 mm", _seconds_for_one(segmenter), ""),
        ]
        return found, _agreement(segmenter, cohort, folder)


def _cohort(folder: Path) -> Cohort:
    made = make_phantom_cohort(
        folder,
        hospitals=("A", "B"),
        patients_per_hospital=PATIENTS,
        spacing_mm=SPACING_MM,
        seed=11,
        workers=THREADS,
    )
    shares = {"train": 0.75, "validation": 0.125, "calibration": 0.0, "test": 0.125}
    cohort = assign_splits(made, fractions=shares, seed=0)
    save_cohort(cohort, folder)
    return cohort


def _seconds_for_one(segmenter: TrainedSegmenter) -> float:
    """Best of three; an ellipsoidal body that fills most of the grid."""
    grid = Grid(shape=(256, 256, 100), spacing_mm=(1.5, 1.5, 2.0))
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in grid.shape], indexing="ij", sparse=True)
    body = (axes[0] / 0.95) ** 2 + (axes[1] / 0.7) ** 2 + 0 * axes[2] < 1
    rng = np.random.default_rng(0)
    hu = np.where(body, 40 + rng.normal(0, 20, grid.shape), -1000).astype(np.float32)
    volume = Volume(array=hu, grid=grid, quantity="HU")
    times = []
    for _ in range(3):
        started = time.perf_counter()
        segmenter.segment(volume, body)
        times.append(time.perf_counter() - started)
    return min(times)


def _agreement(segmenter: TrainedSegmenter, cohort: Cohort, folder: Path) -> list[dict[str, Any]]:
    """Dice of every structure on real and on good synthetic CTs of the test patients."""
    real = load_images(cohort, folder, "test")
    synthetic = []
    for number, (image, case) in enumerate(zip(real, cohort.in_split("test"), strict=True)):
        truth = load_case(cohort, case, folder, truth=True).truth["noise_free_reference"]
        made = oracle_translate(truth, seed=number)
        synthetic.append(
            type(image)(
                volume=made, mask=image.mask, structures=image.structures, patient=image.patient
            )
        )
    on_real, counts = noise_floor(segmenter, real)
    on_synthetic, _ = noise_floor(segmenter, synthetic)
    found = []
    for name, floor in segmenter.facts.noise_floor.items():
        left_out = segmenter.facts.settings["left_out"].get(name, "")
        if name in on_real:
            said = f"test CT {on_real[name]:.3f}, oracle's CT {on_synthetic[name]:.3f}"
        else:
            said = left_out
        found.append(
            _row(
                f"segment {name}",
                f"{counts.get(name, 0)} test patients",
                None,
                f"noise floor {floor:.3f}; {said}",
            )
        )
    return found


def _row(task: str, sizes: str, seconds: float | None, agreement: str) -> dict[str, Any]:
    return {
        "task": task,
        "sizes": sizes,
        "peer": "",
        "ours_s": seconds,
        "peer_s": None,
        "ratio": None,
        "agreement": agreement,
    }


def main() -> None:
    """Print the rows as a table."""
    print("| task | sizes | seconds | agreement (Dice) |\n|---|---|---|---|")
    for row in itertools.chain(*measured()):
        seconds = "" if row["ours_s"] is None else f"{row['ours_s']:.2f}"
        print(f"| {row['task']} | {row['sizes']} | {seconds} | {row['agreement']} |")


if __name__ == "__main__":
    main()
