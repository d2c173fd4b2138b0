"""The same bytes whatever order sets come in: by the hash seed, by the source, by the threads."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.set_order import unordered
from tests.tiny_cohort import make_tiny_cohort

ROOT = Path(__file__).resolve().parent.parent

# What no order reaches, though a set or a listing of files is gone through: file -> why.
HARMLESS = {
    "qa_suite/cli/checks.py": "counts the cases that are done; the results are put in order after",
    "qa_suite/evaluation/cases.py": "counts the cases done; the entries are put in order after",
    "qa_suite/dose/machines/proton.py": "sorted after",
}

# What a second run writes differently: times, memory, the names that MLflow draws, and the digests
# of files and lines that hold a time.
TIMED = {
    "started",
    "finished",
    "seconds",
    "seconds_by_case",
    "peak_memory_mib",
    "costs",
    "costs_sha256",
    "mlflow_run_id",
    "model_digest",
}
# Of a time or of a file that holds one: left out where the value is a time or a digest indeed.
STAMPED = {
    "at",
    "before",
    "begun",
    "costs.parquet",
    "evaluation_sha256",
    "judged_at",
    "log_head",
    "previous",
    "verdict",
}
STAMP = re.compile(r"|[0-9a-f]{16,64}|\d{4}-\d\d-\d\dT[\d:.+]+")
TIMES_SAID = re.compile(
    r"[0-9a-f]{32}|(?<=[Vv]erdict )[0-9a-f]{8}|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\+00:00| UTC)?"
    r"|[\d.e+-]+( to [\d.e+-]+\))?\s(s|ms|MiB)\b"
)


def test_no_order_of_a_set_is_written_down():
    """In the source: a set, a listing of files or of finished threads is sorted, or only asked."""
    found = {}
    for room in ("qa_suite", "translators", "reports"):
        for path in sorted((ROOT / room).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            places = unordered(path.read_text())
            if places and name not in HARMLESS:
                found[name] = places
    assert found == {}


@pytest.mark.parametrize(
    ("source", "places"),
    [
        ("def f(a):\n    return ', '.join(set(a))", 1),
        ("def f(a):\n    b = {x for x in a}\n    return f'{b}'", 1),
        ("def f(a):\n    b = set(a) & set('x')\n    return [x for x in b]", 1),
        ("def f(p):\n    for q in p.glob('*'):\n        print(q)", 1),
        ("def f(a: frozenset[str]):\n    return {x: 1 for x in a}", 1),
        ("def f(a):\n    return tuple({*a} - {1})", 1),
        ("def f(a):\n    return sorted(x for x in set(a))", 0),
        ("def f(a):\n    return any(x for x in set(a)) or len({x for x in a}) > 1", 0),
        ("def f(p):\n    return sorted(p.rglob('*'))", 0),
        ("def f(a):\n    b = sorted(set(a))\n    return [x for x in b]", 0),
    ],
)
def test_the_search_finds_what_it_should(source, places):
    assert len(unordered(source)) == places


@pytest.fixture(scope="module")
def two(tmp_path_factory, _empty_database) -> list[Path]:
    """The whole path, run under two hash seeds."""
    top = tmp_path_factory.mktemp("seeds")
    make_tiny_cohort(top / "cohort", "ttvs")
    folders, running = [], []
    for seed in ("1", "2"):
        folder = top / seed / "run"
        shutil.copytree(top / "cohort", folder / "cohort")
        (folder / "mlruns").mkdir()
        shutil.copy(_empty_database, folder / "mlruns" / "mlflow.db")
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "100",
            "MLFLOW_TRACKING_URI": "sqlite:///mlruns/mlflow.db",
        }
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.determinism_worker"],
                cwd=folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        )
        folders.append(folder)
    for process in running:
        _, problem = process.communicate()
        assert process.returncode == 0, problem.decode()
    return folders


def untimed(found):
    """Return what a JSON file says without times and names that are drawn."""
    if isinstance(found, dict):
        registered = {"digest"} if "weights_sha256" in found else set()  # of MLflow's notes too
        return {
            key: untimed(value)
            for key, value in found.items()
            if key not in TIMED | registered
            and not (key in STAMPED and STAMP.fullmatch(str(value)))
        }
    return [untimed(one) for one in found] if isinstance(found, list) else found


def content(path: Path) -> object:
    if path.name == "costs.parquet":
        return pd.read_parquet(path).drop(columns=["value"]).to_csv()
    if path.suffix == ".jsonl":
        return json.dumps([untimed(json.loads(line)) for line in path.read_text().splitlines()])
    if path.suffix == ".json":
        return json.dumps(untimed(json.loads(path.read_text())))  # in the order of the file
    if path.suffix in (".html", ".txt"):
        return TIMES_SAID.sub("…", path.read_text())
    return path.read_bytes()


@pytest.mark.slow
def test_two_hash_seeds_give_the_same_files(two):
    one, other = ({p.relative_to(f) for p in f.rglob("*") if p.is_file()} for f in two)
    stored = {p for p in one | other if p.parts[0] == "mlruns"}
    assert one - stored == other - stored
    assert {Path("said.txt"), Path("out/evaluation.json"), Path("out/report.html")} <= one
    written = sorted(one - stored - {Path("progress.txt")})
    assert [p for p in written if content(two[0] / p) != content(two[1] / p)] == []


@pytest.mark.slow
def test_the_commands_did_what_they_should(two):
    said = (two[0] / "said.txt").read_text()
    codes = re.findall(r"^exit code (\d)$", said, flags=re.MULTILINE)
    assert len(codes) == 10
    assert set(codes[:3]) == {"0"} and codes[-1] == "2"
    assert "Unknown plan template" in (two[0] / "progress.txt").read_text()
