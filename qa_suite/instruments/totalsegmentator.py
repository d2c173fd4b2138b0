"""TotalSegmentator behind the protocol of a segmenter; an optional extra, never a download.

References
----------
Wasserthal et al. (2023), Radiol Artif Intell 5:e230024.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qa_suite.core.arrays import Mask
from qa_suite.core.errors import InputError
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.records import InstrumentFacts
from qa_suite.core.volume import Volume
from qa_suite.instruments.frame import check_image
from qa_suite.instruments.settings import AIR_HU

PREFIX = "totalsegmentator:"
PACKAGE = "totalsegmentator"

TASKS: Mapping[str, tuple[tuple[int, ...], dict[str, bool]]] = {
    "total": ((291, 292, 293, 294, 295), {}),
    "total_fast": ((297,), {"fast": True}),
    "total_fastest": ((298,), {"fastest": True}),
}
"""Task to the numbers of its weights and the options that choose them."""

_ONE_AT_A_TIME = threading.Lock()  # it is told where to look by environment variables


@dataclass(frozen=True, kw_only=True)
class TotalSegmentator:
    """An installed TotalSegmentator, one task of it."""

    facts: InstrumentFacts
    task: str
    labels: Mapping[int, str]
    weights: Path

    @property
    def structures(self) -> tuple[str, ...]:
        """Its own names, such as ``femur_left``."""
        return tuple(self.labels.values())

    def segment(self, volume: Volume, domain: Mask) -> dict[str, Mask]:
        """Segment a CT; all outside the domain is taken for air, as for every segmenter here.

        Raises
        ------
        InputError
            If the volume is not in HU or not finite inside the domain, or the package fails.
        """
        from qa_suite.io.images import read_image, write_image

        check_image(volume, domain)
        hu = np.where(domain, volume.array, AIR_HU).astype(np.float32)
        with tempfile.TemporaryDirectory() as temporary, _ONE_AT_A_TIME:
            source, target = Path(temporary) / "ct.nii.gz", Path(temporary) / "labels.nii.gz"
            write_image(volume.with_array(hu), source)
            with _offline(self.weights, Path(temporary)):
                self._run(source, target)
            found = read_image(target, "label")
        if not found.grid.same_as(volume.grid):
            raise InputError("TotalSegmentator answered on another grid than it was given.")
        labels = np.where(domain, found.array, 0)
        return {name: np.asarray(labels == number) for number, name in self.labels.items()}

    def _run(self, source: Path, target: Path) -> None:
        import torch
        from totalsegmentator.python_api import totalsegmentator

        device = "gpu" if torch.cuda.is_available() else "cpu"
        try:
            totalsegmentator(
                source,
                target,
                ml=True,
                task="total",
                quiet=True,
                device=device,
                **TASKS[self.task][1],
            )
        except (Exception, SystemExit) as error:  # it ends the process where it is displeased
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise InputError(f"TotalSegmentator could not segment the image ({reason}).") from None


def load_totalsegmentator(uri: str) -> TotalSegmentator:
    """Find an installed TotalSegmentator with its weights.

    Parameters
    ----------
    uri
        ``totalsegmentator:TASK`` with a task of :data:`TASKS`.

    Raises
    ------
    InputError
        If the task is unknown, or the package or its weights are not on this machine.
    """
    task = uri.removeprefix(PREFIX)
    if task not in TASKS:
        raise InputError(f"Unknown TotalSegmentator task {task!r}; known: {', '.join(TASKS)}.")
    if importlib.util.find_spec(PACKAGE) is None:
        raise InputError(
            "TotalSegmentator is not installed here; 'pip install qa-suite[totalsegmentator]' "
            "adds it, or name a segmenter of 'qa-suite list instruments'."
        )
    folder = weights_folder()
    files = [_weights(folder, number) for number in TASKS[task][0]]
    lacking = [str(n) for n, found in zip(TASKS[task][0], files, strict=True) if not found]
    if lacking:
        raise InputError(
            f"TotalSegmentator has no weights {', '.join(lacking)} for the task {task!r} in "
            f"{folder}; this suite downloads nothing: fetch them with "
            f"'totalseg_download_weights', or set TOTALSEG_WEIGHTS_PATH."
        )
    digest = hashlib.sha256()
    for path in (path for found in files for path in found):
        digest.update(sha256_of(path).encode())
    return TotalSegmentator(
        facts=InstrumentFacts(
            kind="segmenter",
            name=f"totalsegmentator-{task.replace('_', '-')}",
            uri=uri,
            version=_version(),
            weights_sha256=digest.hexdigest(),
            settings={
                "task": task,
                "training_patients": "those of the public TotalSegmentator data set; whether an "
                "examined patient is among them cannot be checked",
            },
        ),
        task=task,
        labels=_labels(),
        weights=folder,
    )


def weights_folder() -> Path:
    """Return where TotalSegmentator keeps its weights."""
    given = os.environ.get("TOTALSEG_WEIGHTS_PATH")
    if given:
        return Path(given)
    home = os.environ.get("TOTALSEG_HOME_DIR")
    return (Path(home) if home else Path.home() / ".totalsegmentator") / "nnunet" / "results"


def _weights(folder: Path, number: int) -> list[Path]:
    return sorted(folder.glob(f"Dataset{number}_*/**/checkpoint_*.pth"))


def _labels() -> dict[int, str]:
    from totalsegmentator.map_to_binary import class_map

    labels: dict[int, str] = {int(n): str(name) for n, name in class_map["total"].items()}
    return labels


def _version() -> str | None:
    from importlib import metadata

    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return None


@contextmanager
def _offline(weights: Path, home: Path) -> Iterator[None]:
    """Let the package use its weights and a home of its own in which usage statistics are off."""
    import json

    said: dict[str, Any] = {
        "totalseg_id": "qa-suite",
        "send_usage_stats": False,
        "prediction_counter": 0,
        "statistics_disclaimer_shown": True,
    }
    (home / "config.json").write_text(json.dumps(said))
    wanted = {"TOTALSEG_WEIGHTS_PATH": str(weights), "TOTALSEG_HOME_DIR": str(home)}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
