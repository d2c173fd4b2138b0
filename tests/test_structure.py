"""The promises that the structure makes, each broken on purpose to see that somebody notices."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MANY = 8  # parameters: more than a reader keeps in the head
PACKAGES = ("qa_suite", "translators", "reports")
ROOMS = (*PACKAGES, "tests", "benchmarks")
LINES = 400  # of a file: more than a reader holds in view

BREACHES = {
    "The audit reads the record": ("qa_suite/audit/breach.py", "import qa_suite.imaging.body"),
    "Judging knows the core alone": ("qa_suite/judging/breach.py", "import qa_suite.metrics.run"),
    "Imports point down": ("qa_suite/core/breach.py", "import qa_suite.io.images"),
    "Only the command knows": ("qa_suite/evaluation/breach.py", "import translators.base"),
    "The examined never sees": ("translators/breach.py", "import qa_suite.judging.judge"),
    "Reports read the record": ("reports/breach.py", "import qa_suite.metrics.run"),
    "Only io touches": ("qa_suite/metrics/breach.py", "import pydicom"),
}


def module_files() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules of the project that a file imports, for its types alone or at all."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            parts = {f"{node.module}.{alias.name}" for alias in node.names} & set(known)
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= parts | (set() if parts == names else {node.module})
    return found & set(known)


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    known = module_files()
    return {name: imports_of(path, known) - {name} for name, path in known.items()}


def test_no_import_goes_in_a_circle(graph):
    list(TopologicalSorter(graph).static_order())  # a CycleError names the circle


@pytest.mark.parametrize("room, below", [("judging", {"core"}), ("audit", {"core", "judging"})])
def test_all_that_judging_and_the_audit_need_is_below_them(graph, room, below):
    reached, ahead = set(), [name for name in graph if name.startswith(f"qa_suite.{room}")]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += graph[name]
    rooms = {".".join(name.split(".")[:2]) for name in reached - {"qa_suite"}}  # its version
    assert rooms == {f"qa_suite.{name}" for name in {room, *below}}


def contracts(folder: Path) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_every_contract_notices_its_breach(copy):
    for path, line in BREACHES.values():
        (copy / path).write_text(f'"""A breach."""\n\n{line}\n')
    told = contracts(copy)
    for promise, (path, line) in BREACHES.items():
        breach = path.removesuffix(".py").replace("/", ".")
        assert f"{breach} -> {line.split()[1]}" in told, (promise, told)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["qa_suite/loose.py", "qa_suite/room/__init__.py"])
def test_a_room_that_no_contract_lists_is_noticed(copy, path):
    (copy / path).parent.mkdir(exist_ok=True)
    (copy / path).write_text('"""A room that nobody listed."""\n\nimport math\n')
    told = contracts(copy)
    assert "0 broken" not in told, told
    assert Path(path).parts[1].removesuffix(".py") in told


def test_nothing_but_registered_models_uses_the_former_places():
    known = module_files()
    users = {
        name: used
        for name, path in known.items()
        if (used := imports_of(path, known) & {"qa_suite.errors", "qa_suite.volume"})
    }
    assert users == {}


def test_every_room_stands_in_the_table_of_contributing():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = [p.parent for p in (ROOT / "qa_suite").glob("*/__init__.py")]
    assert rooms
    for room in rooms:
        assert f"`qa_suite/{room.name}`" in page, room.name


def test_every_place_that_contributing_names_is_there():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`((?:qa_suite|reports|docs)/[\w./]*)`", page))
    assert len(named) > 20
    assert [place for place in sorted(named) if not (ROOT / place).exists()] == []


def test_no_file_is_longer_than_a_reader_holds_in_view():
    files = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    assert len(files) > 500
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in files}
    assert {name: lines for name, lines in lengths.items() if lines > LINES} == {}


def test_every_file_of_tests_that_is_named_is_there():
    pages = [page for page in ROOT.iterdir() if page.suffix in {"", ".md", ".toml"}]
    for room in (*ROOMS, "docs"):
        for kind in ("*.py", "*.md", "*.yaml", "*.toml"):
            pages += (ROOT / room).rglob(kind)
    named = {
        (str(page.relative_to(ROOT)), name)
        for page in pages
        if page.is_file()
        for name in re.findall(r"\btest_\w+\.py\b", page.read_text(errors="replace"))
    }
    assert len(named) > 40
    assert {(page, name) for page, name in named if not (ROOT / "tests" / name).exists()} == set()


def kernels() -> Iterator[tuple[Path, ast.FunctionDef, str]]:
    """Yield every compiled function of many parameters with all that is said of its names."""
    for path in sorted((ROOT / "qa_suite").rglob("*.py")):
        tree = ast.parse(path.read_text())
        package = ast.parse(path.with_name("__init__.py").read_text())
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef) or len(node.args.args) < MANY:
                continue
            if any("compiled" in ast.unparse(d) for d in node.decorator_list):
                said = (ast.get_docstring(one) or "" for one in (node, tree, package))
                yield path, node, "\n".join(said)


def test_the_parameters_of_a_kernel_are_explained_once():
    unsaid = {
        f"{path.name}:{node.name}": names
        for path, node, said in kernels()
        if (names := [a.arg for a in node.args.args if not re.search(rf"\b{a.arg}\b", said)])
    }
    assert unsaid == {}
