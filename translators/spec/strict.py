"""What every block of a specification has in common."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Axis = Literal["x", "y", "z"]


class Block(BaseModel):
    """A block that belongs to single families; they name it in their ``FamilyFacts``."""

    model_config = STRICT
