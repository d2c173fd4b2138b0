"""How work, tools and errors travel to another process: never as a network, always checked."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any

from qa_suite.core.errors import InputError
from qa_suite.core.failures import why
from qa_suite.core.store import tracking_uri


def packed(what: object, said: str) -> bytes:
    """Return something as the bytes that it travels as.

    Raises
    ------
    InputError
        If it only exists in this process.
    """
    try:
        data = pickle.dumps(what, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InputError(
            f"{said} exists in this process alone and cannot travel to another ({why(error)}); "
            f"take one worker."
        ) from None
    if b"__main__" in data:
        raise InputError(
            f"{said} uses a function or class of the script or notebook that was started, which "
            f"other processes do not have; put it into a module, or take one worker."
        )
    return data


def by_address(load: str, address: tuple[Any, ...], facts: Any) -> tuple[Callable[..., Any], Any]:
    """Return what ``__reduce__`` says of something that is loaded again where it arrives.

    Parameters
    ----------
    load
        The function that loads it, ``module:name``; what it returns has ``facts``.
    address
        What that function is given, such as a URI of the registry.
    facts
        What is known of it here, weights among it; it must be the same there.

    Raises
    ------
    InputError
        If it has no address.
    """
    if not address or not address[0]:
        raise InputError(
            f"{facts.name} is not registered, so it cannot travel to another process; register it, "
            f"or take one worker."
        )
    return _arrive, (load, address, facts, tracking_uri())


def _arrive(load: str, address: tuple[Any, ...], facts: Any, store: str) -> Any:
    os.environ["MLFLOW_TRACKING_URI"] = store
    module, _, name = load.partition(":")
    found = getattr(import_module(module), name)(*address)
    if found.facts != facts:
        raise InputError(
            f"What {address[0]} is on {socket.gethostname()} is not what it was when the work was "
            f"given out; do not use it before somebody knows why."
        )
    return found


def attempt(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Call a function; return its answer, or the error that it raised."""
    try:
        return function(), None
    except Exception as error:
        return None, error


def fit_to_travel(error: Exception) -> Exception:
    """Return an error, or where it cannot be told to another process, its sentence."""
    try:
        again = pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(why(error))
    return error if type(again) is type(error) else RuntimeError(why(error))
