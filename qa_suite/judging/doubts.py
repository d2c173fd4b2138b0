"""What a check of a record finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """One thing that is not as it was written, or does not follow.

    ``certain`` is False where another version of the suite, or a place that is not at hand, may
    explain it.
    """

    file: str
    problem: str
    certain: bool = True

    @property
    def sentence(self) -> str:
        """The file and what is wrong with it."""
        return f"{self.file}: {self.problem}."
