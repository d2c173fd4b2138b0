"""What the uncertainty measures can be told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class UncertaintySettings(BaseModel):
    """Settings of the uncertainty measures."""

    model_config = _STRICT
