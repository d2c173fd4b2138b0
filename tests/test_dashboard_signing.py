"""Signing on the dashboard: by the reviewer's own key, under a lock alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_suite.core.examination_log import log_beside, read_log
from qa_suite.core.records.evidence import Protocol
from qa_suite.core.signing import keys
from qa_suite.core.signing.reviewers import read_reviewers
from qa_suite.core.signing.signatures import sign_off, signature_paths
from qa_suite.core.verdict_files import overall
from tests.dashboard_pages import everything, page, started, unescaped
from tests.record_factory import make_record

PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Ada's key and the file of reviewers that knows it."""
    place = tmp_path_factory.mktemp("keys")
    public = keys.make_key(place / "ada.pem", PASSPHRASE)
    today = datetime.now(UTC).date()
    days = {"valid_from": str(today), "valid_until": str(today + timedelta(days=9))}
    ada = {"name": "Ada", "role": "physicist", "keys": [{"key": public, **days}]}
    (place / "reviewers.yaml").write_text(yaml.safe_dump({"policy": {}, "reviewers": [ada]}))
    return place / "ada.pem", place / "reviewers.yaml"


def judged_under(state: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write an evaluation whose verdict says that of its protocol."""
    protocol = Protocol(state=state, lock="a" * 64, written="2026-11-30T10:00:00+00:00")
    monkeypatch.setattr("qa_suite.judging.evidence.protocol_of", lambda *_: protocol)
    make_record(home / "evaluations" / "one", keep=False)
    return home / "evaluations" / "one"


@pytest.fixture
def locked(own_store: Path, tmp_path: Path, person, monkeypatch) -> Iterator[Path]:
    folder = judged_under("locked", tmp_path, monkeypatch)
    with started(
        folders=(folder.parent,), local_reviewer="Ada", local_role="physicist", key=person[0],
        reviewers=person[1],
    ):  # fmt: skip
        yield folder


def sign(app: Any, passphrase: str, meaning: str = "approved") -> Any:
    """Fill in the form for signing and send it."""
    app.radio(key="sign-meaning").set_value(meaning)
    app.text_input(key="sign-passphrase").set_value(passphrase)
    return next(one for one in app.button if one.label == "Sign").click().run()


def test_a_verdict_under_a_lock_is_signed_after_the_passphrase(locked: Path, person) -> None:
    app = sign(page("review"), "a wrong one, long enough")
    assert not app.exception and app.error
    assert signature_paths(locked) == []
    app = sign(app, PASSPHRASE)
    assert not app.exception and "Signed" in app.success[0].value
    (path,) = signature_paths(locked)
    (one,) = overall(locked).standing
    off = sign_off(locked, one, read_reviewers(person[1]))
    assert off.state == "signed" and off.approved[0].file == path.name
    logged = [line for line in read_log(log_beside(locked)).lines if line.what == "signed"]
    assert [(line.meaning, line.who) for line in logged] == [("approved", "Ada, physicist")]
    assert "Approved by Ada" in unescaped(everything(page("review")))


def test_two_reviewers_at_once_lose_nothing(locked: Path) -> None:
    first, second = page("review"), page("review")
    sign(first, PASSPHRASE)
    sign(second, PASSPHRASE, "rejected")
    assert len(signature_paths(locked)) == 2
    assert "Rejected by Ada" in unescaped(everything(page("review")))


@pytest.mark.parametrize("state", ["not locked", "locked after the fact", "broken"])
def test_what_was_not_locked_cannot_be_signed(
    own_store: Path, tmp_path: Path, person, monkeypatch, state: str
) -> None:
    folder = judged_under(state, tmp_path, monkeypatch)
    with started(
        folders=(folder.parent,), local_reviewer="Ada", local_role="physicist", key=person[0]
    ):
        app = page("review")
    assert not any(one.label == "Sign" for one in app.button)
    assert "was not locked before the first case was translated" in unescaped(everything(app))


def test_somebody_else_with_the_key_counts_for_nobody(locked: Path, person) -> None:
    with started(
        folders=(locked.parent,), local_reviewer="Eve", local_role="physicist", key=person[0]
    ):
        sign(page("review"), PASSPHRASE)
    (one,) = overall(locked).standing
    assert sign_off(locked, one, read_reviewers(person[1])).state == "not signed"


def test_without_a_key_nothing_is_signed(locked: Path) -> None:
    with started(folders=(locked.parent,), local_reviewer="Ada", local_role="physicist"):
        app = page("review")
    assert not any(one.label == "Sign" for one in app.button)
    assert "--key FILE" in everything(app)
