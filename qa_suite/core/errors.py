"""The errors that a user sees: one sentence each, with the value and the way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class QAError(Exception):
    """Bad input or an impossible request; the message is one sentence for the user."""


class InputError(QAError):
    """A file, a table or a value that cannot be used as it is."""


class GeometryError(QAError):
    """Images that do not lie where they should: grids, frames of reference, orientation."""


class LeakageError(QAError):
    """The examined has seen the examiner: the same patient or scan on both sides."""


class PassingFailure(InputError):
    """A failure of the run and no verdict about data: the same may succeed when it is repeated."""


class MissingFile(PassingFailure):
    """A file that should be there and is not."""


class Unfinished(QAError):
    """Something failed that passes; what is done is kept, and the same command carries on."""


class UnknownName(QAError):
    """A name that is not registered; the message lists the close matches."""


class Problems(QAError):
    """Every problem of one input, reported together.

    Parameters
    ----------
    subject
        What was being read, for example ``"manifest.yaml"``.
    problems
        One sentence each.
    """

    def __init__(self, subject: str, problems: Sequence[str]) -> None:
        self.subject = subject
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"{subject} has {count} problem{'s' if count != 1 else ''}: "
        super().__init__(head + "; ".join(self.problems))

    def __reduce__(self) -> tuple[type[Problems], tuple[str, tuple[str, ...]]]:
        return (Problems, (self.subject, self.problems))


def raise_problems(subject: str, problems: Iterable[str]) -> None:
    """Raise :class:`Problems` when there is at least one; do nothing otherwise."""
    found = list(problems)
    if found:
        raise Problems(subject, found)
