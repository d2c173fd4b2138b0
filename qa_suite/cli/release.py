"""The verbs ``promote`` and ``withdraw``: what the registry may call the model in use."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qa_suite.cli import console
from qa_suite.cli.options import REQUIRED, Options, add_verb, argument, option
from qa_suite.cli.signing import PassphraseOptions
from qa_suite.core.errors import InputError

if TYPE_CHECKING:
    from qa_suite.core.records.signature import Release, Signed
    from qa_suite.core.signing.reviewers import Reviewers
    from qa_suite.release.refusals import Candidate, Refusal

_REFUSED = 1


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this file to the command."""
    add_verb(app, promote, PromoteOptions)
    add_verb(app, withdraw, WithdrawOptions)


class PromoteOptions(PassphraseOptions):
    """Which model is released, by which evaluation, and who says so."""

    model: str = argument(REQUIRED, "Registered version, models:/NAME/VERSION.")
    evaluation: Path = option(REQUIRED, "Folder of the evaluation that it is released by.")
    profile: str = option(REQUIRED, "The profile whose verdict counts.")
    alias: str = option("champion", "Of the registry, that is moved to the model.")
    reviewers: Path | None = option(
        None, "File of those whose signatures count; default: QA_SUITE_REVIEWERS."
    )
    dry_run: bool = option(False, "Say what would be done, or why not, and do nothing.")
    by: str = option("", "Who releases it; default: as beside the key, else the account's name.")
    role: str = option("", "In which role; default: as beside the key.")
    override: str = option("", "Release in spite of a refusal, for this reason; needs --key.")
    key: Path | None = option(None, "Private key that the release is signed with.")
    as_json: bool = option(False, "Print what was done, or the refusals, as JSON.", "json")


class WithdrawOptions(Options):
    """Which model is withdrawn, and why."""

    model: str = argument(REQUIRED, "Registered version, models:/NAME/VERSION.")
    because: str = option(REQUIRED, "Why.")
    by: str = option("", "Who withdraws it; default: the name of the account.")
    evaluations: Path = option(
        Path("evaluations"), "Folder that holds the evaluations, with their log."
    )
    check_ups: tuple[Path, ...] = option(
        (), "Log of check-ups, to list who was checked under it; may be repeated."
    )
    as_json: bool = option(False, "Print what was withdrawn as JSON.", "json")


def promote(asked: PromoteOptions) -> int:
    """Release a model: move an alias of the registry to it, if its verdict allows.

    It takes a verdict under the profile that passes, stands, was signed by as many people as must
    and is not too old, of an evaluation of the same weights whose protocol was locked and whose
    record is as it was written. Every reason against it is named at once.

    Exit status: 0 released, 1 refused, 2 bad input.

    Example: `qa-suite promote models:/pelvis/2 --evaluation eval --profile mr-to-ct-pelvis`
    """
    from dataclasses import asdict

    from qa_suite.cli.signing import reviewers_for
    from qa_suite.core import store
    from qa_suite.core.one_writer import writing
    from qa_suite.evaluation.profiles import load_profile
    from qa_suite.evaluation.registered import registered_facts
    from qa_suite.release.aliases import require_alias
    from qa_suite.release.release import candidate_for, held_by, release, why_refused

    require_alias(asked.alias)
    if asked.override.strip() and asked.key is None:
        raise InputError("A release in spite of a refusal is signed: give --key with --override.")
    profile = load_profile(asked.profile, record=asked.evaluation)
    reviewers = reviewers_for(asked.reviewers, asked.evaluation)
    with store.reached():
        client = store.connect().MlflowClient()
    model = registered_facts(asked.model)
    candidate = candidate_for(asked.evaluation, model, profile, client=client)
    refused, was = why_refused(candidate, reviewers), held_by(client, model.name, asked.alias)
    if refused and not asked.override.strip():
        return _refuse(asked, model.uri, refused)
    if asked.dry_run:
        words = "would be released in spite of what is said above" if refused else "may be released"
        _say_refusals(refused)
        console.show(f"✔ {model.uri} {words}: {asked.alias} moves from {_version(was)} to it.")
        return 0
    statement, signed = _stated(asked, candidate, refused, reviewers, was)
    with writing(asked.evaluation, "promote"):
        card = _card(candidate, reviewers)
        done = release(candidate, statement, signed, client=client, card=card)
    if asked.as_json:
        console.show_json(asdict(done))
        return 0
    _say_refusals(refused)
    console.show(f"✔ {done.model} is {done.alias} (before: {_version(done.was)}).")
    if done.overridden:
        console.show(f"✘ OVERRIDDEN by {statement.name}: {statement.because}")
    console.say(f"Log: its last line is {done.log_head}.")
    return 0


def _card(candidate: Candidate, reviewers: Reviewers | None) -> str:
    """Return the short report of the verdict, as it stands with a version; none without one."""
    from qa_suite.cli.report_files import hazards_of
    from qa_suite.core.examination_log import log_beside, read_log
    from reports.facts.model_card import model_card
    from reports.facts.readiness import gather
    from reports.facts.short import short_report

    one = candidate.verdict
    if one is None:
        return ""
    found = gather(candidate.folder, one.verdict, reviewers=reviewers)
    head = read_log(log_beside(candidate.folder)).head
    hazards = hazards_of(candidate.folder, one.verdict)
    return model_card(short_report(found, hazards=hazards, log_head=head))


def _refuse(asked: PromoteOptions, uri: str, refused: tuple[Refusal, ...]) -> int:
    from dataclasses import asdict

    if asked.as_json:
        console.show_json({"model": uri, "refused": [asdict(one) for one in refused]})
    else:
        console.show(f"✘ {uri} is not released as {asked.alias}:")
        _say_refusals(refused)
    return _REFUSED


def _say_refusals(refused: tuple[Refusal, ...]) -> None:
    for one in refused:
        console.show(f"  ✘ {one.words}.")


def _version(version: str) -> str:
    return f"version {version}" if version else "no version"


def _stated(
    asked: PromoteOptions,
    candidate: Candidate,
    refused: tuple[Refusal, ...],
    reviewers: Reviewers | None,
    was: str,
) -> tuple[Release, Signed | None]:
    """Return what is done, signed where there is a key."""
    from qa_suite.cli.signing import read_passphrase, signer
    from qa_suite.core.signing.signatures import signed_with
    from qa_suite.judging.evidence import person_of
    from qa_suite.release.release import statement_of

    if asked.key is not None:
        name, role = signer(asked.key, asked.by, asked.role)
    else:
        name, role = person_of(asked.by)[0] or "", asked.role or "role not said"
    if not (name and role):
        raise InputError("Nobody can tell who releases the model; give --by and --role.")
    statement = statement_of(
        candidate,
        refused,
        reviewers,
        alias=asked.alias,
        was=was,
        name=name,
        role=role,
        because=asked.override.strip() if refused else "",
        now=datetime.now(UTC),
    )
    if asked.key is None:
        return statement, None
    return statement, signed_with(statement, asked.key, read_passphrase(asked.passphrase_file))


def withdraw(asked: WithdrawOptions) -> int:
    """Withdraw a model: take every alias from it, mark it, and list who was checked under it.

    Its version stays, with the reason; it is released again only in spite of that.

    Example: `qa-suite withdraw models:/pelvis/2 --because "Bone is too low since May."`
    """
    from qa_suite.checkup.log import read_log as read_check_ups
    from qa_suite.core import store
    from qa_suite.core.errors import raise_problems
    from qa_suite.judging.evidence import person_of
    from qa_suite.release.withdraw import withdraw as withdraw_version

    name, version = _named(asked.model)
    problems = [f"{p} is no file" for p in asked.check_ups if not p.is_file()]
    if not asked.evaluations.is_dir():
        problems.append(f"{asked.evaluations} is no folder; name it with --evaluations")
    raise_problems("What to look through", problems)
    logs = {path: read_check_ups(path) for path in asked.check_ups}
    with store.reached():
        client = store.connect().MlflowClient()
    done = withdraw_version(
        name,
        version,
        asked.evaluations,
        by=person_of(asked.by)[0] or "",
        role="",
        because=asked.because,
        client=client,
    )
    checked = [
        {"log": str(path), "time": time, "case": case}
        for path, rows in logs.items()
        for time, case in dict.fromkeys(
            (row.time, row.case) for row in rows if row.model.startswith(f"{name} {version} ")
        )
    ]
    if asked.as_json:
        released = [one.model_dump(mode="json") for one in done.released]
        told = {"model": done.model, "aliases": list(done.aliases)}
        console.show_json({**told, "released": released, "checked": checked})
        return 0
    _show_withdrawn(done, checked, bool(logs))
    return 0


def _show_withdrawn(done: Any, checked: list[dict[str, str]], looked: bool) -> None:
    from qa_suite.core.wording import count, listing

    held = f"it was {listing(done.aliases)}" if done.aliases else "it held no alias"
    console.show(f"{done.model} is withdrawn; {held}.")
    for line in done.released:
        console.show(f"  {line.what} as {line.alias} on {line.at[:16].replace('T', ' ')} UTC")
    if not looked:
        console.say("Give logs of check-ups with --check-ups to list who was checked under it.")
        return
    console.show(f"{count(len(checked), 'image')} checked under it:")
    for one in checked:
        console.show(f"  {one['time'][:16].replace('T', ' ')}  {one['case']}  ({one['log']})")


def _named(uri: str) -> tuple[str, str]:
    """Return the name and version of a registered model."""
    name, _, version = uri.removeprefix("models:/").partition("/")
    if not uri.startswith("models:/") or not name or not version.isdecimal():
        raise InputError(f"{uri!r} names no version; use models:/NAME/VERSION.")
    return name, version
