"""Examining finished images needs nothing that an extra brings; what needs one says so."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.extras import EXTRAS, how_to_install
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.images import write_image
from tests.conftest import ROOT
from tests.record_factory import make_record

HOMES = {  # where a package may be imported as soon as its module is
    "SimpleITK": (),
    "dask": ("qa_suite/core/executors",),
    "distributed": ("qa_suite/core/executors",),
    "mlflow": ("qa_suite/instruments/pyfunc_model.py", "translators/registry/pyfunc_model.py"),
    "pydosert": ("qa_suite/dose/photons/pencils.py",),
    "streamlit": ("reports/dashboard", "qa_suite/cli/dashboard"),
    "torch": (
        "qa_suite/dose/photons/pencils.py",
        "qa_suite/instruments/encoder.py",
        "qa_suite/learning",
        "translators",
    ),
}
REFUSING = """
import sys
from qa_suite.core.extras import EXTRAS

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {*EXTRAS, "cv2", "rt_utils"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refusing())
from qa_suite.cli import run
for words in VERBS:
    print("RC", words[0], run(words), flush=True)
"""


def at_import(tree):
    """Yield the packages that a module imports when it is imported itself."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        yield from at_import(node)


def test_no_module_outside_their_homes_imports_what_an_extra_brings():
    found = []
    for room in ("qa_suite", "translators", "reports"):
        for path in sorted((ROOT / room).rglob("*.py")):
            where = path.relative_to(ROOT).as_posix()
            for package in at_import(ast.parse(path.read_text())):
                if package in EXTRAS and not where.startswith(HOMES.get(package, ()) or ("-",)):
                    found.append(f"{where} imports {package}")
    assert not found


def test_every_extra_that_a_sentence_names_brings_its_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    plain = lambda text: re.split(r"[\s<>=!\[;]", text)[0].lower().replace("-", "_")  # noqa: E731

    def brought(name):
        for one in extras[name]:
            if plain(one) == "qa_suite":
                for other in one.split("[")[1].rstrip("]").split(","):
                    yield from brought(other)
            else:
                yield plain(one)

    base = {plain(one) for one in project["dependencies"]}
    for package, extra in EXTRAS.items():
        if package != "dask":  # comes with distributed
            assert package.lower() in set(brought(extra)), package
        assert package.lower() not in base
        assert f"qa-suite[{extra}]" in how_to_install(package)
    jobs = {"dashboard", "dose", "images", "pdf", "track", "train"}
    assert {one for name in jobs for one in brought(name)} == set(brought("all"))


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> Path:
    """A pair of images, two doses and a record."""
    folder = tmp_path_factory.mktemp("bare")
    grid = Grid(shape=(24, 24, 8), spacing_mm=(4.0, 4.0, 5.0))
    i, j, _ = np.indices(grid.shape)
    inside = (i - 12) ** 2 + (j - 12) ** 2 < 81
    noise = np.random.default_rng(1).normal(0, 15, (2, *grid.shape))
    for name, values, quantity in (
        ("ct", np.where(inside, 40 + noise[0], -1000), "HU"),
        ("sct", np.where(inside, 45 + noise[1], -1000), "HU"),
        ("dose", np.where(inside, 50.0, 1.0), "Gy"),
        ("dose2", np.where(inside, 50.5, 1.0), "Gy"),
    ):
        volume = Volume(array=values.astype(np.float32), grid=grid, quantity=quantity)
        write_image(volume, folder / f"{name}.nii.gz")
    make_record(folder / "record")
    return folder


def test_the_base_measures_compares_doses_judges_and_reports(places):
    """In a process of its own, since packages that were imported before cannot be refused."""
    ct, sct, one, two = (str(places / f"{n}.nii.gz") for n in ("ct", "sct", "dose", "dose2"))
    record = str(places / "record")
    verbs = [
        ["measure", ct, sct, "--families", "image"],
        ["gamma", one, two],
        ["judge", record, "--profile", "descriptive"],
        ["report", record, "--profile", "descriptive"],
        ["report", record, "--profile", "descriptive", "--formats", "pdf"],
        ["dashboard", "--headless"],
    ]
    code = f"VERBS = {verbs!r}\n{REFUSING}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=places, timeout=240
    )
    found = re.findall(r"^RC (\w+) (\d)$", done.stdout, flags=re.M)
    expected = [("measure", "0"), ("gamma", "0"), ("judge", "1"), ("report", "0")]
    assert found[:4] == expected, done.stderr[-2000:]
    assert (places / "record" / "report.html").is_file()
    assert found[4:] == [("report", "2"), ("dashboard", "2")], done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert 'qa-suite[pdf]"' in done.stderr
    assert 'qa-suite[dashboard]"' in done.stderr
