"""What the verbs share: progress bars, tables, JSON, and the exit status of a verdict."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from qa_suite.core.wording import count

EXIT_STATUS = {"pass": 0, "fail": 1, "inconclusive": 3, "described": 3}
"""0 done or pass, 1 verdict fail, 2 bad input, 3 inconclusive, 4 internal error. Of an evaluation
it is the overall outcome: the worst of the verdicts that stand."""

SYMBOL = {"pass": "✔", "fail": "✘", "inconclusive": "?", "described": "≡"}

Step = Callable[[int, int, str], None]


def say(text: str = "") -> None:
    """Print one line for the reader, on standard error, so that results stay alone."""
    print(text, file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Print a result on standard output."""
    print(text, flush=True)


def show_json(data: Any) -> None:
    """Print a result as JSON on standard output."""
    show(json.dumps(data, indent=2, ensure_ascii=False, default=str))


@contextmanager
def progress_bar(title: str) -> Iterator[Step]:
    """Show a bar while the block runs; the block calls what it is given with (done, all, what).

    Where standard error is no terminal, a line is written every tenth of the way instead.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(title)
        return
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[what]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=None, what="")

        def step(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, what=what[:48])

        yield step


def _lines(title: str) -> Step:
    shown = -1

    def step(done: int, total: int, what: str) -> None:
        nonlocal shown
        tenth = 10 * done // max(total, 1)
        if tenth > shown:
            shown = tenth
            say(f"{title}: {done}/{total} {what}")

    return step


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, whole: Sequence[str] = ()
) -> None:
    """Print a table on standard output; long text is folded, but in the columns ``whole``."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table)


def show_measurements(rows: Sequence[Any], *, every: bool = True) -> int:
    """Print measurements as a table; return how many were left out.

    What has no value shows its reason instead. With ``every`` off these are the headline measures,
    in their order, or all where the rows hold none of them.
    """
    first = [] if every else headlines(rows)
    chosen = first or rows
    whole = count(len(rows), "measurement")
    show_table(
        whole if len(chosen) == len(rows) else f"{len(chosen)} of {whole}",
        ("family", "metric", "region", "variant", "value", "unit"),
        [(r.family, r.metric, r.region, r.variant, _value_text(r), r.unit) for r in chosen],
    )
    return len(rows) - len(chosen)


def headlines(rows: Sequence[Any]) -> list[Any]:
    """Return the rows of the headline measures, in their order."""
    from qa_suite.core.headline_measures import first_of

    by_measure = {(row.metric, row.region, row.variant): row for row in rows}
    return [by_measure[key] for key in first_of(by_measure)]


def _value_text(row: Any) -> str:
    from qa_suite.core.wording import brief

    if row.status == "censored":
        return f"{brief(row.at_least, row.at_most)} (censored: {row.why})"
    return f"{row.value:.4g}" if row.value is not None else f"{row.status}: {row.why}"


def show_verdict(verdict: Any, *, every: bool = False) -> int:
    """Print a verdict: its outcome, what decides, a line a finding; return how many it left out.

    Parameters
    ----------
    verdict
        What was found.
    every
        Whether to print every finding, and not those alone that decide.
    """
    from reports.facts.short.findings import deciding
    from reports.facts.short.lines import in_short

    show(f"{SYMBOL[verdict.outcome]} {verdict.outcome.upper()}: {verdict.sentence}")
    for sentence in verdict.dose_said:
        show(f"  {sentence}")
    whom = verdict.speaks_of_said
    show(f"  {whom if every else in_short(whom)}")
    findings = verdict.findings if every else deciding(verdict)
    for finding in findings:
        show(f"  {SYMBOL[finding.outcome]} {finding.sentence}")
    for notice in verdict.announced:
        show(f"  ! {notice}")
    if verdict.evidence is not None:
        show(f"  Verdict {verdict.evidence.verdict[:8]}: {verdict.evidence.judged_sentence}.")
        show(f"  {verdict.evidence.tried_sentence}.")
        show(f"  Test cohort: {verdict.evidence.cohort_sentence}")
        show(f"  Protocol: {verdict.evidence.protocol.sentence}")
    return len(verdict.findings) - len(findings)


def show_overall(judged: Any) -> None:
    """Print what an evaluation comes to, where more than one verdict was reached."""
    if len(judged.written) > 1:
        show(f"{SYMBOL[judged.outcome]} OVERALL: {judged.sentence}")


def inline(facts: Mapping[str, Any]) -> str:
    """Write facts on one line: ``loss 0.123 lr 0.001``."""
    shown = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in facts.items()}
    return " ".join(f"{name} {value}" for name, value in shown.items())


def key_values(text: str, what: str) -> Mapping[str, float]:
    """Read ``a=0.5,b=0.5`` as numbers by name."""
    from qa_suite.core.errors import InputError

    result: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, value = part.partition("=")
        try:
            result[name.strip()] = float(value)
        except ValueError:
            raise InputError(
                f"{what} {part!r} is not of the form name=number, such as 'train=0.6,test=0.4'."
            ) from None
    return result
