"""The verb ``verify``: a record and its verdicts, recomputed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_suite.cli import console

if TYPE_CHECKING:
    from qa_suite.core.signing.reviewers import Reviewers
    from qa_suite.core.verdict_files import Overall


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("verify")(verify)


def verify(
    evaluation: Annotated[Path, typer.Argument(help="Folder of an evaluation.")],
    reviewers: Annotated[
        Path | None,
        typer.Option(help="File of those whose signatures count; default: QA_SUITE_REVIEWERS."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every doubt as JSON.")] = False,
) -> int:
    """Recompute a record and its verdicts, and say what is not as it was written.

    Tables, counts, identifier, volumes, each verdict from the tables and its own profile, the
    chain of verdicts, the signatures, the lock, the log, and the registry: aliases that the log
    tells of, and whether the models of the record are still what they were.

    At last it lists what no check of a folder can prove.

    Exit status: 0 nothing, 1 something was changed, 3 something differs that another version of
    the suite, or a place that is not at hand, may explain.

    Example: `qa-suite verify evaluations/pelvis-mr-to-ct-1`
    """
    from dataclasses import asdict

    from qa_suite.cli.signing import reviewers_for
    from qa_suite.core.errors import QAError
    from qa_suite.core.examination_log import log_beside, read_log
    from qa_suite.core.record_files import read_model
    from qa_suite.core.record_names import EVALUATION_FILE
    from qa_suite.core.records import Evaluation
    from qa_suite.core.verdict_files import overall
    from qa_suite.judging.unprovable import UNPROVABLE
    from qa_suite.judging.verify import verify as verify_folder
    from qa_suite.release.aliases import alias_doubts
    from qa_suite.release.model_doubts import model_doubts

    known = reviewers_for(reviewers, evaluation)
    doubts = (
        *verify_folder(evaluation),
        *alias_doubts(read_log(log_beside(evaluation))),
        *model_doubts(read_model(evaluation / EVALUATION_FILE, Evaluation)),
    )
    if as_json:
        told = {"doubts": [asdict(one) for one in doubts], "cannot_prove": list(UNPROVABLE)}
        console.show_json(told)
    else:
        for doubt in doubts:
            console.show(f"{'✘' if doubt.certain else '?'} {doubt.sentence}")
        if not doubts:
            console.show("✔ Everything is as it was written, and every verdict follows from it.")
        try:
            judged = overall(evaluation)
            console.show(f"Overall: {judged.sentence}")
            _show_signatures(evaluation, judged, known)
        except QAError:
            console.show("Overall: not believed before what is said above is settled.")
        console.show("What this cannot prove:")
        for words in UNPROVABLE:
            console.show(f"  – {words}")
    return 1 if any(doubt.certain for doubt in doubts) else 3 if doubts else 0


def _show_signatures(evaluation: Path, judged: Overall, known: Reviewers | None) -> None:
    """Say who signed each verdict that stands, and what the signatures come to."""
    from qa_suite.core.signing.signatures import sign_off

    for one in judged.standing:
        if one.verdict.evidence is None:
            continue
        off = sign_off(evaluation, one, known)
        console.show(f"{one.title}: {off.sentence}")
        for signature in off.signatures:
            console.show(f"  {'✔' if signature.counts else '✘'} {signature.sentence}.")
