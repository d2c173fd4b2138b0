"""A bundle on disk: one small file with a stripped record, its facts and a signature."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from qa_suite.bundles.stripped import Keys, Stripped, strip
from qa_suite.core.errors import InputError, Problems
from qa_suite.core.examination_log import log_beside, read_log
from qa_suite.core.json_files import parse_json_model
from qa_suite.core.plain_files import read_bytes
from qa_suite.core.record_files import (
    CASES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    read_cases,
    read_evaluation,
    read_measurements,
    write_model,
    write_table,
)
from qa_suite.core.records import CaseRecord, Measurement
from qa_suite.core.records.measurement import STRICT
from qa_suite.core.records.signature import BundleFacts, Signed
from qa_suite.core.verdict_files import overall
from qa_suite.core.whole_files import replacing

BUNDLE_FILE = "bundle.json"
ENDING = ".qabundle"
SHORTEST_SALT = 32
_FILES = (EVALUATION_FILE, CASES_FILE, MEASUREMENTS_FILE)
_MOST_BYTES = 512 << 20
_MOST_UNPACKED = 2 << 30
_ALWAYS = (1980, 1, 1, 0, 0, 0)
"""Date of every file in a bundle: the earliest that the format knows."""


class JudgedBy(BaseModel):
    """A verdict that stands at the hospital."""

    model_config = STRICT

    verdict: str
    profile: str
    profile_sha256: str
    outcome: str
    protocol: str = Field(description="locked, not locked, locked after the fact or broken")
    lock: str = ""


class SuppressedFact(BaseModel):
    """A fact that too few patients of a hospital shared, and how many lost it."""

    model_config = STRICT

    site: str
    fact: str
    patients: int


class Bundle(BaseModel):
    """What a bundle says of itself."""

    model_config = STRICT

    schema_version: Literal[1] = 1
    evaluation: str = Field(description="identifier of the hospital's own record")
    evaluation_sha256: str
    study: str = Field(description="alike in bundles of one study key; empty: a key of its own")
    small_below: int
    suppressed: tuple[SuppressedFact, ...] = ()
    verdicts: tuple[JudgedBy, ...] = ()
    log_head: str = ""
    files: dict[str, str] = Field(description="file to its SHA-256")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A bundle that was unpacked: its facts, its signature, and the folder of the record."""

    path: Path
    bundle: Bundle
    signed: Signed
    folder: Path


def read_study_key(path: Path) -> bytes:
    """Read the key that the hospitals of a study share.

    Raises
    ------
    InputError
        If it is shorter than 32 bytes.
    """
    key = read_bytes(path, most_bytes=1 << 16).strip()
    if len(key) < SHORTEST_SALT:
        raise InputError(
            f"The study key {path} has {len(key)} bytes; at least {SHORTEST_SALT} random ones are "
            f"needed, such as 'head -c 32 /dev/urandom | base64' writes."
        )
    return key


def prepare(folder: Path, study_key: bytes | None, *, small_below: int) -> tuple[Stripped, str]:
    """Strip an evaluation; return it and the sign of its study, empty without a shared key."""
    evaluation = read_evaluation(folder)
    keys = Keys(study_key if study_key is not None else secrets.token_bytes(SHORTEST_SALT))
    stripped = strip(
        evaluation, read_measurements(folder), read_cases(folder), keys, small_below=small_below
    )
    return stripped, "" if study_key is None else keys.study


def pack(folder: Path, stripped: Stripped, study: str, *, small_below: int) -> dict[str, bytes]:
    """Return the files of a bundle by name, all but the signature."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        tables = {
            MEASUREMENTS_FILE: write_table(
                place / MEASUREMENTS_FILE, stripped.measurements, Measurement
            ),
            CASES_FILE: write_table(place / CASES_FILE, stripped.cases, CaseRecord),
        }
        evaluation = stripped.evaluation.model_copy(update={"tables_sha256": tables})
        write_model(place / EVALUATION_FILE, evaluation)
        files = {name: (place / name).read_bytes() for name in _FILES}
    bundle = Bundle(
        evaluation=read_evaluation(folder).evaluation,
        evaluation_sha256=_sha256(read_bytes(folder / EVALUATION_FILE)),
        study=study,
        small_below=small_below,
        suppressed=tuple(SuppressedFact.model_validate(vars(one)) for one in stripped.suppressed),
        verdicts=_verdicts(folder),
        log_head=read_log(log_beside(folder)).head,
        files={name: _sha256(content) for name, content in files.items()},
    )
    text = json.dumps(bundle.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
    return {BUNDLE_FILE: text.encode() + b"\n", **files}


def facts_of(
    files: dict[str, bytes], *, name: str, role: str, at: str, comment: str
) -> BundleFacts:
    """Return what is signed of a bundle."""
    bundle = parse_json_model(files[BUNDLE_FILE], Bundle, BUNDLE_FILE)
    return BundleFacts(
        name=name,
        role=role,
        at=at,
        comment=comment,
        log_head=bundle.log_head,
        evaluation=bundle.evaluation,
        bundle_sha256=_sha256(files[BUNDLE_FILE]),
    )


def write_bundle(path: Path, files: dict[str, bytes], signed: Signed) -> Path:
    """Write a bundle; the same content gives the same bytes."""
    everything = {**files, "signature.json": signed.model_dump_json(indent=2).encode() + b"\n"}
    with replacing(path) as draft, zipfile.ZipFile(draft, "w") as archive:
        for name in sorted(everything):
            entry = zipfile.ZipInfo(name, date_time=_ALWAYS)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, everything[name])
    return path


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[tuple[Opened, ...]]:
    """Unpack bundles into a folder that is gone afterwards.

    Raises
    ------
    Problems
        With every file that is no bundle, or was changed after it was made.
    """
    with tempfile.TemporaryDirectory() as scratch:
        found, problems = [], []
        for number, path in enumerate(paths):
            try:
                found.append(_unpack(Path(path), Path(scratch) / str(number)))
            except Problems as error:
                problems.append(f"{path}: {'; '.join(error.problems)}")
            except InputError as error:
                problems.append(str(error).rstrip("."))
        if problems:
            raise Problems("The bundles", problems)
        yield tuple(found)


def _unpack(path: Path, folder: Path) -> Opened:
    content = read_bytes(path, most_bytes=_MOST_BYTES)
    wanted = {BUNDLE_FILE, "signature.json", *_FILES}
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if sorted(names) != sorted(wanted):
                raise InputError(f"{path} is no bundle: it does not hold the files of one.")
            if sum(entry.file_size for entry in entries) > _MOST_UNPACKED:
                raise InputError(f"{path} is no bundle: it is too large once unpacked.")
            for entry in entries:
                with archive.open(entry) as stream:
                    files[entry.filename] = stream.read(entry.file_size + 1)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        raise InputError(f"{path} is no bundle ({error}).") from None
    except Exception as error:  # of a stream that is none, whatever its library raises
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no bundle ({type(error).__name__}).") from None
    bundle = parse_json_model(files[BUNDLE_FILE], Bundle, f"{path}, {BUNDLE_FILE}")
    signed = parse_json_model(files["signature.json"], Signed, f"{path}, signature.json")
    changed = [name for name in _FILES if _sha256(files[name]) != bundle.files.get(name)]
    statement = signed.statement
    if not isinstance(statement, BundleFacts):
        changed.append("signature.json")
    elif statement.bundle_sha256 != _sha256(files[BUNDLE_FILE]):
        changed.append(BUNDLE_FILE)
    if changed:
        raise InputError(f"{path} was changed after it was made: {', '.join(changed)}.")
    folder.mkdir()
    for name in _FILES:
        (folder / name).write_bytes(files[name])
    return Opened(path=path, bundle=bundle, signed=signed, folder=folder)


def _verdicts(folder: Path) -> tuple[JudgedBy, ...]:
    found = []
    for one in overall(folder).standing:
        evidence = one.verdict.evidence
        found.append(
            JudgedBy(
                verdict=one.identifier,
                profile=f"{one.verdict.profile.name} {one.verdict.profile.version}",
                profile_sha256=one.verdict.profile_sha256,
                outcome=one.outcome,
                protocol="not locked" if evidence is None else evidence.protocol.state,
                lock="" if evidence is None else evidence.protocol.lock,
            )
        )
    return tuple(found)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
