"""What a store says, to be compared; servers that misbehave; a run with one of everything."""

from __future__ import annotations

import hashlib
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qa_suite.core import reach, store
from qa_suite.core.outbox.file import Outbox
from qa_suite.core.outbox.models import OPERATION_TAG
from qa_suite.core.outbox.orphans import PROCESS_TAG
from qa_suite.core.outbox.runs import RUN_TAG, TrackedRun

OWN = (OPERATION_TAG, PROCESS_TAG, RUN_TAG, "mlflow.parentRunId", "mlflow.log-model.history")
"""Tags that differ between two runs that say the same."""

DIGEST = "d" * 64
MODEL_CODE = """
import mlflow


class Doubled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input


mlflow.models.set_model(Doubled())
"""


class Killed(BaseException):
    """Stands for a SIGKILL: nothing may catch it."""


def contents() -> dict[str, Any]:
    """All that the store says of runs, logged models and versions, without what is drawn by lot."""
    client = store.connect().MlflowClient()
    found: dict[str, Any] = {"models": _versions(client)}
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            found.setdefault(f"{experiment.name}/{run.info.run_name}", []).append(_run(client, run))
        models = client.search_logged_models([experiment.experiment_id])
        found[f"{experiment.name}: logged models"] = sorted(
            (
                m.name,
                str(m.status),
                sorted(m.params.items()),
                sorted(x.key for x in m.metrics or ()),
            )
            for m in models
        )
    return found


def _run(client: Any, run: Any) -> dict[str, Any]:
    run_id = run.info.run_id
    return {
        "status": run.info.status,
        "tags": {k: v for k, v in run.data.tags.items() if k not in OWN},
        "params": run.data.params,
        "metrics": {
            name: sorted((p.value, p.step) for p in client.get_metric_history(run_id, name))
            for name in run.data.metrics
        },
        "datasets": [d.dataset.name for d in run.inputs.dataset_inputs],
        "models": len(run.inputs.model_inputs or ()),
        "made": len(run.outputs.model_outputs) if run.outputs else 0,
        "files": _files(client, run_id),
    }


def _files(client: Any, run_id: str, folder: str | None = None) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in client.list_artifacts(run_id, folder):
        if file.is_dir:
            found |= _files(client, run_id, file.path)
        else:
            path = Path(client.download_artifacts(run_id, file.path))
            found[file.path] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _versions(client: Any) -> list[Any]:
    return sorted(
        (
            v.name,
            str(v.version),
            sorted((k, w) for k, w in v.tags.items() if k not in OWN),
            v.description,
        )
        for v in client.search_model_versions()
    )


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as it is saved before it is sent; made once, since MLflow takes seconds."""
    store.prepare()
    import mlflow

    folder = tmp_path_factory.mktemp("saved")
    (folder / "code.py").write_text(MODEL_CODE)
    mlflow.pyfunc.save_model(
        str(folder / "model"), python_model=str(folder / "code.py"), pip_requirements=["mlflow"]
    )
    return folder / "model"


def tell_everything(run: TrackedRun, saved: Path) -> None:
    """Tell one of every kind of operation; the run is not ended."""
    run.folder.mkdir(exist_ok=True)
    (run.folder / "a.png").write_bytes(b"png")
    run.params({f"p{number}": str(number) for number in range(120)})
    run.tags({"b": "2"})
    run.metrics([("loss", 0.5 + step, 1000 + step, step) for step in range(600)])
    run.document({"c": 3}, "c.json")
    run.dataset("tiny", DIGEST)
    run.file(run.folder / "a.png", "samples")
    shutil.copytree(saved, run.model_folder("doubled", DIGEST), dirs_exist_ok=True)
    run.model("doubled", DIGEST, tags={"t": "1"}, description="card", instrument=False)


WRITES = (
    "create_run", "update_run", "set_terminated", "log_batch", "log_dict", "log_artifact",
    "set_tag", "log_inputs", "log_outputs", "create_logged_model", "log_model_artifacts",
    "finalize_logged_model", "create_registered_model", "create_model_version",
    "update_model_version", "create_experiment",
)  # fmt: skip
"""Everything by which the store is changed."""


@contextmanager
def killed_at(patch: pytest.MonkeyPatch, number: int, *, told: bool) -> Iterator[list[str]]:
    """Kill at that change of the store, before it is made or after, when nothing has noted it."""
    import mlflow

    seen: list[str] = []

    def counted(name: str) -> Any:
        real = getattr(mlflow.MlflowClient, name)

        def call(self: Any, *words: Any, **more: Any) -> Any:
            seen.append(name)
            if len(seen) == number and not told:
                raise Killed
            found = real(self, *words, **more)
            if len(seen) == number:
                raise Killed
            return found

        return call

    def dead(self: Outbox, *words: Any, **more: Any) -> None:
        """Nobody writes once he is killed."""
        if len(seen) < number:
            note(self, *words, **more)

    note = Outbox._append
    with patch.context() as inner:
        for name in WRITES:
            inner.setattr(mlflow.MlflowClient, name, counted(name))
        inner.setattr(Outbox, "_append", dead)
        yield seen


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits, and nothing known of any server."""
    monkeypatch.setattr(reach, "CONNECT_S", 0.4)
    monkeypatch.setattr(reach, "ANSWER_S", 0.4)
    reach.forget()


@contextmanager
def silent_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def stub_server(answer: bytes, *, wait_s: float = 0.0) -> Iterator[str]:
    """A server that answers every request with the same bytes, after a while."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def serve() -> None:
            while not ended.is_set():
                try:
                    one, _ = server.accept()
                except TimeoutError:
                    continue
                with one:
                    one.recv(65536)
                    ended.wait(wait_s)
                    one.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        ended.set()
        thread.join()
