"""The one decorator of compiled loops, and where their machine code is kept.

numba's own cache knows of a kernel only the file that it stands in: one that calls a changed
kernel of another file, or reads a changed constant of it, would go on with the old answer. Here
compiled code is named by a digest of all that it was compiled from (`kernel_digest`), so code of
another source is never found. Importing this module loads numba, so kernels stand in modules of
their own, which are imported where they are used.
"""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.event import Listener, register
from numba.core.serialize import dumps

from qa_suite.imaging.kernel_digest import kernel_digest, short_digest
from qa_suite.imaging.kernel_files import (
    KERNEL_SUFFIX,
    Claim,
    kernel_folder,
    mark_used,
    sweep,
    write_whole,
)

_log = logging.getLogger(__name__)


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function with numba, without the GIL, and keep its machine code between runs.

    Parameters
    ----------
    function
        The function; left out where options are given: ``@compiled(inline="always")``.
    **options
        What ``numba.njit`` knows beside ``cache``. ``nogil`` is true where nothing is said.

    Returns
    -------
    The compiled function, or the decorator that compiles one.

    Examples
    --------
    >>> @compiled
    ... def twice(value):
    ...     return 2 * value
    >>> twice(1.5)
    3.0
    """
    if function is None:
        return lambda given: compiled(given, **options)
    kernel = njit(**{"nogil": True, **options})(function)
    if isinstance(kernel, Dispatcher):  # with NUMBA_DISABLE_JIT it is the function itself
        kernel._cache = _KeptCode(kernel)  # type: ignore[attr-defined]
    return kernel


class _KeptCode(NullCache):
    """The machine code of one kernel: a file for each digest, signature and processor."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._claims: dict[Path, Claim] = {}

    @property
    def cache_path(self) -> str:
        """The folder of all kernels, as numba reports it in ``stats``."""
        return str(kernel_folder())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Code that was compiled before, or None where numba is to compile it and save it.

        Where another process is compiling the same, its result is waited for.
        """
        target_context.refresh()
        path = self._path(sig, target_context.codegen())
        if path is None:
            return None
        found = _load(path, target_context)
        if found is None and path not in self._claims:
            claim = Claim(path)
            found = _load(path, target_context) if claim.waited else None
            if found is None:
                self._claims[path] = claim
            else:
                claim.release()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was just compiled; a folder that cannot be written keeps nothing."""
        path = self._path(sig, data.codegen)
        if path is None:
            return
        try:
            if not data.lifted and not data.library.has_dynamic_globals:
                write_whole(path, dumps(data._reduce()))
                sweep(path.parent)
        except OSError as error:
            _log.info("Compiled code is not kept in %s: %s.", path.parent, error)
        finally:
            self.release()

    def release(self) -> None:
        """Let other processes go on, with what was compiled or without."""
        while self._claims:
            self._claims.popitem()[1].release()

    def _path(self, sig: Any, codegen: Any) -> Path | None:
        folder = kernel_folder()
        if folder is None:
            return None
        function = self._kernel.py_func
        name = re.sub(r"[^\w.]", "", f"{function.__module__}.{function.__qualname__}")
        use = short_digest(repr((sig, codegen.magic_tuple())))
        return folder / f"{name[-150:]}.{use}.{kernel_digest(self._kernel)}{KERNEL_SUFFIX}"


def _load(path: Path, target_context: Any) -> Any:
    try:
        kept = pickle.loads(path.read_bytes())
        mark_used(path)
    except OSError:
        return None
    except Exception as error:  # a file cut short raises whatever pickle meets
        _log.warning("Compiled code in %s is damaged (%r) and is made anew.", path, error)
        return None
    return CompileResult._rebuild(target_context, *kept)


class _ReleaseAfterFailure(Listener):
    """A kernel that cannot be compiled lets no other process wait for it."""

    def on_start(self, event: Any) -> None:
        """Nothing is to be done when a compilation begins."""

    def on_end(self, event: Any) -> None:
        """Release the kernel's claim where nothing came of its compilation."""
        kernel = event.data["dispatcher"]
        kept = getattr(kernel, "_cache", None)
        if isinstance(kept, _KeptCode) and tuple(event.data["args"]) not in kernel.overloads:
            kept.release()


register("numba:compile", _ReleaseAfterFailure())
