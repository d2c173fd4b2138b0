"""The verb ``dose``, and what the other verbs say about plans and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_suite.cli import console
from qa_suite.errors import InputError, Problems

if TYPE_CHECKING:
    from qa_suite.dose.plan import Mask
    from qa_suite.dose.template import PlanTemplate
    from qa_suite.io.rtplan_types import ImportedPlan
    from qa_suite.measures.base import Kept, Pair
    from qa_suite.measures.dose_settings import DoseSettings
    from qa_suite.records import Measurement

HLUT_HELP = (
    "HU to density: a shipped table, a YAML file, or two columns of HU and value as red:FILE "
    "(electron density), rsp:FILE (stopping power) or density:FILE; the first that fits a plan."
)
DeviceOption = Annotated[
    str, typer.Option("--device", help="Where photon dose is computed: auto, cpu, cuda, cuda:1 ...")
]


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
    plan: Annotated[list[str], typer.Option(help="Plan template; may be repeated.")],
    hlut: Annotated[list[str], typer.Option(help=HLUT_HELP)],
    synthetic: Annotated[
        Path | None, typer.Option(help="The synthetic CT to compute the same plan on.")
    ] = None,
    source: Annotated[Path | None, typer.Option(help="The image that was translated.")] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Structure to aim at as drawn; default: by the rules of --plan."),
    ] = None,
    rtplan: Annotated[
        Path | None, typer.Option(help="RTPLAN whose beams and monitor units drive --plan.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for doses and gamma as NIfTI.")] = None,
    dose_grid_mm: Annotated[
        float | None, typer.Option(help="Voxels of the dose grid; default: the template's.")
    ] = None,
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Plan on a CT and compute the plan there and, frozen, on its synthetic twin.

    A surrogate for the clinic's planning system: it shows differences between two images, never
    what a patient receives. No plan is exported. DICOM files must be of one patient and in one
    frame of reference.

    Example: `qa-suite dose ct.nii.gz --synthetic synthetic-ct.nii.gz
    --structure Prostate=prostate.nii.gz --plan photon-pelvis --hlut thomas-1999`
    """
    import re

    from qa_suite.cli.dose_input import read_pair
    from qa_suite.io.images import write_image

    settings = dose_settings(plan, hlut, grid_mm=dose_grid_mm, device=device)
    assert settings is not None  # --plan is required
    beams = None if rtplan is None else _read_plan(rtplan)
    pair = read_pair(image, synthetic or image, source, structures, plan=beams)
    settings = _aimed(settings, target, pair.structures)
    if beams is not None:
        pair, settings = _driven_by(beams, pair, settings)
    rows, kept = _measured(pair, settings, synthetic or image)
    _say_where(settings)
    if out is not None:
        for one in kept:
            name = re.sub(r"[^\w.+]+", "-", one.role)  # beams are called as the clinic likes
            write_image(one.volume, out / f"{name}.nii.gz")
        console.say(f"Doses: {out}")
    if as_json:
        console.show_json([row.model_dump(mode="json") for row in rows])
    else:
        console.show_measurements(rows)
    return 0


def dose_settings(
    plans: Sequence[str],
    hluts: Sequence[str],
    *,
    grid_mm: float | None = None,
    clinic: Path | None = None,
    clinic_goals: str | None = None,
    rtplans: bool = False,
    device: str = "cpu",
) -> DoseSettings | None:
    """Match plans with their tables; None without a plan and without doses of the clinic.

    Each plan takes the first table of a quantity that its engine takes; further tables of that
    quantity show what the table decides.

    Raises
    ------
    InputError
        If a plan finds no table, a table fits no plan, or an option lacks its other half.
    """
    from pydantic import ValidationError

    from qa_suite.cohort import describe_validation
    from qa_suite.dose.engines import ENGINES, fitting_hluts, require_modality
    from qa_suite.dose.hlut import load_hlut
    from qa_suite.dose.template import load_template
    from qa_suite.measures.dose_settings import DoseSettings, PlanChoice

    if hluts and not plans:
        raise InputError("--hlut needs a --plan that it is for.")
    if device not in ("auto", "cpu") and not plans:
        raise InputError(f"--device {device} needs a --plan to compute there.")
    if clinic is None and (clinic_goals or rtplans):
        raise InputError("--clinic-goals and --rtplans need the folder --clinic.")
    if clinic is not None and clinic_goals is None and not (rtplans and plans):
        raise InputError(
            "--clinic needs --clinic-goals, the template that judges its doses, or --rtplans "
            "with a --plan to drive."
        )
    if not plans and clinic_goals is None:
        return None
    for option, given in (("--plan", plans), ("--hlut", hluts)):
        twice = sorted({name for name in given if list(given).count(name) > 1})
        if twice:
            raise InputError(f"{option} names {', '.join(twice)} twice; once is enough.")
    tables = [load_hlut(name) for name in hluts]
    used: set[str] = set()
    choices = []
    for name in plans:
        template = load_template(name)
        require_modality(template)
        fitting = fitting_hluts(template, tables)
        if not fitting:
            takes = ENGINES[template.engine].facts.hlut
            raise InputError(
                f"The plan {template.name} needs an HLUT that gives {' or '.join(takes)}: "
                f"--hlut with one of {', '.join(_tables_for(takes))}, or your own file."
            )
        used |= {table.name for table in fitting}
        choices.append((template, fitting))
    idle = [table.name for table in tables if table.name not in used]
    if idle:
        raise InputError(f"No plan takes the HLUT {', '.join(idle)}.")
    place = _device([template for template, _ in choices], device)
    try:
        return DoseSettings(
            plans=tuple(
                PlanChoice(template=template, hlut=first, other_hluts=tuple(others))
                for template, (first, *others) in choices
            ),
            grid_mm=grid_mm, rtplans=rtplans, device=place,
            clinic=None if clinic_goals is None else load_template(clinic_goals),
        )  # fmt: skip
    except ValidationError as error:
        raise Problems("The dose settings", describe_validation(error)) from None


def _device(templates: Sequence[PlanTemplate], asked: str) -> str:
    """Return the device to compute plans on; ``auto`` takes a GPU where there is one and a use.

    Raises
    ------
    InputError
        If the device is unknown, absent, or no plan can be computed there.
    """
    from qa_suite.dose.engines import can_compute_on
    from qa_suite.instruments.network import pick_device

    if asked == "auto" and not any(can_compute_on(template, "cuda") for template in templates):
        return "cpu"
    found = str(pick_device(asked))
    if not any(can_compute_on(template, found) for template in templates):
        names = ", ".join(template.name for template in templates)
        raise InputError(f"--device {asked} has no use: {names} can be computed on the CPU only.")
    return found


def _say_where(settings: DoseSettings) -> None:
    from qa_suite.dose.engines import where_computed

    templates = [choice.template for choice in settings.plans]
    console.say(f"Computed on: {where_computed(templates, settings.device)}")


def _aimed(
    settings: DoseSettings, target: str | None, structures: Mapping[str, Mask]
) -> DoseSettings:
    """Aim the plans at the structure that was named, or say at what their rules aim.

    Raises
    ------
    InputError
        If there is no such structure, or a plan's rules find none of theirs.
    """
    from qa_suite.dose.targets import called, choose_target
    from qa_suite.dose.template import TargetRule
    from qa_suite.registry import unknown_name

    if target is not None:
        if target not in structures:
            raise InputError(f"--target: {unknown_name('structure', target, list(structures))}")
        rules = (TargetRule(structures=(target,)),)
        settings = settings.model_copy(
            update={"plans": tuple(choice.with_targets(rules) for choice in settings.plans)}
        )
    for choice in settings.plans:
        try:
            rule, names = choose_target(choice.template, structures)
        except InputError as error:
            if target is not None:
                raise
            raise InputError(f"{str(error).rstrip('.')}; name yours with --target.") from None
        console.say(f"Target of {choice.key}: {called(names, rule)}")
    return settings


def _read_plan(path: Path) -> ImportedPlan:
    from qa_suite.io.rtplan import read_plan, require_supported

    plan = read_plan(path)
    require_supported(plan)
    return plan


def _driven_by(plan: ImportedPlan, pair: Pair, settings: DoseSettings) -> tuple[Pair, DoseSettings]:
    """Let a plan of the clinic drive the surrogate."""
    from dataclasses import replace

    from qa_suite.dose.clinic import ClinicCase

    driven = settings.model_copy(update={"rtplans": True})
    return replace(pair, clinic=ClinicCase(plan=plan)), driven


def _tables_for(quantities: Sequence[str]) -> list[str]:
    from qa_suite.dose.hlut import load_hlut, shipped_hluts

    return [name for name in shipped_hluts() if load_hlut(name).quantity in quantities]


def _measured(
    pair: Pair, settings: DoseSettings, path: Path
) -> tuple[list[Measurement], list[Kept]]:
    from qa_suite.measures.base import Kept
    from qa_suite.measures.run import measure_pair
    from qa_suite.measures.settings import MeasureSettings

    measured = measure_pair(
        pair, families=["dose"], settings=MeasureSettings(dose=settings),
        case=path.absolute().name, patient="unknown", site="unknown",
    )  # fmt: skip
    broken = [row.why for row in measured.rows if row.status == "error"]
    if broken:  # one pair was asked for: what stands in its way is the answer
        raise InputError(broken[0])
    return measured.rows, [Kept(role=r, volume=v) for r, v in measured.volumes.items()]
