"""Copies of real reference CTs against images that know nothing of their noise.

For every third patient of the soft-tissue sarcoma data beside the project, the CT on the grid
of its MR is the reference. Honest is the MR with its values mapped to HU; the others are made
from the reference.

    python benchmarks/too_good.py ../shared/data/sts/nifti
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

from qa_suite.core.resampling import covered_by, resample
from qa_suite.core.volume import Quantity, Volume, canonical
from qa_suite.io.images import read_image
from qa_suite.metrics.base import Pair
from qa_suite.metrics.copies import copied_share
from qa_suite.metrics.image.family import noise
from qa_suite.metrics.image.settings import ImageSettings


def scan(folder: Path, role: str, quantity: Quantity) -> Volume:
    (path,) = folder.rglob(f"{role}_image*.nii*")
    return canonical(read_image(path, quantity))


def main(folder: Path) -> None:
    rng = np.random.default_rng(0)
    print("| patient | image | error_to_noise | shared_noise | runs of voxels |")
    print("|---|---|--:|--:|--:|")
    for patient in sorted(folder.iterdir())[::3]:
        ct, mr = scan(patient, "CT", "HU"), scan(patient, "MR_T1", "arbitrary")
        reference = resample(ct, mr.grid, interpolation="linear", outside=-1000)
        hu = reference.array.astype(np.float32)
        body = ndimage.binary_fill_holes(hu > -300) & covered_by(ct.grid, mr.grid)
        curve = np.polyfit(mr.array[body].astype(float), np.clip(hu[body], -200, 300), 2)
        images = {
            "MR mapped to HU": np.where(body, np.polyval(curve, mr.array), -1000),
            "copy": hu,
            "copy, 3 HU of noise": hu + rng.normal(0, 3, hu.shape),
            "copy, blurred": ndimage.gaussian_filter(hu, 0.6),
        }
        for name, array in images.items():
            synthetic = reference.with_array(array.astype(np.float32))
            pair = Pair(reference=reference, synthetic=synthetic, mask=body)
            found = [
                v.value if v.value is not None else v.why for v in noise(pair, ImageSettings())
            ]
            share = copied_share(reference, synthetic, body)
            told = " | ".join(f if isinstance(f, str) else f"{f:.2f}" for f in found)
            print(f"| {patient.name} | {name} | {told} | {share:.2f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
