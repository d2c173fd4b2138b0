"""The verb ``fmea``: hazards and checklists under a record and a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qa_suite.cli import console
from qa_suite.core.wording import count


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("fmea")(fmea)


def fmea(
    evaluation: Annotated[Path, typer.Argument(help="Folder of an evaluation.")],
    profile: Annotated[str, typer.Option(help="A shipped profile or a YAML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print both tables as JSON.")] = False,
) -> int:
    """Tell which hazards and checklist items an evaluation answers; nothing is written.

    Example: `qa-suite fmea evaluations/pelvis-mr-to-ct-1 --profile mr-to-ct-pelvis-photon`
    """
    from qa_suite.core.record_files import read_cases, read_evaluation, valued_measures
    from qa_suite.evaluation.profiles import load_profile
    from qa_suite.judging.checklists import checklist_table, facts_of
    from qa_suite.judging.fmea import hazard_table
    from qa_suite.judging.judge import judge

    verdict = judge(evaluation, load_profile(profile, record=evaluation))
    measured = valued_measures(evaluation)
    hazards = hazard_table(verdict, measured)
    facts = facts_of(read_evaluation(evaluation), verdict, read_cases(evaluation), measured)
    items = checklist_table(facts)
    if as_json:
        console.show_json(
            {
                "profile": verdict.profile.name,
                "outcome": verdict.outcome,
                "hazards": [row.model_dump(mode="json") for row in hazards],
                "checklists": [row.model_dump(mode="json") for row in items],
            }
        )
        return 0
    console.show_table(
        f"{count(len(hazards), 'hazard')} under {verdict.profile.name}",
        ("hazard", "cause", "effect", "seen", "residual risk"),
        [(row.hazard, row.cause, row.effect, row.seen, row.residual) for row in hazards],
    )
    console.show_table(
        f"{count(len(items), 'item')} of checklists",
        ("list", "item", "asks", "this evaluation", "where"),
        [(row.checklist, row.item, row.asks, row.answer, row.where) for row in items],
    )
    return 0
