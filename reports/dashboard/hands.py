"""What the command hands to the dashboard: who judges, who logs, and how it was started."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from qa_suite.core.errors import InputError
from qa_suite.core.json_files import parse_json_model
from qa_suite.core.records import Comparison, Profile, Verdict
from reports.figures.control_charts import ControlChart

OPTIONS_VARIABLE: Final = "QA_SUITE_DASHBOARD"
"""Environment variable by which the command hands its options to the process that serves."""


class Options(BaseModel):
    """How the dashboard was started."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folders: tuple[Path, ...] = ()
    """Where evaluations lie on this machine, beside those in the MLflow store."""
    local_reviewer: str = ""
    """Name of the only person at this machine; empty: nothing is written."""
    local_role: str = ""
    key: Path | None = None
    """The reviewer's own key, by which a verdict is signed after the passphrase."""
    reviewers: Path | None = None
    """File of reviewers whose signatures count."""
    check_ups: Path | None = None
    """Log of the check-ups of new patients, shown over time."""
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost")


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What a log of check-ups says of one model."""

    model: str
    state: str
    sentence: str
    charts: tuple[ControlChart, ...]


@dataclass(frozen=True, kw_only=True)
class Hands:
    """Functions of rooms that reports may not know.

    Parameters
    ----------
    judge
        Folder of an evaluation and a profile to its verdict; nothing is written.
    profiles
        The profiles that can be asked.
    compare
        Folders of a new and an old evaluation of the same patients to their differences.
    hazards
        Folder of an evaluation and its verdict to rows of
        hazards: ``hazard``, ``cause``, ``effect``, ``seen`` and ``residual``.
    reports
        Folder of an evaluation, a verdict of it, and the file of reviewers if there is one, to the
        files of the report in short: name and content.
    watched
        Log of check-ups to what it says of each model, the newest first.
    log
        Logs the evaluation in a folder in MLflow again; returns what is to be said of it.
    """

    judge: Callable[[Path, Profile], Verdict]
    profiles: Callable[[], Sequence[Profile]]
    compare: Callable[[Path, Path], Comparison]
    hazards: Callable[[Path, Verdict], Sequence[Any]]
    reports: Callable[[Path, Verdict, Path | None], Mapping[str, bytes]]
    watched: Callable[[Path], Sequence[Watched]]
    log: Callable[[Path], str]
    options: Options


def options_said() -> Options:
    """Return how the dashboard was started, as its environment says."""
    return parse_json_model(
        os.environ.get(OPTIONS_VARIABLE, "{}").encode(), Options, OPTIONS_VARIABLE
    )


_given: list[Hands] = []


def give(hands: Hands) -> None:
    """Say once a run of the page what the command hands over."""
    _given[:] = [hands]


def hands() -> Hands:
    """Return what was handed over.

    Raises
    ------
    InputError
        If the page was not opened by the command.
    """
    if not _given:
        raise InputError("The dashboard is opened by 'qa-suite dashboard'.")
    return _given[0]
