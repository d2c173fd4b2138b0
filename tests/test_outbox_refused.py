"""What MLflow refuses for good is set aside and said; what passes or needs leave waits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow.exceptions import ERROR_CODE_TO_HTTP_STATUS, MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode
from mlflow.utils.rest_utils import augmented_raise_for_status, verify_rest_response

from qa_suite.cli import run as command
from qa_suite.core import reach, store
from qa_suite.core.errors import InputError
from qa_suite.core.outbox.answers import LEAVE, PASSES, REFUSED, fate_of, fate_of_code
from qa_suite.core.outbox.file import Outbox
from qa_suite.core.outbox.folders import send_all
from qa_suite.core.outbox.lines import MODELS_FOLDER, OUTBOX_FILE, REFUSED_FILE
from qa_suite.core.outbox.refused import keep_refused, read_refused
from qa_suite.core.outbox.runs import tracked_run
from qa_suite.core.outbox.telling import REFUSED_TAG, TELL
from tests.mlflow_server import free_port
from tests.outbox_cases import contents, quick, saved_model, stub_server, tell_everything

__all__ = ["quick", "saved_model"]

REASON = "nobody wants this"


def code_error(code: str, words: str = REASON) -> MlflowException:
    return MlflowException(f"{code}: {words}", error_code=ErrorCode.Value(code))


@contextmanager
def answering(patch: pytest.MonkeyPatch, errors: dict[str, Exception]) -> Iterator[list[str]]:
    """Let the store answer operations of some kinds with an error; collect what was asked."""
    asked: list[str] = []

    def told(kind: str, real: Any) -> Any:
        def tell(place: Any, operation: Any) -> Any:
            asked.append(kind)
            if kind in errors:
                raise errors[kind]
            return real(place, operation)

        return tell

    with patch.context() as inner:
        for kind, real in TELL.items():
            inner.setitem(TELL, kind, told(kind, real))
        yield asked


def tell_little(work: Path) -> None:
    """Tell figures, then a tag, then the end."""
    with tracked_run("training", "little", work) as run:
        run.metrics([("loss", 1.0, 1, 0)])
        run.tags({"after": "it"})


def the_run() -> dict[str, Any]:
    (one,) = contents()["training/little"]
    return one


# ------------------------------------------------------------------ what an answer means


def test_every_code_of_mlflow_has_one_fate() -> None:
    assert sorted(ErrorCode.keys()) == sorted([*PASSES, *LEAVE, *REFUSED])
    assert fate_of_code("A_CODE_OF_LATER") == "passes", "what is unknown is kept"
    by_meaning = {"ABORTED": "passes", "NOT_IMPLEMENTED": "refused"}
    for code, status in ERROR_CODE_TO_HTTP_STATUS.items():
        passes = status >= 500 or status in (408, 425, 429, 499)
        of_status = "leave" if status in (401, 403) else "passes" if passes else "refused"
        assert fate_of(code_error(code)) == by_meaning.get(code, of_status), code


@pytest.mark.parametrize("body", ["<html>no</html>", '{"error_code": "%s", "message": "no"}'])
@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (400, "refused"), (401, "leave"), (403, "leave"), (404, "refused"), (408, "passes"),
        (409, "refused"), (413, "refused"), (422, "refused"), (425, "passes"), (429, "passes"),
        (500, "passes"), (502, "passes"), (503, "passes"), (504, "passes"), (507, "passes"),
    ],
)  # fmt: skip
def test_an_answer_of_something_before_the_server_is_told_by_its_status(
    status: int, fate: str, body: str
) -> None:
    answer = requests.Response()
    answer.status_code, answer.url = status, "http://host/api"
    answer._content = body.replace("%s", str(status)).encode()
    if body.startswith("<") or status in (400, 401, 403, 404, 429, 500, 503):  # MLflow knows these
        with pytest.raises(MlflowException) as caught:
            verify_rest_response(answer, "/api/2.0/mlflow/runs/log-batch")
        assert fate_of(caught.value) == fate
    with pytest.raises(requests.HTTPError) as sent:  # as files are sent
        augmented_raise_for_status(answer)
    assert fate_of(sent.value) == fate


def test_what_nobody_answered_passes_and_what_cannot_be_used_does_not() -> None:
    gone = MlflowException("API request to http://h/api failed with exception Connection refused")
    assert fate_of(gone) == fate_of(reach.StoreAway("http://h", "away")) == "passes"
    assert fate_of(OSError(28, "No space left on device")) == "passes"
    assert fate_of(requests.ConnectionError("no")) == "passes"
    assert fate_of(InputError("the name is taken")) == "refused"
    assert fate_of(ValueError("what was noted is no number")) == "refused"


# ------------------------------------------------------------------ refused for good


def test_what_is_refused_is_set_aside_said_and_holds_nothing_up(
    own_store: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = tmp_path / "work"
    with tracked_run("training", "little", work) as run:
        run.metrics([("not a:name?", 1.0, 1, 0)])
        run.tags({"after": "it"})
    one = the_run()
    assert one["status"] == "FINISHED" and one["tags"]["after"] == "it"
    assert one["tags"][REFUSED_TAG] == "1 operation (metrics)", "nobody takes it for whole"
    assert not (work / OUTBOX_FILE).exists(), "nothing is tried again"
    (kept,) = read_refused(work).values()
    assert "Invalid value" in kept.words and kept.operation.what == [["not a:name?", 1.0, 1, 0]]
    assert caplog.text.count("MLflow refuses 1 operation (metrics) of training: little") == 1
    with answering(monkeypatch, {}) as asked:
        assert command(["sync", str(tmp_path)]) == 3
    assert not asked
    said = capsys.readouterr().out
    assert "Invalid value" in said and str(work / REFUSED_FILE) in said
    for option in ("--retry-refused", "--drop-refused"):
        assert f"'qa-suite sync {work} {option}'" in said
    assert command(["sync", str(tmp_path), "--json"]) == 3
    (folder,) = json.loads(capsys.readouterr().out)["folders"]
    assert "Invalid value" in folder["refused"] and not folder["stays"]


def test_what_was_refused_is_sent_again_when_somebody_says_so(
    own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell_little(tmp_path / "undisturbed")
    expected = the_run()
    store.connect().delete_run(store.connect().search_runs(search_all_experiments=True).run_id[0])
    work = tmp_path / "work"
    errors = dict.fromkeys(("metrics", "tags"), code_error("RESOURCE_ALREADY_EXISTS"))
    with answering(monkeypatch, errors):
        tell_little(work)
        assert set(the_run()["metrics"]) == set() and the_run()["status"] == "FINISHED"
        assert command(["sync", str(work), "--retry-refused"]) == 3, "it is refused again"
        assert len(read_refused(work)) == 3
    assert command(["sync", str(work), "--retry-refused"]) == 0
    assert the_run() == expected, "and its tag is gone"
    assert not list(work.glob("outbox*"))


def test_what_was_refused_is_given_up_when_somebody_says_so(
    own_store: Path,
    tmp_path: Path,
    saved_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work = tmp_path / "work"
    with (
        answering(monkeypatch, {"model": code_error("QUOTA_EXCEEDED")}),
        tracked_run("training", "all", work) as run,
    ):
        tell_everything(run, saved_model)
    assert any((work / MODELS_FOLDER).iterdir()), "what may be sent again is kept"
    assert command(["sync", str(work), "--retry-refused", "--drop-refused"]) == 2
    assert command(["sync", str(work), "--drop-refused"]) == 0
    assert "given up: 1 refused operation" in capsys.readouterr().out
    assert not list(work.glob("outbox*"))
    (one,) = contents()["training/all"]
    assert one["tags"][REFUSED_TAG] == "1 operation (model)", "the run still lacks it"


def test_a_model_whose_name_became_an_instruments_is_registered_once_it_is_free(
    own_store: Path, tmp_path: Path, saved_model: Path
) -> None:
    work = tmp_path / "work"
    client = store.connect().MlflowClient()
    client.create_registered_model("doubled")
    client.create_model_version("doubled", source=str(own_store), tags={"qa.kind": "segmenter"})
    with tracked_run("training", "all", work) as run:
        tell_everything(run, saved_model)
    (kept,) = read_refused(work).values()
    assert "name of a registered instrument" in kept.words
    client.delete_registered_model("doubled")
    (done,) = send_all([work], refused="retry")
    assert done.models == ("models:/doubled/1",) and not done.refused
    assert not list(work.glob("outbox*"))


def test_a_run_that_cannot_be_made_is_set_aside_whole(
    own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, client = tmp_path / "work", store.connect().MlflowClient()
    experiment = store.experiment("training")
    client.delete_experiment(experiment)
    tell_little(work)
    assert not (work / OUTBOX_FILE).exists() and len(read_refused(work)) == 4
    client.restore_experiment(experiment)
    assert command(["sync", str(work), "--retry-refused"]) == 0
    assert the_run()["status"] == "FINISHED" and the_run()["tags"]["after"] == "it"


def test_a_kill_between_the_two_files_sets_aside_once(
    own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    with answering(monkeypatch, {"metrics": code_error("BAD_REQUEST")}):
        with tracked_run("training", "little", work) as run:
            run.metrics([("loss", 1.0, 1, 0)])
            name = run._name
            real = Outbox._append
            with monkeypatch.context() as patch:  # the line of the outbox is not written
                patch.setattr(Outbox, "_append", lambda self, line: None)
                run.send(now=True)
            assert run._outbox.runs[name].operations
        assert Outbox._append is real
    assert len(read_refused(work)) == 1 and the_run()["status"] == "FINISHED"
    kept = next(iter(read_refused(work).values()))
    with (work / REFUSED_FILE).open("a") as stream:
        stream.write('{"begin": "cut o')
    other = kept.model_copy(update={"operation": kept.operation.model_copy(update={"id": "other"})})
    keep_refused(work, other)
    assert set(read_refused(work)) == {kept.operation.id, "other"}, "a torn line spoils no other"


# ------------------------------------------------------------------ what waits


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "UNAUTHENTICATED", "INTERNAL_ERROR"])
def test_what_needs_leave_or_may_pass_waits_alone(
    code: str, own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    with answering(monkeypatch, {"metrics": code_error(code)}):
        tell_little(work)
        assert the_run()["tags"]["after"] == "it" and the_run()["status"] == "RUNNING"
        (done,) = send_all([work])
        assert not done.refused and not (work / REFUSED_FILE).exists()
        assert sum(done.stays.values()) == 2 and REASON in "".join(done.why)
    (done,) = send_all([work])
    assert not done.stays and the_run()["status"] == "FINISHED"


def test_a_server_that_takes_nothing_is_not_asked_everything(
    own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = {"tags": code_error("TEMPORARILY_UNAVAILABLE")}
    with answering(monkeypatch, errors) as asked, tracked_run("training", "x", tmp_path) as run:
        run.send(now=True)
        asked.clear()
        for number in range(9):
            run.tags({f"t{number}": "1"})
    assert asked == ["tags"] * 3


@pytest.mark.parametrize("status", [b"404 Not Found", b"400 Bad Request", b"501 Not Implemented"])
def test_an_address_at_which_no_mlflow_is_refuses_nothing(
    status: bytes, own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 9\r\nConnection: close\r\n\r\n<no here>"
    with stub_server(answer) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        tell_little(tmp_path)
    assert (tmp_path / OUTBOX_FILE).exists() and not (tmp_path / REFUSED_FILE).exists()


def test_without_a_registry_the_model_alone_waits(
    own_store: Path, tmp_path: Path, saved_model: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", away)
    with tracked_run("training", "all", tmp_path) as run:
        tell_everything(run, saved_model)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    (one,) = contents()["training/all"]
    assert set(one["files"]) == {"c.json", "samples/a.png"} and one["status"] == "RUNNING"
    (done,) = send_all([tmp_path])
    assert done.models == ("models:/doubled/1",) and list(done.waited.values()) == [2]


def test_without_the_store_of_files_all_else_is_told(
    own_store: Path, tmp_path: Path, saved_model: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    mlflow = store.connect()
    place = f"http://127.0.0.1:{free_port()}/files"
    mlflow.create_experiment("training", artifact_location=place)
    with tracked_run("training", "all", tmp_path) as run:
        tell_everything(run, saved_model)
    client = mlflow.MlflowClient()
    (one,) = client.search_runs([store.experiment("training")])
    assert len(one.data.params) == 120 and one.data.metrics and one.info.status == "RUNNING"
    (done,) = send_all([tmp_path])
    assert set(done.stays.values()) == {4}, "a document, a file, the model and the end"
    assert "takes no connection" in done.why[0] and not done.refused


def test_a_part_whose_whole_is_gone_does_not_wait_for_ever(
    own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    work = tmp_path / "search"
    with tracked_run("training", "search", work) as whole:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
        with tracked_run("training", "try", work / "try-0", parent=whole) as part:
            part.metrics([("loss", 1.0, 1, 0)])
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{own_store / 'mlflow.db'}")
    store.connect().delete_run(whole.run_id)
    (done,) = send_all([work / "try-0"])
    assert not done.stays and not done.refused
    (one,) = contents()["training/try"]
    assert one["status"] == "FINISHED" and one["metrics"]
