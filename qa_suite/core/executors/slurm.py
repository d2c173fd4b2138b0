"""The jobs that SLURM starts for a cluster: a YAML file, checked before any is submitted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.validation import describe_validation
from qa_suite.core.yaml_files import read_yaml

_SIZE = re.compile(r"\d+(\.\d+)?\s*([kMGT]i?)?B", re.IGNORECASE)


def _size(text: str) -> str:
    if not _SIZE.fullmatch(text.strip()):
        raise ValueError(f"{text!r} is no size; write 16GB or 8GiB")
    return text


def _one_line(text: str) -> str:
    if not text.strip() or len(text.splitlines()) > 1:
        raise ValueError("one line is needed")
    return text


Line = Annotated[str, AfterValidator(_one_line)]


class SlurmOptions(BaseModel):
    """What each job asks of SLURM; the names are dask-jobqueue's, but for ``jobs``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    jobs: int = Field(ge=1, le=10_000, description="How many are submitted.")
    cores: int = Field(ge=1, le=1024, description="Of one job; each is a worker.")
    memory: Annotated[str, AfterValidator(_size)] = Field(description="Of one job, such as 32GB.")
    shared_temp_directory: Line = Field(
        description="Folder that the compute nodes see: the run's own keys lie there meanwhile."
    )
    queue: Line | None = Field(default=None, description="The partition.")
    account: Line | None = None
    walltime: Line | None = Field(default=None, description="Such as 04:00:00.")
    interface: Line | None = Field(default=None, description="Network of the nodes, such as ib0.")
    python: Line | None = Field(default=None, description="On the nodes; default: this one.")
    local_directory: Line | None = Field(default=None, description="For what a worker spills.")
    log_directory: Line | None = None
    death_timeout: int = Field(default=120, ge=10, description="Seconds without a scheduler.")
    job_extra_directives: list[Line] = Field(
        default=[], description="What follows #SBATCH, such as '-G 1'."
    )
    job_script_prologue: list[Line] = Field(
        default=[], description="Lines such as 'module load cuda'."
    )

    def cluster_options(self) -> dict[str, Any]:
        """Return what dask-jobqueue is asked: one worker a core, each with one thread."""
        said = self.model_dump(exclude={"jobs"}, exclude_none=True)
        return said | {
            "processes": self.cores,
            "worker_extra_args": ["--no-dashboard", "--memory-limit", "0"],  # SLURM has its own
            "scheduler_options": {"dashboard": False},
        }


def read_slurm(path: Path) -> SlurmOptions:
    """Read the file of a cluster by SLURM.

    Raises
    ------
    InputError
        If it is no YAML file of keys, or its folder for keys is not there.
    Problems
        With every key that is unknown, missing or cannot be.
    """
    said = read_yaml(path)
    if not isinstance(said, dict):
        raise InputError(f"{path} is no file of options for SLURM: a block of keys is needed.")
    try:
        found = SlurmOptions.model_validate(said)
    except ValidationError as error:
        raise Problems(str(path), describe_validation(error)) from None
    place = Path(found.shared_temp_directory).expanduser()
    if not place.is_dir():
        raise InputError(f"{path}: shared_temp_directory: there is no folder {place}.")
    return found.model_copy(update={"shared_temp_directory": str(place.absolute())})
