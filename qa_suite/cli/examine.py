"""The verbs of the examiner: ``evaluate``, ``measure``, ``judge``, ``report``, ``dashboard``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_suite.cli import console
from qa_suite.cli.dose_settings import (
    HLUT_HELP,
    ArcStepOption,
    DeviceOption,
    FractionsOption,
    GoalsOption,
    MachineOption,
    PrescriptionOption,
    ProtonsPerMuOption,
)
from qa_suite.core.errors import InputError

if TYPE_CHECKING:
    from qa_suite.core.records import Verdict


ASK_HELP = "Of the prediction: steps=N, sampler=ddpm or ddim, members=N, seed=N; recorded."
DOSE_CASES_HELP = "all, or one_per_site: the first of each site that preflight lets through."


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this file to the command."""
    for verb in (evaluate, measure, judge, report, dashboard):
        app.command(verb.__name__)(verb)


def evaluate(
    cohort: Annotated[Path, typer.Argument(help="The cohort: its folder or manifest.")],
    model: Annotated[
        str | None,
        typer.Argument(help="models:/NAME/VERSION, models:/NAME@ALIAS, oracle:truth, oracle:twin."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Finished synthetic images, CASE.nii.gz or CASE.mha.")
    ] = None,
    name: Annotated[str, typer.Option(help="Who made --images.")] = "external",
    out: Annotated[Path | None, typer.Option(help="Folder of the evaluation.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="Criteria to judge by; without them it only measures.")
    ] = None,
    split: Annotated[str, typer.Option(help="Patient set to examine.")] = "test",
    keep_volumes: Annotated[str, typer.Option(help="worst, all or none.")] = "worst",
    max_misalignment_mm: Annotated[
        float, typer.Option(help="Preflight refuses cases that are further apart.")
    ] = 10.0,
    workers: Annotated[int, typer.Option(help="Cases measured at a time.")] = 2,
    allow_leakage: Annotated[
        bool, typer.Option("--allow-leakage", help="Examine on training patients; marked.")
    ] = False,
    inverse: Annotated[
        str | None, typer.Option(help="Translator of the way back, for the cycle error.")
    ] = None,
    segmenter: Annotated[
        list[str] | None,
        typer.Option(help="Registered segmenter, or totalsegmentator:TASK; may be repeated."),
    ] = None,
    extractor: Annotated[
        str | None, typer.Option(help="Registered feature extractor, for distances between sets.")
    ] = None,
    ask: Annotated[list[str] | None, typer.Option(help=ASK_HELP)] = None,
    plan: Annotated[
        list[str] | None,
        typer.Option(help="Plan template to compute dose with; may be repeated, needs --hlut."),
    ] = None,
    hlut: Annotated[list[str] | None, typer.Option(help=HLUT_HELP)] = None,
    dose_grid_mm: Annotated[
        float | None, typer.Option(help="Voxels of the dose grid; default: the template's.")
    ] = None,
    dose_cases: Annotated[str, typer.Option(help=DOSE_CASES_HELP)] = "all",
    device: DeviceOption = "auto",
    clinic: Annotated[
        Path | None, typer.Option(help="Folder CASE/ of your planning system's doses and plan.dcm.")
    ] = None,
    clinic_goals: Annotated[
        str | None,
        typer.Option(help="Template whose target and goals judge the doses of --clinic."),
    ] = None,
    clinic_dose: Annotated[
        list[str] | None,
        typer.Option(
            help="What the doses of --clinic are, NAME=VALUE: dose-type=effective, "
            "summation=beam, fractions=30, relative-unit-gy=2, plane-mm=1, dose-unit=cGy, "
            "any-scale=yes; REFERENCE,SYNTHETIC by a comma where they differ. May be repeated."
        ),
    ] = None,
    rtplans: Annotated[
        bool,
        typer.Option(
            "--rtplans",
            help="Compute the plan.dcm of each case as it stands; needs --target or a --plan.",
        ),
    ] = False,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Structure that plans aim at, as drawn; may be repeated: the first that is there."
        ),
    ] = None,
    goals: GoalsOption = None,
    machine: MachineOption = None,
    prescription_gy: PrescriptionOption = None,
    fractions: FractionsOption = None,
    protons_per_mu: ProtonsPerMuOption = None,
    arc_step_deg: ArcStepOption = None,
    track: Annotated[bool, typer.Option(help="Log the evaluation to MLflow.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements.")] = False,
) -> int:
    """Measure a translator on held-out patients; with --profile, judge it too.

    Killed at any moment, the same command carries on.

    Example: `qa-suite evaluate cohorts/virtual models:/pelvis-mr-to-ct/1 --profile demo-pelvis`
    """
    from qa_suite.cli.dose_settings import DoseAsked, dose_settings
    from qa_suite.cli.flows import (
        beam_machines,
        beyond_tables,
        clinic_plans,
        doubtful_cases,
        far_prescriptions,
        judge_and_report,
        run_evaluation,
    )
    from qa_suite.dose.clinic.given import parse_clinic_request
    from qa_suite.judging.criteria import load_profile

    chosen = load_profile(profile) if profile else None
    _require_clinic(clinic, clinic_goals, rtplans, clinic_dose or ())
    folder, evaluation = run_evaluation(
        cohort,
        model,
        images=images,
        name=name,
        out=out,
        workers=workers,
        split=split,
        keep_volumes=keep_volumes,
        max_misalignment_mm=max_misalignment_mm,
        allow_leakage=allow_leakage,
        inverse=inverse,
        segmenters=segmenter or (),
        extractor=extractor,
        ask=ask or (),
        dose=dose_settings(
            DoseAsked(
                plans=plan or (),
                hluts=hlut or (),
                rtplans=clinic_plans(cohort, clinic) if clinic and rtplans else None,
                targets=target or (),
                goals=goals,
                machines=machine or (),
                clinic_goals=clinic_goals,
                clinic_request=parse_clinic_request(clinic_dose or ()),
                prescription_gy=prescription_gy,
                fractions=fractions,
                protons_per_mu=protons_per_mu,
                arc_step_deg=arc_step_deg,
                grid_mm=dose_grid_mm,
                device=device,
            )
        ),
        clinic=clinic,
        dose_cases=dose_cases,
        profile=chosen,
    )
    counts = ", ".join(
        f"{n} {what.replace('_', ' ')}" for what, n in evaluation.case_counts.items()
    )
    console.say(f"Cases: {counts}")
    for line in (
        *doubtful_cases(folder),
        *far_prescriptions(folder),
        *beyond_tables(folder),
        *beam_machines(folder),
    ):
        console.say(line)
    verdict: Verdict | None = None
    if chosen is None:  # a verdict says them itself
        for notice in evaluation.announced:
            console.say(f"! {notice}")
    else:
        verdict, page = judge_and_report(folder, chosen)
        console.say(f"Report: {page}")
    if track:
        from qa_suite.cli.flows import log_or_say

        log_or_say(folder)
    if as_json:
        _show_measurements_json(folder)
    else:
        console.show(f"Evaluation: {folder}")
    if verdict is None:
        console.say(f"Not judged; 'qa-suite judge {folder} --profile NAME' does.")
        return 0
    if not as_json:
        console.show_verdict(verdict)
    return console.EXIT_STATUS[verdict.outcome]


def _show_measurements_json(folder: Path) -> None:
    import json

    from qa_suite.core.record_files import read_measurements

    console.show(
        json.dumps(json.loads(read_measurements(folder).to_json(orient="records")), indent=1)
    )


def _require_clinic(
    folder: Path | None, goals: str | None, rtplans: bool, said: Sequence[str]
) -> None:
    """Refuse a folder of the clinic that nothing is done with, and the reverse."""
    if folder is None and (goals or rtplans or said):
        raise InputError("--clinic-goals, --clinic-dose and --rtplans need the folder --clinic.")
    if said and goals is None:
        raise InputError("--clinic-dose needs --clinic-goals, the template that judges the doses.")
    if folder is not None and goals is None and not rtplans:
        raise InputError(
            "--clinic needs --clinic-goals, the template that judges its doses, or --rtplans to "
            "compute its plans."
        )


def measure(
    reference: Annotated[Path, typer.Argument(help="The real image.")],
    synthetic: Annotated[Path, typer.Argument(help="The translated image.")],
    mask: Annotated[
        Path | None, typer.Option(help="Where to measure; default: the reference's body.")
    ] = None,
    source: Annotated[Path | None, typer.Option(help="The image that was translated.")] = None,
    families: Annotated[str, typer.Option(help="Which measures; default: all.")] = "",
    error_maps: Annotated[
        Path | None, typer.Option(help="Folder for NIfTI maps of the signed and absolute error.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Measure one pair of CT images (HU); no cohort, no MLflow.

    Example: `qa-suite measure ct.nii.gz synthetic-ct.nii.gz --mask body.nii.gz --json`
    """
    from qa_suite.cli.data import names
    from qa_suite.cli.flows import measure_files

    rows = measure_files(
        reference, synthetic, mask, source, families=names(families) or None, maps_folder=error_maps
    )
    if as_json:
        console.show_json([row.model_dump(mode="json") for row in rows])
    else:
        console.show_measurements(rows)
    return 0


def judge(
    evaluation: Annotated[Path, typer.Argument(help="Folder of an evaluation.")],
    profile: Annotated[str, typer.Option(help="A shipped profile or a YAML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> int:
    """Judge an evaluation by a profile of criteria; milliseconds, no images, no GPU.

    Example: `qa-suite judge evaluations/pelvis-mr-to-ct-1 --profile mr-to-ct-pelvis`
    """
    from qa_suite.judging.criteria import load_profile
    from qa_suite.judging.judge import judge as judge_folder
    from qa_suite.judging.judge import save_verdict

    verdict = judge_folder(evaluation, load_profile(profile))
    path = save_verdict(verdict, evaluation)
    if as_json:
        console.show_json(verdict.model_dump(mode="json"))
    else:
        console.show_verdict(verdict)
        console.say(f"Verdict: {path}")
    return console.EXIT_STATUS[verdict.outcome]


def report(
    evaluation: Annotated[Path, typer.Argument(help="Folder of an evaluation.")],
    profile: Annotated[str, typer.Option(help="Criteria to judge by.")],
    floor: Annotated[
        Path | None, typer.Option(help="Evaluation of the oracle on the same cohort.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Evaluation of a simple translator, such as intensity.")
    ] = None,
    track: Annotated[bool, typer.Option(help="Update the evaluation's run in MLflow.")] = True,
) -> None:
    """Write the readiness report: one HTML page that opens without a network.

    Example: `qa-suite report evaluations/pelvis-mr-to-ct-1 --profile mr-to-ct-pelvis`
    """
    from qa_suite.cli.flows import judge_and_report
    from qa_suite.judging.criteria import load_profile

    _, page = judge_and_report(evaluation, load_profile(profile), floor=floor, baseline=baseline)
    if track:
        from qa_suite.cli.flows import log_or_say

        log_or_say(evaluation)
    console.show(str(page))


def dashboard(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 8501,
    headless: Annotated[bool, typer.Option(help="Do not open a browser.")] = False,
) -> int:
    """Open the dashboard over the MLflow store: models, evaluations, verdicts, worst cases.

    Example: `qa-suite dashboard --port 8600`
    """
    from reports.dashboard import launch

    return launch(port, headless)
