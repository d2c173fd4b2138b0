"""The verb ``dose``: one plan on one pair of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qa_suite.cli import console
from qa_suite.cli.dose_settings import HLUT_HELP, ClinicDoses, DoseOptions, dose_settings
from qa_suite.cli.options import REQUIRED, Options, add_verb, argument, option
from qa_suite.core.errors import InputError

if TYPE_CHECKING:
    from qa_suite.core.records import Measurement
    from qa_suite.dose.plan.plan import Mask
    from qa_suite.io.rt.plan.types import ImportedPlan
    from qa_suite.metrics.base import Kept, Pair
    from qa_suite.metrics.dose.settings import DoseSettings


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    add_verb(app, dose, OneDoseOptions)


class PairOptions(Options):
    """Of which images and structures the dose is computed, and what is kept and printed."""

    image: Path = argument(REQUIRED, "The reference CT: NIfTI or MHA in HU, or a DICOM folder.")
    structures: tuple[str, ...] = option(
        REQUIRED,
        "Mask as NAME=FILE; RTSTRUCT as FILE (all of it), NAME=FILE or NAME=FILE:DRAWN "
        "(its structure DRAWN, called NAME); may be repeated.",
        "structure",
    )
    rtplan: Path | None = option(
        None, "RTPLAN to compute as it stands; with --plan, by its targets and goals."
    )
    synthetic: Path | None = option(None, "The synthetic CT to compute the same plan on.")
    source: Path | None = option(None, "The image that was translated.")
    out: Path | None = option(None, "Folder for doses and gamma as NIfTI.")
    every_row: bool = option(False, "Print every measurement, not only the summary.", "all")
    as_json: bool = option(False, "Print every measurement as JSON.", "json")


class OneDoseOptions(DoseOptions, PairOptions):
    """Everything that the dose of one pair is asked."""

    hluts: tuple[str, ...] = option(REQUIRED, HLUT_HELP, "hlut")


def dose(asked: OneDoseOptions) -> int:
    """Plan on a CT, or take an RTPLAN, and compute the plan there and on its synthetic twin.

    A surrogate for the clinic's planning system: it shows differences between two images, never
    what a patient receives. No plan is exported. DICOM files must be of one patient and in one
    frame of reference.

    Example: `qa-suite dose ct.nii.gz --synthetic synthetic-ct.nii.gz
    --structure Prostate=prostate.nii.gz --plan photon-pelvis --hlut thomas-1999`
    """
    import re

    from qa_suite.cli.dose_input import read_pair
    from qa_suite.cli.dose_output import show_dose
    from qa_suite.io.images import write_image

    if not asked.plans and asked.rtplan is None:
        raise InputError("dose needs a plan: --plan with a template, or --rtplan with an RTPLAN.")
    beams = None if asked.rtplan is None else _read_plan(asked.rtplan)
    driving = None if beams is None else ClinicDoses(rtplans={beams.path: beams.modality})
    settings = dose_settings(asked, driving)
    assert settings is not None  # there is a plan
    other = asked.synthetic or asked.image
    pair = read_pair(asked.image, other, asked.source, asked.structures, plan=beams)
    _say_targets(settings, asked.targets, pair.structures)
    rows, kept = _measured(pair, settings, other)
    _say_where(settings)
    if asked.out is not None:
        for one in kept:
            name = re.sub(r"[^\w.+]+", "-", one.role)  # beams are called as the clinic likes
            write_image(one.volume, asked.out / f"{name}.nii.gz")
        console.say(f"Doses: {asked.out}")
    if asked.as_json:
        console.show_json([row.model_dump(mode="json") for row in rows])
    elif asked.every_row:
        console.show_measurements(rows)
    else:
        show_dose(rows, settings, compared=asked.synthetic is not None)
    return 0


def _say_where(settings: DoseSettings) -> None:
    from qa_suite.dose.engines import where_computed

    templates = [choice.template for choice in settings.plans]
    console.say(f"Computed on: {where_computed(templates, settings.device)}")


def _say_targets(
    settings: DoseSettings, targets: Sequence[str], structures: Mapping[str, Mask]
) -> None:
    """Say at what the plans aim.

    Raises
    ------
    InputError
        If there is no such structure, or a plan's rules find none of theirs.
    """
    from qa_suite.core.registry import unknown_name
    from qa_suite.dose.plan.targets import called, choose_target

    for target in targets:
        if target not in structures:
            raise InputError(f"--target: {unknown_name('structure', target, list(structures))}")
    for choice in settings.plans:
        try:
            rule, names = choose_target(choice.template, structures)
        except InputError as error:
            if targets:
                raise
            raise InputError(f"{str(error).rstrip('.')}; name yours with --target.") from None
        console.say(f"Target of {choice.key}: {called(names, rule)}")


def _read_plan(path: Path) -> ImportedPlan:
    from qa_suite.io.rt.plan.read import read_plan, require_supported

    plan = read_plan(path)
    require_supported(plan)
    return plan


def _measured(
    pair: Pair, settings: DoseSettings, path: Path
) -> tuple[list[Measurement], list[Kept]]:
    from qa_suite.metrics.base import Kept
    from qa_suite.metrics.run import measure_pair
    from qa_suite.metrics.settings import MeasureSettings

    measured = measure_pair(
        pair,
        families=["dose"],
        settings=MeasureSettings(dose=settings),
        case=path.absolute().name,
        patient="unknown",
        site="unknown",
    )
    broken = [row.why for row in measured.rows if row.status == "error"]
    if broken:  # one pair was asked for: what stands in its way is the answer
        raise InputError(broken[0])
    for remark in measured.remarks:
        console.say(f"! {remark}.")
    return measured.rows, [Kept(role=r, volume=v) for r, v in measured.volumes.items()]
