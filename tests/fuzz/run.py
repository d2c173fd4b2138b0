"""Spoil many files and read each as the suite does: ``python -m tests.fuzz.run --help``.

A reading may return, or refuse in one of the suite's own errors. Anything else is a fault: another
error, more than five seconds, the end of the process, or, where a manifest or a record holds
digests, another result than of the whole files. The input of a fault can be made again from the
seed, the subject and its number.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qa_suite.core.errors import QAError
from tests.fuzz.subject import Subject

SECONDS = 5.0
ROOT = Path(__file__).parent.parent.parent
_STEP = 1000  # inputs of one subject that one process reads in a row
_WAITED_S = 30.0
_STUCK_S = 90.0


class _TooLong(BaseException):
    """Not to be caught by a parser that catches everything."""


def subjects() -> dict[str, Subject]:
    """Return everything that is spoilt, by name."""
    from tests.fuzz.documents import json_subjects, table_subjects, yaml_subjects
    from tests.fuzz.images import dicom_subjects, image_subjects

    makers = (dicom_subjects, image_subjects, yaml_subjects, json_subjects, table_subjects)
    return {one.name: one for make in makers for one in make()}


def spoilt(subject: Subject, whole: bytes, seed: int, number: int) -> bytes:
    """Return input ``number`` of a subject: the same for the same seed, everywhere."""
    rng = np.random.default_rng([seed, zlib.crc32(subject.name.encode()), number])
    return subject.spoil(whole, rng)


def read_many(
    subject: Subject, seed: int, numbers: range, folder: Path, note: Path | None = None
) -> Iterator[tuple[int, str]]:
    """Yield number and outcome of each input; ``note`` is told which one is being read."""
    folder.mkdir(parents=True, exist_ok=True)
    subject.make(folder)
    file = folder / subject.file
    whole = file.read_bytes()
    expected = subject.read(folder)  # whole files are read, and what is loaded lazily is there
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, _ring)
    for number in numbers:
        if note is not None:
            note.write_text(str(number))
        file.write_bytes(spoilt(subject, whole, seed, number))
        yield number, _outcome(subject, folder, expected)
        file.write_bytes(whole)


def _ring(number: int, frame: object) -> None:
    raise _TooLong


def _limit(on: bool) -> None:
    """Limit the seconds that are computed, and those that are waited, since others compute too."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS if on else 0)
    signal.setitimer(signal.ITIMER_REAL, _WAITED_S if on else 0)


def _outcome(subject: Subject, folder: Path, expected: object) -> str:
    _limit(True)
    try:
        found = subject.read(folder)
        _limit(False)
    except QAError:
        return "refused"
    except _TooLong:
        return f"hang: more than {SECONDS:g} s"
    except BaseException as error:
        _limit(False)
        last = traceback.extract_tb(error.__traceback__)[-1]
        ours = [f for f in traceback.extract_tb(error.__traceback__) if str(ROOT) in f.filename]
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
        return f"untyped: {type(error).__name__} in {place} ({Path(last.filename).name}): {error}"
    finally:
        _limit(False)
    if subject.digested and found != expected:
        return "silent: another result than of the whole files"
    return "read"


def run(
    inputs: int, seed: int, names: list[str], workers: int, minutes: float = float("inf")
) -> dict[str, Counter[str]]:
    """Read ``inputs`` files, as many of each subject, in processes of their own.

    After ``minutes`` nothing is begun any more.
    """
    until = time.monotonic() + 60 * minutes
    per = -(-inputs // len(names))
    waiting = [(n, range(a, min(a + _STEP, per))) for a in range(0, per, _STEP) for n in names]
    found: dict[str, Counter[str]] = {name: Counter() for name in names}
    running: list[tuple[Any, ...]] = []
    with tempfile.TemporaryDirectory(dir=_memory()) as place:
        while waiting or running:
            if time.monotonic() > until:
                waiting.clear()
            while waiting and len(running) < workers:
                running.append(_started(Path(place), *waiting.pop(0), seed))
            time.sleep(0.05)
            for job in list(running):
                process, name, numbers, out, note = job
                silent = time.time() - note.stat().st_mtime
                if process.poll() is None and silent < _STUCK_S:
                    continue
                running.remove(job)
                if process.poll() is None:
                    process.kill()
                process.wait()
                done = _collected(out, found[name], name)
                if not note.read_text():
                    raise RuntimeError(f"{name}: {(out.parent / 'err').read_text()[-600:]}")
                if done < len(numbers) and process.returncode != 0:
                    at = int(note.read_text())
                    kind = "hang" if silent >= _STUCK_S else "crash"
                    _tell(found[name], name, at, f"{kind}: status {process.returncode}")
                    waiting.insert(0, (name, range(at + 1, numbers.stop)))
    return found


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _started(place: Path, name: str, numbers: range, seed: int) -> tuple[Any, ...]:
    home = Path(tempfile.mkdtemp(dir=place))
    out, note = home / "outcomes", home / "number"
    note.write_text("")
    words = [sys.executable, "-m", "tests.fuzz.run", "--read", name, str(home), str(seed)]
    words += [str(numbers.start), str(numbers.stop)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=(home / "err").open("w")
    )
    return process, name, numbers, out, note


def _collected(out: Path, counts: Counter[str], name: str) -> int:
    lines = out.read_text().splitlines() if out.is_file() else []
    for line in lines:
        number, outcome = json.loads(line)
        _tell(counts, name, number, outcome)
    return len(lines)


def _tell(counts: Counter[str], name: str, number: int, outcome: str) -> None:
    counts[outcome.partition(":")[0]] += 1
    if ":" in outcome:
        print(f"{name}, input {number}: {outcome[:240]}", flush=True)


def _read_here(name: str, home: str, seed: str, start: str, stop: str) -> None:
    with contextlib.suppress(ImportError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    place = Path(home)
    numbers = range(int(start), int(stop))
    with (place / "outcomes").open("w") as out:
        for one in read_many(subjects()[name], int(seed), numbers, place / "f", place / "number"):
            out.write(json.dumps(one) + "\n")
            out.flush()


def table(found: dict[str, Counter[str]]) -> str:
    """Write the counts as a table of Markdown."""
    kinds = ("read", "refused", "crash", "hang", "untyped", "silent")
    lines = [f"| what | inputs | {' | '.join(kinds)} |", "|---" * (len(kinds) + 2) + "|"]
    total: Counter[str] = sum(found.values(), Counter())
    for name, counts in [*sorted(found.items()), ("all", total)]:
        cells = [str(counts.total()), *(str(counts[kind]) for kind in kinds)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Run what is asked; return 1 where anything but reading and refusing happened."""
    if sys.argv[1:2] == ["--read"]:
        _read_here(*sys.argv[2:])
        return 0
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--inputs", type=int, default=100_000)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--workers", type=int, default=os.cpu_count())
    asked.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing later")
    asked.add_argument("--only", default="", help="a part of the subjects' names")
    asked.add_argument("--write", type=Path, help="the table goes into this file")
    said = asked.parse_args()
    names = [name for name in subjects() if said.only in name]
    where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    print(f"seed {said.seed}, host {platform.node()} ({where}, {os.cpu_count()} cores)", flush=True)
    began = time.monotonic()
    found = run(said.inputs, said.seed, names, said.workers, said.minutes)
    minutes = (time.monotonic() - began) / 60
    text = f"{table(found)}\n\nseed {said.seed}; {where}; {minutes:.0f} minutes\n"
    print(text)
    if said.write is not None:
        said.write.write_text(text)
    faults = sum((c for c in found.values()), Counter())
    return int(any(n for kind, n in faults.items() if kind not in ("read", "refused")))


if __name__ == "__main__":
    sys.exit(main())
