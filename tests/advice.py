"""What a text advises: options, verbs, targets, pages, names, variables and settings it names.

Texts are collected where people read them: sentences in the code (messages, helps, docstrings),
the shipped YAML files, the report's templates, the documentation.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

PACKAGES = ("qa_suite", "translators", "reports")
FOREIGN = re.compile(
    r"^\s*(\$ |command: |MLflow UI: )?(\w+=\S+ )*(sudo )?"
    r"(mlflow|pip|dask|docker|podman|apptainer|torchrun|git|streamlit|uv|apt-get|npm|curl|elastix"
    r"|\[/opt/vendor/sct|\S*python3? -m (?!qa_suite|benchmarks))\b.*"
)
LABELS = ("qa-suite synthetic", "qa-suite surrogate")  # what DICOM headers say of us
GAP = "{}"  # stands for what a message fills in


@dataclass(frozen=True, kw_only=True)
class Text:
    """One sentence, paragraph or line of code that people read."""

    place: str
    words: str
    page: Path | None = None  # of documentation, to which its links are relative


def texts() -> Iterator[Text]:
    """Every text of the project."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            name = str(path.relative_to(ROOT))
            if path.suffix == ".py":
                yield from sentences(path.read_text(), name)
            elif path.suffix in (".yaml", ".j2"):
                yield from paragraphs(path.read_text(), name)
    for path in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]:
        yield from paragraphs(path.read_text(), str(path.relative_to(ROOT)), page=path)


def sentences(code: str, name: str) -> Iterator[Text]:
    """The strings of a module that are more than a word; what a message fills in is a gap."""
    tree = ast.parse(code)
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            words = "".join(
                str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in inside:
                continue
            words = node.value
        else:
            continue
        if " " in words.strip():
            for part in re.split(r"\n\s*\n", words):
                yield Text(place=f"{name}:{node.lineno}", words=part)


def paragraphs(content: str, name: str, *, page: Path | None = None) -> Iterator[Text]:
    """The paragraphs of a page, and every line of its code by itself."""
    fenced, block, first = False, [], 1
    for number, line in enumerate([*content.splitlines(), ""], 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            line = ""
        code = fenced or line.startswith("    ")
        if block and (code or not line.strip()):
            yield Text(place=f"{name}:{first}", words=" ".join(block), page=page)
            block = []
        if code:
            yield Text(place=f"{name}:{number}", words=line.split("  #")[0], page=page)
        elif line.strip():
            first = first if block else number
            block.append(line.strip())


# ------------------------------------------------------------------ what exists


@cache
def verbs() -> dict[str, frozenset[str]]:
    """Every verb of the command with its options."""
    import typer

    from qa_suite.cli import app

    command: Any = typer.main.get_command(app)
    own = _options(command)
    return {name: _options(verb) | own for name, verb in command.commands.items()}


def _options(command: Any) -> frozenset[str]:
    words = (word for param in command.params for word in (*param.opts, *param.secondary_opts))
    return frozenset(word for word in words if word.startswith("--")) | {"--help"}


@cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


@cache
def benchmark_options(module: str) -> frozenset[str]:
    place = ROOT / "benchmarks" / module
    files = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    code = "".join(path.read_text() for path in files if path.is_file())
    return frozenset(re.findall(r"\"(--[a-z-]+)\"", code))


EXAMPLES = {"translators/families/huber.py", "translators/configs/huber-demo.yaml", "huber-demo"}
"""What CONTRIBUTING tells its reader to write; test_new_family.py does so."""


@cache
def names() -> dict[str, frozenset[str]]:
    """What may follow an option that takes the name of something registered."""
    from qa_suite.cli.listing import KINDS

    listed = {
        "--profile": "criteria",
        "--plan": "plans",
        "--hlut": "hluts",
        "--families": "families",
        "--faults": "faults",
    }
    found = {o: frozenset(str(row["name"]) for row in KINDS[k]()) for o, k in listed.items()}
    return found | {"list": frozenset(KINDS)}


@cache
def variables() -> frozenset[str]:
    """Environment variables that the suite or MLflow reads."""
    import mlflow.environment_variables as theirs

    found = {name for name in vars(theirs) if name.isupper()}
    for folder in (*PACKAGES, "tests", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return frozenset(found)


@cache
def settings() -> frozenset[str]:
    """Every ``block.key`` of a translator's specification, at any depth."""
    from pydantic import BaseModel

    from translators.spec.families import FAMILIES, require_families, spec_type

    found: set[str] = set()

    def visit(prefix: str, model: Any) -> None:
        for name, info in model.model_fields.items():
            path = f"{prefix}{name}"
            found.add(path)
            for inner in (info.annotation, *getattr(info.annotation, "__args__", ())):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    visit(f"{path}.", inner)

    require_families()
    for family in FAMILIES:
        visit("", spec_type(family.name))
    return frozenset(found)


@cache
def words_of_the_code() -> frozenset[str]:
    """Every word of the code, the shipped files and what is registered."""
    from qa_suite.cli.listing import KINDS

    files = [ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    for folder in (*PACKAGES, "benchmarks"):
        endings = (".py", ".yaml", ".j2", ".css")
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in endings]
    found = {path.stem for path in files}
    for path in files:
        code = path.read_text()
        found.update(re.findall(r"[\w-]+", code), re.findall(r"\w+", code))
    for kind in KINDS.keys() - {"models", "instruments"}:  # these ask MLflow
        found.update(str(row["name"]) for row in KINDS[kind]())
    return frozenset(found)


BLOCKS = (
    "training",
    "network",
    "inference",
    "external",
    "uncertainty",
    "pretraining",
    "adversarial",
)


# ------------------------------------------------------------------ what is wrong


def problems(text: Text) -> Iterator[str]:
    """One sentence for everything that a text names and that does not exist."""
    words = text.words
    for label in LABELS:
        words = words.replace(label, "")
    if FOREIGN.match(words):
        return
    spans = [m for m in re.finditer(r"[`']([^`']+)[`']", words) if FOREIGN.match(m[1])]
    for span in reversed(spans):
        words = words[: span.start()] + " " + words[span.end() :]
    words = re.sub(r"\s+", " ", words)
    checks = (_commands, _loose_options, _make, _paths, _names, _quoted, _variables, _settings)
    for check in checks:
        yield from check(words, text)


_COMMAND = re.compile(
    r"(?:(?<=[`'\"(])|^\s*|(?<=\$ )|-m )(?:qa-suite|qa_suite\.cli) ([a-z][\w-]*)([^`'|\"]*)"
)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")


def _commands(words: str, text: Text) -> Iterator[str]:
    for found in _COMMAND.finditer(words):
        verb, rest = found[1], found[2]
        if verb not in verbs():
            yield f"qa-suite has no verb {verb}"
            continue
        for option in _OPTION.findall(rest):
            if option not in verbs()[verb]:
                yield f"qa-suite {verb} has no option {option}"


def _loose_options(words: str, text: Text) -> Iterator[str]:
    known = frozenset().union(*verbs().values())
    around = words if text.page is None or not text.page.is_file() else text.page.read_text()
    for module in set(re.findall(r"benchmarks[./](\w+)", around)):
        known |= benchmark_options(module)
    for option in _OPTION.findall(_COMMAND.sub(" ", words)):
        if option not in known:
            yield f"no verb has the option {option}"


def _make(words: str, text: Text) -> Iterator[str]:
    for found in re.finditer(r"(?:[`'\"]|^\s*)make ((?:[a-z][a-z-]*[ `'\"]?)+)", words):
        for target in re.findall(r"[a-z][a-z-]*", found[1].split("`")[0].split("'")[0]):
            if target not in targets():
                yield f"the Makefile has no target {target}"


def _paths(words: str, text: Text) -> Iterator[str]:
    pattern = r"(?<![\w/.-])((?:docs|qa_suite|translators|reports|benchmarks|tests)/[\w./-]*\w)"
    for found in re.finditer(pattern, words):
        after = words[found.end() : found.end() + 1]
        there = found[1] in EXAMPLES or (ROOT / found[1]).exists()
        if after not in ("*", "{", "<") and not there:
            yield f"there is no {found[1]}"
    if text.page is None:
        return
    for target in re.findall(r"(?<![\"'])\]\(([^)\s]+)\)", words):  # code["x"](y) is no link
        place, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", place):
            continue
        page = (text.page.parent / place).resolve() if place else text.page
        if not page.exists():
            yield f"there is no page {place}"
        elif anchor and page.suffix == ".md" and anchor not in _anchors(page):
            yield f"{page.name} has no heading #{anchor}"


@cache
def _anchors(page: Path) -> frozenset[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    plain = (re.sub(r"[^\w\s-]", "", head.lower()).strip() for head in heads)
    return frozenset(re.sub(r"\s", "-", head) for head in plain)


def _names(words: str, text: Text) -> Iterator[str]:
    for option, known in names().items():
        start = r"qa-suite list" if option == "list" else re.escape(option)
        for found in re.finditer(rf"{start}[ =]((?:[a-z][\w-]*,?)+)(?=[\s`'\",;.)]|$)", words):
            if text.page is None and option != "list" and not _in_command(words, found.start()):
                continue  # a sentence about the option, not a command
            for name in found[1].split(","):
                if name and name not in known:
                    yield f"{option} knows no {name}"
    for found in re.finditer(r"qa-suite train ([a-z][\w-]*)(?=[\s`'\"]|$)(?!\.yaml)", words):
        from translators.spec.reading import config_names

        if found[1] not in {*config_names(), *EXAMPLES}:
            yield f"no specification {found[1]} is shipped"


def _quoted(words: str, text: Text) -> Iterator[str]:
    """Names of metrics, families, faults, profiles, keys and functions, as `code`."""
    known = words_of_the_code()
    for name in re.findall(r"`([a-z][a-z0-9]*(?:[_-][a-z0-9]+)+)`", words):
        starts = {name[: place + 1] for place, letter in enumerate(name) if letter == "_"}
        if name not in known and not starts & known:  # `patients_train` is patients_{split}
            yield f"nothing in the code is called {name}"


def _in_command(words: str, place: int) -> bool:
    return any(c.start() <= place < c.end() for c in _COMMAND.finditer(words))


def _variables(words: str, text: Text) -> Iterator[str]:
    for name in re.findall(r"\b(?:QA_SUITE|MLFLOW)_[A-Z_]*[A-Z]\b", words):
        if name not in variables():
            yield f"nothing reads the variable {name}"


def _settings(words: str, text: Text) -> Iterator[str]:
    blocks = "|".join(BLOCKS)
    for key in re.findall(rf"(?<![\w./-])((?:{blocks})(?:\.[a-z]\w*)+)(?![\w(/])", words):
        if key not in settings() and key.split(".")[-1] not in ("md", "py", "yaml", "json"):
            yield f"a specification has no {key}"
