"""The verb ``dose``: one plan on one pair of images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_suite.cli import console
from qa_suite.cli.dose_settings import (
    HLUT_HELP,
    ArcStepOption,
    DeviceOption,
    DoseAsked,
    FractionsOption,
    GoalsOption,
    MachineOption,
    PrescriptionOption,
    ProtonsPerMuOption,
    dose_settings,
)
from qa_suite.core.errors import InputError

if TYPE_CHECKING:
    from qa_suite.core.records import Measurement
    from qa_suite.dose.plan.plan import Mask
    from qa_suite.io.rt.plan.types import ImportedPlan
    from qa_suite.metrics.base import Kept, Pair
    from qa_suite.metrics.dose.settings import DoseSettings


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("dose")(dose)


def dose(
    image: Annotated[
        Path, typer.Argument(help="The reference CT: NIfTI or MHA in HU, or a DICOM folder.")
    ],
    structures: Annotated[
        list[str],
        typer.Option(
            "--structure",
            help="Mask as NAME=FILE; RTSTRUCT as FILE (all of it), NAME=FILE or NAME=FILE:DRAWN "
            "(its structure DRAWN, called NAME); may be repeated.",
        ),
    ],
    hlut: Annotated[list[str], typer.Option(help=HLUT_HELP)],
    plan: Annotated[list[str] | None, typer.Option(help="Plan template; may be repeated.")] = None,
    rtplan: Annotated[
        Path | None,
        typer.Option(help="RTPLAN to compute as it stands; with --plan, by its targets and goals."),
    ] = None,
    synthetic: Annotated[
        Path | None, typer.Option(help="The synthetic CT to compute the same plan on.")
    ] = None,
    source: Annotated[Path | None, typer.Option(help="The image that was translated.")] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Structure to aim at as drawn; default: by the rules of --plan."),
    ] = None,
    goals: GoalsOption = None,
    machine: MachineOption = None,
    prescription_gy: PrescriptionOption = None,
    fractions: FractionsOption = None,
    protons_per_mu: ProtonsPerMuOption = None,
    arc_step_deg: ArcStepOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for doses and gamma as NIfTI.")] = None,
    dose_grid_mm: Annotated[
        float | None, typer.Option(help="Voxels of the dose grid; default: the template's.")
    ] = None,
    device: DeviceOption = "auto",
    every_row: Annotated[
        bool, typer.Option("--all", help="Print every measurement, not only the summary.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every measurement as JSON.")
    ] = False,
) -> int:
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

    if not plan and rtplan is None:
        raise InputError("dose needs a plan: --plan with a template, or --rtplan with an RTPLAN.")
    beams = None if rtplan is None else _read_plan(rtplan)
    settings = dose_settings(
        DoseAsked(
            plans=plan or (),
            hluts=hlut,
            targets=() if target is None else (target,),
            goals=goals,
            machines=machine or (),
            rtplans=None if beams is None else {beams.path: beams.modality},
            prescription_gy=prescription_gy,
            fractions=fractions,
            grid_mm=dose_grid_mm,
            protons_per_mu=protons_per_mu,
            arc_step_deg=arc_step_deg,
            device=device,
        )
    )
    assert settings is not None  # there is a plan
    pair = read_pair(image, synthetic or image, source, structures, plan=beams)
    _say_targets(settings, target, pair.structures)
    rows, kept = _measured(pair, settings, synthetic or image)
    _say_where(settings)
    if out is not None:
        for one in kept:
            name = re.sub(r"[^\w.+]+", "-", one.role)  # beams are called as the clinic likes
            write_image(one.volume, out / f"{name}.nii.gz")
        console.say(f"Doses: {out}")
    if as_json:
        console.show_json([row.model_dump(mode="json") for row in rows])
    elif every_row:
        console.show_measurements(rows)
    else:
        show_dose(rows, settings, compared=synthetic is not None)
    return 0


def _say_where(settings: DoseSettings) -> None:
    from qa_suite.dose.engines import where_computed

    templates = [choice.template for choice in settings.plans]
    console.say(f"Computed on: {where_computed(templates, settings.device)}")


def _say_targets(
    settings: DoseSettings, target: str | None, structures: Mapping[str, Mask]
) -> None:
    """Say at what the plans aim.

    Raises
    ------
    InputError
        If there is no such structure, or a plan's rules find none of theirs.
    """
    from qa_suite.core.registry import unknown_name
    from qa_suite.dose.plan.targets import called, choose_target

    if target is not None and target not in structures:
        raise InputError(f"--target: {unknown_name('structure', target, list(structures))}")
    for choice in settings.plans:
        try:
            rule, names = choose_target(choice.template, structures)
        except InputError as error:
            if target is not None:
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
