"""What is spoilt and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutations import Mutation


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One kind of file.

    ``make`` writes whole files into an empty folder, ``file`` is the one that is spoilt, and
    ``read`` reads the folder as the suite does. Where ``digested``, a reading that is not refused
    must return what it returned of the whole files.
    """

    name: str
    make: Callable[[Path], None]
    file: str
    spoil: Mutation
    read: Callable[[Path], object]
    digested: bool = False
