"""PET values to body-weight SUV, with nothing guessed.

``SUVbw = activity concentration [Bq/ml] · body weight [g] / injected activity [Bq]``, both
activities at the same time. The reference time follows the vendor-neutral procedure of the
RSNA QIBA FDG-PET/CT profile; the definition is that of Boellaard R et al. (2015) FDG PET/CT:
EANM procedure guidelines for tumour imaging, version 2.0, Eur J Nucl Med Mol Imaging 42:328.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.io.dicom.headers import number_of, texts_of
from qa_suite.io.dicom.opening import text_of
from qa_suite.io.problems import ReadProblem

_PHILIPS_CREATOR = "Philips PET Private Group"
_GE_CREATOR = "GEMS_PETD_01"
_DOSE_BQ = (1e6, 2e10)  # 1 MBq to 20 GBq: outside, the tag is not in Bq
_WEIGHT_KG = (0.3, 500.0)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When one slice was measured: its start, and how it relates to the frame's reference."""

    acquired: datetime | None
    frame_reference_s: float | None
    duration_s: float | None


def timing_of(header: Any) -> Timing:
    """Collect the timing of one PET slice from its header."""
    reference = number_of(header, "FrameReferenceTime")
    duration = number_of(header, "ActualFrameDuration")
    acquired = _moment(text_of(header, "AcquisitionDateTime")) or _moment(
        _day(header, "AcquisitionDate", "SeriesDate") + text_of(header, "AcquisitionTime")
    )
    return Timing(
        acquired=acquired,
        frame_reference_s=None if reference is None else reference / 1000,
        duration_s=None if duration is None else duration / 1000,
    )


def suv_factors(
    header: Any, timings: list[Timing], *, where: Path | str
) -> tuple[NDArray[np.float64], str]:
    """Return what rescaled PET values are multiplied with to become SUVbw.

    Parameters
    ----------
    header
        Of one slice of the series: units, dose, weight.
    timings
        Of every slice, in order.
    where
        The series' folder, for the error.

    Returns
    -------
    factors, step
        One factor a slice, and a sentence for the history.

    Raises
    ------
    ReadProblem
        If the units are unknown, or with every tag that is missing or implausible.
    """
    units = text_of(header, "Units").upper()
    ones = np.ones(len(timings))
    if units == "GML":
        kind = text_of(header, "SUVType").upper()
        if kind not in ("", "BW"):
            raise ReadProblem(where, f"SUV normalised by {kind}, where body weight is needed")
        return ones, "PT values are SUVbw as stored (GML)"
    if units == "CNTS":
        factor = _philips(header, 0x00)
        if factor is not None:
            return ones * factor, "PT counts to SUVbw by Philips' SUV scale factor (7053,1000)"
        calibration = _philips(header, 0x09)
        if calibration is None:
            raise ReadProblem(
                where,
                "PT values in counts without Philips' scale factors (7053,1000) or (7053,1009)",
            )
        factors, step = _from_activity(header, timings, where)
        return factors * calibration, step + ", counts to Bq/ml by (7053,1009)"
    if units == "BQML":
        return _from_activity(header, timings, where)
    raise ReadProblem(
        where, f"PT values in units {units or 'that are not stated'!r}; known: BQML, GML, CNTS"
    )


def _from_activity(
    header: Any, timings: list[Timing], where: Path | str
) -> tuple[NDArray[np.float64], str]:
    drug = (header.get("RadiopharmaceuticalInformationSequence") or [None])[0]
    weight_kg = number_of(header, "PatientWeight")
    dose_bq = None if drug is None else number_of(drug, "RadionuclideTotalDose")
    half_life_s = None if drug is None else number_of(drug, "RadionuclideHalfLife")
    decay = text_of(header, "DecayCorrection").upper()
    problems = []
    for name, value, low, high, unit in (
        ("PatientWeight", weight_kg, *_WEIGHT_KG, "kg"),
        ("RadionuclideTotalDose", dose_bq, *_DOSE_BQ, "Bq"),
        ("RadionuclideHalfLife", half_life_s, 1.0, 1e8, "s"),
    ):
        if not value:
            problems.append(f"no {name}")
        elif not low <= value <= high:
            problems.append(f"an implausible {name} of {value:g} {unit}")
    if decay not in ("START", "ADMIN", "NONE"):
        problems.append(f"DecayCorrection {decay!r}" if decay else "no DecayCorrection")
    corrections = texts_of(header, "CorrectedImage")
    if corrections and "ATTN" not in corrections:
        problems.append("no attenuation correction")
    ages: NDArray[np.float64] | None = None
    if decay in ("START", "NONE") and half_life_s:
        measured, lacking = _reference_times(header, timings, decay, half_life_s)
        if not measured:
            problems.append(f"no {lacking}")
        injected = _injection(header, drug, measured[0] if measured else None)
        if injected is None:
            problems.append("no RadiopharmaceuticalStartTime")
        elif measured:
            ages = np.array([(moment - injected).total_seconds() for moment in measured])
            if ages.min() < 0 or ages.max() > 10 * half_life_s:
                problems.append(
                    f"an implausible time from injection to scan of {ages.min() / 60:.0f} min"
                )
    if problems or not (weight_kg and dose_bq and half_life_s):
        raise ReadProblem(where, "SUV cannot be computed: " + ", ".join(problems))
    remaining = np.ones(len(timings)) if ages is None else np.exp2(-ages / half_life_s)
    factors = weight_kg * 1000 / (dose_bq * remaining)
    step = f"PT activity to SUVbw (decay correction {decay}"
    if ages is not None:
        step += f", dose decayed by {ages.mean() / 60:.1f} min"
    return factors, step + ")"


def _reference_times(
    header: Any, timings: list[Timing], decay: str, half_life_s: float
) -> tuple[list[datetime], str]:
    """Return the time that each slice's activity refers to, or the name of what is missing."""
    started = [t.acquired for t in timings if t.acquired is not None]
    if decay == "NONE":
        if len(started) < len(timings) or any(t.duration_s is None for t in timings):
            return [], "AcquisitionTime or ActualFrameDuration"
        return [
            t.acquired + timedelta(seconds=_mean_activity_s(t.duration_s, half_life_s))
            for t in timings
            if t.acquired is not None and t.duration_s is not None
        ], ""
    series = _moment(_day(header, "SeriesDate", "AcquisitionDate") + text_of(header, "SeriesTime"))
    earliest = min(started, default=None)
    if series is not None and (earliest is None or series <= earliest):
        return [series] * len(timings), ""
    private = _private_text(header, 0x0009, _GE_CREATOR, 0x0D)
    scan = _moment(private) if private else None
    if scan is not None:
        return [scan] * len(timings), ""
    # The series was processed after the scan, so its time says nothing: go back from the frame
    if earliest is None:
        return [], "SeriesTime or AcquisitionTime"
    frame = next(t for t in timings if t.acquired == earliest)
    if frame.frame_reference_s is None or frame.duration_s is None:
        return [], "FrameReferenceTime or ActualFrameDuration"
    shift = _mean_activity_s(frame.duration_s, half_life_s) - frame.frame_reference_s
    return [earliest + timedelta(seconds=shift)] * len(timings), ""


def _mean_activity_s(duration_s: float, half_life_s: float) -> float:
    """Time into a frame at which the activity equals the frame's mean activity, in s."""
    decay = np.log(2) / half_life_s * duration_s
    if decay < 1e-9:
        return duration_s / 2
    return float(np.log(decay / -np.expm1(-decay)) * half_life_s / np.log(2))


def _injection(header: Any, drug: Any, scan: datetime | None) -> datetime | None:
    """Return the time of injection; a clock time later than the scan was the day before."""
    if drug is None:
        return None
    exact = _moment(text_of(drug, "RadiopharmaceuticalStartDateTime"))
    if exact is not None:
        return exact
    clock = text_of(drug, "RadiopharmaceuticalStartTime")
    day = scan.strftime("%Y%m%d") if scan else _day(header, "SeriesDate", "AcquisitionDate")
    injected = _moment(day + clock) if clock else None
    if injected is not None and scan is not None and injected > scan:
        injected -= timedelta(days=1)
    return injected


def _day(header: Any, *keywords: str) -> str:
    return next((text for text in (text_of(header, k) for k in keywords) if text), "")


def _moment(text: str) -> datetime | None:
    """Parse YYYYMMDDHHMM[SS[.ffffff]]; a time zone is cut off, as both times share it."""
    match = re.match(r"^(\d{8})(\d{4})(\d{2})?(\.\d{1,6})?", text.replace(":", ""))
    if match is None:
        return None
    day, minutes, seconds, fraction = match.groups()
    try:
        moment = datetime.strptime(day + minutes + (seconds or "00"), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return moment + timedelta(seconds=float(fraction or 0))


def _private_text(header: Any, group: int, creator: str, element: int) -> str | None:
    try:
        value = header.private_block(group, creator)[element].value
    except KeyError:
        return None
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _philips(header: Any, element: int) -> float | None:
    text = _private_text(header, 0x7053, _PHILIPS_CREATOR, element)
    try:
        value = float(text.strip("\0 ")) if text else 0.0
    except ValueError:
        return None
    return value if np.isfinite(value) and value > 0 else None
