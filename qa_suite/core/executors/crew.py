"""Who does the work, as people say it: how many processes, or which cluster."""

from __future__ import annotations

from dataclasses import dataclass

from qa_suite.core.errors import InputError
from qa_suite.core.executors.here import Here
from qa_suite.core.executors.jobs import Executor, Kit
from qa_suite.core.executors.processes import Processes


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Who does the work.

    Parameters
    ----------
    workers
        Processes of this machine; 1 is this process itself.

    Raises
    ------
    InputError
        If there are none.
    """

    workers: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"At least one worker is needed, got {self.workers}.")

    @property
    def here(self) -> bool:
        """Whether everything is done in this process."""
        return self.workers == 1


HERE = Crew()
"""This process, and no other."""


def executor_of(crew: Crew, kit: Kit) -> Executor:
    """Return whoever does the work; nothing is started before the first job.

    Raises
    ------
    InputError
        If the kit exists in this process alone, and others need it.
    """
    if crew.here:
        return Here(kit)
    return Processes(kit, crew.workers)
