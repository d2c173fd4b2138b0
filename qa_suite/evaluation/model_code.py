"""Which code is run when a model is loaded: the installed package's own, or foreign code by trust.

The examined is not known here (see the import contracts): the module that reads the suite's own
translators is named below, as the address of a model is, and nothing else of it is used. No code of
an artifact is imported, but a foreign pyfunc whose digest the caller gave.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from qa_suite.core import store
from qa_suite.core.errors import InputError
from qa_suite.core.model_files import MLFLOWS_FILE, ModelFiles, digest_over, digests_in
from qa_suite.core.trust import ForeignCode, code_of_pyfunc, require_trusted
from qa_suite.core.wording import count
from qa_suite.evaluation.model_answers import OwnModel

TRAINING_FILE = "training.json"
_PLACE = ("artifacts", "translator")
_SPEC_FILE = "spec.json"
_READER = "translators.predict"
"""Of the installed package: opens a translator's folder, and says what foreign code it names."""


def own_folder(files: ModelFiles) -> Path | None:
    """Return where a translator of this suite lies in its artifact; None for a foreign pyfunc."""
    spec = files.file(*_PLACE, _SPEC_FILE)
    return None if spec is None else spec.parent


def training_file(files: ModelFiles) -> Path | None:
    """Return the facts of a model's training; a foreign pyfunc may have them anywhere.

    Raises
    ------
    InputError
        If a foreign pyfunc has several.
    """
    own = own_folder(files)
    if own is not None:
        return files.file(*_PLACE, TRAINING_FILE)
    found = sorted(files.folder.rglob(TRAINING_FILE))
    if len(found) > 1:
        raise InputError(
            f"{files.uri} carries {count(len(found), 'file')} {TRAINING_FILE}, and nobody can "
            f"tell which is of it; leave one."
        )
    return found[0] if found else None


def foreign_code(files: ModelFiles) -> ForeignCode | None:
    """Return what a model would run that is not of the installed suite; nothing is run for it."""
    own = own_folder(files)
    if own is not None:
        found: ForeignCode | None = import_module(_READER).foreign_code_in(own)
        return found
    here = digests_in(files.folder)
    code = [name for name in here if name.endswith((".py", ".pkl", ".pickle"))]
    first = ", ".join(code) or f"what its {MLFLOWS_FILE} names"
    return code_of_pyfunc(files.uri, digest_over(here), first)


def load_model(files: ModelFiles, trust: Sequence[str]) -> Any:
    """Load a translator: one of this suite by its own code, a foreign pyfunc if it is trusted.

    Returns
    -------
    object
        With ``predict(request, params)``.

    Raises
    ------
    InputError
        If it cannot be loaded, or is foreign and not trusted.
    """
    own = own_folder(files)
    if own is not None:
        return OwnModel(answer=import_module(_READER).open_answering(own, trust))
    return _foreign(files, trust)


def _foreign(files: ModelFiles, trust: Sequence[str]) -> Any:
    """Let MLflow load a copy that nobody else writes, once it is what was trusted."""
    mlflow = store.connect()
    folder = Path(tempfile.mkdtemp(prefix="pyfunc-"))
    copy = folder / "model"
    try:
        shutil.copytree(files.folder, copy, ignore=shutil.ignore_patterns("__pycache__"))
        code = code_of_pyfunc(files.uri, digest_over(digests_in(copy)), "as it was copied")
        require_trusted(code, trust, who=files.uri)
        model = mlflow.pyfunc.load_model(str(copy))
    except InputError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except Exception as error:  # foreign code raises whatever it likes
        shutil.rmtree(folder, ignore_errors=True)
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"The model {files.uri} cannot be loaded from {store.tracking_uri()} ({reason}); "
            f"'qa-suite list models' shows what is registered."
        ) from None
    weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)
    return model
