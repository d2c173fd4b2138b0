"""Batches made ahead of the training step, so that a GPU does not wait for its data."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol

import torch


class Batch(Protocol):
    """What is trained on in one step."""

    def to(self, device: torch.device, *, channels_last: bool = False) -> Any:
        """Return it on a device, in the memory layout that the networks have."""


MakeBatch = Callable[[int], Batch]


class Feeder:
    """Makes the batches of coming iterations in threads, a few ahead.

    A batch is a function of its number alone, so the order in which threads finish is of no
    consequence. On a GPU one thread would starve it: several cut patches, pin them and send
    them over; on the CPU one suffices and leaves the cores to the training.

    Parameters
    ----------
    make
        From the number of a batch to the batch.
    first, last
        Numbers of the first and last batch.
    device
        Where the training computes.
    """

    def __init__(self, make: MakeBatch, *, first: int, last: int, device: torch.device) -> None:
        self._make, self._next, self._last = make, first, last
        threads = 4 if device.type == "cuda" else 1
        self._ahead = 2 * threads
        self._pool = ThreadPoolExecutor(threads)
        self._waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> Feeder:
        self._fill()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _fill(self) -> None:
        while self._next <= self._last and len(self._waiting) < self._ahead:
            self._waiting.append(self._pool.submit(self._make, self._next))
            self._next += 1

    def take(self) -> Any:
        """Return the next batch; it was made while the ones before were trained on."""
        batch = self._waiting.popleft().result()
        self._fill()
        return batch
