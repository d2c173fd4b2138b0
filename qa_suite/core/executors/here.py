"""One worker: this process itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from qa_suite.core.executors.jobs import Done, Job, Kit
from qa_suite.core.executors.share import one_thread
from qa_suite.core.executors.travel import attempt


class Here:
    """Does jobs in this process, one after another; nothing travels."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._tools: list[Any] = []

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        self._tools.clear()

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Do every job; see :class:`~qa_suite.core.executors.jobs.Executor`."""
        for job in jobs:
            with one_thread():
                if not self._tools:
                    self._tools.append(self._kit.make(self._kit.material))
                answer, error = attempt(lambda job=job: job.function(self._tools[0], job.task))  # type: ignore[misc]
            yield Done(name=job.name, answer=answer, error=error)
