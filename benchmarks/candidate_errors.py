"""Learn how a translator errs, and write it down for the realistic candidate of the exam.

The images of a translator are held against the noise-free truth of virtual patients that it has
not seen, and the numbers of ``qa_suite/lab/phantom/candidate_errors.yaml`` are fitted to what
is left.

    qa-suite phantom COHORT --patients 14 --hospitals A,B,C,D --spacing-mm 3,3,4 --seed 11 \
        --split train=0.6,validation=0.05,calibration=0,test=0.35
    qa-suite train benchmarks/specs/candidate-errors.yaml COHORT
    python -m benchmarks.candidate_errors COHORT models:/candidate-errors/1 \
        --amplitude 1,0.25,2.4,1.5 --write qa_suite/lab/phantom/candidate_errors.yaml

In place of the model a folder of finished images will do (``CASE.nii.gz``). The whole takes some
hours on a CPU; 3 patients of each hospital at 6,6,6 mm and ``--iterations 60`` try it out in two
minutes (write to another file then).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.core.cohort import load_cohort, manifest_path
from qa_suite.core.volume import Volume
from qa_suite.evaluation.models import finished_images
from qa_suite.evaluation.registered import load_translator
from qa_suite.imaging.robust import MAD_TO_SD
from qa_suite.io.cases import load_case
from qa_suite.lab.phantom.candidate_errors import (
    BONE_HU,
    Amplitude,
    BorderError,
    ErrorModel,
    Knots,
    with_errors,
)

EDGES_HU = (-1100, -600, -200, -60, 0, 100, 200, 300, 450, 700, 1000, 2500)
"""Bands of the true HU; the knots of the fitted lines are the means in them."""
FEWEST = 200  # voxels of a band
BLURS_MM = np.arange(0, 10.1, 0.5)
BORDER_HU = (100.0, 1000.0)
"""Bands whose borders are those of bone."""
STEEP_HU_MM = 40.0
"""From this gradient on a voxel tells where a border lies."""
LAGS_MM = 30.0
ROUNDS = 4
_FWHM = 2.3548  # of a Gaussian of standard deviation 1


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One patient: truth, what a translator made of it, and where."""

    case: str
    truth: Volume
    made: NDArray[np.float32]
    body: Mask

    @property
    def spacing_mm(self) -> FloatArray:
        return np.array(self.truth.grid.spacing_mm)


def patients(where: Path, translator: str, split: str, most: int) -> Iterator[Seen]:
    """Translate the patients of one set; the truth is what only virtual ones have."""
    cohort, folder = load_cohort(where), manifest_path(where).parent
    if Path(translator).is_dir():
        translate = finished_images(Path(translator), "finished")[1]
    else:
        translate = load_translator(translator)[1]
    for case in [c for c in cohort.cases if c.split == split][:most]:
        loaded = load_case(cohort, case, folder, truth=True)
        made = translate(load_case(cohort, case, folder)).mean
        assert loaded.mask is not None
        yield Seen(
            case=case.case,
            truth=loaded.truth["noise_free_reference"],
            made=made.array.astype(np.float32),
            body=loaded.mask,
        )


def blurred(
    image: NDArray[np.float32], spacing_mm: FloatArray, fwhm_mm: float
) -> NDArray[np.float32]:
    from scipy import ndimage

    sigma = fwhm_mm / _FWHM / spacing_mm
    return np.asarray(ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=3.0))


def blur_of(seen: list[Seen]) -> float:
    """FWHM of the blur of the truth that leaves the smallest squared error."""
    errors = [
        np.mean(
            [
                np.square(p.made - blurred(p.truth.array, p.spacing_mm, width))[p.body].mean()
                for p in seen
            ]
        )
        for width in BLURS_MM
    ]
    return float(BLURS_MM[int(np.argmin(errors))])


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a blur leaves of the error, voxel by voxel of the bodies."""

    hu: FloatArray  # of the blurred truth
    error: FloatArray
    slope: FloatArray  # of the blurred truth, HU/mm


def left_over(seen: list[Seen], images: list[NDArray[np.float32]], blur_mm: float) -> Left:
    hu, error, slope = [], [], []
    for patient, image in zip(seen, images, strict=True):
        soft = blurred(patient.truth.array, patient.spacing_mm, blur_mm)
        gradient = np.gradient(soft, *patient.spacing_mm)
        hu.append(soft[patient.body])
        error.append((image - soft)[patient.body])
        slope.append(np.sqrt(sum(np.square(g) for g in gradient))[patient.body])
    return Left(hu=np.concatenate(hu), error=np.concatenate(error), slope=np.concatenate(slope))


def bands(left: Left) -> Iterator[tuple[float, Mask]]:
    """Mean HU and voxels of every band that is large enough."""
    for low, high in pairwise(EDGES_HU):
        inside = (left.hu >= low) & (left.hu < high)
        if inside.sum() >= FEWEST:
            yield float(left.hu[inside].mean()), inside


def response_of(left: Left) -> Knots:
    """Mean error by true HU: the regression towards the mean."""
    return tuple((round(hu), round(float(left.error[at].mean()), 1)) for hu, at in bands(left))


def spread_of(left: Left, response: Knots) -> tuple[Knots, float]:
    """Standard deviation by true HU where there is no border, and the displacement of borders.

    Within bands of bone the variance is taken as a line over the squared gradient, of one slope
    for all: its root is the displacement in mm. Skin is easier to find than bone, and steeper.
    In all but bone the spread is that of the bulk, by the median, not that of its borders.
    """
    squared, steep = _squared(left, response), np.square(left.slope)
    above = below = 0.0
    for hu, at in bands(left):
        if BORDER_HU[0] <= hu <= BORDER_HU[1]:
            away = steep[at] - steep[at].mean()
            above += float((away * squared[at]).sum())
            below += float(np.square(away).sum())
    shift = max(above / below, 0.0)
    knots = []
    for hu, at in bands(left):
        if is_bulk(hu):
            own = (MAD_TO_SD * np.sqrt(np.median(squared[at]))) ** 2
        else:
            own = max(squared[at].mean() - shift * steep[at].mean(), squared[at].mean() / 10)
        knots.append((round(hu), round(float(np.sqrt(own)), 1)))
    return tuple(knots), float(np.sqrt(shift))


def is_bulk(hu: float) -> bool:
    """Whether a band is no bone: what its borders do is displacement."""
    return hu < BORDER_HU[0] + 100


def total_of(left: Left, response: Knots) -> dict[float, float]:
    """Standard deviation by true HU, borders and all."""
    squared = _squared(left, response)
    return {round(hu): float(np.sqrt(squared[at].mean())) for hu, at in bands(left)}


def _squared(left: Left, response: Knots) -> FloatArray:
    rest = left.error - np.interp(left.hu, *np.transpose(response))
    squared = np.square(rest)
    return np.minimum(squared, np.quantile(squared, 0.999))


def correlation(fields: list[tuple[FloatArray, Mask, FloatArray]]) -> tuple[float, float]:
    """FWHM of the Gaussian that white noise was smoothed with, and the share of fresh noise.

    Parameters
    ----------
    fields
        Values, where they count, and the voxel spacing in mm.
    """
    distances, products = [], []
    for values, inside, spacing_mm in fields:
        scaled = np.where(inside, values, 0)
        variance = np.square(scaled).sum() / inside.sum()
        for axis in range(3):
            for lag in range(1, int(LAGS_MM / 2 / spacing_mm[axis]) + 1):
                there = [slice(None)] * 3
                here = [slice(None)] * 3
                there[axis], here[axis] = slice(lag, None), slice(None, -lag)
                both = inside[tuple(there)] & inside[tuple(here)]
                if both.sum() >= FEWEST:
                    product = (scaled[tuple(there)] * scaled[tuple(here)])[both].mean()
                    distances.append(lag * spacing_mm[axis])
                    products.append(float(product / variance))
    lag_mm, alike = np.array(distances), np.array(products)
    best = (np.inf, 0.0, 0.0)
    for fwhm in np.arange(2, 40.1, 0.5):
        # Gaussian noise smoothed with sigma correlates by exp(-(d / 2 sigma)^2)
        shape = np.exp(-np.square(lag_mm / (2 * fwhm / _FWHM)))
        share = float(np.clip((shape * alike).sum() / np.square(shape).sum(), 0, 1))
        best = min(best, (float(np.square(alike - share * shape).sum()), float(fwhm), 1 - share))
    return best[1], best[2]


def fields_of(
    seen: list[Seen], model: ErrorModel, where: Literal["soft", "bone", "border"]
) -> list[tuple[FloatArray, Mask, FloatArray]]:
    """Return what is left of the errors, in units of its spread; at borders as displacements."""
    fields = []
    for patient in seen:
        soft = blurred(patient.truth.array, patient.spacing_mm, model.blur_mm).astype(float)
        rest = patient.made - soft - np.interp(soft, *np.transpose(model.response_hu))
        slope = np.sqrt(sum(np.square(g) for g in np.gradient(soft, *patient.spacing_mm)))
        inside = (
            patient.body
            & {
                "border": slope >= STEEP_HU_MM,
                "bone": soft >= BONE_HU,
                "soft": (soft < BONE_HU) & (slope < STEEP_HU_MM / 4),
            }[where]
        )
        unit = slope if where == "border" else np.interp(soft, *np.transpose(model.residual_hu))
        values = rest / np.maximum(unit, 1)
        limit = np.quantile(np.abs(values[inside]), 0.995)
        fields.append((np.clip(values, -limit, limit), inside, patient.spacing_mm))
    return fields


def learned(seen: list[Seen]) -> ErrorModel:
    """Fit the error model to what a translator made of some patients."""
    blur = blur_of(seen)
    left = left_over(seen, [p.made for p in seen], blur)
    response = response_of(left)
    wanted, shift = spread_of(left, response)
    means = [float((p.made - p.truth.array)[p.body].mean()) for p in seen]
    model = ErrorModel(
        border=BorderError(sd_mm=round(shift, 2), fwhm_mm=20),
        blur_mm=blur,
        response_hu=response,
        residual_hu=wanted,
        soft_fwhm_mm=9,
        bone_fwhm_mm=9,
        noise_hu=0,
        patient_bias_hu=round(float(np.std(means, ddof=1)), 1),
    )
    width, fresh = correlation(fields_of(seen, model, "soft"))
    bone_width, _ = correlation(fields_of(seen, model, "bone"))
    border_width, _ = correlation(fields_of(seen, model, "border"))
    quietest = min(sd for _, sd in wanted)
    model = model.model_copy(
        update={
            "border": BorderError(sd_mm=round(shift, 2), fwhm_mm=border_width),
            "soft_fwhm_mm": width,
            "bone_fwhm_mm": bone_width,
            "noise_hu": round(quietest * float(np.sqrt(fresh)), 1),
        }
    )
    return matched(seen, model, left)


def matched(seen: list[Seen], model: ErrorModel, made: Left) -> ErrorModel:
    """Correct what is put in by what comes out: the blur comes last and weakens the errors."""
    wanted = total_of(made, model.response_hu)
    for _ in range(ROUNDS):
        images = [
            with_errors(p.truth, p.body, model, seed=n).array.astype(np.float32)
            for n, p in enumerate(seen)
        ]
        left = left_over(seen, images, model.blur_mm)
        got = total_of(left, response_of(left))
        residual = tuple(
            (hu, sd if is_bulk(hu) else round(sd * min(wanted[hu] / got[hu], 2), 1))
            for hu, sd in model.residual_hu
        )
        model = model.model_copy(update={"residual_hu": residual})
    return model


def amplitude_of(text: str) -> Amplitude:
    """Read four factors: of borders, gas, soft tissue and bone."""
    try:
        border, gas, soft, bone = (float(factor) for factor in text.split(","))
        return Amplitude(border=border, gas=gas, soft=soft, bone=bone)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not four factors of 0 or more, such as 1,0.25,2.4,1.5"
        ) from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("translator", help="models:/NAME/VERSION or a folder of finished images")
    parser.add_argument("--split", default="test")
    parser.add_argument("--patients", type=int, default=100, help="at most")
    parser.add_argument(
        "--amplitude",
        type=amplitude_of,
        default=Amplitude(),
        metavar="BORDER,GAS,SOFT,BONE",
        help="factors of what is learned, where virtual patients are too easy; default 1,1,1,1",
    )
    parser.add_argument("--write", type=Path, help="the file of the realistic candidate")
    options = parser.parse_args()
    seen = list(patients(options.cohort, options.translator, options.split, options.patients))
    if len(seen) < 2:
        parser.error(f"{options.cohort} has {len(seen)} patients in {options.split}; 2 are needed")
    model = learned(seen).model_copy(update={"amplitude": options.amplitude})
    text = (
        "# How a good learned translator errs; see docs/exam/candidates.md.\n"
        f"# Written by benchmarks/candidate_errors.py from {len(seen)} patients of "
        f"{load_cohort(options.cohort).name}.\n"
        + yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False, default_flow_style=None)
    )
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
