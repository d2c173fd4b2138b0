"""The verb ``dashboard``: the pages in a browser of this machine."""

from __future__ import annotations

from pathlib import Path

import typer

from qa_suite.cli import console
from qa_suite.cli.options import Commas, Options, add_verb, names, option

APPLICATION = Path(__file__).parent / "application.py"
EVALUATIONS = Path("evaluations")


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    add_verb(app, dashboard, DashboardOptions)


class DashboardOptions(Options):
    """Where the dashboard is opened, over what, and for whom."""

    port: int = option(8501, "Port on this machine.", ge=1, le=65535)
    headless: bool = option(False, "Do not open a browser.")
    evaluations: Commas = option(
        "", "Folders with evaluations, beside those in MLflow; default: evaluations/, if there."
    )
    local_reviewer: str = option(
        "", "Name of the person at this machine, who may comment; default: reading only."
    )
    role: str = option("", "Role of that person, such as 'medical physicist'.")
    key: Path | None = option(None, "That person's private key, to sign verdicts with.")
    reviewers: Path | None = option(
        None, "File of those whose signatures count; default: QA_SUITE_REVIEWERS."
    )
    check_ups: Path | None = option(
        None, "Log of check-ups, as 'checkup --log' keeps it, to be shown over time."
    )
    allowed_hosts: Commas = option(
        "127.0.0.1,localhost", "Names that the dashboard may be addressed by, behind a proxy."
    )


def dashboard(asked: DashboardOptions) -> int:
    """Open the dashboard: models, verdicts, cases and their images, reviews and signatures.

    It listens on this machine alone, and reads only, unless --local-reviewer names a person. What
    that person says is marked as unauthenticated; a signature by --key is not.

    Example: `qa-suite dashboard --port 8600 --evaluations evaluations`
    """
    from qa_suite.cli.signing import signer
    from qa_suite.core import store
    from qa_suite.core.errors import raise_problems
    from qa_suite.core.reach import StoreAway, require_answer
    from qa_suite.core.signing.reviewers import read_reviewers, reviewers_file
    from reports.dashboard import launch
    from reports.dashboard.hands import Options as Started

    folders = [Path(one).absolute() for one in names(asked.evaluations)]
    problems = [f"there is no folder {one} (--evaluations)" for one in folders if not one.is_dir()]
    who, role = asked.local_reviewer.strip(), asked.role.strip()
    if asked.key is not None:
        if not asked.key.is_file():
            problems.append(f"there is no key {asked.key} (--key)")
        else:
            who, role = signer(asked.key, who, role)
        if not (who and role):
            problems.append("--key needs --local-reviewer and --role: nobody could tell who signs")
    if asked.check_ups is not None and not asked.check_ups.is_file():
        problems.append(f"there is no log {asked.check_ups} (--check-ups)")
    hosts = tuple(names(asked.allowed_hosts))
    if not hosts or "*" in hosts:
        problems.append("--allowed-hosts names each host; '*' would answer any page elsewhere")
    raise_problems("The dashboard", problems)
    reviewers = reviewers_file(asked.reviewers)
    if reviewers is not None:
        read_reviewers(reviewers)
    _require_free(asked.port)
    if not folders and EVALUATIONS.is_dir():
        folders = [EVALUATIONS.absolute()]
    try:
        require_answer(store.tracking_uri())
    except StoreAway as error:
        console.say(f"{error} The dashboard opens, and reads the store when it answers.")
    started = Started(
        folders=tuple(folders), local_reviewer=who, local_role=role, allowed_hosts=hosts,
        key=None if asked.key is None else asked.key.absolute(),
        reviewers=None if reviewers is None else reviewers.absolute(),
        check_ups=None if asked.check_ups is None else asked.check_ups.absolute(),
    )  # fmt: skip
    return launch(APPLICATION, started, port=asked.port, headless=asked.headless)


def _require_free(port: int) -> None:
    """Refuse a port that cannot be listened at, before the pages are made."""
    import socket

    from qa_suite.core.errors import InputError

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(
                f"Nothing can listen at port {port} of this machine ({error.strerror}); name "
                f"another with --port."
            ) from None
