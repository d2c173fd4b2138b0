"""What the search for false and missed components can be told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class HallucinationSettings(BaseModel):
    """Settings of the search for false and missed components."""

    model_config = _STRICT
