"""Compiled loops never answer for another source than the one that stands there."""

import ast
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import TypingError

from qa_suite.core.errors import InputError
from qa_suite.imaging import kernel_files
from qa_suite.imaging.compiled import compiled
from qa_suite.imaging.kernel_digest import kernel_digest

ROOT = Path(__file__).parents[1]
COMPILERS = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "stencil", "jit_module"}

CALLER = """
from qa_suite.imaging.compiled import compiled
from pair.callee import SCALE, inner
from pair import callee

@compiled
def outer(value):
    return SCALE * inner(value) + callee.OFFSET + callee.deep(value)
"""
CALLEE = """
from qa_suite.imaging.compiled import compiled
SCALE = 1.0
OFFSET = 0.0

@compiled
def inner(value):
    return value

@compiled
def deep(value):
    return 0.0 * value
"""
ASK = "from pair.caller import outer; print(outer(0.5), sum(outer.stats.cache_misses.values()))"


def write(folder: Path, callee: str) -> None:
    """The two files, dated to the same second whatever was in them."""
    (folder / "pair").mkdir(parents=True, exist_ok=True)
    for name, text in {"__init__": "", "caller": CALLER, "callee": callee}.items():
        path = folder / "pair" / f"{name}.py"
        path.write_text(text)
        os.utime(path, (1_700_000_000, 1_700_000_000))


def asked(folder: Path, kept: Path | str, **environment: str) -> subprocess.Popen[str]:
    """A fresh process that calls the outer kernel."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "QA_SUITE_KERNEL_CACHE": str(kept),
        **environment,
    }
    command = [sys.executable, "-c", ASK]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def answer(process: subprocess.Popen[str]) -> tuple[float, int]:
    """What the outer kernel returned, and how often it was compiled."""
    said, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    value, misses = said.split()
    return float(value), int(misses)


def test_a_change_in_another_file_is_noticed(tmp_path):
    """The callee, a constant and what is read through a module: each change gives a new answer."""
    changes = [
        ("", "", 0.5),
        ("    return value\n", "    return value + 1.0\n", 1.5),
        ("SCALE = 1.0", "SCALE = 3.0", 1.5),
        ("OFFSET = 0.0", "OFFSET = 9.0", 9.5),
        ("    return 0.0 * value\n", "    return 4.0 * value\n", 2.5),
    ]
    for before, after, expected in changes:
        write(tmp_path, CALLEE.replace(before, after))
        assert answer(asked(tmp_path, tmp_path / "kept")) == (expected, 1)
    write(tmp_path, CALLEE)
    assert answer(asked(tmp_path, tmp_path / "kept")) == (0.5, 0)


def test_two_checkouts_of_one_source_share_what_is_compiled(tmp_path):
    for place in ("one", "two"):
        write(tmp_path / place, CALLEE)
    assert answer(asked(tmp_path / "one", tmp_path / "kept")) == (0.5, 1)
    assert answer(asked(tmp_path / "two", tmp_path / "kept")) == (0.5, 0)


def test_of_two_processes_that_start_together_one_compiles(tmp_path):
    write(tmp_path, CALLEE)
    processes = [asked(tmp_path, tmp_path / "kept") for _ in range(2)]
    answers = [answer(process) for process in processes]
    assert [value for value, _ in answers] == [0.5, 0.5]
    assert sum(misses for _, misses in answers) == 1
    assert not list((tmp_path / "kept").glob("*.lock"))


def test_a_folder_that_cannot_be_made_keeps_nothing_and_says_so(tmp_path):
    write(tmp_path, CALLEE)
    (tmp_path / "file").write_text("")
    process = asked(tmp_path, tmp_path / "file" / "kept")
    said, errors = process.communicate(timeout=200)
    assert said.split() == ["0.5", "1"]
    assert "$QA_SUITE_KERNEL_CACHE" in errors


def test_beside_the_code_nothing_is_written(tmp_path):
    write(tmp_path / "code", CALLEE)
    before = sorted(path for path in (tmp_path / "code").rglob("*"))
    home = {"XDG_CACHE_HOME": str(tmp_path / "caches"), "QA_SUITE_KERNEL_CACHE": ""}
    assert answer(asked(tmp_path / "code", "", **home)) == (0.5, 1)
    assert sorted(path for path in (tmp_path / "code").rglob("*")) == before
    assert list((tmp_path / "caches/qa-suite/kernels").glob("pair.caller.outer.*.kernel"))


def test_a_damaged_file_is_made_anew(tmp_path):
    write(tmp_path, CALLEE)
    assert answer(asked(tmp_path, tmp_path / "kept")) == (0.5, 1)
    for path, content in zip(
        sorted((tmp_path / "kept").glob("*.kernel")),
        itertools.cycle([b"", b"\x80", b"not a pickle"]),
    ):
        path.write_bytes(content)
    assert answer(asked(tmp_path, tmp_path / "kept")) == (0.5, 1)
    assert answer(asked(tmp_path, tmp_path / "kept")) == (0.5, 0)


def test_every_kernel_of_the_repository_goes_through_the_decorator():
    """numba is imported by the modules of the decorator alone."""
    offenders = []
    sources = [
        p for room in ("qa_suite", "translators", "reports") for p in (ROOT / room).rglob("*.py")
    ]
    kernels = 0
    for path in sources:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                names = []
            if any(name.partition(".")[0] == "numba" for name in names):
                offenders.append(path.relative_to(ROOT).as_posix())
            for decorator in getattr(node, "decorator_list", []):
                named = decorator.func if isinstance(decorator, ast.Call) else decorator
                name = getattr(named, "id", getattr(named, "attr", ""))
                assert name not in COMPILERS, f"{path}:{node.lineno} is compiled by numba's {name}"
                kernels += name == "compiled"
    assert sorted(set(offenders)) == [
        "qa_suite/imaging/compiled.py",
        "qa_suite/imaging/kernel_digest.py",
    ]
    assert kernels > 100


def kernel_of(source: str, **variables: object):
    """A kernel whose module holds these variables."""
    module = {"__name__": "made", **variables}
    exec(f"def made({source}", module)
    return compiled(module["made"])


def test_a_digest_tells_constants_apart_by_type_and_bits():
    values = (1, 1.0, True, -0.0, 0.0, "1", (1, 2), (1.0, 2), None)
    arrays = (np.ones(2), np.ones(2, dtype=np.float32), np.ones((2, 1)), np.zeros(2))
    numbers = (np.float32(1), np.float64(1), np.int8(1))
    digests = [kernel_digest(kernel_of("): return C", C=v)) for v in (*values, *arrays, *numbers)]
    assert len(set(digests)) == len(digests)
    again = [kernel_digest(kernel_of("): return C", C=v)) for v in (*values, *arrays, *numbers)]
    assert again == digests


def test_a_digest_holds_the_options_the_defaults_and_the_closure():
    def with_cell(value):
        def inner(x):
            return x + value

        return inner

    def adds(x, by=1):
        return x + by

    def adds_two(x, by=2):
        return x + by

    adds_two.__qualname__ = adds.__qualname__
    digests = [
        kernel_digest(compiled(with_cell(1))),
        kernel_digest(compiled(with_cell(2))),
        kernel_digest(compiled(with_cell(1), fastmath=True)),
        kernel_digest(compiled(with_cell(1), error_model="numpy")),
        kernel_digest(compiled(adds)),
        kernel_digest(compiled(adds_two)),
    ]
    assert len(set(digests)) == len(digests)
    assert kernel_digest(compiled(with_cell(1))) == digests[0]


def test_a_kernel_may_call_itself():
    @compiled
    def factorial(n):
        if n < 2:
            return 1
        return n * factorial(n - 1)

    assert factorial(5) == 120
    assert len(kernel_digest(factorial)) == 16


def test_what_has_no_digest_is_refused_by_name():
    with pytest.raises(InputError, match="made reads a variable of type list"):
        kernel_digest(kernel_of("): return len(LIST)", LIST=[1, 2]))
    # an attribute that is called like such a variable reads no variable
    kernel_digest(kernel_of("x): return x.shape", shape=[1, 2]))


def test_options_are_kept_and_the_lock_of_python_is_released():
    plain, serial = (
        compiled(lambda x: x),
        compiled(nogil=False, error_model="numpy")(lambda x: 1 / x),
    )
    assert plain.targetoptions["nogil"]
    assert not serial.targetoptions["nogil"]
    assert serial(0.0) == np.inf


def test_a_kernel_that_cannot_be_compiled_holds_nobody_up(tmp_path, monkeypatch):
    monkeypatch.setattr("qa_suite.imaging.compiled.kernel_folder", lambda: tmp_path)

    @compiled
    def wrong(x):
        return x.nothing_like_it

    with pytest.raises(TypingError):
        wrong(1.0)
    assert not list(tmp_path.glob("*.lock"))


def test_only_the_last_used_versions_are_kept(tmp_path):
    now = time.time()

    def put(name: str, days: float) -> Path:
        path = tmp_path / name
        path.write_bytes(b"code")
        os.utime(path, (now - days * 86_400, now - days * 86_400))
        return path

    kept = [put(f"a.f.use.{i:04}.kernel", days=i) for i in range(kernel_files.KEPT_VERSIONS)]
    kept += [put("a.f.other.0000.kernel", days=30), put("a.g.use.0000.kernel", days=89)]
    kept += [put("a.f.use.0000.lock", days=0.1), put(".partial-1", days=0.1), put("notes", 999)]
    gone = [put(f"a.f.use.{i:04}.kernel", days=i) for i in range(50, 60)]
    gone += [put("a.h.use.0000.kernel", days=91), put("x.lock", 2), put(".partial-2", 2)]
    kernel_files.sweep(tmp_path)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)


def test_what_is_used_counts_as_used_now(tmp_path):
    path = tmp_path / "a.f.use.0000.kernel"
    path.write_bytes(b"code")
    os.utime(path, (0, 0))
    kernel_files.mark_used(path)
    assert time.time() - path.stat().st_mtime < 60
