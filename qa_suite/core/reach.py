"""Whether the MLflow store answers: asked before anything is asked of it, and within seconds.

MLflow's own client waits for minutes where a server is away or silent, and repeats attempts to
open a database for a minute and a half. So a server is knocked at first, with the standard
library alone; a local database is opened and its lock is asked for.
"""

from __future__ import annotations

import http.client
import os
import sqlite3
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from qa_suite.core.errors import InputError

CONNECT_S = 2.0
"""Within which a server must take a connection."""
ANSWER_S = 3.0
"""Within which it must have answered, its name looked up and the connection taken included."""

_SQLITE = "sqlite:///"
_HTTP = ("http", "https")
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433, "ftp": 21, "sftp": 22}
_PROXIED = "mlflow-artifacts"  # by a tracking server, at the address that follows or its own
_OBJECTS = "s3"
_OBJECTS_AT = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_FRESH_S = 10.0  # for so long an answer, or none, is believed without knocking again

_known: dict[str, tuple[float, str | None]] = {}
_asking: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # who comes later waits


class StoreAway(InputError):
    """The MLflow store does not answer, or cannot be read or written; nothing else is wrong."""

    def __init__(self, uri: str, reason: str, *, named_in: str = "MLFLOW_TRACKING_URI") -> None:
        self.uri, self.reason = uri, reason
        another = f", or name another in {named_in}" if named_in else ""
        super().__init__(
            f"The MLflow store {without_secrets(uri)} cannot be used ({reason}); look whether it "
            f"runs and may be written{another}."
        )


def sqlite_file(uri: str) -> Path | None:
    """Return the file of an SQLite store, or None for another kind of store."""
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def without_secrets(uri: str) -> str:
    """Return an address without user, password and query."""
    if sqlite_file(uri) is not None:
        return uri.partition("?")[0]
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        return uri.rpartition("@")[2]
    if not host:
        return uri.partition("?")[0]
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "") + parts.path


def require_answer(uri: str, *, again: bool = False, named_in: str = "MLFLOW_TRACKING_URI") -> None:
    """Knock at a store, unless that was done a moment ago.

    Parameters
    ----------
    uri
        Of the store.
    again
        Knock also where it was known a moment ago that nobody answers.
    named_in
        The variable that names this store; empty where none does.

    Raises
    ------
    StoreAway
        If it does not answer within :data:`CONNECT_S` and :data:`ANSWER_S`, or cannot be written.
    """
    asked = time.monotonic()
    with _asking[uri]:
        at, reason = _known.get(uri, (float("-inf"), None))
        stale = time.monotonic() - at > _FRESH_S
        if at < asked and (stale or (again and reason is not None)):
            reason = _trouble(uri)
            _known[uri] = (time.monotonic(), reason)
    if reason is not None:
        raise StoreAway(uri, reason, named_in=named_in)


def require_artifacts(uri: str) -> None:
    """Knock at the store of a run's files, where that is another server than the run's own.

    Parameters
    ----------
    uri
        Of the run's artifacts. Whoever reads and writes a kind of store that is not known here
        waits for it himself.

    Raises
    ------
    StoreAway
        If it does not answer.
    """
    parts = urlsplit(uri)
    if parts.scheme == _OBJECTS:
        named = next((os.environ[one] for one in _OBJECTS_AT if os.environ.get(one)), None)
        if named is not None:
            require_answer(named, named_in="MLFLOW_S3_ENDPOINT_URL")
    elif parts.scheme == _PROXIED and parts.netloc:
        require_answer(f"http://{parts.netloc}", named_in="")
    elif parts.scheme in (*_HTTP, *_PORTS):
        require_answer(f"{parts.scheme}://{parts.netloc}", named_in="")


def fell_silent(uri: str, reason: str) -> None:
    """Note that a store which had answered does not any more, so that nobody waits again."""
    _known[uri] = (time.monotonic(), reason)


def forget() -> None:
    """Forget who answered: the next question knocks again."""
    _known.clear()


def _trouble(uri: str) -> str | None:
    """Say why a store cannot be used, or nothing where it can."""
    file = sqlite_file(uri)
    if file is not None:
        return _file_trouble(file)
    try:
        parts = urlsplit(uri)
        scheme = parts.scheme.partition("+")[0].lower()
        if scheme not in (*_HTTP, *_PORTS):
            return None  # a kind of store of which MLflow knows more than is known here
        port = parts.port
    except ValueError as error:
        return f"it is no address: {error}"
    if not parts.hostname:
        return "it is no address: it names no host"
    if scheme in _HTTP:
        return _within(ANSWER_S, lambda: _http_trouble(uri, parts, port))
    port = port or _PORTS[scheme]
    return _within(CONNECT_S, lambda: _connection_trouble(str(parts.hostname), port))


def _within(seconds: float, ask: Callable[[], str | None]) -> str | None:
    """Ask in a thread that is left behind where it takes longer: looking up a name may."""
    said: list[str | None] = []
    thread = threading.Thread(target=lambda: said.append(ask()), daemon=True)
    thread.start()
    thread.join(seconds)
    return said[0] if said else f"it did not answer within {seconds:g} s"


def _connection_trouble(host: str, port: int) -> str | None:
    import socket

    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except TimeoutError:
        return f"it took no connection within {CONNECT_S:g} s"
    except OSError as error:
        return f"it takes no connection: {error.strerror or error}"
    return None


def _http_trouble(uri: str, parts: SplitResult, port: int | None) -> str | None:
    """Whatever a server answers, also that it refuses, is an answer; no secret is sent."""
    host = str(parts.hostname)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(host):
        default = 443 if parts.scheme == "https" else 80
        reason = _connection_trouble(host, port or default)
        if reason is not None:
            return reason
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    try:
        opener.open(f"{without_secrets(uri).rstrip('/')}/health", timeout=ANSWER_S).close()
    except urllib.error.HTTPError:
        return None
    except TimeoutError:
        return f"it takes connections and did not answer within {ANSWER_S:g} s"
    except (OSError, http.client.HTTPException, ValueError) as error:
        inner = getattr(error, "reason", None) or error
        if isinstance(inner, TimeoutError):
            return f"it takes connections and did not answer within {ANSWER_S:g} s"
        return f"it takes connections and answers no request: {inner}"
    return None


def _file_trouble(file: Path) -> str | None:
    folder = file.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"its folder cannot be made: {error.strerror}"
    if not os.access(folder, os.W_OK):
        return "its folder cannot be written"
    if not file.exists():
        return None
    if not file.is_file():
        return "it is no file"
    if not os.access(file, os.W_OK):
        return "the file cannot be written"
    try:
        with sqlite3.connect(file, timeout=ANSWER_S) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
        database.close()
    except sqlite3.Error as error:
        return str(error)
    return None
