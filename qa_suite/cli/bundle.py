"""The verbs ``bundle`` and ``merge``: hospitals audit a model together and share no image."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer

from qa_suite.cli import console
from qa_suite.cli.audit import EXIT_STATUS, PAGE, AuditOptions, audit_settings, show
from qa_suite.cli.options import REQUIRED, Commas, add_verb, argument, option
from qa_suite.cli.signing import PassphraseOptions
from qa_suite.core.errors import InputError


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this file to the command."""
    add_verb(app, bundle, BundleOptions, writes_file="out")
    add_verb(app, merge, MergeOptions, writes="out")


class BundleOptions(PassphraseOptions):
    """Which evaluation is given away, and who signs for it."""

    evaluation: Path = argument(REQUIRED, "Folder of an evaluation.")
    out: Path = argument(REQUIRED, "File of the bundle, such as hospital-A.qabundle.")
    key: Path = option(REQUIRED, "File of the private key, made by 'key'.")
    study_key: Path | None = option(
        None,
        "File with at least 32 random bytes that all hospitals of the study share: it makes a "
        "patient of two hospitals visible; default: a key of this bundle alone.",
    )
    small: int = option(5, "A fact that fewer patients of a site share is left out.", ge=2, le=100)
    comment: str = option("", "What whoever signs wants to add.")
    name: str = option("", "Who signs; default: as beside the key.")
    role: str = option("", "In which role; default: as beside the key.")
    replace: bool = option(False, "Write in the place of a file that is there.")
    as_json: bool = option(False, "Print what is in the bundle as JSON.", "json")


class MergeOptions(AuditOptions):
    """Which bundles are audited together."""

    evaluations: tuple[Path, ...] = argument(REQUIRED, "Bundles, one a hospital.")
    reviewers: Path | None = option(
        None, "File of those whose signatures count; default: QA_SUITE_REVIEWERS."
    )
    unconfirmed: bool = option(False, "Take bundles whose signature does not count, and say so.")
    unlocked: bool = option(
        False, "Take bundles that were not judged by the profile under a lock, and say so."
    )
    leave_out: Commas = option("", "Sites that have withdrawn.")


def bundle(asked: BundleOptions) -> int:
    """Write what may be given away of an evaluation: a small signed file without any image.

    Measurements, counts, digests, versions and strata; no dates, names, texts or identifiers.
    Patients get keys of the study.

    Example: `qa-suite bundle evaluations/vendor hospital-A.qabundle --key ada.pem`
    """
    from qa_suite.bundles.bundle import facts_of, pack, prepare, read_study_key, write_bundle
    from qa_suite.cli.signing import entry_beside, read_passphrase, signer
    from qa_suite.core.signing.signatures import signed_with
    from qa_suite.core.wording import count

    if asked.out.exists() and not asked.replace:
        raise InputError(f"{asked.out} is there already; give --replace to write in its place.")
    study = None if asked.study_key is None else read_study_key(asked.study_key)
    name, role = signer(asked.key, asked.name, asked.role)
    if not (name and role):
        raise InputError(
            f"Nobody can tell who signs: give --name and --role, or keep "
            f"{entry_beside(asked.key).name} beside the key."
        )
    passphrase = read_passphrase(asked.passphrase_file)
    stripped, sign = prepare(asked.evaluation, study, small_below=asked.small)
    files = pack(asked.evaluation, stripped, sign, small_below=asked.small)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    facts = facts_of(files, name=name, role=role, at=at, comment=asked.comment)
    write_bundle(asked.out, files, signed_with(facts, asked.key, passphrase))
    size = asked.out.stat().st_size
    if asked.as_json:
        console.show(files["bundle.json"].decode())
        return 0
    cases, rows = (
        count(len(stripped.cases), "case"),
        count(len(stripped.measurements), "measurement"),
    )
    console.say(f"{cases}, {rows}, {size / 2**20:.2f} MiB.")
    for one in stripped.suppressed:
        console.say(f"Left out: {one.fact} of {count(one.patients, 'patient')} at {one.site}.")
    if study is None:
        console.say("Without --study-key nobody can see that a patient was at two hospitals.")
    console.show(str(asked.out))
    return 0


def merge(asked: MergeOptions) -> int:
    """Audit the bundles of several hospitals together: by site and stratum, named as by `audit`.

    Signatures, versions, profile and lock of each are checked first.

    Example: `qa-suite merge a.qabundle b.qabundle c.qabundle --profile mr-to-ct-pelvis`
    """
    from qa_suite.audit.audit import audit_material, save_audit
    from qa_suite.bundles.bundle import opened
    from qa_suite.bundles.merge import Accepted
    from qa_suite.bundles.merge import merge as merge_bundles
    from qa_suite.cli.options import names
    from qa_suite.core.names import plain_name
    from qa_suite.core.one_writer import writing
    from qa_suite.core.signing.reviewers import read_reviewers, reviewers_file
    from qa_suite.evaluation.profiles import load_profile
    from reports.html.audit import write_audit_page

    settings = audit_settings(asked)
    if asked.leave_one_out:
        raise InputError("Bundles are of one model; --leave-one-out is of 'audit' alone.")
    profile = load_profile(asked.profile)
    people = reviewers_file(asked.reviewers)
    reviewers = None if people is None else read_reviewers(people)
    with opened(asked.evaluations) as bundles:
        material = merge_bundles(
            bundles,
            profile,
            reviewers,
            now=datetime.now(UTC),
            accepted=Accepted(unconfirmed=asked.unconfirmed, unlocked=asked.unlocked),
            leave_out=names(asked.leave_out),
        )
        found = audit_material(material, profile, settings)
    folder = asked.out or Path("audits") / plain_name(f"{found.model}-{found.audit[:8]}")
    with writing(folder, "merge"):
        path = save_audit(found, folder)
        page = write_audit_page(found, folder / PAGE)
    if asked.as_json:
        console.show_json(found.model_dump(mode="json"))
    else:
        show(found)
    console.say(f"Record: {path}")
    console.say(f"Page: {page}")
    return EXIT_STATUS[found.outcome]
