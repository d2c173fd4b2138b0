"""By which preflight values a profile leaves a case out, and on which side they are good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, model_validator

from qa_suite.core.records.measurement import STRICT

SMALLER_IS_BETTER = frozenset(
    {
        "alignment_displacement_95",
        "alignment_rotation",
        "alignment_shift",
        "alignment_shift_x",
        "alignment_shift_y",
        "alignment_shift_z",
        "anisotropy",
        "body_cut",
        "finite",
        "hu_saturated",
        "mask_inverted",
        "modalities_swapped",
        "orientation",
        "slices",
    }
)
"""Preflight checks whose good side is zero: a bare number is their largest magnitude."""


class Limit(BaseModel):
    """Where a preflight value is good: a case on the other side is left out of judging.

    At the limit itself a value is good. ``within`` is the largest magnitude.
    """

    model_config = STRICT

    at_least: float | None = None
    at_most: float | None = None
    within: float | None = Field(default=None, ge=0)
    unit: str | None = Field(
        default=None, description="of the limit; refused where preflight recorded another"
    )

    @model_validator(mode="after")
    def _one_side(self) -> Limit:
        given = [x for x in (self.at_least, self.at_most, self.within) if x is not None]
        if not given:
            raise ValueError("say on which side the value is good: at_least, at_most or within")
        if self.within is not None and len(given) > 1:
            raise ValueError("'within' stands alone; at_least and at_most may stand together")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at least {self.at_least:g} and at most {self.at_most:g} exclude all")
        return self

    def allows(self, value: float) -> bool:
        """Say whether a value is on the good side."""
        if self.within is not None:
            return abs(value) <= self.within
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)

    def allows_at_least(self, value: float) -> bool:
        """Say whether a true value may be good that is only known to be at least this."""
        most = self.within if self.within is not None else self.at_most
        return most is None or value <= most


def limit_of(stated: float | Limit) -> Limit:
    """Return a limit as profiles state it; a bare number is the largest magnitude."""
    return stated if isinstance(stated, Limit) else Limit(within=abs(stated))


def bare_numbers(exclude: Mapping[str, Any]) -> list[str]:
    """Say of which limits one cannot know on which side of them a value is good.

    Parameters
    ----------
    exclude
        Of a profile, or as its file writes it.
    """
    return [
        f"{name}: {stated:g} does not say on which side {name} is good; write "
        f"'{name}: {{at_least: {stated:g}}}' or '{name}: {{at_most: {stated:g}}}'"
        for name, stated in sorted(exclude.items())
        if isinstance(stated, int | float) and name not in SMALLER_IS_BETTER
    ]
