"""What is taken away from the dashboard: the report of a verdict in every form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.dashboard_pages import page, started
from tests.record_factory import make_record


@pytest.fixture
def here(own_store: Path, tmp_path: Path) -> Path:
    make_record(tmp_path / "evaluations" / "one", keep=False)
    return tmp_path / "evaluations" / "one"


def test_the_report_is_made_in_every_form(here: Path) -> None:
    from qa_suite.core.verdict_files import overall

    (one,) = overall(here).standing
    with started(folders=(here.parent,)):
        app = page("readiness")
        app.button(key="make").click().run()
    assert not app.exception and not app.error
    made = {Path(n).suffix: c for n, c in app.session_state[f"made-{one.identifier}"].items()}
    assert made[".pdf"].startswith(b"%PDF") and made[".dcm"][128:132] == b"DICM"
    assert json.loads(made[".json"])["verdict"] == one.identifier
    assert one.verdict.profile.name in made[".md"].decode()
    assert sorted(path.name for path in here.iterdir() if path.suffix in made) == [
        "evaluation.json"
    ], "nothing is written beside the evaluation"
