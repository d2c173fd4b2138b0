"""What an error says of an operation: that it may be taken later, needs leave, or never will be.

Of MLflow's codes, those with a status of HTTP follow it: 408, 425, 429, 499 and 5xx pass, 401 and
403 ask for leave, the rest of 4xx is refused for good. Two are told by what they mean: ABORTED
(409) is a change by somebody else at the same moment, NOT_IMPLEMENTED (501) passes with no repeat.
"""

from __future__ import annotations

import re
from typing import Literal

from qa_suite.core.errors import InputError, PassingFailure, QAError
from qa_suite.core.reach import StoreAway
from qa_suite.core.store import unanswered

Fate = Literal["passes", "leave", "refused"]

PASSES = frozenset(
    """
    ABORTED CANCELLED COULD_NOT_ACQUIRE_LOCK DATA_LOSS DEADLINE_EXCEEDED DEPLOYMENT_TIMEOUT
    GIT_REMOTE_ERROR INSECURE_PARTNER_RESPONSE INTERNAL_ERROR INVALID_STATE IO_ERROR
    MALFORMED_PARTNER_RESPONSE PARTIAL_DELETE PERMISSION_NOT_PROPAGATED PROJECTS_OPERATION_TIMEOUT
    PROVIDER_SHARE_NOT_ACCESSIBLE REQUEST_LIMIT_EXCEEDED RESOURCE_EXHAUSTED
    SERVICE_UNDER_MAINTENANCE TEMPORARILY_UNAVAILABLE UNPARSEABLE_HTTP_ERROR
    WORKSPACE_TEMPORARILY_UNAVAILABLE
    """.split()  # noqa: SIM905
)
"""Codes of a server that is busy, broken or being mended: the same may be taken later."""
LEAVE = frozenset(("CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED", "UNAUTHENTICATED"))
"""Codes of a server that does not let this user do it."""
REFUSED = frozenset(
    """
    ALREADY_EXISTS BAD_REQUEST CATALOG_ALREADY_EXISTS CATALOG_DOES_NOT_EXIST CATALOG_NOT_EMPTY
    DAC_ALREADY_EXISTS DAC_DOES_NOT_EXIST DIRECTORY_NOT_EMPTY DIRECTORY_PROTECTED DRY_RUN_FAILED
    ENDPOINT_NOT_FOUND EXTERNAL_LOCATION_ALREADY_EXISTS EXTERNAL_LOCATION_DOES_NOT_EXIST
    FEATURE_DISABLED GIT_CONFLICT GIT_SENSITIVE_TOKEN_DETECTED GIT_UNKNOWN_REF
    GIT_URL_NOT_ON_ALLOW_LIST INVALID_PARAMETER_VALUE INVALID_STATE_TRANSITION IPYNB_FILE_IN_REPO
    MALFORMED_REQUEST MANAGED_RESOURCE_GROUP_DOES_NOT_EXIST MAX_BLOCK_SIZE_EXCEEDED
    MAX_CHILD_NODE_SIZE_EXCEEDED MAX_LIST_SIZE_EXCEEDED MAX_NOTEBOOK_SIZE_EXCEEDED
    MAX_READ_SIZE_EXCEEDED METASTORE_ALREADY_EXISTS METASTORE_DOES_NOT_EXIST METASTORE_NOT_EMPTY
    NOT_FOUND NOT_IMPLEMENTED PRINCIPAL_DOES_NOT_EXIST PROVIDER_ALREADY_EXISTS
    PROVIDER_DOES_NOT_EXIST QUOTA_EXCEEDED RECIPIENT_ALREADY_EXISTS RECIPIENT_DOES_NOT_EXIST
    RESOURCE_ALREADY_EXISTS RESOURCE_CONFLICT RESOURCE_DOES_NOT_EXIST RESOURCE_LIMIT_EXCEEDED
    SCHEMA_ALREADY_EXISTS SCHEMA_DOES_NOT_EXIST SCHEMA_NOT_EMPTY SEARCH_QUERY_TOO_LONG
    SEARCH_QUERY_TOO_SHORT SHARE_ALREADY_EXISTS SHARE_DOES_NOT_EXIST
    STORAGE_CREDENTIAL_ALREADY_EXISTS STORAGE_CREDENTIAL_DOES_NOT_EXIST TABLE_ALREADY_EXISTS
    TABLE_DOES_NOT_EXIST
    """.split()  # noqa: SIM905
)
"""Codes of an answer that the same question always gets."""

_PASSING_STATUS = (408, 425, 429, 499)
_LEAVE_STATUS = (401, 403)
_NOT_IMPLEMENTED = 501
_STATUS_IN_WORDS = re.compile(r"failed with error code (\d{3}) != ")


_OF_WHAT_WAS_NOTED = (TypeError, ValueError, LookupError, AttributeError)
"""Errors of this program about a line that it cannot use: a repeat meets the same."""


class NeedsLeave(InputError):
    """Something of this machine that nobody may read until leave is given; it is sent then."""


def fate_of(error: Exception) -> Fate:
    """Return what becomes of an operation that met an error.

    Parameters
    ----------
    error
        Of MLflow, of the connection to it, or of the suite.
    """
    if isinstance(error, NeedsLeave):
        return "leave"
    if isinstance(error, (PassingFailure, StoreAway)):
        return "passes"
    if isinstance(error, QAError):
        return "refused"
    status = _http_status(error)
    if status is not None:
        return fate_of_status(status)
    code = getattr(error, "error_code", None)
    if code is None and isinstance(error, _OF_WHAT_WAS_NOTED) and not isinstance(error, OSError):
        return "refused"
    return fate_of_code(str(code))


def fate_of_code(code: str) -> Fate:
    """Return what becomes of an operation by MLflow's code; an unknown one may pass."""
    if code in LEAVE:
        return "leave"
    return "refused" if code in REFUSED else "passes"


def fate_of_status(status: int) -> Fate:
    """Return what becomes of an operation by the status of HTTP."""
    if status in _LEAVE_STATUS:
        return "leave"
    if status == _NOT_IMPLEMENTED:
        return "refused"
    return "refused" if 400 <= status < 500 and status not in _PASSING_STATUS else "passes"


def of_mlflow(error: Exception) -> bool:
    """Whether MLflow itself answered, rather than something else at its address."""
    if unanswered(error) or _http_status(error) is not None:
        return False
    return getattr(error, "error_code", "ENDPOINT_NOT_FOUND") != "ENDPOINT_NOT_FOUND"


def answered(error: Exception) -> bool:
    """Whether somebody answered, whatever that was, rather than nobody."""
    return _http_status(error) is not None or of_mlflow(error)


def words_of(error: Exception) -> str:
    """Return what an error says, in one line."""
    words = " ".join(str(error).split())[:300]
    plain = isinstance(error, QAError) or hasattr(error, "error_code")
    return words if plain else f"{type(error).__name__}: {words}"


def _http_status(error: Exception) -> int | None:
    """Return the status of an answer that is not MLflow's own, such as a proxy's."""
    answer = getattr(error, "response", None)  # of the library by which files are sent
    status = getattr(answer, "status_code", None)
    if isinstance(status, int):
        return status
    found = _STATUS_IN_WORDS.search(str(error)) if hasattr(error, "error_code") else None
    return int(found[1]) if found else None
