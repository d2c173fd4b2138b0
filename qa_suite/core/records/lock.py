"""The lock: criteria, test cohort and settings, written down before anything is translated."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from qa_suite.core.records.evidence import CohortUse
from qa_suite.core.records.measurement import STRICT
from qa_suite.core.records.profile import Profile


class Lock(BaseModel):
    """What an evaluation will be judged by, on whom and how it will be measured."""

    model_config = STRICT

    schema_version: Literal[1] = 1
    lock: str = Field(description="identifier: digest of all that the file says beside it")
    profile: Profile
    cohort: str
    cohort_digest: str
    split: str
    settings: dict[str, Any] = Field(description="of the evaluation, resolved")
    instruments: tuple[str, ...] = Field(
        default=(), description="the examiner's own networks: kind, name and weights"
    )
    model: str = Field(default="", description="URI; empty where the lock is for every model")
    weights_sha256: str | None = None
    suite_version: str
    git_commit: str | None
    git_dirty: bool | None
    written: str
    written_by: str | None
    person_from: Literal["said", "account", "unknown"]
    examined_before: tuple[CohortUse, ...] = Field(
        default=(), description="times that this test cohort had been examined until then"
    )
    looked_in: tuple[str, ...] = ()
