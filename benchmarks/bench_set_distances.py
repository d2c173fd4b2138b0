"""Distances between sets on virtual patients: real against real, a clean twin, and faults.

    python benchmarks/bench_set_distances.py --write docs/measures/set_distances.md

An extractor is trained on other virtual patients first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from qa_suite.instruments.fit_extractor import fit_extractor
from qa_suite.instruments.fit_segmenter import TrainingImage
from qa_suite.instruments.settings import ExtractorSettings
from qa_suite.lab.phantom import VirtualPatient, make_patient, oracle_translate
from qa_suite.metrics.set_distances.family import FeaturedCase, measure_sets
from qa_suite.metrics.set_distances.features import OF_SETS, FeatureSet, features_of
from qa_suite.metrics.set_distances.neighbours import Coverage
from qa_suite.metrics.set_distances.settings import SetDistanceSettings

BEGIN, END = "<!-- sets: begin -->", "<!-- sets: end -->"
SPACING_MM = (6.0, 6.0, 6.0)
HOSPITALS = "ABC"


def _mean_image(patients: list[VirtualPatient]) -> np.ndarray:
    return np.mean([p.ct_noise_free.array for p in patients], axis=0).astype(np.float32)


def faults(patients: list[VirtualPatient]) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    mean = _mean_image(patients)
    sigma = [14 / 2.3548 / s for s in SPACING_MM]
    return {
        "clean twin": lambda a: a,
        "HU + 30": lambda a: a + 30,
        "noise of 60 HU": lambda a: a + np.random.default_rng(3).normal(0, 60, a.shape),
        "blurred by 14 mm": lambda a: ndimage.gaussian_filter(a, sigma),
        "bone clipped at 300 HU": lambda a: np.minimum(a, 300),
        "mean image of the cohort": lambda a: mean,
    }


def cases(
    patients: list[VirtualPatient], extractor: object, change: Callable[[np.ndarray], np.ndarray]
) -> list[FeaturedCase]:
    found = []
    for number, patient in enumerate(patients):
        truth = patient.ct_noise_free
        changed = truth.with_array(np.asarray(change(truth.array), dtype=np.float32))
        twin = oracle_translate(changed, seed=number)
        features = features_of(extractor, patient.ct, twin, patient.body, most=32)
        found.append(
            FeaturedCase(
                case=patient.case,
                patient=patient.patient,
                site=patient.hospital.name,
                features=features,
            )
        )
    return found


def report(per_hospital: int, iterations: int) -> str:
    training = [
        make_patient(h, n, seed=31, spacing_mm=SPACING_MM) for h in HOSPITALS for n in range(1, 7)
    ]
    images = [
        TrainingImage(volume=p.ct, mask=p.body, structures={}, patient=p.patient) for p in training
    ]
    started = time.perf_counter()
    extractor = fit_extractor(
        images[:-3], images[-3:], ExtractorSettings(iterations=iterations), seed=1
    )
    trained = time.perf_counter() - started
    patients = [
        make_patient(h, n, seed=32, spacing_mm=SPACING_MM)
        for h in HOSPITALS
        for n in range(1, per_hospital + 1)
    ]
    lines = [
        "| Synthetic set | " + " | ".join(f"`{m}`" for m in OF_SETS) + " |",
        "|---|--:|--:|--:|--:|",
    ]
    floor = ""
    for name, change in faults(patients).items():
        rows = [
            r
            for r in measure_sets(cases(patients, extractor, change), SetDistanceSettings())
            if r.scope == "pooled"
        ]
        if not floor:
            floor = _line("*real against real (floor)*", rows, "floor")
            lines.append(floor)
        lines.append(_line(name, rows, "default"))
        print(lines[-1], flush=True)
    lines += [
        "",
        (
            f"{len(patients)} virtual patients at {SPACING_MM[0]:g} mm, an extractor of "
            f"{extractor.dimensions} features trained for {iterations} steps on "
            f"{len(training)} others ({trained:.0f} s). Value ± standard error."
        ),
    ]
    return "\n".join(lines)


def _line(name: str, rows: list, variant: str) -> str:
    cells = []
    for metric in OF_SETS:
        (row,) = [r for r in rows if (r.metric, r.variant) == (metric, variant)]
        cells.append(
            "undefined" if row.value is None else f"{row.value:.3g} ± {row.standard_error:.2g}"
        )
    return f"| {name} | " + " | ".join(cells) + " |"


def rows() -> list[dict[str, object]]:
    """Time all four with their standard errors on vectors of 60 patients."""
    from qa_suite.metrics.set_distances.distances import fid_without_each, kid_without_each

    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(60), 32)
    real, made = (
        FeatureSet(vectors=rng.normal(size=(60 * 32, 64)), patients=owner) for _ in range(2)
    )
    tasks = {
        "FID without each patient": lambda: fid_without_each(real, made),
        "KID without each patient": lambda: kid_without_each(real, made),
        "precision without each patient": lambda: Coverage(real, made, 3).without_each(),
    }
    found = []
    for task, run in tasks.items():
        times = []
        for _ in range(3):
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
        found.append(
            {
                "task": task,
                "sizes": "60 patients × 32 slices × 64 features",
                "peer": "–",
                "ours_s": min(times),
                "peer_s": None,
                "ratio": None,
                "agreement": "–",
            }
        )
    return found


def main() -> None:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=16, help="per hospital, of three")
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--write", type=Path, help="page whose marked part is replaced")
    options = parser.parse_args()
    text = report(options.patients, options.iterations)
    print(text)
    if options.write is not None:
        head, rest = options.write.read_text().split(BEGIN)
        options.write.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
