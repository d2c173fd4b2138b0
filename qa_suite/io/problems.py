"""What could not be read, told twice: with the path for the user, without it for the manifest."""

from __future__ import annotations

from pathlib import Path

from qa_suite.core.errors import InputError


class ReadProblem(InputError):
    """A file or series that cannot be used.

    Parameters
    ----------
    where
        The file or folder; it may carry a patient's name, so it is shown and never stored.
    public
        What is wrong, in words that may go into a manifest: no path, name, identifier or date.
    """

    def __init__(self, where: Path | str, public: str) -> None:
        self.where = str(where)
        self.public = public
        super().__init__(f"{where}: {public}")

    def __reduce__(self) -> tuple[type[ReadProblem], tuple[str, str]]:
        return (ReadProblem, (self.where, self.public))
