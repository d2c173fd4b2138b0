"""What the checks without a reference can be told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ReferenceFreeSettings(BaseModel):
    """Settings of the checks without a reference."""

    model_config = _STRICT
