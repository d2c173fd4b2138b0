"""How often a test cohort was examined, and which profiles were tried: what can be seen of it.

Three places are looked into: the log beside the evaluations, the evaluations that lie beside this
one, and the MLflow store. What lies in none of them is not known, and every count says where it
was looked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qa_suite.core import store
from qa_suite.core.errors import InputError
from qa_suite.core.examination_log import LOG_FILE, Log, log_beside, read_log
from qa_suite.core.json_files import read_json
from qa_suite.core.record_files import EVALUATION_FILE
from qa_suite.core.records import CohortUse, ProfileTried, Verdict
from qa_suite.core.verdict_files import profiles_tried, read_verdict, verdict_paths
from qa_suite.core.wording import count

_EXPERIMENT = "evaluations"


@dataclass(frozen=True, kw_only=True)
class History:
    """What was seen of a test cohort and of one evaluation."""

    uses: tuple[CohortUse, ...] = ()
    tried: tuple[ProfileTried, ...] = ()
    tried_elsewhere: tuple[ProfileTried, ...] = ()
    looked_in: tuple[str, ...] = ()
    log: Log = field(default_factory=lambda: Log(path=Path(LOG_FILE)))


@dataclass(frozen=True, kw_only=True)
class _Beside:
    """An evaluation that lies beside the one in question."""

    folder: Path
    evaluation: str
    begun: str
    model: str
    weights: str | None
    cohort: tuple[str, str]


def look(
    folder: Path,
    *,
    cohort: tuple[str, str],
    evaluation: str = "",
    model: tuple[str, str | None] = ("", None),
    scans: tuple[str, ...] = (),
    ask_store: bool = False,
) -> History:
    """Look for what was done with a test cohort before now.

    Parameters
    ----------
    folder
        Of the evaluation, or where one is to be.
    cohort
        Digest of the cohort, and the split.
    evaluation, model
        Identifier of the evaluation; URI and weights of the examined model.
    scans
        What the held-out scans are known by, see
        :func:`qa_suite.core.examination_log.scans`; by default what the log says of this
        evaluation.
    ask_store
        Whether to ask the MLflow store too, which takes seconds where the others take
        milliseconds.
    """
    log = read_log(log_beside(folder))
    beside = list(_evaluations_beside(folder))
    looked = []
    looked.append(
        f"the log {LOG_FILE} ({count(len(log.lines), 'line')})"
        if log.lines
        else f"the log {LOG_FILE} (there is none)"
    )
    looked.append(f"the folders beside it ({count(len(beside), 'evaluation')})")
    uses = _logged_uses(log, cohort, evaluation, scans)
    _add(uses, (_use(one, "folder") for one in beside if one.cohort == cohort))
    if ask_store:
        found, said = _stored_uses(cohort)
        looked.append(said)
        known = {one.evaluation for one in uses.values()}
        _add(uses, (one for one in found if one.evaluation not in known))
    ordered = sorted(uses.values(), key=lambda use: use.begun)
    here, elsewhere = _tried(log, beside, evaluation, model, cohort)
    return History(
        uses=tuple(ordered), tried=here, tried_elsewhere=elsewhere, looked_in=tuple(looked), log=log
    )


# ---------------------------------------------------------------------------------------
# Examinations


def _add(uses: dict[tuple[str, str], CohortUse], more: Iterator[CohortUse]) -> None:
    for use in more:
        key = (use.evaluation, use.begun)
        seen = () if key not in uses else uses[key].seen_in
        uses[key] = use.model_copy(update={"seen_in": (*seen, *use.seen_in)})


def _logged_uses(
    log: Log, cohort: tuple[str, str], evaluation: str, scans: tuple[str, ...]
) -> dict[tuple[str, str], CohortUse]:
    """Return the examinations of this cohort, and those of another that holds some of its scans."""
    examined = [line for line in log.lines if line.what == "examined"]
    mine = set(scans)
    for line in examined:
        if evaluation and line.evaluation == evaluation:
            mine |= set(line.cases)
    uses: dict[tuple[str, str], CohortUse] = {}
    for line in examined:
        same = (line.cohort_digest, line.split) == cohort
        shared = len(mine & set(line.cases))
        if same or shared:
            uses[line.evaluation, line.at] = CohortUse(
                evaluation=line.evaluation,
                model=line.model,
                weights_sha256=line.weights_sha256,
                begun=line.at,
                shared=None if same else shared,
                seen_in=("log",),
            )
    return uses


def _use(one: _Beside, where: str) -> CohortUse:
    return CohortUse(
        evaluation=one.evaluation,
        model=one.model,
        weights_sha256=one.weights,
        begun=one.begun,
        seen_in=(where,),
    )


def _evaluations_beside(folder: Path) -> Iterator[_Beside]:
    """Yield every evaluation in the folder that holds this one, itself included."""
    place = Path(folder).absolute().parent
    for path in sorted(place.glob(f"*/{EVALUATION_FILE}")):
        try:
            raw: dict[str, Any] = read_json(path)
            yield _Beside(
                folder=path.parent,
                evaluation=raw["evaluation"],
                begun=raw["when"]["started"],
                model=raw["model"]["uri"],
                weights=raw["model"].get("weights_sha256"),
                cohort=(raw["cohort"]["digest"], raw["cohort"]["split"]),
            )
        except (InputError, KeyError, TypeError, AttributeError):
            continue  # no evaluation, or one that is being written


def _stored_uses(cohort: tuple[str, str]) -> tuple[list[CohortUse], str]:
    """Return the examinations that the MLflow store knows, and how it was asked."""
    uri = store.tracking_uri()
    where = f"the MLflow store {_without_secrets(uri)}"
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        return [], f"{where} (there is none)"
    digest, split = (text.replace("'", "") for text in cohort)
    try:
        with store.reached():
            mlflow = store.connect(registry=False)
            experiment = mlflow.get_experiment_by_name(_EXPERIMENT)
            ids = [] if experiment is None else [experiment.experiment_id]
            wanted = f"params.cohort_digest = '{digest}' and params.split = '{split}'"
            runs = mlflow.search_runs(
                experiment_ids=ids, filter_string=wanted, output_format="list"
            )
    except InputError:
        return [], f"{where} (it did not answer, so nothing in it is counted)"
    found = [
        CohortUse(
            evaluation=run.data.tags.get("qa.evaluation", run.info.run_id),
            model=run.data.tags.get("qa.model", "unknown"),
            weights_sha256=_known(run.data.params.get("weights_sha256")),
            begun=run.data.params.get("started", ""),
            seen_in=("store",),
        )
        for run in (runs if ids else [])
    ]
    return found, f"{where} ({count(len(found), 'run')})"


def _known(text: str | None) -> str | None:
    return None if text in (None, "none") else text


def _without_secrets(uri: str) -> str:
    """Return an address without user and password."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.hostname}" if parts.hostname else uri.split("?")[0]


# ---------------------------------------------------------------------------------------
# Profiles


def _tried(
    log: Log,
    beside: list[_Beside],
    evaluation: str,
    model: tuple[str, str | None],
    cohort: tuple[str, str],
) -> tuple[tuple[ProfileTried, ...], tuple[ProfileTried, ...]]:
    """Return the profiles tried on this evaluation and on others of its model and cohort."""
    here: dict[str, ProfileTried] = {}
    elsewhere: dict[tuple[str, str], ProfileTried] = {}

    def note(where: str, profile: ProfileTried) -> None:
        if where == evaluation:
            here.setdefault(profile.sha256, profile)
        elif profile.bounds:
            elsewhere[where, profile.sha256] = profile.model_copy(update={"evaluation": where})

    for line in log.lines:
        same = (line.cohort_digest, line.split) == cohort
        same = same and _same_model((line.model, line.weights_sha256), model)
        if line.profile is not None and same:
            note(line.evaluation, line.profile)
    for one in beside:
        if one.cohort == cohort and _same_model((one.model, one.weights), model):
            for profile in profiles_tried(list(_verdicts(one.folder))):
                note(one.evaluation, profile)
    others = tuple(one for one in elsewhere.values() if one.sha256 not in here)
    return tuple(here.values()), others


def _same_model(one: tuple[str, str | None], other: tuple[str, str | None]) -> bool:
    """Whether two models are the same: by their weights, where both are known."""
    if one[1] is not None and other[1] is not None:
        return one[1] == other[1]
    return one[0] == other[0]


def _verdicts(folder: Path) -> Iterator[Verdict]:
    for path in verdict_paths(folder):
        try:
            yield read_verdict(path).verdict
        except InputError:
            continue  # told where that evaluation is read
