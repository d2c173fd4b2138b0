"""Train one specification, register it, examine it, and hold it against the controls."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np
import pandas as pd

from benchmarks.controls import BONE_HU, Control, compare_with_controls
from benchmarks.organ_means import organ_means, structures_of, tissues_of
from qa_suite.core.cohort import Cohort
from qa_suite.core.prediction import Prediction
from qa_suite.core.record_files import read_measurements
from qa_suite.core.volume import Volume
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.evaluation.registered import load_translator
from qa_suite.io.cases import LoadedCase, Translate
from qa_suite.preflight import PreflightSettings
from translators.data import scaled_target
from translators.registry.train import train
from translators.spec import TranslatorSpec

FAMILIES = {
    "HU": ("image", "segmentation", "hallucination", "uncertainty"),
    "SUVbw": ("image", "uncertainty", "pet"),
}
OTHERWISE = ("image", "uncertainty")  # bone and body of an MR are told by no threshold

Controls = Literal["all", "nulls", "none"]

LESIONS = ("GTV",)
DEFAULT_VARIANT = "default"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one specification.

    Parameters
    ----------
    label, spec
        Its name in the table and its specification.
    learning_s
        Wall clock until the last iteration, data preparation included.
    training_s, training_cpu_s
        Wall clock and processor time of the same, of the calibration and of the registration.
    iterations
        That were trained.
    measured
        (metric, region) to the mean over the patients, and their number.
    controls
        Each measure against each control; empty where none was asked for.
    """

    label: str
    spec: TranslatorSpec
    uri: str
    learning_s: float
    training_s: float
    training_cpu_s: float
    iterations: int
    measured: dict[tuple[str, str], tuple[float, int]]
    controls: tuple[Control, ...] = field(default=())


def examine_family(
    label: str,
    spec: TranslatorSpec,
    cohort: Cohort,
    folder: Path,
    work: Path,
    *,
    controls: Controls,
    max_misalignment_mm: float = 10.0,
    progress: Callable[[str], None] = print,
) -> Result:
    """Train on a cohort, register in the store of ``work``, examine on the held-out patients."""
    use_store(work)
    done: list[tuple[int, float]] = []
    started, cpu = time.monotonic(), time.process_time()
    model = train(
        spec,
        cohort,
        folder,
        workdir=work / "training" / spec.name,
        progress=lambda iteration, total, figures: done.append((iteration, time.monotonic())),
    )
    took, busy = time.monotonic() - started, time.process_time() - cpu
    progress(f"{label}: trained in {took:.0f} s ({busy:.0f} s of processor time)")
    measured, held = examine(
        spec,
        model.uri,
        cohort,
        folder,
        work,
        controls=controls,
        max_misalignment_mm=max_misalignment_mm,
    )
    return Result(
        label=label,
        spec=spec,
        uri=model.uri,
        learning_s=done[-1][1] - started if done else took,
        training_s=took,
        training_cpu_s=busy,
        iterations=done[-1][0] if done else 0,
        measured=measured,
        controls=held,
    )


def use_store(work: Path) -> None:
    """Register and look for models in the store of ``work``."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{work.absolute()}/mlruns/mlflow.db"


def examine(
    spec: TranslatorSpec,
    uri: str,
    cohort: Cohort,
    folder: Path,
    work: Path,
    *,
    controls: Controls,
    max_misalignment_mm: float,
) -> tuple[dict[tuple[str, str], tuple[float, int]], tuple[Control, ...]]:
    """Measure a registered translator on the held-out patients, and hold it against controls."""
    facts, asked = load_translator(uri)
    translate = remembered(asked)
    # of another version of the model an evaluation cannot go on
    out = work / "evaluations" / f"{spec.name}-v{uri.rpartition('/')[2]}"
    evaluate(
        Examination(
            cohort=cohort,
            folder=folder,
            model=facts,
            translate=translate,
            settings=EvaluationSettings(
                families=FAMILIES.get(spec.target.quantity, OTHERWISE),
                keep_volumes="none",
                preflight=PreflightSettings(max_misalignment_mm=max_misalignment_mm),
            ),
        ),
        out,
    )
    return (
        patient_averages(read_measurements(out)),
        held_against(controls, cohort, folder, translate, spec),
    )


def remembered(translate: Translate) -> Translate:
    """Return a translator that answers a source image again without computing it anew."""
    answers: dict[str, Prediction] = {}

    def again(loaded: LoadedCase) -> Prediction:
        key = sha256(loaded.source.array.tobytes()).hexdigest()
        if key not in answers:
            answers[key] = translate(loaded)
        return answers[key]

    return again


def patient_averages(table: pd.DataFrame) -> dict[tuple[str, str], tuple[float, int]]:
    """Mean over patients of every metric and region, and how many patients it is of.

    A variant other than the usual one stands behind the metric: ``tlg_difference_pct@41pct``.
    A mean that would contain a censored value is none, and is left out.
    """
    is_censored = table["status"] == "censored"
    keys = [table[name] for name in ("metric", "region", "variant")]
    unknown = is_censored.groupby(keys).transform("any")
    known = table[(table["status"] == "ok") & ~unknown.astype(bool)]
    usual = known["variant"] == DEFAULT_VARIANT
    metric = known["metric"].where(usual, known["metric"] + "@" + known["variant"])
    by_patient = known.groupby([metric, "region", "patient"])["value"].mean()
    return {
        (str(metric), str(region)): (fmean(values), len(values))
        for (metric, region), values in by_patient.groupby(level=[0, 1])
    }


def held_against(
    controls: Controls, cohort: Cohort, folder: Path, translate: Translate, spec: TranslatorSpec
) -> tuple[Control, ...]:
    """Compare a translator with what knows nothing, or nothing but the anatomy, of the patient.

    Where patients lie on no common grid, only the uptake of a PET has such a null: the mean of
    each tissue, told apart by the MR, and of the lesion.
    """
    uptake = spec.target.quantity == "SUVbw"
    if controls == "none" or (controls == "nulls" and not uptake):
        return ()
    case = cohort.in_split("test")[0]

    def of_source(source: Volume) -> Prediction:
        return translate(LoadedCase(case=case, source=source))

    on_one_grid = controls == "all"
    nulls = None
    if uptake:
        means = organ_means(cohort, folder, parts_of=structures_of if on_one_grid else tissues_of)
        nulls = {"organ means" if on_one_grid else "tissue means": means.image}
    return compare_with_controls(
        cohort,
        folder,
        of_source,
        nulls=nulls,
        structures=LESIONS if uptake else (),
        dice_at=BONE_HU if spec.target.quantity == "HU" else None,
        reference_of=reference_in_scale(spec),
        on_one_grid=on_one_grid,
    )


def reference_in_scale(spec: TranslatorSpec) -> Callable[[LoadedCase], object]:
    """Return what takes a case's reference, in the scale that the translator answers in."""

    def take(loaded: LoadedCase) -> object:
        assert loaded.reference is not None
        mask = loaded.mask
        if mask is None:
            mask = np.ones(loaded.reference.grid.shape, dtype=bool)
        return scaled_target(loaded.reference.array, mask, spec.target)

    return take
