"""Spoilt files of every format are read or refused in a sentence; ``make fuzz`` reads many more."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.mutations import spoilt_bytes
from tests.fuzz.run import read_many, run, subjects
from tests.fuzz.subject import Subject

SEED = 17
INPUTS = 250
SLOW = {
    "heavy": 20,
    "parquet": 20,
    "specification": 40,
    "profile": 80,
    "manifest": 80,
    "machine": 80,
    "template": 80,
    "evaluation": 60,
    "verdict": 60,
    "training": 80,
    "cohort": 80,
    "CT": 80,
    "MR": 80,
    "PET": 80,
    "RT Ion Plan": 60,
    "RTPLAN": 60,
    "RT": 120,
}
"""Fewer of what takes longest to read; a part of the name decides."""
SUBJECTS = subjects()


def inputs_of(name: str) -> int:
    return next((fewer for part, fewer in SLOW.items() if part in name), INPUTS)


@pytest.fixture(autouse=True)
def own_signals():
    kept = {number: signal.getsignal(number) for number in (signal.SIGPROF, signal.SIGALRM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_spoilt_file_is_read_or_refused(tmp_path, name):
    numbers = range(inputs_of(name))
    found = dict(read_many(SUBJECTS[name], SEED, numbers, tmp_path / "a"))
    faults = {number: what for number, what in found.items() if ":" in what}
    assert not faults
    assert "refused" in found.values() or "log" in name or "beside" in name


def _careless(folder: Path) -> object:
    data = (folder / "a").read_bytes()
    if data[:4] == b"hang":
        while True:
            pass
    return data.decode("ascii")


def test_what_a_careless_parser_does_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.run.SECONDS", 0.3)
    inputs = iter([b"whole", b"\xff", b"hang", b"other"])

    def spoil(data: bytes, rng: np.random.Generator) -> bytes:
        return next(inputs)

    next(inputs)
    careless = Subject(
        name="careless",
        make=lambda folder: (folder / "a").write_bytes(b"whole"),
        file="a",
        spoil=spoil,
        read=_careless,
        digested=True,
    )
    (_, untyped), (_, hang), (_, silent) = read_many(careless, 1, range(3), tmp_path / "a")
    assert untyped.startswith("untyped: UnicodeDecodeError in test_fuzz.py")
    assert hang.startswith("hang")
    assert silent.startswith("silent")


def test_the_same_seed_spoils_alike():
    data = bytes(range(200))
    first, second = (spoilt_bytes(data, np.random.default_rng(3)) for _ in range(2))
    assert first == second != data


def test_the_long_run_counts_in_processes_of_its_own():
    found = run(20, SEED, ["CSV: HLUT"], workers=2)
    assert found["CSV: HLUT"].total() == 20
