"""The verb ``verify``: a record and its verdicts, recomputed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qa_suite.cli import console


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("verify")(verify)


def verify(
    evaluation: Annotated[Path, typer.Argument(help="Folder of an evaluation.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print every doubt as JSON.")] = False,
) -> int:
    """Recompute a record and its verdicts, and say what is not as it was written.

    Tables, counts, identifier, volumes, each verdict from the tables and its own profile, the
    chain of verdicts, the lock and the log. Exit status: 0 nothing, 1 something was changed, 3
    something differs that another version of the suite, or a place that is not at hand, may
    explain.

    Example: `qa-suite verify evaluations/pelvis-mr-to-ct-1`
    """
    from dataclasses import asdict

    from qa_suite.core.errors import QAError
    from qa_suite.core.verdict_files import overall
    from qa_suite.judging.verify import verify as verify_folder

    doubts = verify_folder(evaluation)
    if as_json:
        console.show_json([asdict(doubt) for doubt in doubts])
    else:
        for doubt in doubts:
            console.show(f"{'✘' if doubt.certain else '?'} {doubt.sentence}")
        if not doubts:
            console.show("✔ Everything is as it was written, and every verdict follows from it.")
        try:
            console.show(f"Overall: {overall(evaluation).sentence}")
        except QAError:
            console.show("Overall: not believed before what is said above is settled.")
    return 1 if any(doubt.certain for doubt in doubts) else 3 if doubts else 0
