"""Shared noise of virtual patients: images that know nothing of the reference against copies.

The exam's own patients A, B and C from number 41 on (so many each), and those with the most fat
between the fibres of their muscles, of which single voxels look like noise.

    python benchmarks/noise_table.py 6 7      # voxel size in mm, patients of each hospital
    python benchmarks/noise_table.py 3 7
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
from scipy import ndimage

from qa_suite.lab.exam.scenes import virtual_person
from qa_suite.lab.phantom.candidates import BULK, REALISTIC, TWIN
from qa_suite.metrics.base import Pair
from qa_suite.metrics.image.family import noise
from qa_suite.metrics.image.settings import ImageSettings

MARBLED = ((2, "C", 13), (1, "B", 14), (1, "B", 10), (2, "C", 1), (2, "C", 3), (2, "C", 8))
"""Seed, hospital and number: of seeds 1 and 2, numbers 1 to 15, those whose true CT has most
fine detail against the reference's."""


def main(spacing_mm: float, patients: int) -> None:
    spacing = (spacing_mm,) * 3
    usual = [(1, h, i) for h in "ABC" for i in range(41, 41 + patients)]
    found = defaultdict(list)
    for seed, hospital, index in (*usual, *MARBLED):
        person = virtual_person(hospital, index, seed=seed, spacing_mm=spacing)
        rng = np.random.default_rng([seed, index])
        ct = np.asarray(person.reference.array, dtype=np.float32)
        truth = person.truth.ct_noise_free.array
        images = {name: person.scene(name).clean.array for name in (TWIN, REALISTIC, BULK)} | {
            "truth": truth,
            "truth, 12 HU of noise": truth + rng.normal(0, 12, ct.shape),
            "truth, blurred by 1 voxel": ndimage.gaussian_filter(truth, 1),
            **{f"copy, {sd} HU of noise": ct + rng.normal(0, sd, ct.shape) for sd in (3, 6, 10)},
            **{
                f"copy, blurred by {s} voxels": ndimage.gaussian_filter(ct, s)
                for s in (0.4, 0.6, 0.7, 0.8, 1.0)
            },
            "copy, int16": ct.astype(np.int16),
            "copy, air outside": np.where(person.truth.body, ct, -1000),
        }
        for name, array in images.items():
            synthetic = person.reference.with_array(np.asarray(array, dtype=np.float32))
            pair = Pair(reference=person.reference, synthetic=synthetic, mask=person.truth.body)
            found[name].append(
                [np.nan if v.value is None else v.value for v in noise(pair, ImageSettings())]
            )
    print(f"{len(usual) + len(MARBLED)} patients, voxels of {spacing_mm:g} mm\n")
    print("| image | `shared_noise` | `error_to_noise` | undefined |\n|---|--:|--:|--:|")
    for name, rows in found.items():
        ratio, shared = np.transpose(rows)
        told = " | ".join(f"{np.nanmin(v):.2f} to {np.nanmax(v):.2f}" for v in (shared, ratio))
        print(f"| {name} | {told} | {np.count_nonzero(np.isnan(shared))} |")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
