"""What the web application serves beside the pages, and which hosts it answers."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import BaseRoute

from reports.dashboard.viewer.shelf import ROUTES


def routes() -> list[BaseRoute]:
    """Return the routes of the case viewer's volumes."""
    return list(ROUTES)


def middleware(allowed_hosts: Sequence[str]) -> list[Middleware]:
    """Return what every request passes first.

    Parameters
    ----------
    allowed_hosts
        What a request may be addressed to. A page elsewhere whose name was pointed at this machine
        reads nothing.
    """
    return [Middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts))]
