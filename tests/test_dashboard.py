"""The dashboard's pages over stores and folders of their own, without a browser."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from qa_suite.core import store as mlflow_store
from qa_suite.core.errors import InputError
from qa_suite.core.examination_log import log_beside, read_log
from qa_suite.core.records import preflight_status
from qa_suite.core.review_queue import items_of, new_event, read_queue
from qa_suite.evaluation.tracking import log_evaluation
from reports.dashboard import selection, store
from reports.dashboard.catalogue import catalogue
from reports.dashboard.pages.compare import paired
from reports.html.report import write_report
from tests.dashboard_pages import PAGES, everything, page, started, store_in, unescaped
from tests.dose_record_factory import KEPT, MARKUP, make_dose_record
from tests.record_factory import make_record


def log_one(folder: Path) -> str:
    """Write, report and log one evaluation; return its run."""
    _, verdict = make_record(folder)
    write_report(folder, verdict, folder / "report.html")
    return log_evaluation(folder).run_id


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, _empty_database: Path) -> Path:
    """A folder with an empty store."""
    home = tmp_path_factory.mktemp("empty")
    (home / "mlruns").mkdir()
    shutil.copy(_empty_database, home / "mlruns" / "mlflow.db")
    return home


@pytest.fixture(scope="module")
def logged(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that holds one evaluation."""
    home = tmp_path_factory.mktemp("logged")
    shutil.copytree(empty, home, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store_in(home))
        log_one(home / "evaluations" / "one")
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


@pytest.fixture
def here(in_empty: Path) -> Iterator[Path]:
    """An evaluation in a folder of this machine, opened by its only reviewer."""
    make_record(in_empty / "evaluations" / "one")
    folders = (in_empty / "evaluations",)
    with started(folders=folders, local_reviewer="Ada Example", local_role="physicist"):
        yield in_empty / "evaluations" / "one"


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """Streamlit puts the page in place of ``__main__``; processes spawned later would run it."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.mark.parametrize("name", PAGES)
def test_an_empty_store_says_what_to_do(empty: Path, monkeypatch, name: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_in(empty))
    app = page(name)
    assert not app.exception
    told = app.info[0].value
    ways = ("qa-suite evaluate", "qa-suite train", "qa-suite checkup", "Two evaluations")
    assert any(way in told for way in ways)


@pytest.mark.parametrize("name", sorted(set(PAGES) - {"overview", "compare", "models", "monitor"}))
def test_an_identifier_that_nobody_knows_is_said(in_store: Path, name: str) -> None:
    app = page(name, "evaluation=0123456789ab")
    assert not app.exception
    assert "'0123456789ab' names no evaluation" in unescaped(app.error[0].value)
    assert "Fail" not in everything(app), "another evaluation is shown in its place"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record whose notice would be an image, an element and a link."""
    bad = "![x](http://outside.example/a.png) <img src=http://outside.example/b.png> [l](http://o)"
    place = tmp_path_factory.mktemp("hostile") / "evaluations"
    make_record(place / "one", notices=(bad,), keep=False)
    return place


@pytest.mark.parametrize("name", PAGES)
def test_no_page_shows_markup_of_a_record(in_store: Path, hostile: Path, name: str) -> None:
    """Names and notices come from outside: nothing in them becomes an image or an element."""
    with started(folders=(hostile,)):
        app = page(name)
    assert not app.exception
    for part in app.get("html"):
        assert "<img src=http" not in part.proto.body
    for kind in ("markdown", "warning", "error", "info", "caption"):
        for part in app.get(kind):
            assert "![x](" not in part.value and "[l](" not in part.value, part.value
            assert "<img" not in part.value.replace("\\<img", ""), part.value


def test_the_store_and_the_folders_make_one_catalogue(in_store: Path) -> None:
    from_store = catalogue([])
    both = catalogue([in_store / "evaluations"])
    (one,), (other,) = from_store.known, both.known
    assert one.folder is None and other.folder == in_store / "evaluations" / "one"
    assert one.evaluation == other.evaluation and one.run_id == other.run_id
    assert (one.model, one.cohort) == ("models:/regression-pelvis/3", "three-hospitals")
    assert both.find(one.evaluation[:8]) == other
    assert "names no evaluation" in str(both.find("abcdef")) and "names" in str(both.find("a"))


def test_what_is_unfinished_or_broken_is_said_and_the_rest_is_shown(here: Path) -> None:
    begun, broken = here.parent / "begun", here.parent / "broken"
    (begun / "journal").mkdir(parents=True)
    (begun / "journal" / "plan.json").write_text("{}")
    (begun / "journal" / "case-A01.json").write_text("{}")
    broken.mkdir()
    (broken / "evaluation.json").write_text("{")
    app = page("overview")
    assert not app.exception
    said = unescaped(everything(app))
    assert f"{begun} is unfinished: 1 case examined so far" in said
    assert str(broken / "evaluation.json") in said
    assert "models:/regression-pelvis/3" in said


def test_a_run_whose_logging_was_killed_is_said(in_empty: Path) -> None:
    client = mlflow_store.connect().MlflowClient()
    experiment = client.create_experiment("evaluations")
    client.create_run(experiment, tags={"qa.kind": "evaluation", "qa.evaluation": "f" * 16})
    found = catalogue([])
    assert found.known == ()
    assert "has not ended (running)" in found.problems[0] and "qa-suite sync" in found.problems[0]


def test_the_outcome_is_that_of_the_record_whatever_a_tag_says(in_store: Path) -> None:
    client = mlflow_store.connect().MlflowClient()
    (run,) = store.evaluations()
    client.set_tag(run.run_id, "qa.outcome", "pass")
    try:
        said = everything(page("overview"))
    finally:
        client.set_tag(run.run_id, "qa.outcome", "fail")
    assert "✕ fail" in said and "✓ pass" not in said
    assert "1 evaluation, 1 failed" in said


def test_the_overview_is_searched_and_filtered(here: Path) -> None:
    app = page("overview")
    app.text_input(key="search").set_value("three-hospitals pelvis").run()
    assert "models:/regression-pelvis/3" in everything(app)
    assert app.query_params["search"] == "three-hospitals pelvis"
    app.text_input(key="search").set_value("elsewhere").run()
    assert "No evaluation matches" in app.warning[0].value


def test_a_registered_model_is_listed_with_its_tags_and_alias(in_empty: Path) -> None:
    client = mlflow_store.connect().MlflowClient()
    client.create_registered_model("sct")
    source = (in_empty / "weights").as_uri()
    for version in range(2):
        client.create_model_version("sct", source, tags={"direction": "MR->CT", "n": str(version)})
    client.set_registered_model_alias("sct", "champion", "1")
    newest, oldest = store.model_versions()
    assert (newest.uri, oldest.uri) == ("models:/sct/2", "models:/sct/1")
    assert dict(newest.tags) == {"direction": "MR->CT", "n": "1"}
    assert store.aliases() == {"models:/sct/1": "champion"}
    said = everything(page("models"))
    assert "champion" in said and said.count("MR-&gt;CT") >= 2


def test_a_run_without_a_record_is_one_sentence(in_empty: Path) -> None:
    with pytest.raises(InputError, match="cannot be fetched"):
        store.record_folder("0" * 32)


def test_the_readiness_page_says_the_verdict_and_what_decides(in_store: Path) -> None:
    app = page("readiness")
    assert not app.exception
    said = everything(app)
    assert "✕ Fail" in said and "MAE in body" in said
    assert "leakage check was overridden" in unescaped(said)
    assert "profile:" not in str(app.selectbox[1].options), "without a folder nothing is logged"


def test_another_profile_is_looked_at_logged_once_and_counted(here: Path) -> None:
    app = page("readiness")
    box = next(one for one in app.selectbox if one.label == "Verdict")
    other = next(label for label in box.options if label.startswith("look at it under"))
    name = other.removeprefix("look at it under ")
    box.set_value(f"profile:{name}").run()
    assert not app.exception
    assert "was computed for this page" in app.warning[0].value
    assert f"1 more looked at: {name}" in unescaped(everything(app))
    page("readiness", f"verdict=profile:{name}")
    looked = [line for line in read_log(log_beside(here)).lines if line.what == "looked"]
    assert [line.profile.name for line in looked] == [name]
    assert looked[0].who == "Ada Example (unauthenticated)"
    # what was looked at counts as tried when somebody judges later
    from qa_suite.core.record_files import read_evaluation
    from qa_suite.judging.history import look

    evaluation = read_evaluation(here)
    history = look(
        here, cohort=(evaluation.cohort.digest, evaluation.cohort.split),
        evaluation=evaluation.evaluation,
        model=(evaluation.model.uri, evaluation.model.weights_sha256),
    )  # fmt: skip
    assert name in [one.name for one in history.tried]


def test_the_cases_come_worst_first_and_what_was_not_measured_before_them(here: Path) -> None:
    app = page("cases")
    assert not app.exception
    (table,) = [p.proto.body for p in app.get("html") if 'aria-label="Cases"' in p.proto.body]
    from qa_suite.core.record_files import read_cases, read_measurements

    rows = read_measurements(here)
    mine = rows[(rows["metric"] == "mae") & (rows["region"] == "body")]
    mine = mine[(mine["variant"] == "default") & (mine["status"] == "ok")]
    wanted = mine.sort_values(["value", "case"], ascending=[False, True])["case"].tolist()
    names = [record.case for record in read_cases(here)]
    places = sorted(names, key=lambda case: table.index(f"<td>{case}</td>"))
    unmeasured = len(names) - len(wanted)
    assert unmeasured > 0 and set(places[:unmeasured]).isdisjoint(wanted)
    assert places[unmeasured:] == wanted


def test_measures_are_filtered_by_family_and_metric(in_store: Path) -> None:
    app = page("measures")
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
    assert any("--plan photon-pelvis" in info.value for info in page("doses").info)


def test_doses_are_shown_by_plan_and_case(in_empty: Path) -> None:
    folder = in_empty / "evaluations" / "dosed"
    make_dose_record(folder, patients_by_site={"A": 3, "B": 1, "C": 1})
    with started(folders=(folder.parent,)):
        app = page("doses")
        assert not app.exception
        goals = next(f.value for f in app.dataframe if "lost" in f.value)
        assert goals["lost"].tolist()[:2] == ["B01", "C01"]
        assert "no target: <b>" in " ".join(error.value for error in app.error)
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


def test_who_is_not_named_only_reads(in_store: Path) -> None:
    with started(folders=(in_store / "evaluations",)):
        app = page("review")
    assert not app.exception and not app.text_area
    assert "--local-reviewer" in everything(app)
    assert "--evaluations FOLDER" in everything(page("review"))


def test_a_reviewer_adds_to_the_queue_and_edits_nothing(here: Path) -> None:
    app = page("review")
    app.selectbox(key="review-of").set_value("A01")
    app.selectbox(key="review-what").set_value("reject")
    app.button[0].click().run()
    assert "has a comment" in unescaped(app.error[0].value)
    app.selectbox(key="review-of").set_value("A01")
    app.selectbox(key="review-what").set_value("reject")
    app.text_area(key="review-comment").set_value("the rectum is bone")
    app.button[0].click().run()
    assert not app.exception
    (item,) = items_of(read_queue(here).lines)
    assert (item.case, item.state) == ("A01", "rejected")
    assert item.comments[0].who == "Ada Example (unauthenticated)"
    assert "✕ rejected" in everything(app) and "the rectum is bone" in everything(app)
    from qa_suite.core.review_queue import add_event

    add_event(here, new_event("Grace", "reopened", item.evaluation, case="A01", comment="again"))
    assert "○ open" in everything(page("review")), "another's line is seen at the next look"


def test_the_uneventful_are_accepted_at_once_and_nobody_else(here: Path) -> None:
    from qa_suite.core.record_files import read_cases

    app = page("review")
    app.button(key="bulk").click().run()
    assert not app.exception
    accepted = {item.case for item in items_of(read_queue(here).lines)}
    records = {one.case: one for one in read_cases(here)}
    assert accepted and all(records[case].status == "evaluated" for case in accepted)
    assert "B03" not in accepted and "C02" not in accepted  # refused, failed
    assert all(preflight_status(records[case].preflight) == "ok" for case in accepted)


def test_comparing_needs_two_of_one_cohort_and_says_the_difference(here: Path) -> None:
    assert "Two evaluations" in page("compare").info[0].value
    make_record(here.parent / "two", kind="baseline")
    selection._catalogue.clear()
    app = page("compare")
    assert not app.exception
    said = everything(app)
    assert "MAE in body" in said and "patients examined by both" in said
    assert "limits of agreement" in said


def test_patients_are_paired_after_their_examinations_were_averaged() -> None:
    def rows(values: list[tuple[str, str, float | None]]) -> pd.DataFrame:
        found = [
            {"patient": p, "site": s, "value": v, "status": "ok" if v is not None else "error"}
            for p, s, v in values
        ]
        return pd.DataFrame(found)

    new = rows([("a", "A", 10.0), ("a", "A", 14.0), ("b", "B", 5.0), ("c", "A", None)])
    old = rows([("a", "A", 10.0), ("b", "B", 8.0), ("c", "A", 3.0), ("d", "B", 1.0)])
    found = paired(new, old)
    assert found["patient"].tolist() == ["a", "b"] and found["site"].tolist() == ["A", "B"]
    assert found["difference"].tolist() == [2.0, -3.0]
    assert found["mean"].tolist() == [11.0, 6.5]


def test_the_exam_stands_beside_the_verdict_it_supports(here: Path) -> None:
    from qa_suite.judging.criteria import load_profile
    from reports.facts.exams import exam_of

    said = everything(page("exam"))
    assert "No exam on record for this profile" in unescaped(said)
    assert "Residual risk" in said
    assert exam_of(load_profile("mr-to-ct-pelvis")) is not None
