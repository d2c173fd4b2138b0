"""Doses as clinics give them, and the verbs that take them: what each said and how it ended."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qa_suite.cli import run
from qa_suite.core.errors import QAError
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.clinic.given import parse_clinic_request, read_clinic_case
from tests.dicom_factory import rectangle, write_structures
from tests.rt_factory import write_dose

SHAPE = (12, 10, 8)
SPACING_MM = (2.0, 3.0, 4.0)
ORIGIN_MM = (-10.0, -20.0, -30.0)


def a_dose() -> np.ndarray:
    i, j, k = np.indices(SHAPE)
    return 60.0 * np.exp(-((i - 5) ** 2 + (j - 4) ** 2 + (k - 4) ** 2) / 30.0)


DOSE = a_dose()
Outcome = tuple[int, str]
Verb = Callable[..., Outcome]


@pytest.fixture
def said(capsys) -> Callable[[list[str]], Outcome]:
    """Run a command; its status, and what it says on both channels."""

    def ran(words: list[str]) -> Outcome:
        status = run(words)
        out, err = capsys.readouterr()
        return status, out + err

    return ran


def structures(folder: Path, **tags: object) -> Path:
    contours = [rectangle((-4, 6), (-14, -2), z) for z in (-22.0, -18.0, -14.0, -10.0)]
    write_structures(folder / "rs.dcm", {"PTV": contours}, **tags)
    return folder / "rs.dcm"


def volume(array: np.ndarray) -> Volume:
    grid = Grid(shape=array.shape, spacing_mm=SPACING_MM, origin_mm=ORIGIN_MM)
    return Volume(array=array.astype(np.float32), grid=grid, quantity="Gy")


def by_gamma(folder: Path, said, options: list[str]) -> Outcome:
    return said(["gamma", str(folder / "a"), str(folder / "b"), "--threads", "1", *options])


def by_dvh(folder: Path, said, options: list[str]) -> Outcome:
    where = folder / "b"
    tags = {}
    if (folder / "rs.tags").exists():
        tags = json.loads((folder / "rs.tags").read_text())
    return said(["dvh", str(where), str(structures(folder / "rs", **tags)), *options])


def by_clinic(folder: Path, said, options: list[str]) -> Outcome:
    """The doses of ``evaluate --clinic``, read as it reads them, with its option."""
    case = folder / "clinic" / "A-001"
    case.mkdir(parents=True, exist_ok=True)
    for name, role in (("a", "reference_dose"), ("b", "synthetic_dose")):
        place = folder / name
        for number, file in enumerate(sorted(place.iterdir())):
            ending = "".join(file.suffixes)
            (case / f"{role}{number or ''}{ending}").write_bytes(file.read_bytes())
    words = iter(options)
    texts = []
    for word in words:
        assert word == "--clinic-dose", f"evaluate has no {word} for doses"
        texts.append(next(words))
    try:
        found = read_clinic_case(folder / "clinic", "A-001", parse_clinic_request(texts))
    except QAError as error:
        return 2, str(error)
    return 0, "\n".join(found.history)


VERBS: dict[str, Verb] = {"gamma": by_gamma, "dvh": by_dvh, "evaluate --clinic": by_clinic}
PAIRS = ("gamma", "evaluate --clinic")


def write_pair(folder: Path, first: dict | None = None, second: dict | None = None) -> None:
    for name, tags in (("a", first or {}), ("b", second or {})):
        (folder / name).mkdir(parents=True, exist_ok=True)
        tags = dict(tags)
        dose = tags.pop("dose", DOSE)
        write_dose(folder / name / "d.dcm", dose, **tags)


ADVICE = re.compile(r"--(?!any-scale)[a-z][\w-]* (?!any-scale)[\w=,.-]*\w")


def advised(text: str) -> list[str]:
    """The options that a refusal recommends, with the values that only the user knows filled in."""
    found = ADVICE.findall(text.replace("`", ""))
    assert found, f"no way out in: {text}"
    words = shlex.split(" ".join(found))
    return [re.sub(r"\bGY\b", "1", word) for word in words]
