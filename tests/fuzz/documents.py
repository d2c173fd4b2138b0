"""What is spoilt of texts, tables and weights: YAML, JSON, CSV, parquet, safetensors, npz, pt."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from qa_suite.checkup.log import read_log as read_check_ups
from qa_suite.cli.evaluate_options import EvaluateOptions
from qa_suite.cli.options import read_options
from qa_suite.core.cohort import load_cohort
from qa_suite.core.examination_log import LOG_FILE, LogLine, append, read_log
from qa_suite.core.locks import lock_identifier, read_lock
from qa_suite.core.model_files import ModelFiles
from qa_suite.core.record_files import (
    read_cases,
    read_curves,
    read_evaluation,
    read_measurements,
    write_model,
)
from qa_suite.core.record_names import CASES_FILE, CURVES_FILE, EVALUATION_FILE, MEASUREMENTS_FILE
from qa_suite.core.records.lock import Lock
from qa_suite.core.tensor_files import read_arrays, read_safetensors, read_state_dict
from qa_suite.core.verdict_files import overall
from qa_suite.dose.dvh.goals import load_goals
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.machines.photon import load_photon_machine
from qa_suite.dose.machines.proton import load_machine
from qa_suite.dose.plan.template import load_template
from qa_suite.evaluation.profiles import load_profile
from qa_suite.evaluation.registered import _facts
from qa_suite.instruments.files import describe
from qa_suite.io.layouts.layouts import Query, list_table
from qa_suite.judging.history import _evaluations_beside
from tests.fuzz.mutations import (
    Rng,
    either,
    spoilt_bytes,
    spoilt_json,
    spoilt_json_lines,
    spoilt_lines,
    spoilt_yaml,
)
from tests.fuzz.subject import Subject
from tests.record_factory import make_record
from tests.tiny_cohort import make_tiny_cohort
from translators.base import load as load_translator
from translators.spec import load_spec

ROOT = Path(__file__).parent.parent.parent
SHIPPED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "profile": ("qa_suite/judging/criteria/demo-pelvis.yaml", load_profile),
    "specification": ("translators/configs/regression-demo.yaml", load_spec),
    "HLUT": ("qa_suite/dose/hlut/shipped/schneider-2000.yaml", load_hlut),
    "photon machine": ("qa_suite/dose/machines/shipped/varian_10MV.yaml", load_photon_machine),
    "proton machine": ("qa_suite/dose/machines/shipped/proton-generic.yaml", load_machine),
    "plan template": ("qa_suite/dose/plan/shipped/photon-pelvis.yaml", load_template),
}
GOALS = '- {structure: Lung, goal: "V20Gy <= 35 %", source: "QUANTEC"}\n' * 2
SETTINGS = "workers: 1\nsplit: test\nkeep_volumes: worst\n"
TABLE = (
    "source,reference,mask,patient,site,structures\na.nii,b.nii,,p1,A,GTV=g.nii\nc.nii,,,p2,B,\n"
)
CHECK_UPS = (
    "time,case,evaluation,metric,region,variant,unit,value,outside,model\n"
    "2026-01-01,a,e,mae,body,default,HU,12.5,False,m\n"
    "2026-01-02,b,e,mae,body,default,HU,>=10,True,m\n"
)
HLUT_TEXT = "HU;rho\n-1000;0.001\n0;1.0\n1000;1.6\n"


def yaml_subjects() -> Iterator[Subject]:
    """Yield what people write, and manifests."""
    for name, (source, read) in SHIPPED.items():
        yield Subject(
            name=f"YAML: {name}",
            make=functools.partial(_copied, ROOT / source),
            file="a.yaml",
            spoil=spoilt_yaml,
            read=functools.partial(_of_file, read, "a.yaml"),
        )
    texts = {"goals": (GOALS, load_goals), "settings": (SETTINGS, _settings)}
    for name, (text, read) in texts.items():
        yield Subject(
            name=f"YAML: {name}",
            make=functools.partial(_written, text, "a.yaml"),
            file="a.yaml",
            spoil=spoilt_yaml,
            read=functools.partial(_of_file, read, "a.yaml"),
        )
    yield Subject(
        name="YAML: manifest",
        make=lambda folder: _none(make_tiny_cohort(folder, "ts")),
        file="manifest.yaml",
        spoil=spoilt_yaml,
        read=lambda folder: load_cohort(folder).digest,
    )


def json_subjects() -> Iterator[Subject]:
    """Yield records, verdicts, logs, locks and what lies beside weights."""
    record = functools.partial(Subject, make=_record, spoil=spoilt_json)
    yield record(name="JSON: evaluation", file=EVALUATION_FILE, read=_record_of, digested=True)
    yield record(
        name="JSON: evaluation beside",
        file=EVALUATION_FILE,
        read=lambda folder: list(_evaluations_beside(folder)),
    )
    yield record(name="JSON: verdict", file="verdicts/verdict-0001.json", read=overall)
    yield Subject(
        name="JSON: lock",
        make=_lock,
        file="lock.json",
        spoil=spoilt_json,
        read=lambda folder: read_lock(folder / "lock.json"),
    )
    yield Subject(
        name="JSON: log of examinations",
        make=_log,
        file=LOG_FILE,
        spoil=spoilt_json_lines,
        read=lambda folder: read_log(folder / LOG_FILE).problems,
    )
    for name, file, read in (
        ("specification of a model", "spec.json", load_translator),
        ("training facts", "training.json", training_facts),
        ("instrument", "instrument.json", describe),
    ):
        yield Subject(
            name=f"JSON: {name}", make=_model, file=file, spoil=spoilt_json, read=read
        )  # fmt: skip


def training_facts(folder: Path) -> object:
    files = ModelFiles(uri="runs:/a", folder=folder, version=None, registered=None, kind="models")
    return _facts(files)


def table_subjects() -> Iterator[Subject]:
    """Yield tables of people, of the suite, and weights."""
    lines = either(spoilt_bytes, functools.partial(spoilt_lines, parted_by=b","))
    texts: dict[str, tuple[str, str, Callable[[Path], object]]] = {
        "pairs": (TABLE, "a.csv", _pairs),
        "check-ups": (CHECK_UPS, "a.csv", read_check_ups),
        "HLUT": (HLUT_TEXT, "a.csv", lambda path: load_hlut(f"red:{path}")),
    }
    for name, (text, file, read) in texts.items():
        yield Subject(
            name=f"CSV: {name}",
            make=functools.partial(_written, text, file),
            file=file,
            spoil=lines,
            read=functools.partial(_of_file, read, file),
        )
    tables: dict[str, Callable[[Path], object]] = {
        MEASUREMENTS_FILE: read_measurements,
        CASES_FILE: read_cases,
        CURVES_FILE: read_curves,
    }
    for file, read_table in tables.items():
        name = f"parquet: {file.partition('.')[0]}"
        yield Subject(name=name, make=_record, file=file, spoil=spoilt_table, read=read_table)
        yield Subject(
            name=f"{name} of a record",
            make=_record,
            file=file,
            spoil=spoilt_table,
            read=_record_of,
            digested=True,
        )
    weights: dict[str, tuple[str, Callable[[Path], object]]] = {
        "safetensors": ("weights.safetensors", read_safetensors),
        "npz": ("a.npz", read_arrays),
        "pt": ("a.pt", read_state_dict),
    }
    for name, (file, read) in weights.items():
        yield Subject(
            name=name,
            make=_model,
            file=file,
            spoil=spoilt_bytes,
            read=functools.partial(_of_file, read, file),
        )


def spoilt_table(data: bytes, rng: Rng) -> bytes:
    """Spoil bytes, or columns: another kind, another name, none at all, other values."""
    if rng.random() < 0.6:
        return spoilt_bytes(data, rng)
    frame = pd.read_parquet(io.BytesIO(data))
    column = frame.columns[int(rng.integers(len(frame.columns)))]
    match int(rng.integers(0, 6)):
        case 0:
            frame = frame.drop(columns=column)
        case 1:
            frame = frame.rename(columns={column: "renamed"})
        case 2:
            frame[column] = frame[column].astype(str)
        case 3:
            frame[column] = [[1, "a", 0.5, True][int(rng.integers(4))]] * len(frame)
        case 4:
            frame[column] = None
        case _:
            frame = frame.iloc[: int(rng.integers(0, 3))]
    stream = io.BytesIO()
    frame.to_parquet(stream)
    return stream.getvalue()


def _none(_: object) -> None:
    """Return nothing of what a writer returns."""


def _of_file(read: Callable[[Path], object], file: str, folder: Path) -> object:
    return read(folder / file)


def _copied(source: Path, folder: Path) -> None:
    shutil.copy(source, folder / "a.yaml")


def _written(text: str, file: str, folder: Path) -> None:
    (folder / file).write_text(text)


def _settings(path: Path) -> object:
    return read_options(EvaluateOptions, {"cohort": path.parent, "out": path.parent}, path)


def _pairs(path: Path) -> object:
    return list_table(path, Query(source_modality="MR", reference_modality="CT"))


def _record(folder: Path) -> None:
    make_record(folder, keep=False)


def _record_of(folder: Path) -> object:
    evaluation = read_evaluation(folder)
    table = pd.util.hash_pandas_object(read_measurements(folder).astype(str)).to_numpy()
    return evaluation.evaluation, hashlib.sha256(table.tobytes()).hexdigest()


def _log(folder: Path) -> None:
    line = LogLine(what="examined", at="now", cohort="a", cohort_digest="b", split="test")
    for _ in range(3):
        append(folder / LOG_FILE, line)


def _lock(folder: Path) -> None:
    lock = Lock(
        lock="",
        profile=load_profile("demo-pelvis"),
        cohort="a",
        cohort_digest="b",
        split="test",
        settings={"a": 1},
        suite_version="0",
        git_commit=None,
        git_dirty=None,
        written="now",
        written_by=None,
        person_from="unknown",
    )
    name = lock_identifier(lock.model_dump(mode="json"))
    write_model(folder / "lock.json", lock.model_copy(update={"lock": name}))


def _model(folder: Path) -> None:
    """Write a translator, the facts of its training, an instrument's, and arrays."""
    import torch

    from translators.base import create

    translator = create(load_spec("intensity"))
    translator.set_weights({"edges": np.arange(65.0), "values": np.arange(64.0)})
    training = {
        "weights_sha256": translator.save(folder),
        "sites": ["A"],
        "data_digest": "d",
        "patients": ["p"],
        "voxel_hashes": ["v"],
        "fingerprints": ["f"],
        "spec": {"name": "n", "family": "intensity", "direction": "MR->CT"},
    }
    (folder / "training.json").write_text(json.dumps(training))
    instrument = {"kind": "segmenter", "facts": {"name": "a", "weights_sha256": "0" * 64}}
    (folder / "instrument.json").write_text(json.dumps(instrument))
    np.savez(folder / "a.npz", a=np.arange(6.0), facts=np.array("{}"))
    torch.save({"a": torch.arange(6), "b": {"c": [1, 2.0, "d"]}}, folder / "a.pt")
