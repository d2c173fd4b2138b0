"""The verb ``evaluate``: a translator on the held-out patients of a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qa_suite.cli import console
from qa_suite.cli.evaluate_options import EvaluateOptions
from qa_suite.cli.options import add_verb
from qa_suite.core.errors import InputError

if TYPE_CHECKING:
    from qa_suite.core.records import Verdict


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    add_verb(app, evaluate, EvaluateOptions)


def evaluate(asked: EvaluateOptions) -> int:
    """Measure a translator on held-out patients; with --profile, judge it too.

    Killed at any moment, the same command carries on.

    Example: `qa-suite evaluate cohorts/virtual models:/pelvis-mr-to-ct/1 --profile demo-pelvis`
    """
    from qa_suite.cli.flows import judge_and_report, log_or_say, run_evaluation
    from qa_suite.core.verdict_files import overall
    from qa_suite.evaluation.profiles import load_profile

    bands = (asked.measures.get("image") or {}).get("bands")
    chosen = load_profile(asked.profile, bands=bands) if asked.profile else None
    _require_clinic(asked)
    folder, evaluation = run_evaluation(asked, chosen)
    counts = ", ".join(
        f"{n} {what.replace('_', ' ')}" for what, n in evaluation.case_counts.items()
    )
    console.say(f"Cases: {counts}")
    for remarks in (
        doubtful_cases,
        tables_by_site,
        far_prescriptions,
        beyond_tables,
        beam_machines,
    ):
        for line in remarks(folder):
            console.say(line)
    verdict: Verdict | None = None
    if chosen is None:  # a verdict says them itself
        for notice in evaluation.announced:
            console.say(f"! {notice}")
    else:
        verdict, page = judge_and_report(folder, chosen, by=asked.by, ask_store=asked.track)
        console.say(f"Report: {page}")
    if asked.track:
        log_or_say(folder)
    if asked.as_json:
        _show_measurements_json(folder)
    else:
        console.show(f"Evaluation: {folder}")
    if verdict is None:
        console.say(f"Not judged; 'qa-suite judge {folder} --profile NAME' does.")
        return 0
    judged = overall(folder)
    if not asked.as_json:
        console.show_verdict(verdict)
        console.show_overall(judged)
    return console.EXIT_STATUS[judged.outcome]


def _show_measurements_json(folder: Path) -> None:
    import json

    from qa_suite.core.json_files import parse_json
    from qa_suite.core.record_files import read_measurements

    rows = parse_json(read_measurements(folder).to_json(orient="records"), folder)
    console.show(json.dumps(rows, indent=1))


def _require_clinic(asked: EvaluateOptions) -> None:
    """Refuse a folder of the clinic that nothing is done with, and the reverse."""
    folder, goals, rtplans, said = (
        asked.clinic,
        asked.clinic_goals,
        asked.rtplans,
        asked.clinic_dose,
    )
    if folder is None and (goals or rtplans or said):
        raise InputError("--clinic-goals, --clinic-dose and --rtplans need the folder --clinic.")
    if said and goals is None:
        raise InputError("--clinic-dose needs --clinic-goals, the template that judges the doses.")
    if folder is not None and goals is None and not rtplans:
        raise InputError(
            "--clinic needs --clinic-goals, the template that judges its doses, or --rtplans to "
            "compute its plans."
        )


def doubtful_cases(folder: Path, most: int = 5) -> list[str]:
    """Say which cases of an evaluation failed, or are undetermined, and why, the first few."""
    from qa_suite.core.record_files import read_cases
    from qa_suite.core.records import preflight_sentence, preflight_status

    cases = read_cases(folder)
    failed = [f"FAILED: {c.case}: {c.reason.rstrip('.')}." for c in cases if c.status == "failed"]
    undetermined = [
        f"UNDETERMINED: {case.case}: {preflight_sentence(case.preflight)}"
        for case in cases
        if case.status == "evaluated" and preflight_status(case.preflight) == "undetermined"
    ]
    lines = []
    for found in (failed, undetermined):
        lines += found[:most]
        if len(found) > most:
            lines.append(f"... and {len(found) - most} more; cases.parquet has every reason.")
    return lines


def tables_by_site(folder: Path) -> list[str]:
    """Say with which HLUT the cases of each site were computed, where they differ."""
    from qa_suite.core.record_files import read_cases

    sites: dict[str, dict[str, set[str]]] = {}
    for case in read_cases(folder):
        for plan, table in case.hluts.items():
            name = table.partition(" sha256:")[0]
            sites.setdefault(plan, {}).setdefault(name, set()).add(case.site)
    return [
        f"{plan}: HU to density by {table} at {', '.join(sorted(at))}."
        for plan, tables in sites.items()
        if len(tables) > 1
        for table, at in sorted(tables.items())
    ]


def far_prescriptions(folder: Path, most: int = 5) -> list[str]:
    """Say which cases' target gets a dose far from its prescription on the reference CT."""
    from qa_suite.core.record_files import read_measurements
    from qa_suite.core.wording import far_from_prescription

    table = read_measurements(folder)
    table = table[(table["region"] == "target") & (table["status"] == "ok")]
    asked, means = (
        dict(
            zip(
                zip(rows["case"], rows["variant"], strict=True),
                rows["value"].astype(float),
                strict=True,
            )
        )
        for rows in (table[table["metric"] == m] for m in ("prescribed_dose", "dmean_reference"))
    )
    said = {key: far_from_prescription(mean, asked[key]) for key, mean in means.items()}
    lines = [f"{c}, {v}: on the reference CT {why}." for (c, v), why in said.items() if why]
    rest = len(lines) - most
    return lines if rest <= 0 else [*lines[:most], f"... and {rest} more; the report has them."]


def beyond_tables(folder: Path, most: int = 5) -> list[str]:
    """Say which images hold HU beyond the ends of a plan's HLUT."""
    from qa_suite.core.record_files import read_measurements

    table = read_measurements(folder)
    lines = []
    for metric, name in (
        ("hu_beyond_reference", "reference CT"),
        ("hu_beyond_synthetic", "synthetic image"),
    ):
        rows = table[(table["metric"] == metric) & (table["value"] > 0)]
        lines += [
            f"{row.case}, {row.variant}: in the {name} {row.why}."
            for row in rows.itertuples(index=False)
        ]
    rest = len(lines) - most
    return lines if rest <= 0 else [*lines[:most], f"... and {rest} more; the record has them."]


def beam_machines(folder: Path) -> list[str]:
    """Say which machines computed the beams of the clinic's plans, and which stood in."""
    from qa_suite.core.record_files import read_measurements
    from qa_suite.core.wording import count

    table = read_measurements(folder)
    table = table[(table["metric"] == "machine_energy") & (table["status"] == "ok")]
    return [
        f"{variant}: {why} ({count(len(rows), 'beam')} of {count(rows['case'].nunique(), 'case')})."
        for (variant, why), rows in table.groupby(["variant", "why"], sort=True)
    ]
