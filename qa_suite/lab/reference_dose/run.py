"""Ask the reference engine for doses: write the job, run its Python, read the answer.

It lives in an environment of its own, since its packages conflict with ours.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core import processes
from qa_suite.core.errors import InputError
from qa_suite.core.json_files import parse_json
from qa_suite.core.tensor_files import read_arrays
from qa_suite.core.volume import Volume
from qa_suite.lab.reference_dose.job import ReferenceJob

VARIABLE = "QA_SUITE_REFERENCE_ENV"
DEFAULT = ".venv-reference"
WORKER = Path(__file__).with_name("worker.py")


def reference_environment() -> Path:
    """Return the folder that the reference environment lies in, whether it is there or not."""
    return Path(os.environ.get(VARIABLE) or DEFAULT)


def has_reference() -> bool:
    """Whether there is a reference environment with a Python."""
    return _python_of(reference_environment()) is not None


def reference_python() -> Path:
    """Return the Python of the reference environment.

    Raises
    ------
    InputError
        If there is none, with the way to make one.
    """
    folder = reference_environment()
    python = _python_of(folder)
    if python is None:
        raise InputError(
            f"There is no reference dose engine at {folder}: run 'make reference-env', or let "
            f"{VARIABLE} name an environment that holds pyRadPlan 0.5.0."
        )
    return python


def _python_of(folder: Path) -> Path | None:
    for inside in ("bin/python", "Scripts/python.exe"):
        if (folder / inside).is_file():
            return (folder / inside).absolute()
    return None


_TOLD = "reference: "
_LAST_LETTERS = 300


@dataclass(frozen=True, kw_only=True)
class ReferenceAnswer:
    """Doses of one job.

    Parameters
    ----------
    doses
        By image name. Protons: Gy. Photons: pyRadPlan's own unit (about Gy per 100 MU), or
        Gy per 10¹⁰ started photons for the Monte Carlo; so compare ratios, or scale one plan's
        doses by one factor on all its images.
    sigma
        One standard deviation of each dose, Monte Carlo only.
    ranges_mm
        Protons: for each beam, the range in water (R80) of the energy that each spot got.
    facts
        Versions, seconds, and what was rounded.
    """

    doses: dict[str, Volume]
    sigma: dict[str, Volume]
    ranges_mm: tuple[NDArray[np.float64], ...]
    facts: dict[str, Any]


def reference_doses(
    job: ReferenceJob,
    *,
    timeout_s: float = 1800.0,
    cache: Path | None = None,
    command: Sequence[str] | None = None,
) -> ReferenceAnswer:
    """Compute a job with the reference engine in its own environment.

    Parameters
    ----------
    job
        Plan and images.
    timeout_s
        After which the engine is stopped.
    cache
        Folder of answers by the job's digest; an answer that is there is not computed again.
    command
        What to run instead of the reference environment's Python with the worker.

    Raises
    ------
    InputError
        If there is no reference environment, it fails, takes too long, or answers nonsense.
    """
    kept = None if cache is None else cache / f"{job.digest}.npz"
    if kept is not None and kept.is_file():
        return _read(kept, job)
    command = list(command) if command else [str(reference_python()), str(WORKER)]
    with tempfile.TemporaryDirectory(prefix="qa-suite-reference-") as folder:
        asked, answered = Path(folder) / "job.npz", Path(folder) / "answer.npz"
        job.write(asked)
        _call([*command, str(asked), str(answered)], timeout_s)
        if not answered.is_file():
            raise InputError(
                "The reference engine ended without an answer; look at its installation."
            )
        answer = _read(answered, job)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(answered.read_bytes())
            part.replace(kept)
    return answer


def _call(command: list[str], timeout_s: float) -> None:
    # its own packages only: a PYTHONPATH of ours would mix the two environments
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        done = processes.run(command, timeout_s=timeout_s, environment=clean)
    except processes.TimedOut:
        raise InputError(
            f"The reference engine took longer than {timeout_s:g} s and was stopped; allow more "
            "time or use fewer voxels and beams."
        ) from None
    except OSError as error:
        raise InputError(f"The reference engine could not be started: {error}.") from None
    if done.status != 0:
        raise InputError(f"The reference engine failed: {_reason(done.stderr, done.status)}.")


def _reason(stderr: str, status: int) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    told = [line.removeprefix(_TOLD) for line in lines if line.startswith(_TOLD)]
    if told:
        return told[-1].rstrip(".")
    if lines:
        return lines[-1][-_LAST_LETTERS:].rstrip(".")
    return f"it said nothing and ended with status {status}"


def _read(path: Path, job: ReferenceJob) -> ReferenceAnswer:
    try:
        arrays = read_arrays(path)
        facts = parse_json(str(arrays.pop("facts")), path)
    except (InputError, KeyError) as error:
        raise InputError(f"The reference engine's answer {path} is unreadable: {error}.") from None
    doses, sigma = {}, {}
    for name in job.densities:
        doses[name] = _volume(arrays.get(f"dose_{name}"), name, job)
        if f"sigma_{name}" in arrays:
            sigma[name] = _volume(arrays[f"sigma_{name}"], name, job)
    ranges = tuple(arrays[f"range_{n}"] for n in range(len(job.beams)) if f"range_{n}" in arrays)
    return ReferenceAnswer(doses=doses, sigma=sigma, ranges_mm=ranges, facts=facts)


def _volume(array: Any, name: str, job: ReferenceJob) -> Volume:
    if array is None:
        raise InputError(f"The reference engine gave no dose for {name}.")
    if array.shape != job.grid.shape or not np.isfinite(array).all():
        raise InputError(
            f"The reference engine's dose for {name} has shape {array.shape} instead of "
            f"{job.grid.shape}, or holds voxels that are no number."
        )
    return Volume(array=array.astype(np.float32), grid=job.grid, quantity="Gy")
