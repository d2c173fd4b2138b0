"""Audits and comparisons in MLflow: a run each, linked to the models and cohorts they speak of.

As an evaluation's, what is to be told is noted in the outbox of the folder first, and sent now or
when the store answers: a server that is away costs nothing but the wait for it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from qa_suite.audit.asked import key_of
from qa_suite.audit.audit import AUDIT_FILE
from qa_suite.audit.compare import COMPARISON_FILE
from qa_suite.core.outbox.file import Outbox
from qa_suite.core.outbox.lines import Begin, Operation
from qa_suite.core.outbox.runs import in_batches, made_by
from qa_suite.core.outbox.sending import Sent, send
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.records import Audit, Comparison, Evaluation
from qa_suite.core.store import metric_name
from qa_suite.judging.patient_values import Measure

AUDITS, COMPARISONS = "audits", "comparisons"
RECORD_PATH = "record"
_BATCH = 500  # metrics in one call
Told = tuple[str, Any]
Figure = tuple[str, float]


def log_audit(found: Audit, folder: Path, evaluations: Sequence[Path], *, page: Path) -> Sent:
    """Log an audit as a run of the experiment ``audits``; the same audit again updates its run.

    Parameters
    ----------
    found
        As it was written into the folder.
    folder
        Of the audit; its outbox holds what was not sent.
    evaluations
        Folders of what was audited: their models and cohorts are linked.
    page
        The audit's page, in the folder.

    Returns
    -------
    Sent
        What came of it.

    Raises
    ------
    InputError
        If an evaluation cannot be read or the outbox cannot be written; the audit stays whole.
    """
    tags = {
        "qa.kind": "audit",
        "qa.audit": found.audit,
        "qa.outcome": found.outcome,
        "qa.sentence": found.sentence,
        "qa.model": found.model_uri,
        "qa.profile": found.profile,
        "qa.evaluations": ", ".join(one.evaluation for one in found.evaluations),
    }
    parameters = {
        "profile_sha256": found.profile_sha256,
        "weights_sha256": found.weights_sha256 or "none",
        "training_sites": ", ".join(found.training_sites) or "none",
        "primary": ", ".join(_key(one) for one in found.measures if one.primary) or "none",
        "confidence": f"{found.confidence:g}",
        "suite_version": found.suite_version,
    }
    begin = _begin("qa.audit", found.audit, AUDITS, f"{found.model} over hospitals")
    records = [read_evaluation(one) for one in evaluations]
    told = _told(
        tags, parameters, records, "audit", list(_of_sites(found)), (AUDIT_FILE, page.name)
    )
    return _note_and_send(folder, begin, told)


def log_comparison(
    found: Comparison, folder: Path, evaluations: Sequence[Path], *, page: Path
) -> Sent:
    """Log a comparison as a run of the experiment ``comparisons``, as :func:`log_audit` does."""
    tags = {
        "qa.kind": "comparison",
        "qa.comparison": found.comparison,
        "qa.asked": found.asked,
        "qa.outcome": found.answer or "described",
        "qa.sentence": found.sentence,
        "qa.model": found.new.model_uri,
        "qa.model.old": found.old.model_uri,
        "qa.profile": found.profile,
        "qa.evaluations": f"{found.new.evaluation}, {found.old.evaluation}",
    }
    margins = [f"{_key(one)}={one.margin:g}" for one in found.findings if one.margin is not None]
    parameters = {
        "profile_sha256": found.profile_sha256,
        "primary": ", ".join(_key(one) for one in found.findings if one.primary) or "none",
        "margins": ", ".join(margins) or "none",
        "confidence": f"{found.confidence:g}",
        "suite_version": found.suite_version,
    }
    name = f"{found.new.model} against {found.old.model}"
    begin = _begin("qa.comparison", found.comparison, COMPARISONS, name)
    records = [read_evaluation(one) for one in evaluations]
    files = (COMPARISON_FILE, page.name)
    told = _told(tags, parameters, records, "comparison", list(_of_pairs(found)), files)
    return _note_and_send(folder, begin, told)


def _begin(key: str, identifier: str, experiment: str, name: str) -> Begin:
    return Begin(
        identity=(key, identifier),
        experiment=experiment,
        name=name,
        started=int(time.time() * 1000),
        tags=made_by(),
    )


def _told(
    tags: dict[str, str],
    parameters: dict[str, str],
    records: Sequence[Evaluation],
    role: str,
    figures: Sequence[Figure],
    files: Sequence[str],
) -> list[Told]:
    """Return all that is told of a record, its end last."""
    told: list[Told] = [*(("tags", part) for part in in_batches(tags)), ("params", parameters)]
    cohorts = {one.cohort.digest: one.cohort for one in records}
    for digest, cohort in cohorts.items():
        facts = {key: str(value) for key, value in cohort.model_dump(mode="json").items()}
        told.append(("dataset", [cohort.name, digest, role, facts]))
    runs = dict.fromkeys(one.model.mlflow_run_id for one in records)
    told += [("examined", [run]) for run in runs if run is not None]
    named = [(metric_name(name), value, 0, 0) for name, value in figures]
    told += [("metrics", named[n : n + _BATCH]) for n in range(0, len(named), _BATCH)]
    told += [("file", [name, RECORD_PATH]) for name in files]
    return [*told, ("status", ["FINISHED", int(time.time() * 1000)])]


def _note_and_send(folder: Path, begin: Begin, told: Sequence[Told]) -> Sent:
    operations = [Operation(id=uuid.uuid4().hex, kind=kind, what=what) for kind, what in told]
    with Outbox(folder) as outbox:
        outbox.begin(begin, operations)
        return send(outbox)


def _of_sites(found: Audit) -> Iterator[Figure]:
    """Yield mean and telling gap of the primary measures at each hospital."""
    primary = {_key(one) for one in found.measures if one.primary}
    for one in found.findings:
        if one.dimension != "site" or _key(one) not in primary:
            continue
        if one.estimate is not None:
            yield f"{one.cell}/{_key(one)}", one.estimate
        if one.telling_gap is not None:
            yield f"{one.cell}/gap.{_key(one)}", one.telling_gap.estimate


def _of_pairs(found: Comparison) -> Iterator[Figure]:
    """Yield both means and the difference of the primary measures, or of all where none is."""
    for one in [f for f in found.findings if f.primary] or found.findings:
        for what in ("new", "old", "difference"):
            value = getattr(one, what)
            if value is not None:
                yield f"{what}/{_key(one)}", value


def _key(one: Any) -> str:
    return key_of(Measure(metric=one.metric, region=one.region, variant=one.variant))
