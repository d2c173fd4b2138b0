"""What ``evaluate`` may be asked: the fields are the options, and the keys of its settings file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from qa_suite.cli.dose_settings import SITE_HLUT_HELP, DoseOptions
from qa_suite.cli.options import REQUIRED, Commas, Name, Options, argument, block, option
from qa_suite.core.executors.crew import (
    DASK_HELP,
    DASK_LOCAL_HELP,
    DASK_SLURM_HELP,
    DASK_TLS_HELP,
    WORKERS_HELP,
    Crew,
)
from qa_suite.core.trust import TRUST_HELP

ASK_HELP = "Of the prediction: steps=N, sampler=ddpm or ddim, members=N, seed=N; recorded."


class ExaminedOptions(Options):
    """What is examined, on which patients, judged by what and with what beside it."""

    cohort: Path = argument(REQUIRED, "The cohort: its folder or manifest.")
    model: str | None = argument(
        None, "models:/NAME/VERSION, models:/NAME@ALIAS, oracle:truth, oracle:twin."
    )
    images: Path | None = option(None, "Finished synthetic images, CASE.nii.gz or CASE.mha.")
    name: Name = option("external", "Who made --images.")
    out: Path | None = option(None, "Folder of the evaluation.")
    profile: str | None = option(None, "Criteria to judge by; without them it only measures.")
    split: Literal["train", "validation", "calibration", "test"] = option(
        "test", "Patient set to examine."
    )
    keep_volumes: Literal["worst", "all", "none"] = option("worst", "worst, all or none.")
    max_misalignment_mm: float = option(
        10.0, "Preflight refuses cases that are further apart.", ge=0
    )
    allow_leakage: bool = option(False, "Examine on training patients; marked.")
    inverse: str | None = option(None, "Translator of the way back, for the cycle error.")
    segmenters: tuple[str, ...] = option(
        (), "Registered segmenter, or totalsegmentator:TASK; may be repeated.", "segmenter"
    )
    extractor: str | None = option(
        None, "Registered feature extractor, for distances between sets."
    )
    ask: tuple[str, ...] = option((), ASK_HELP)
    trust: tuple[str, ...] = option((), TRUST_HELP)


class ProtocolOptions(DoseOptions, ExaminedOptions):
    """Everything that decides what is measured and by what it is judged."""

    hluts: tuple[str, ...] = option((), SITE_HLUT_HELP, "hlut")
    dose_cases: Literal["all", "one_per_site"] = option(
        "all", "all, or one_per_site: the first of each site that preflight lets through."
    )
    clinic: Path | None = option(None, "Folder CASE/ of your planning system's doses and plan.dcm.")
    clinic_goals: str | None = option(
        None, "Template whose target and goals judge the doses of --clinic."
    )
    clinic_dose: tuple[str, ...] = option(
        (),
        "What the doses of --clinic are, NAME=VALUE: dose-type=effective, "
        "summation=beam, fractions=30, relative-unit-gy=2, plane-mm=1, dose-unit=cGy, "
        "any-scale=yes; REFERENCE,SYNTHETIC by a comma where they differ. May be repeated.",
    )
    rtplans: bool = option(
        False, "Compute the plan.dcm of each case as it stands; needs --target or a --plan."
    )
    families: Commas = option("", "Which measures; default: all.")
    preflight: dict[str, Any] = block(
        "qa_suite.preflight:PreflightSettings",
        "Bounds of the checks before measuring.",
        {"max_misalignment_mm": "max_misalignment_mm"},
    )
    measures: dict[str, Any] = block(
        "qa_suite.metrics.settings:MeasureSettings",
        "Settings of the families of measures.",
        {
            "dose.plans": "plan",
            "dose.rtplans": "rtplans",
            "dose.clinic": "clinic_goals",
            "dose.clinic_request": "clinic_dose",
            "dose.prescription_gy": "prescription_gy",
            "dose.fractions": "fractions",
            "dose.protons_per_mu": "protons_per_mu",
            "dose.grid_mm": "dose_grid_mm",
            "dose.device": "device",
        },
    )


class EvaluateOptions(ProtocolOptions):
    """The protocol, and how this run goes about it."""

    lock: Path | None = option(
        None, "Lock to keep, from 'qa-suite lock'; one in the evaluation's folder is kept anyway."
    )
    by: str = option("", "Who judges; default: the name of the account.")
    workers: int = option(1, WORKERS_HELP, ge=1)
    dask: str | None = option(None, DASK_HELP)
    dask_tls: Path | None = option(None, DASK_TLS_HELP)
    dask_local: int | None = option(None, DASK_LOCAL_HELP, ge=1)
    dask_slurm: Path | None = option(None, DASK_SLURM_HELP)
    track: bool = option(True, "Log the evaluation to MLflow.")
    as_json: bool = option(False, "Print the measurements.", "json")

    @property
    def crew(self) -> Crew:
        """Where the cases are measured."""
        return Crew(
            workers=self.workers,
            dask=self.dask,
            dask_tls=self.dask_tls,
            dask_local=self.dask_local,
            dask_slurm=self.dask_slurm,
        )


class LockOptions(ProtocolOptions):
    """The protocol that is locked."""

    profile: str = option(REQUIRED, "Criteria that will judge.")
    by: str = option("", "Who locks; default: the name of the account.")
    track: bool = option(True, "Ask MLflow too how often the test cohort was examined.")
