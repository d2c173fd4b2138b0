"""What a check of a folder cannot prove is said by the command and by the documentation alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qa_suite.cli import run
from qa_suite.judging.unprovable import UNPROVABLE
from tests.record_factory import make_record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluations") / "one"
    make_record(folder, keep=False)
    return folder


def test_verify_lists_what_it_cannot_prove(folder: Path, capsys) -> None:
    run(["verify", str(folder)])
    said = " ".join(capsys.readouterr().out.split())
    assert UNPROVABLE and all(" ".join(words.split()) in said for words in UNPROVABLE)


def test_as_json_too_beside_the_doubts(folder: Path, capsys) -> None:
    run(["verify", str(folder), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["cannot_prove"] == list(UNPROVABLE)
    assert all({"file", "problem", "certain"} <= set(doubt) for doubt in told["doubts"])


def test_the_page_of_evidence_says_the_same() -> None:
    page = Path("docs/evidence.md").read_text()
    listed = page.split("<!-- unprovable: begin -->")[1].split("<!-- unprovable: end -->")[0]
    assert listed.strip() == "\n".join(f"- {words}" for words in UNPROVABLE)
