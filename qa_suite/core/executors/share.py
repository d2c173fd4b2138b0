"""What a worker gets of its machine: one thread, and a GPU of its own where there are several.

The last bits of a sum depend on how many threads share it, so a worker has one, however many
workers there are; who has more cores takes more workers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)
SHARE = "QA_SUITE_CORES"
"""Variable that says how many cores a worker may use for what does not depend on their number."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
_NVIDIA = Path("/proc/driver/nvidia/gpus")


def gpus(environment: Mapping[str, str] | None = None, folder: Path = _NVIDIA) -> tuple[str, ...]:
    """Return what the GPUs are called that this process may use; nothing is started on them.

    Parameters
    ----------
    environment
        By default this process's; ``CUDA_VISIBLE_DEVICES`` decides where it is set.
    folder
        Where the driver lists its GPUs.
    """
    said = (os.environ if environment is None else environment).get(VISIBLE)
    if said is not None:
        return tuple(name.strip() for name in said.split(",") if name.strip() not in ("", "-1"))
    try:
        return tuple(str(n) for n in range(len(list(folder.iterdir()))))
    except OSError:
        return ()


def cores() -> int:
    """Return how many threads a loop may take whose result does not depend on their number."""
    said = os.environ.get(SHARE, "")
    return int(said) if said.isdecimal() and int(said) else os.cpu_count() or 1


def environment_of(place: int, workers: int) -> dict[str, str]:
    """Return what the environment of one of so many workers (0, 1, ...) says beside ours."""
    shared = dict.fromkeys(THREADS, "1")
    shared[SHARE] = str(max(1, cores() // workers))
    known = gpus()
    if len(known) > 1:
        shared[VISIBLE] = known[place % len(known)]
    return shared


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread inside the block, as every worker does."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 0
    variable = os.environ.get(THREADS[0])
    os.environ[THREADS[0]] = "1"  # for a torch that is loaded inside the block
    if torch is not None:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if variable is None:
            del os.environ[THREADS[0]]
        else:
            os.environ[THREADS[0]] = variable
        torch = sys.modules.get("torch")
        if torch is not None:
            torch.set_num_threads(before or _by_default(variable))


def _by_default(variable: str | None) -> int:
    if variable is not None and variable.isdecimal():
        return int(variable)
    return os.cpu_count() or 1
