"""The verbs ``key`` and ``sign``: people say of a verdict what they mean, and it can be proven."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from qa_suite.cli import console
from qa_suite.cli.options import REQUIRED, Name, Options, add_verb, argument, option
from qa_suite.core.errors import InputError

if TYPE_CHECKING:
    from qa_suite.core.signing.reviewers import Reviewers
    from qa_suite.core.verdict_files import Overall, WrittenVerdict

_KEY_DAYS = 730
_STDIN = Path("-")


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this file to the command."""
    add_verb(app, key, KeyOptions, writes_file="out")
    add_verb(app, sign, SignOptions)


class PassphraseOptions(Options):
    """How a key is opened."""

    passphrase_file: Path | None = option(
        None,
        "File whose first line is the passphrase of the key, or - for standard input; default: "
        "asked for at the terminal.",
    )


class KeyOptions(PassphraseOptions):
    """Whose key it is, and where it goes."""

    out: Path = argument(REQUIRED, "File of the private key; the public one stands beside it.")
    name: Name = option(REQUIRED, "Of the person who will sign with it.")
    role: str = option(REQUIRED, "Such as 'medical physicist'.")
    days: int = option(_KEY_DAYS, "How long it is to count, from today.", ge=1, le=3650)


class SignOptions(PassphraseOptions):
    """What is signed, by whom and meaning what."""

    evaluation: Path = argument(REQUIRED, "Folder of an evaluation.")
    key: Path = option(REQUIRED, "File of the private key, made by 'key'.")
    verdict: str = option(
        "", "Identifier of the verdict, or its beginning; default: the only one that stands."
    )
    meaning: Literal["approved", "rejected", "reviewed"] = option(
        REQUIRED, "approved, rejected, or reviewed, which says neither."
    )
    comment: str = option("", "What the person wants to add.")
    name: str = option("", "Who signs; default: as beside the key.")
    role: str = option("", "In which role; default: as beside the key.")
    reviewers: Path | None = option(
        None, "File of those whose signatures count; default: QA_SUITE_REVIEWERS."
    )
    as_json: bool = option(False, "Print the signature as JSON.", "json")


def key(asked: KeyOptions) -> int:
    """Make a key to sign with: a private file under a passphrase, and an entry for the reviewers.

    The entry is what whoever keeps the file of reviewers puts into it; the private file stays with
    the person.

    Example: `qa-suite key ada.pem --name "Ada Example" --role "medical physicist"`
    """
    from qa_suite.core.signing.keys import fingerprint, make_key
    from qa_suite.core.whole_files import write_text

    entry = entry_beside(asked.out)
    if entry.exists():
        raise InputError(f"{entry} is there already; name another file for the key.")
    passphrase = read_passphrase(asked.passphrase_file, again=True)
    public = make_key(asked.out, passphrase)
    try:
        write_text(entry, _entry(asked, public))
    except OSError:
        asked.out.unlink()  # of no use to anybody without its entry
        raise
    console.say(f"Private key: {asked.out}; who has it and the passphrase signs in your name.")
    console.say(f"Fingerprint: {fingerprint(public)}; read it out to whoever enters the key.")
    console.show(str(entry))
    return 0


def entry_beside(key_file: Path) -> Path:
    """Return where the entry for the reviewers' file lies that belongs to a key."""
    return key_file.with_name(f"{key_file.stem}.reviewer.yaml")


def _entry(asked: KeyOptions, public: str) -> str:
    import yaml

    today = datetime.now(UTC).date()
    until = today + timedelta(days=asked.days)
    days = {"key": public, "valid_from": str(today), "valid_until": str(until)}
    person = {"name": asked.name, "role": asked.role, "keys": [days]}
    return yaml.safe_dump([person], sort_keys=False, allow_unicode=True)


def sign(asked: SignOptions) -> int:
    """Sign a verdict: approve it, reject it, or say that you have looked at it.

    The signature covers the digests of the verdict, its record and its profile, never a page. It
    is a file of its own; nothing is overwritten, and a line of the log names it.

    Exit status: 0 signed, 2 bad input.

    Example: `qa-suite sign evaluations/vendor --key ada.pem --meaning approved --reviewers r.yaml`
    """
    from qa_suite.core.signing.signatures import sign_off
    from qa_suite.core.signing.signing import sign_verdict
    from qa_suite.core.verdict_files import overall

    one = _chosen(overall(asked.evaluation), asked)
    reviewers = reviewers_for(asked.reviewers, asked.evaluation)
    name, role = signer(asked.key, asked.name, asked.role)
    if not (name and role):
        raise InputError(
            f"Nobody can tell who signs: give --name and --role, or keep "
            f"{entry_beside(asked.key).name} beside the key."
        )
    signed, path = sign_verdict(
        asked.evaluation, one,
        key=asked.key, passphrase=read_passphrase(asked.passphrase_file),
        name=name, role=role, meaning=asked.meaning, comment=asked.comment,
    )  # fmt: skip
    off = sign_off(asked.evaluation, one, reviewers)
    if asked.as_json:
        console.show_json(signed.model_dump(mode="json"))
        return 0
    mine = next(x for x in off.signatures if x.file == path.name)
    console.say(f"Signature: {path}")
    console.show(f"{one.title}: {mine.sentence}.")
    console.show(off.sentence)
    return 0


def _chosen(judged: Overall, asked: SignOptions) -> WrittenVerdict:
    """Return the verdict that is meant, of those that stand."""
    from qa_suite.core.verdict_files import named

    if asked.verdict:
        found = named(judged, asked.verdict)
        if isinstance(found, str):
            raise InputError(f"{found}.")
        if found.superseded_by and asked.meaning == "approved":
            raise InputError(
                f"{found.title} stands no longer, {found.superseded_by[:8]} superseded it; approve "
                f"that one."
            )
        return found
    if len(judged.standing) != 1:
        stand = "; ".join(one.title for one in judged.standing) or "none"
        raise InputError(f"Name the verdict with --verdict: of {asked.evaluation} stand {stand}.")
    return judged.standing[0]


def signer(key_file: Path, name: str, role: str) -> tuple[str, str]:
    """Return who signs in which role, as said or by the entry beside the key; empty if nobody."""
    from qa_suite.core.yaml_files import read_yaml

    entry = entry_beside(key_file)
    if not (name and role) and entry.is_file():
        data = read_yaml(entry)
        if isinstance(data, list) and len(data) == 1 and isinstance(data[0], dict):
            name, role = name or str(data[0].get("name", "")), role or str(data[0].get("role", ""))
    return name.strip(), role.strip()


def reviewers_for(given: Path | None, evaluation: Path) -> Reviewers | None:
    """Read the file of reviewers that is named by an option or by the environment, if any."""
    from qa_suite.core.signing.reviewers import read_reviewers, reviewers_file

    path = reviewers_file(given)
    return None if path is None else read_reviewers(path, outside=evaluation)


def read_passphrase(path: Path | None, *, again: bool = False) -> str:
    """Return a passphrase: from a file, or asked for, twice where it is a new one.

    Raises
    ------
    InputError
        If there is no terminal to ask at and no file, or the two differ.
    """
    import getpass

    from qa_suite.core.plain_files import read_text

    if path == _STDIN:
        return sys.stdin.readline().rstrip("\r\n")
    if path is not None:
        lines = read_text(path).splitlines()
        if not lines or not lines[0]:
            raise InputError(f"{path} is empty; its first line is the passphrase.")
        return lines[0]
    if not sys.stdin.isatty():
        raise InputError(
            "There is no terminal to ask for the passphrase at; give it with --passphrase-file."
        )
    said = getpass.getpass("Passphrase: ")
    if again and said != getpass.getpass("Once more: "):
        raise InputError("The two passphrases differ; nothing was written.")
    return said
