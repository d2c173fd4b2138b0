"""What every block of a specification has in common."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Axis = Literal["x", "y", "z"]
