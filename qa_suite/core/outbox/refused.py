"""What MLflow refused for good: set aside beside the outbox, with its words.

There it holds nothing up, until somebody sends it again or gives it up.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from qa_suite.core.outbox.lines import REFUSED_FILE, Refused, parsed_as
from qa_suite.core.whole_files import append_bytes, write_text
from qa_suite.core.wording import count

_SHOWN = 3  # reasons in one sentence; all of them stand in the file


def read_refused(folder: Path, run: str | None = None) -> dict[str, Refused]:
    """Return what was refused in a folder by identifier, of one run or of all."""
    path = folder / REFUSED_FILE
    if not path.is_file():
        return {}
    found = {one.operation.id: one for one in parsed_as(Refused, path.read_bytes(), path)}
    return {key: one for key, one in found.items() if run in (None, one.begin.identity[1])}


def keep_refused(folder: Path, one: Refused) -> None:
    """Add an operation to what was refused.

    Raises
    ------
    OSError
        If it cannot be written; the operation waits on then.
    """
    path = folder / REFUSED_FILE
    torn = path.is_file() and not path.read_bytes().endswith(b"\n")  # by a kill
    append_bytes(path, (b"\n" if torn else b"") + _line(one).encode())


def forget_refused(folder: Path, identifiers: Collection[str], *, models: bool) -> None:
    """Take operations out of what was refused.

    Parameters
    ----------
    folder
        Of the outbox.
    identifiers
        Of the operations.
    models
        Whether the models that wait in ``outbox-models`` for these operations go too.
    """
    known = read_refused(folder)
    gone = [known[one] for one in identifiers if one in known]
    if not gone:
        return
    left = [one for key, one in known.items() if key not in identifiers]
    if left:
        write_text(folder / REFUSED_FILE, "".join(map(_line, left)))
    else:
        (folder / REFUSED_FILE).unlink()
    if models:
        for place in saved_models(gone):
            shutil.rmtree(folder / place, ignore_errors=True)


def saved_models(refused: Iterable[Refused]) -> set[Path]:
    """Return where the models lie that were refused, from the folder of the outbox."""
    return {Path(one.operation.what["folder"]) for one in refused if one.operation.kind == "model"}


def kinds_words(refused: Iterable[Refused]) -> str:
    """Say how much of what kind was refused: *2 operations (metrics, model)*."""
    kinds = Counter(one.operation.kind for one in refused)
    return f"{count(kinds.total(), 'operation')} ({', '.join(sorted(kinds))})"


def refused_words(folder: Path, refused: Mapping[str, Refused]) -> str:
    """Say in one sentence what was refused, why, where it is kept and what can be done."""
    runs: dict[str, list[Refused]] = {}
    for one in refused.values():
        runs.setdefault(f"{one.begin.experiment}: {one.begin.name}", []).append(one)
    what = "; ".join(f"{kinds_words(ones)} of {name}" for name, ones in runs.items())
    reasons = list(dict.fromkeys(one.words.rstrip(".") for one in refused.values()))
    why = "; ".join(reasons[:_SHOWN])
    if len(reasons) > _SHOWN:
        why += f"; and {count(len(reasons) - _SHOWN, 'more reason')}"
    return (
        f"MLflow refuses {what} ({why}); it is kept in {folder / REFUSED_FILE}: mend the reason "
        f"and send it with 'qa-suite sync {folder} --retry-refused', or give it up with "
        f"'qa-suite sync {folder} --drop-refused'."
    )


def _line(one: Refused) -> str:
    return json.dumps(one.model_dump(mode="python"), allow_nan=False) + "\n"
