"""The README's commands: short ones are run, long ones are checked against --help."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from qa_suite.cli import run

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"```bash (?P<tag>run|long)(?:=(?P<status>[\d,]+))?\n(?P<text>.*?)```", re.S)


def commands(text: str) -> list[list[str]]:
    joined = text.replace("\\\n", " ")
    lines = (line for line in joined.splitlines() if line.strip() and not line.startswith("#"))
    return [shlex.split(line, comments=True) for line in lines]


def blocks(page: Path, tag: str) -> list[tuple[list[list[str]], set[int]]]:
    found = BLOCK.finditer(page.read_text())
    return [
        (commands(m["text"]), {int(s) for s in (m["status"] or "0").split(",")})
        for m in found
        if m["tag"] == tag
    ]


def test_every_block_of_commands_is_tagged():
    for page in PAGES:
        for info in re.findall(r"^```(bash|sh|shell|console)(.*)$", page.read_text(), re.M):
            assert info[1].strip().split("=")[0] in ("run", "long"), (page.name, info)


def test_the_short_blocks_of_the_readme_run(own_store, capsys):
    for lines, statuses in blocks(ROOT / "README.md", "run"):
        for words in lines:
            assert words[0] == "qa-suite"
            assert run(words[1:]) in statuses, (words, capsys.readouterr().err)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_long_blocks_are_commands_that_exist(page, capsys):
    import typer

    from qa_suite.cli import app

    group = typer.main.get_command(app)
    for lines, _ in [*blocks(page, "long"), *blocks(page, "run")]:
        for words in lines:
            if words[0] != "qa-suite":
                continue
            verb = group.commands[words[1]]
            known = {o for p in verb.params for o in (*p.opts, *p.secondary_opts)}
            given = {word.split("=")[0] for word in words[2:] if word.startswith("--")}
            assert given <= known, (page.name, words, given - known)
            assert run([words[1], "--help"]) == 0


def test_links_between_the_pages_lead_somewhere():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", prose):
            if "://" not in target:
                assert (page.parent / target).exists(), (page.name, target)


def test_make_knows_the_verbs_of_the_readme():
    listed = subprocess.run(
        ["make", "-pn", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for verb in ("demo", "test", "lint", "bench", "dashboard", "setup"):
        assert re.search(rf"^{verb}:", listed, re.M), verb
    assert sys.version_info >= (3, 11)
