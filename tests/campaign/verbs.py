"""The commands that are killed, and what must be the same after the same command was repeated."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.campaign.dying import in_process

if TYPE_CHECKING:
    from collections.abc import Iterator

FINISHED = "FINISHED"


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One command in a folder of its own, and what it leaves there, told as plain data."""

    name: str
    words: tuple[str, ...]
    outcome: Callable[[Path], Any]
    warm: bool = False
    """Whether it may be run once in the process that is forked: without a store."""

    again: tuple[str, ...] = ()
    """What the repeat says more."""

    def run(self, place: Path, *, repeated: bool = False) -> int:
        """Run the command in a folder; return its exit status."""
        from qa_suite.cli import run

        with inside(place):
            return run([*self.words, *(self.again if repeated else ())])


@contextmanager
def inside(place: Path) -> Iterator[None]:
    """Work in a folder with an MLflow store of its own."""
    before, store = Path.cwd(), os.environ.get("MLFLOW_TRACKING_URI")
    os.chdir(place)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place / 'mlruns' / 'mlflow.db'}"
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.pop("MLFLOW_TRACKING_URI")
        if store is not None:
            os.environ["MLFLOW_TRACKING_URI"] = store


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_record(place: Path) -> dict[str, Any]:
    """The tables of an evaluation, and its JSON but for its times."""
    out = place / "out"
    record = json.loads((out / "evaluation.json").read_text())
    record.pop("when")
    tables = ("measurements.parquet", "cases.parquet", "curves.parquet")
    left = sorted(path.name for path in out.rglob(".*"))
    volumes = sorted(path.name for path in (out / "volumes").glob("*"))
    return {
        "record": record, "tables": [digest(out / name) for name in tables],
        "left behind": left, "volumes": volumes,
    }  # fmt: skip


def in_cohort(place: Path) -> dict[str, Any]:
    """Every file of a cohort; of the manifest all but the moment it was made."""
    out = place / "out"
    lines = (out / "manifest.yaml").read_text().splitlines()
    files = {
        str(path.relative_to(out)): digest(path)
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.suffix in (".gz", ".mha")
    }
    left = sorted(str(path.relative_to(out)) for path in out.rglob(".*"))
    return {
        "manifest": [line for line in lines if "created" not in line and "when" not in line],
        "files": files, "left behind": left,
    }  # fmt: skip


def in_store(place: Path) -> dict[str, Any]:
    """Every run of the store with its state, metrics and artifacts, and every model version."""
    answer = place / "store.json"

    def ask() -> int:
        with inside(place):
            answer.write_text(json.dumps(_asked()))
        return 0

    ended = in_process(ask, log=place / "asked.log")
    if ended.status:
        raise AssertionError((place / "asked.log").read_text()[-2000:])
    return dict(json.loads(answer.read_text()))


def _asked() -> dict[str, Any]:
    import mlflow

    client = mlflow.MlflowClient()
    runs = []
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            files = sorted(one.path for one in client.list_artifacts(run.info.run_id))
            runs.append(
                [experiment.name, run.info.status, sorted(run.data.metrics.items()),
                 sorted(run.data.params), files]
            )  # fmt: skip
    versions = [
        [v.name, v.version, v.tags.get("qa.weights_sha256", v.tags.get("weights_sha256", ""))]
        for v in client.search_model_versions()
    ]
    return {"runs": sorted(runs), "versions": sorted(versions)}


def in_training(place: Path) -> dict[str, Any]:
    """What the store knows of a training, told so that a second one of the same model adds nothing.

    Who repeats a training that had come to its end trains again, and gets a version more; every run
    must be whole, with a version of its own, and all versions the same weights.
    """
    found = in_store(place)
    runs = [[one[0], one[1], len(one[2]) > 0, one[3], one[4]] for one in found["runs"]]
    mine = [one for one in runs if one[0] == "training"]
    return {
        "kinds of runs": [one for n, one in enumerate(runs) if one not in runs[:n]],
        "weights": sorted({version[2] for version in found["versions"]}),
        "a version for each run": len(found["versions"]) == len(mine),
    }


VERBS = (
    Verb(
        name="evaluate",
        words=("evaluate", "tiny", "--images", "box", "--name", "vendor", "--no-track",
               "--families", "image", "--workers", "1", "--out", "out"),
        outcome=in_record,
        warm=True,
    ),
    Verb(
        name="import",
        words=("import", "pairs.csv", "out", "--workers", "1", "--key-file", "key"),
        outcome=in_cohort,
        warm=True,
    ),
    Verb(
        name="train",
        words=("train", "intensity", "tiny", "--work", "out", "--no-preflight"),
        outcome=in_training,
        again=("--resume",),
    ),
    Verb(name="sync", words=("sync", "logged"), outcome=in_store),
)  # fmt: skip


def make_materials(folder: Path) -> Path:
    """Write what the commands read: cohort, images, pairs, and an outbox that waits."""
    from qa_suite.core.outbox import sending
    from qa_suite.evaluation.tracking import log_evaluation
    from tests.record_factory import make_record
    from tests.tiny_cohort import make_tiny_cohort
    from tests.verb_cases import make_material

    make_material(folder)
    shutil.rmtree(folder / "tiny")
    shutil.rmtree(folder / "box")
    _images(make_tiny_cohort(folder / "tiny", "ttvssss"), folder)
    (folder / "mlruns").mkdir(exist_ok=True)
    make_record(folder / "logged", keep=False)

    def note() -> int:
        with inside(folder):
            os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"  # nobody listens there
            sent = log_evaluation(folder / "logged")
            return 0 if sent.why is not None else 1

    ended = in_process(note, log=folder / "noted.log")
    assert ended.status == 0, (sending, (folder / "noted.log").read_text()[-2000:])

    def prepare() -> int:
        import mlflow

        with inside(folder):
            mlflow.MlflowClient().search_experiments()
        return 0

    assert in_process(prepare, log=folder / "noted.log").status == 0
    return folder


def _images(cohort: Any, folder: Path) -> None:
    from qa_suite.io.images import read_image, write_image

    for case in cohort.in_split("test"):
        reference = read_image(folder / "tiny" / str(case.reference), "HU")
        write_image(reference.with_array(reference.array + 4), folder / f"box/{case.case}.nii.gz")
