"""What keeps the project in order: pins and hashes, hooks, forms, version and changelog."""

import re
import tomllib
from pathlib import Path

import yaml

import qa_suite

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.M)
UNHASHED = ("torch", "nvidia-", "triton", "cuda-")
"""The index decides between their builds for CPU and CUDA."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name: str) -> dict[str, str]:
    return {plain(n): v for n, v in PIN.findall((ROOT / name).read_text())}


# Packages


def test_hashed_constraints_have_the_versions_of_the_others():
    wanted = {n: v for n, v in pins("constraints.txt").items() if not n.startswith(UNHASHED)}
    assert pins("constraints-hashed.txt") == wanted, "run 'make hashes'"


def test_every_hashed_package_has_a_hash():
    text = (ROOT / "constraints-hashed.txt").read_text()
    blocks = [block for block in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M) if "==" in block]
    assert len(blocks) == len(pins("constraints-hashed.txt"))
    for block in blocks:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block), block[:60]


OURS = ("dashboard", "dose", "images", "pdf", "track", "train")
"""Extras by job; ``all`` brings every one of them."""


def test_every_package_that_the_project_names_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    jobs = [one for name in ("all", *OURS) for one in extras[name]]
    named = [*project["dependencies"], *extras["dev"], *extras["docs"], *extras["onnx"], *jobs]
    names = {plain(re.split(r"[\s<>=!\[;]", one)[0]) for one in named} - {"qa-suite"}
    assert names <= set(pins("constraints.txt")), names - set(pins("constraints.txt"))


def test_packages_carry_the_files_that_say_they_are_typed():
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    for package in ("qa_suite", "translators", "reports"):
        assert "py.typed" in found["package-data"][package]
    assert "__init__.pyi" in found["package-data"]["qa_suite"]


# Hooks and forms


def test_hooks_run_what_make_lint_runs():
    recipe = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    linted = {line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()[1:]}
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    assert {hook["entry"] for hook in hooks} == linted


def test_forms_for_issues_are_whole():
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    names = {path.stem for path in forms}
    assert names == {"config", "bug", "wrong-number", "metric-or-bound"}
    for path in forms:
        form = yaml.safe_load(path.read_text())
        if path.stem == "config":
            continue
        assert {"name", "description", "body"} <= set(form), path.name
        fields = [field for field in form["body"] if field["type"] != "markdown"]
        assert len({field["id"] for field in fields}) == len(fields)
        assert all(field["attributes"]["label"] for field in fields)
        assert any(field.get("validations", {}).get("required") for field in fields)


# Version and changelog


def test_the_version_is_said_once_in_every_place():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == qa_suite.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", qa_suite.__version__)


def test_the_changelog_keeps_its_form():
    text = (ROOT / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## (.*)$", text, re.M)
    assert releases[0] == "[Unreleased]"
    for release in releases[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", release), release
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for part in text.split("\n## ")[1:]:
        found = re.findall(r"^### (.*)$", part, re.M)
        assert set(found) <= kinds and len(set(found)) == len(found), found
    if qa_suite.__version__.endswith("dev0"):
        assert f"Becomes {qa_suite.__version__.split('.dev')[0]}." in text
    else:
        assert f"## [{qa_suite.__version__}] - " in text
