"""Where the viewer's volumes are fetched from: routes of the dashboard behind unguessable names."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from qa_suite.core.errors import QAError
from reports.dashboard.viewer.volumes import CaseFiles, stored_case

PATH: Final = "api/volume"
VALID_S: Final = 8 * 3600.0
_MOST: Final = 5000


class Shelf:
    """Names that a page gave out, each for one volume of one case, for some hours.

    A name is made in the script of a page, which only somebody who may see the page runs; whoever
    has no name gets nothing.
    """

    def __init__(self) -> None:
        self._offered: OrderedDict[str, tuple[float, CaseFiles, str]] = OrderedDict()
        self._names: dict[tuple[str, CaseFiles, str], str] = {}
        self._lock = threading.Lock()

    def offer(self, files: CaseFiles, role: str, session: str) -> str:
        """Return the address of a volume, relative to the dashboard's own; one for a session."""
        asked = (session, files, role)
        with self._lock:
            name = self._names.get(asked, "")
            if name not in self._offered:
                name = self._names[asked] = secrets.token_urlsafe(32)
            self._offered[name] = (time.monotonic() + VALID_S, files, role)
            self._offered.move_to_end(name)
            while len(self._offered) > _MOST:
                gone, _ = self._offered.popitem(last=False)
                self._names = {key: one for key, one in self._names.items() if one != gone}
        return f"{PATH}/{name}"

    def find(self, name: str) -> tuple[CaseFiles, str] | None:
        """Return what a name stands for, or None where it stands for nothing any more."""
        with self._lock:
            until, files, role = self._offered.get(name, (0.0, None, ""))
        return (files, role) if files is not None and time.monotonic() < until else None


SHELF: Final = Shelf()


def answer(request: Request) -> Response:
    """Send a volume; it is read again where it is no longer at hand."""
    found = SHELF.find(request.path_params["name"])
    if found is None:
        return PlainTextResponse("this address has expired; load the page again", 404)
    files, role = found
    try:
        volume = stored_case(files).volumes[role]
    except (QAError, OSError) as error:
        return PlainTextResponse(str(error), 410)
    # Without this a proxy or the server packs it, which takes longer than sending it does.
    headers = {"Content-Encoding": "identity", "Cache-Control": "private, max-age=28800"}
    return Response(volume.content, media_type="application/octet-stream", headers=headers)


ROUTES: Final = [Route(f"/{PATH}/{{name}}", answer, methods=["GET"])]
