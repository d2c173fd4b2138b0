"""The dashboard over a store of its own: what it reads, and what a page shows."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qa_suite.core import store as mlflow_store
from qa_suite.core.errors import InputError
from qa_suite.evaluation.tracking import log_evaluation
from reports.dashboard import APP, command, store
from reports.html.report import write_report
from tests.dose_record_factory import KEPT, MARKUP, make_dose_record
from tests.record_factory import make_record

MOST_OF_A_DATA_ADDRESS = 2 * 1024 * 1024
"""Bytes; what is longer Chromium shows as an empty page."""


def log_one(folder: Path) -> str:
    """Write, report and log one evaluation; return its run."""
    _, verdict = make_record(folder)
    page = write_report(folder, verdict, folder / "report.html")
    with page.open("a", encoding="utf-8") as file:
        file.write(f"<!-- {'x' * MOST_OF_A_DATA_ADDRESS} -->")
    return log_evaluation(folder).run_id


def store_in(home: Path) -> str:
    return f"sqlite:///{home / 'mlruns' / 'mlflow.db'}"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty store; made once, since MLflow takes seconds to make one."""
    home = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store_in(home))
        mlflow_store.connect().search_experiments()
    return home


@pytest.fixture(scope="module")
def logged(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that holds one evaluation."""
    home = tmp_path_factory.mktemp("logged")
    shutil.copytree(empty, home, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store_in(home))
        log_one(home / "evaluation")
    return home


@pytest.fixture
def in_empty(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(empty, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_in(tmp_path))
    return tmp_path


@pytest.fixture
def in_store(logged: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_in(logged))
    return logged


@pytest.fixture(scope="module")
def dosed(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that holds one evaluation with doses."""
    home = tmp_path_factory.mktemp("dosed")
    shutil.copytree(empty, home, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store_in(home))
        make_dose_record(home / "evaluation", patients_by_site={"A": 3, "B": 1, "C": 1})
        log_evaluation(home / "evaluation")
    return home


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """Streamlit puts the page in place of ``__main__``; processes spawned later would run it."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


def run_app() -> object:
    from streamlit.testing.v1 import AppTest

    return AppTest.from_file(str(APP), default_timeout=60).run()


def everything(app: object) -> str:
    """All text and HTML that a page shows."""
    kinds = ("html", "markdown", "info", "warning", "error", "caption", "header", "json")
    return "\n".join(
        str(getattr(part, "body", None) or getattr(part, "value", ""))
        for kind in kinds
        for part in app.get(kind)
    ) + "\n".join(str(part.proto) for part in app.get("html"))


def test_an_empty_store_says_what_to_do(in_empty: Path) -> None:
    assert store.evaluations() == ()
    assert store.model_versions() == ()
    app = run_app()
    assert not app.exception
    assert "qa-suite evaluate" in app.info[0].value
    app.sidebar.radio(key="section").set_value("Models").run()
    assert "qa-suite train" in app.info[0].value


def test_the_store_lists_and_opens_an_evaluation(in_store: Path) -> None:
    (run,) = store.evaluations()
    assert (run.model, run.cohort) == ("models:/regression-pelvis/3", "three-hospitals")
    assert run.outcome == "fail"
    assert run.outcomes == (("pelvis-mr-ct", "fail"),)
    record = store.open_record(run.run_id)
    assert record.evaluation.evaluation == run.evaluation
    assert [v.outcome for v in record.verdicts] == ["fail"]
    assert record.report is not None
    shown = store.pictures(record)
    assert shown[0].roles == ("best",)
    assert "worst" in shown[-1].roles


def test_the_filter_keeps_what_matches(in_store: Path) -> None:
    runs = store.evaluations()
    assert store.chosen(runs, outcomes=["fail"], models=["models:/regression-pelvis/3"]) == runs
    assert store.chosen(runs, outcomes=["pass"]) == ()
    assert store.chosen(runs, cohorts=["elsewhere"]) == ()


def test_a_registered_model_is_listed_with_its_tags(in_empty: Path) -> None:
    client = mlflow_store.connect().MlflowClient()
    client.create_registered_model("sct")
    source = (in_empty / "weights").as_uri()
    for version in range(2):
        client.create_model_version("sct", source, tags={"direction": "MR->CT", "n": str(version)})
    newest, oldest = store.model_versions()
    assert (newest.uri, oldest.uri) == ("models:/sct/2", "models:/sct/1")
    assert dict(newest.tags) == {"direction": "MR->CT", "n": "1"}
    app = run_app()
    app.sidebar.radio(key="section").set_value("Models").run()
    assert not app.exception
    assert app.dataframe[0].value["direction"].tolist() == ["MR->CT", "MR->CT"]


def test_a_run_without_a_record_is_one_sentence(in_empty: Path) -> None:
    with pytest.raises(InputError, match="cannot be fetched"):
        store.open_record("0" * 32)


def test_the_page_shows_verdict_findings_and_pictures(in_store: Path) -> None:
    app = run_app()
    assert not app.exception
    said = everything(app)
    assert "✕ Fail" in said
    assert "leakage check was overridden" in said
    assert "MAE in body" in said
    assert "<NaN>" not in said.replace("&lt;NaN&gt;", "")
    slider = app.slider[0]
    before = [part.proto.body for part in app.get("html") if 'class="panel"' in part.proto.body]
    assert len(before) == 4
    slider.set_value(slider.max).run()
    after = [part.proto.body for part in app.get("html") if 'class="panel"' in part.proto.body]
    assert len(after) == 4
    assert after != before


def test_measures_are_filtered_by_family_and_metric(in_store: Path) -> None:
    app = run_app()
    listed = [frame.value for frame in app.dataframe if "worst patient" in frame.value]
    assert sorted(set(listed[0]["metric"])) == ["mae", "me", "rmse"]
    app.multiselect(key="metrics-Image").set_value(["me"]).run()
    assert not app.exception
    listed = [frame.value for frame in app.dataframe if "worst patient" in frame.value]
    assert listed[0]["metric"].tolist() == ["me"]
    app.selectbox(key="family").set_value(2).run()
    assert not app.exception
    assert "no inverse translator was given" in everything(app)
    assert "standard threshold" in everything(app)
    sets = [frame.value for frame in app.dataframe if "distance" in frame.value]
    assert "undefined: 6 patients are fewer" in sets[0]["value ± standard error"].tolist()[2]


def test_without_a_dose_the_page_says_how_to_ask_for_one(in_store: Path) -> None:
    assert any("--plan photon-pelvis" in info.value for info in run_app().info)


def test_doses_are_shown_by_plan_and_case(dosed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_in(dosed))
    app = run_app()
    assert not app.exception
    goals = next(f.value for f in app.dataframe if "lost" in f.value)
    assert goals["lost"].tolist()[:2] == ["B01", "C01"]
    assert "no target: <b>" in " ".join(error.value for error in app.error)
    families = app.selectbox(key="family")
    assert "Dose" not in families.options  # the doses have a tab of their own
    cases = app.selectbox(key="dose-case-photon-drawn")
    place = next(n for n, label in enumerate(cases.options) if label.startswith(KEPT))
    before = pictures_of(app)
    cases.set_value(place).run()
    assert not app.exception
    assert len(pictures_of(app)) == len(before) + 4
    assert "**Dose difference in the target** · voxels at 10 %" in everything(app)
    drawn = [part.proto.body for part in app.get("html")]
    assert sum("Histogram of the dose difference" in body for body in drawn) == 2
    app.selectbox(key="dose-plan").set_value(1).run()
    assert not app.exception
    assert any("was not seen by the source image" in warning.value for warning in app.warning)
    app.radio(key="dose-plane").set_value("sagittal").run()
    assert not app.exception
    assert MARKUP not in "".join(part.proto.body for part in app.get("html"))


def pictures_of(app: object) -> list[str]:
    found = (part.proto.body for part in app.get("html"))
    return [body for body in found if 'class="panel"' in body]


def test_a_filter_without_a_match_says_so(in_store: Path) -> None:
    app = run_app()
    app.sidebar.multiselect(key="outcomes").set_value(["fail"]).run()
    assert not app.warning or "No evaluation matches" not in app.warning[0].value
    assert not app.exception


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def chromium() -> str:
    """Return Debian's Chromium, or skip; its absence fails where a browser is required."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("QA_SUITE_REQUIRE_BROWSER") == "1":
            pytest.fail("QA_SUITE_REQUIRE_BROWSER=1 and there is no chromium on the PATH")
        pytest.skip("no chromium on the PATH")
    return found


FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.mark.browser
def test_a_browser_shows_the_verdict(in_store: Path) -> None:
    executable = chromium()
    from playwright.sync_api import sync_playwright

    port = free_port()
    server = subprocess.Popen(
        command(port, headless=True),
        cwd=in_store,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, server)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"http://127.0.0.1:{port}", timeout=60_000)
            page.locator(".verdict").get_by_text("✕ Fail").wait_for(timeout=90_000)
            page.get_by_role("tab", name="Worst cases").click()
            page.locator("img.panel").first.wait_for(timeout=60_000)
            wide = page.locator("img.panel").first.evaluate("e => e.naturalWidth")
            assert wide > 0, "the picture was not drawn"
            page.get_by_role("tab", name="Report").click()
            report = page.frame_locator("iframe").frame_locator("iframe")
            report.get_by_text("Translator validation report").wait_for(timeout=60_000)
            page.get_by_role("tab", name="Worst cases").click()
            folder = os.environ.get("QA_SUITE_SCREENSHOTS")
            if folder:
                page.screenshot(path=str(Path(folder) / "dashboard.png"), full_page=True)
            browser.close()
    finally:
        server.terminate()
        server.wait(timeout=60)


def test_the_first_start_of_a_new_user_waits_for_no_answer(in_store: Path, tmp_path: Path) -> None:
    port = free_port()
    server = subprocess.Popen(
        command(port, headless=False),
        cwd=in_store,
        env={**os.environ, "HOME": str(tmp_path), "BROWSER": "true"},
        stdin=subprocess.PIPE,  # open and silent, as a terminal is
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, server)
    finally:
        server.terminate()
        server.communicate(timeout=60)


def wait_for(port: int, server: subprocess.Popen[bytes], seconds: float = 90) -> None:
    """Wait until the server answers."""
    for _ in range(int(seconds * 5)):
        assert server.poll() is None, "the dashboard stopped by itself"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"the dashboard did not answer within {seconds:.0f} s")
