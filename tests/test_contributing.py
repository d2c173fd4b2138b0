"""CONTRIBUTING is run: its metric is put where it says, and is measured, listed and judged."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from qa_suite.core.record_files import read_evaluation, read_measurements
from qa_suite.core.records import Criterion, Profile
from qa_suite.judging.judge import judge

pytestmark = pytest.mark.timeout(900)  # a fresh clone compiles kernels here first

ROOT = Path(__file__).parent.parent
STEP = re.compile(r"`(?P<file>[\w/]+\.py)`:\n\n {3}```python\n(?P<code>.*?) {3}```", re.S)
COPIED = ("qa_suite", "translators", "reports", "tests", "docs", "benchmarks")
METRIC = "median_error"


def steps() -> dict[str, str]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## A new metric in ten minutes\n")[2].partition("\n## ")[0]
    return {m["file"]: textwrap.dedent(m["code"]) for m in STEP.finditer(section)}


def test_it_takes_one_entry_one_function_one_test_and_25_lines():
    found = steps()
    assert list(found) == ["qa_suite/metrics/image/by_region.py", "tests/test_measures_image.py"]
    assert sum(len(code.strip().splitlines()) for code in found.values()) <= 25


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    """A copy of the house after a newcomer did what CONTRIBUTING says."""
    there = tmp_path_factory.mktemp("house")
    for name in COPIED:
        shutil.copytree(ROOT / name, there / name, ignore=shutil.ignore_patterns("images", "data"))
    for name in ("pyproject.toml", "CONTRIBUTING.md"):
        shutil.copy2(ROOT / name, there / name)
    for name, code in steps().items():
        with (there / name).open("a", encoding="utf-8") as file:
            file.write(f"\n\n{code}")
    return there


def in_house(house: Path, *words: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(house)}
    done = subprocess.run(
        [sys.executable, *words], cwd=house, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def record(house, tmp_path_factory) -> tuple[Path, list[dict]]:
    """The record of a small evaluation with the new metric, and the list of metrics."""
    out = tmp_path_factory.mktemp("out")
    listed = in_house(house, "-m", "tests.new_metric_worker", str(out), "image")
    return out / "record", json.loads(listed)


def test_it_is_written_as_the_house_is(house):
    files = [str(house / name) for name in steps()]
    in_house(house, "-m", "ruff", "check", "--no-cache", *files)
    in_house(house, "-m", "ruff", "format", "--no-cache", "--check", *files)


def test_it_is_measured_in_every_region(record):
    rows = read_measurements(record[0])
    mine, known = (rows[rows["metric"] == name] for name in (METRIC, "mae"))
    assert len(mine) and set(mine["region"]) == set(known["region"])
    measured = mine[mine["status"] == "ok"]
    assert {"body", "soft", "bone", "shell:0-5mm"} <= set(measured["region"])
    assert measured["value"].to_numpy() == pytest.approx(7, abs=1e-3)
    assert set(mine["unit"]) == {"HU"}


def test_it_is_listed_and_defined(record):
    folder, listed = record
    (entry,) = [entry for entry in listed if entry["name"] == METRIC]
    assert entry["unit"] == "unit of the reference"
    defined = read_evaluation(folder).definitions[METRIC]
    assert defined == {k: v for k, v in entry.items() if k != "name"} | {"unit": "HU"}


@pytest.mark.parametrize(("bound", "outcome"), [(10, "pass"), (5, "fail")])
def test_a_profile_judges_it(record, bound, outcome):
    criterion = Criterion(
        name="no bias",
        metric=METRIC,
        region="soft",
        bound=bound,
        direction="within",
        unit="HU",
        scope="worst_patient",  # every patient has the same bias, so that a mean has no interval
        min_patients=3,
        source="Local decision",
    )
    profile = Profile(
        name="own",
        version="1",
        direction="any",
        anatomy="any",
        intended_use="a test",
        criteria=(criterion,),
    )
    (found,) = [f for f in judge(record[0], profile).findings if f.criterion == criterion]
    assert found.outcome == outcome


def test_no_other_file_is_asked_for(house):
    """Its own test, and those over everything registered that need nothing else to be compiled."""
    tests = ("test_measures_image.py", "test_measures_empty.py", "test_metrics_page.py")
    in_house(
        house,
        *("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
        *(f"tests/{name}" for name in tests),
    )
    assert f"| `{METRIC}` |" in (house / "docs" / "metrics.md").read_text(encoding="utf-8")
