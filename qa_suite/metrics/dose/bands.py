"""What the spread of a prediction means for dose: its samples as dose scenarios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import GeometryError, InputError, QAError
from qa_suite.core.volume import Volume
from qa_suite.dose.dvh.curve import Dvh
from qa_suite.dose.dvh.metrics import read_metric
from qa_suite.metrics.base import Curve, Pair, Value, failed, ok, undefined
from qa_suite.metrics.dose.computed import AIM, TARGET, ComputedPlan
from qa_suite.metrics.dose.rows import curve_step_gy, region_of

BAND_METRICS = ("band_samples", "band_d95", "band_misses_d95")
BAND_CURVES = ("dvh_low", "dvh_high")


def band_rows(done: ComputedPlan, pair: Pair, reference: Dvh, most: int) -> Iterator[Value | Curve]:
    """Yield the band of the target's D95 over the samples, and every structure's DVH band.

    Parameters
    ----------
    done
        The plan, which computes each sample's dose.
    pair
        With the prediction; its samples lie on the grid of the images, in HU.
    reference
        DVH of the target on the reference.
    most
        The first so many samples are computed.
    """
    samples = () if pair.prediction is None else pair.prediction.samples[:most]
    if len(samples) < 2:
        yield from (_without(name, done, "fewer than two samples") for name in BAND_METRICS)
        return
    try:
        found = [done.dvhs(_dose_of(done, sample)) for sample in samples]
    except QAError as error:
        why = f"a sample: {' '.join(str(error).split())}"
        yield from (failed(name, TARGET, why, variant=done.key) for name in BAND_METRICS)
        return
    yield ok("band_samples", TARGET, len(found), variant=done.key)
    yield from _d95_rows(done, reference, [dvhs[AIM] for dvhs in found])
    yield from _band_curves(done, found)


def _without(name: str, done: ComputedPlan, why: str) -> Value:
    return undefined(name, TARGET, why, variant=done.key)


def _d95_rows(done: ComputedPlan, reference: Dvh, samples: Sequence[Dvh]) -> Iterator[Value]:
    names = BAND_METRICS[1:]
    truth = read_metric(reference, "D95")
    readings = [read_metric(dvh, "D95") for dvh in samples]
    found = [reading.value for reading in readings if reading.value is not None]
    if truth.value is None or len(found) < len(readings):
        why = truth.why or next(r.why for r in readings if r.value is None)
        yield from (_without(name, done, why) for name in names)
        return
    low, high = min(found), max(found)
    away = max(low - truth.value, truth.value - high, 0.0)
    for name, value in zip(names, (high - low, away), strict=True):
        yield ok(name, TARGET, 100 * value / done.prescription_gy, variant=done.key)


def _band_curves(done: ComputedPlan, samples: Sequence[Mapping[str, Dvh]]) -> Iterator[Curve]:
    """Yield the envelope of every structure that has a DVH."""
    for name in samples[0]:
        dvhs = [dvhs[name] for dvhs in samples]
        if any(dvh.why_undefined for dvh in dvhs):
            continue
        x, low, high = dvh_envelope(dvhs, curve_step_gy(done.prescription_gy))
        for curve, y in zip(BAND_CURVES, (low, high), strict=True):
            yield Curve(
                curve=curve,
                region=region_of(name),
                x=x,
                y=y,
                x_unit="Gy",
                y_unit="%",
                variant=done.key,
            )


def dvh_envelope(dvhs: Sequence[Dvh], step_gy: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return doses in Gy, and at each the least and the largest volume of some DVHs in %.

    It is no interval of confidence: it holds every DVH given, and widens with their number.

    Parameters
    ----------
    dvhs
        Of one structure, all defined.
    step_gy
        Distance of the doses, from 0 to the first above the largest maximum.
    """
    curves = [dvh.curve(step_gy) for dvh in dvhs]
    doses = max((x for x, _ in curves), key=len)
    volumes = np.zeros((len(curves), len(doses)))  # beyond its end a DVH is 0
    for row, (_, y) in zip(volumes, curves, strict=True):
        row[: len(y)] = y
    return doses, volumes.min(axis=0), volumes.max(axis=0)


def _dose_of(done: ComputedPlan, sample: Volume) -> Volume:
    """Compute the plan on a sample, which carries the reference where the source saw nothing."""
    from qa_suite.dose.scene.scene import DoseImage
    from qa_suite.imaging.body import ct_body

    if sample.quantity != "HU":
        raise InputError(f"dose needs HU, and it holds {sample.quantity}.")
    if not sample.grid.same_as(done.scene.image_grid):
        raise GeometryError(f"its grid ({sample.grid.describe()}) is not that of the images.")
    hu = np.where(done.scene.seen, sample.array, done.scene.reference.hu).astype(np.float32)
    return done.dose_on(DoseImage(hu=hu, body=ct_body(hu, sample.grid)))
