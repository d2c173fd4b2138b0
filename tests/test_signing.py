"""Signatures: whose count, what they cover, and what becomes of them."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_suite.cli import run
from qa_suite.core.errors import InputError, Problems
from qa_suite.core.examination_log import append, log_beside, read_log
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.records.signature import Review, content_of
from qa_suite.core.signing import keys
from qa_suite.core.signing.reviewers import Reviewers, read_reviewers
from qa_suite.core.signing.signatures import (
    SignOff,
    log_signature,
    read_signed,
    review_of,
    sign_off,
    signature_paths,
    signed_with,
    write_signature,
)
from qa_suite.core.verdict_files import VERDICTS_FOLDER, overall
from qa_suite.judging.verify import verify
from tests.record_factory import make_record

PASSPHRASE = "correct horse battery"
ROLE = "medical physicist"
NOW = datetime.now(UTC)
TOMORROW = NOW.date() + timedelta(days=1)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Three people: the file of the private key, and the public key."""
    place = tmp_path_factory.mktemp("keys")
    made = {}
    for name in ("Ada", "Ben", "Eve"):
        path = place / f"{name}.pem"
        made[name] = (path, keys.make_key(path, PASSPHRASE))
    return made


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place") / "evaluations"
    make_record(place / "one", keep=False)
    return place


@pytest.fixture
def folder(record: Path, tmp_path: Path) -> Path:
    shutil.copytree(record, tmp_path / "evaluations")
    return tmp_path / "evaluations" / "one"


def known(
    people: dict[str, tuple[Path, str]], *, policy: dict[str, Any] | None = None, **more: Any
) -> Reviewers:
    """Return a file in which Ada and Ben may sign; ``more`` changes Ada's key."""
    days = {
        "valid_from": NOW.date() - timedelta(days=10),
        "valid_until": NOW.date() + timedelta(days=10),
    }
    listed = [
        {
            "name": name,
            "role": ROLE,
            "keys": [{"key": people[name][1], **days, **(more if name == "Ada" else {})}],
        }
        for name in ("Ada", "Ben")
    ]
    return Reviewers.model_validate({"policy": policy or {}, "reviewers": listed})


def signs(
    folder: Path,
    key_file: Path,
    name: str = "Ada",
    meaning: str = "approved",
    role: str = ROLE,
    at: datetime = NOW,
) -> Path:
    (one,) = overall(folder).standing
    said = review_of(folder, one, name=name, role=role, meaning=meaning, comment="", head="")
    later = max(at, datetime.fromisoformat(said.at)) if at == NOW else at
    said = said.model_copy(update={"at": later.isoformat(timespec="seconds")})
    return write_signature(folder, signed_with(said, key_file, PASSPHRASE))


def came_to(folder: Path, reviewers: Reviewers | None) -> SignOff:
    (one,) = overall(folder).standing
    return sign_off(folder, one, reviewers)


# ---------------------------------------------------------------------------------------
# Keys


def test_a_key_is_encrypted_and_its_owner_alone_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "me.pem"
    public = keys.make_key(path, PASSPHRASE)
    assert path.stat().st_mode & 0o077 == 0
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert keys.public_text(keys.load_key(path, PASSPHRASE)) == public
    with pytest.raises(InputError, match="passphrase"):
        keys.load_key(path, PASSPHRASE + " ")
    with pytest.raises(InputError, match="never overwritten"):
        keys.make_key(path, PASSPHRASE)
    with pytest.raises(InputError, match="12"):
        keys.make_key(tmp_path / "other.pem", "short")


def test_rfc_8032_test_vector_2_is_verified() -> None:
    """Section 7.1, TEST 2: a message of one byte, 0x72."""
    import base64

    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    text = "ed25519:" + base64.b64encode(public).decode()
    said = base64.b64encode(signature).decode()
    assert keys.is_signed(text, said, b"\x72")
    assert not keys.is_signed(text, said, b"\x73")


@pytest.mark.parametrize(
    "text", ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA", "ed25519:not base64", "ed25519:é"]
)
def test_what_is_no_public_key_is_said(text: str) -> None:
    assert keys.key_problem(text)


# ---------------------------------------------------------------------------------------
# What counts


def test_the_signature_of_a_known_person_counts(folder: Path, people) -> None:
    signs(folder, people["Ada"][0])
    off = came_to(folder, known(people))
    assert off.state == "signed" and [x.signed.statement.name for x in off.approved] == ["Ada"]


def test_without_a_reviewers_file_nothing_counts(folder: Path, people) -> None:
    signs(folder, people["Ada"][0])
    assert came_to(folder, None).state == "not signed"


def test_a_key_that_nobody_knows_does_not_count(folder: Path, people) -> None:
    signs(folder, people["Eve"][0], name="Ada")
    off = came_to(folder, known(people))
    assert off.state == "not signed" and not off.signatures[0].counts


def test_nobody_signs_in_the_name_or_role_of_another(folder: Path, people) -> None:
    signs(folder, people["Ada"][0], name="Ben")
    signs(folder, people["Ada"][0], role="radiation oncologist")
    off = came_to(folder, known(people))
    assert [x.counts for x in off.signatures] == [False, False]


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"valid_until": NOW.date() - timedelta(days=1)}, False),
        ({"valid_from": TOMORROW, "valid_until": TOMORROW}, False),
        ({"revoked": NOW.date(), "because": "left"}, False),
        ({"revoked": TOMORROW, "because": "leaves"}, True),
        ({"revoked": TOMORROW, "because": "stolen", "compromised": True}, False),
    ],
)
def test_a_key_counts_in_its_days(folder: Path, people, change, counts: bool) -> None:
    signs(folder, people["Ada"][0])
    assert came_to(folder, known(people, **change)).signatures[0].counts == counts


def test_four_eyes_are_two_people(folder: Path, people) -> None:
    two = known(people, policy={"signatures": 2})
    signs(folder, people["Ada"][0])
    signs(folder, people["Ada"][0])
    assert came_to(folder, two).state == "not signed"
    signs(folder, people["Ben"][0], name="Ben", meaning="reviewed")
    assert came_to(folder, two).state == "not signed"
    signs(folder, people["Ben"][0], name="Ben")
    assert came_to(folder, two).state == "signed"


def test_a_rejection_outdoes_approvals_until_the_same_person_takes_it_back(folder, people) -> None:
    signs(folder, people["Ada"][0], meaning="rejected")
    signs(folder, people["Ben"][0], name="Ben")
    assert came_to(folder, known(people)).state == "rejected"
    signs(folder, people["Ada"][0])
    assert came_to(folder, known(people)).state == "signed"
    assert len(came_to(folder, known(people)).signatures) == 3  # all of them stay


def test_the_policy_names_roles(folder: Path, people) -> None:
    signs(folder, people["Ada"][0])
    reviewers = known(people)
    other = reviewers.policy.model_copy(update={"roles": ("radiation oncologist",)})
    assert came_to(folder, reviewers.model_copy(update={"policy": other})).state == "not signed"


@pytest.mark.parametrize("at", [NOW - timedelta(days=1), NOW + timedelta(days=1)])
def test_a_time_before_the_verdict_or_yet_to_come_does_not_count(folder, people, at) -> None:
    signs(folder, people["Ada"][0], at=at)
    assert came_to(folder, known(people)).state == "not signed"


# ---------------------------------------------------------------------------------------
# What a signature covers


def _fields() -> list[str]:
    return [name for name in Review.model_fields if name not in ("kind", "verdict")]


@pytest.mark.parametrize("field", _fields())
def test_every_word_of_a_statement_is_signed(folder: Path, people, field: str) -> None:
    path = signs(folder, people["Ada"][0])
    raw = json.loads(path.read_text())
    was = raw["statement"][field]
    raw["statement"][field] = (
        {"x": "y"} if isinstance(was, dict) else "rejected" if field == "meaning" else f"{was}1"
    )
    if field == "at":
        raw["statement"][field] = (NOW + timedelta(seconds=200)).isoformat(timespec="seconds")
    path.write_text(json.dumps(raw))
    assert came_to(folder, known(people)).state == "not signed"


def test_two_texts_never_have_the_same_bytes_to_sign(folder: Path) -> None:
    (one,) = overall(folder).standing
    said = review_of(folder, one, name="A", role="B", meaning="approved", comment="C", head="")
    moved = said.model_copy(update={"role": 'B","comment":"C', "comment": ""})
    assert content_of(said, "k") != content_of(moved, "k")


def test_a_verdict_that_is_edited_and_renamed_is_signed_by_nobody(folder: Path, people) -> None:
    from qa_suite.core.verdict_files import identifier_of

    signs(folder, people["Ada"][0])
    path = next((folder / VERDICTS_FOLDER).glob("*.json"))
    raw = json.loads(path.read_text())
    raw["sentence"] += " Really."
    raw["evidence"]["verdict"] = identifier_of(raw)
    path.write_text(json.dumps(raw))
    assert came_to(folder, known(people)).state == "not signed"


def test_two_at_once_lose_nothing(folder: Path, people) -> None:
    def many(name: str) -> None:
        for _ in range(10):
            path = signs(folder, people[name][0], name=name)
            log_signature(folder, read_evaluation(folder), read_signed(path)[0], path)

    threads = [threading.Thread(target=many, args=(name,)) for name in ("Ada", "Ben")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(signature_paths(folder)) == 20
    log = read_log(log_beside(folder))
    assert not log.problems and sum(line.what == "signed" for line in log.lines) == 20
    assert verify(folder) == ()


# ---------------------------------------------------------------------------------------
# The file of reviewers


def written(path: Path, reviewers: Reviewers) -> Path:
    path.write_text(yaml.safe_dump(reviewers.model_dump(mode="json"), allow_unicode=True))
    return path


def test_a_reviewers_file_in_the_evaluation_is_refused(folder: Path, people) -> None:
    path = written(folder / "reviewers.yaml", known(people))
    with pytest.raises(InputError, match="outside"):
        read_reviewers(path, outside=folder)
    (folder.parent / "link").symlink_to(folder)
    with pytest.raises(InputError, match="outside"):
        read_reviewers(folder.parent / "link" / "reviewers.yaml", outside=folder)


def test_everything_wrong_in_it_is_said_at_once(tmp_path: Path, people) -> None:
    good = known(people, revoked=NOW.date()).model_dump(mode="json")
    good["reviewers"][1]["keys"][0]["key"] = good["reviewers"][0]["keys"][0]["key"]
    good["reviewers"][1]["keys"][0]["valid_until"] = "2001-01-01"
    good["reviewers"][1]["keys"].append(good["reviewers"][0]["keys"][0] | {"key": "ed25519:AA=="})
    good["policy"]["roles"] = ["nobody's"]
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(good))
    with pytest.raises(Problems) as caught:
        read_reviewers(path)
    said = " ".join(caught.value.problems)
    for word in ("is Ada's too", "ends (2001-01-01)", "32 bytes", "nobody's", "'because'"):
        assert word in said, said


# ---------------------------------------------------------------------------------------
# The command


def test_key_then_sign_then_verify(folder: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    phrase = tmp_path / "phrase"
    phrase.write_text(PASSPHRASE + "\n")
    me = tmp_path / "ada.pem"
    words = [
        "key",
        str(me),
        "--name",
        "Ada Example",
        "--role",
        ROLE,
        "--passphrase-file",
        str(phrase),
    ]
    assert run(words) == 0
    entry = tmp_path / "ada.reviewer.yaml"
    assert capsys.readouterr().out.strip() == str(entry)
    reviewers = tmp_path / "reviewers.yaml"
    reviewers.write_text(yaml.safe_dump({"reviewers": yaml.safe_load(entry.read_text())}))
    monkeypatch.setenv("QA_SUITE_REVIEWERS", str(reviewers))
    words = [
        "sign",
        str(folder),
        "--key",
        str(me),
        "--meaning",
        "approved",
        "--passphrase-file",
        str(phrase),
    ]
    assert run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["statement"]["name"] == "Ada Example"
    assert came_to(folder, read_reviewers(reviewers)).state == "signed"
    line = read_log(log_beside(folder)).lines[-1]
    assert (line.what, line.who, line.meaning) == ("signed", f"Ada Example, {ROLE}", "approved")
    assert run(["verify", str(folder)]) == 0
    assert run(words[:-2]) == 2  # no terminal to ask at
    assert "--passphrase-file" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["gone", "edited", "unknown"])
def test_a_signature_that_was_tampered_with_is_found(folder: Path, people, fault: str) -> None:
    path = signs(folder, people["Ada"][0])
    log_signature(folder, read_evaluation(folder), read_signed(path)[0], path)
    assert verify(folder) == ()
    if fault == "gone":
        path.unlink()
    elif fault == "edited":
        raw = json.loads(path.read_text())
        raw["statement"]["comment"] = "planted"
        path.write_text(json.dumps(raw))
    else:
        path.write_text("{}")
    found = verify(folder)
    assert any(doubt.certain for doubt in found)
    assert {doubt.file for doubt in found} <= {path.name, log_beside(folder).name}


def test_the_page_says_who_signed_and_what_was_overridden(folder: Path, people) -> None:
    from reports.facts.standing import standing_of

    (one,) = overall(folder).standing
    evaluation, reviewers = read_evaluation(folder), known(people)
    signs(folder, people["Eve"][0], name="Eve")
    unsigned = dict(standing_of(folder, evaluation, one.verdict, reviewers).rows)["Signatures"]
    signs(folder, people["Ada"][0])
    found = dict(standing_of(folder, evaluation, one.verdict, reviewers).rows)["Signatures"]
    assert unsigned.startswith("Not signed") and found.startswith("Approved by Ada")
    line = (
        read_log(log_beside(folder))
        .lines[-1]
        .model_copy(
            update={"what": "overridden", "because": "no time", "who": "Ben", "alias": "champion"}
        )
    )
    append(log_beside(folder), line)
    standing = standing_of(folder, evaluation, one.verdict, reviewers)
    (release,) = [text for label, text in standing.rows if label == "Release"]
    assert "no time" in release and release in standing.warnings
