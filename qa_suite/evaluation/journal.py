"""The journal of an evaluation: one file a case, written when the case is done.

Whatever moment the process is killed, the next run finds every finished case whole and
repeats only the others. When all are there, the journal becomes the record's tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from qa_suite.core.errors import InputError, QAError
from qa_suite.core.locks import LOCK_FILE
from qa_suite.core.record_files import read_model, write_model
from qa_suite.core.records import CaseRecord, CurvePoint, Measurement, PluginFacts
from qa_suite.metrics.set_distances.features import CaseFeatures

JOURNAL_FOLDER = "journal"
_PLAN_FILE = "plan.json"


class RunPlan(BaseModel):
    """What this evaluation is; another one may not carry on in its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    evaluation: str
    model_digest: str | None = None
    """Over all files of a registered model; of which the identifier knows the weights."""
    suite_version: str
    git_commit: str | None
    git_dirty: bool | None
    plugins: tuple[PluginFacts, ...] = ()
    started: str
    lock: str = ""


class CaseEntry(BaseModel):
    """Everything that one case gave."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    record: CaseRecord
    measurements: tuple[Measurement, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    costs: tuple[Measurement, ...] = ()
    features: CaseFeatures | None = None
    seconds: float
    peak_memory_mib: float = 0.0
    dose_device: str = ""


class Journal:
    """The journal in the folder of one evaluation.

    Parameters
    ----------
    folder
        The evaluation's folder.
    plan
        What is being evaluated. A folder that holds another plan is refused.
    """

    def __init__(self, folder: Path, plan: RunPlan) -> None:
        self.folder = folder / JOURNAL_FOLDER
        self.plan = plan
        path = self.folder / _PLAN_FILE
        if path.exists():
            self.plan = _same_plan(folder, read_model(path, RunPlan), plan)
        else:
            write_model(path, plan)

    def read(self, case: str) -> CaseEntry | None:
        """Return what is known of a case, or None where it is still to be done."""
        path = self._path(case)
        if not path.exists():
            return None
        try:
            return read_model(path, CaseEntry)
        except QAError:  # half a file, from a disk that lied about the rename: do it again
            path.unlink()
            return None

    def holds(self, case: str) -> bool:
        """Whether what a case gave is there, whole."""
        return self.read(case) is not None

    def write(self, entry: CaseEntry) -> None:
        """Keep what a case gave."""
        write_model(self._path(entry.record.case), entry)

    def _path(self, case: str) -> Path:
        return self.folder / f"case-{case}.json"


def _same_plan(folder: Path, known: RunPlan, wanted: RunPlan) -> RunPlan:
    def essence(plan: RunPlan) -> dict[str, Any]:
        return plan.model_dump(exclude={"started", "lock", "model_digest"})

    if known.lock and known.lock != wanted.lock:
        raise InputError(
            f"{folder} was begun under the lock {known.lock[:8]}, and its lock is now "
            f"{wanted.lock[:8] or 'gone'}; bring {LOCK_FILE} back, or choose another --out."
        )
    same_files = known.model_digest in (None, wanted.model_digest)
    if essence(known) == essence(wanted) and same_files:
        return known
    what = "other code" if same_files else "other files of the model"
    if known.evaluation != wanted.evaluation:
        what = "another evaluation"
    raise InputError(
        f"{folder} was begun with {what} ({_short(known)}, not {_short(wanted)}); "
        f"choose another --out, or remove the folder."
    )


def _short(plan: RunPlan) -> str:
    commit = (plan.git_commit or "no commit")[:8]
    more = "".join(f" with {one.package} {one.version} {one.digest[:15]}" for one in plan.plugins)
    return f"evaluation {plan.evaluation[:8]} by {plan.suite_version} at {commit}{more}"
