"""The whole specification of a translator: blocks, and how they must agree."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, field_validator, model_validator

from qa_suite.core.errors import InputError
from qa_suite.core.names import LONGEST_NAME
from translators.spec.images import SourceSpec, TargetSpec
from translators.spec.network import NetworkSpec
from translators.spec.strict import STRICT, Block
from translators.spec.training import InferenceSpec, SearchRange, TrainingSpec, UncertaintySpec

SHARED_BLOCKS = ("network", "training", "inference")
"""Blocks that many families have and some have not."""

Own = TypeVar("Own", bound=Block)


class TranslatorSpec(BaseModel):
    """A translator, before and after training.

    The blocks of single families stand beside these fields: see
    :func:`translators.spec.families.spec_type`, and :meth:`own` to have one.
    """

    model_config = STRICT

    schema_version: Literal[1] = 1
    family: str
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=LONGEST_NAME)
    description: str = ""
    direction: str = Field(pattern=r"^[A-Z0-9]+->[A-Z0-9]+$")
    anatomy: str
    working_spacing_mm: tuple[float, float, float] | None = Field(
        default=None, description="x, y, z; None: the voxels as they come"
    )
    source: SourceSpec = SourceSpec()
    target: TargetSpec = TargetSpec()
    network: NetworkSpec | None = None
    training: TrainingSpec | None = None
    inference: InferenceSpec | None = None
    uncertainty: UncertaintySpec = UncertaintySpec()
    search: dict[str, SearchRange] = Field(
        default_factory=dict, description="'block.key' to what a search may try"
    )

    @field_validator("working_spacing_mm")
    @classmethod
    def _positive(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and min(value) <= 0:
            raise ValueError("spacings must be positive")
        return value

    @model_validator(mode="after")
    def _direction_matches(self) -> TranslatorSpec:
        expected = f"{self.source.modality}->{self.target.modality}"
        if self.direction != expected:
            raise ValueError(f"direction {self.direction} contradicts source and target {expected}")
        return self

    @model_validator(mode="after")
    def _patches_fit(self) -> TranslatorSpec:
        if self.network is None:
            return self
        for name, block in (("training", self.training), ("inference", self.inference)):
            if block is None:
                continue
            if len(block.patch) != self.network.axes:
                raise ValueError(
                    f"{name}.patch needs {self.network.axes} sizes for {self.network.dimensions}, "
                    f"got {len(block.patch)}"
                )
            divisors = self.network.divisors
            if any(n < 1 or n % d for n, d in zip(block.patch, divisors, strict=True)):
                raise ValueError(
                    f"{name}.patch must be divisible by {divisors} for "
                    f"{len(self.network.channels)} levels, got {block.patch}"
                )
        return self

    @property
    def blocks(self) -> frozenset[str]:
        """Names of the optional blocks that are filled."""
        return frozenset(
            name
            for name, info in type(self).model_fields.items()
            if info.default is None and name != "working_spacing_mm"
            if getattr(self, name) is not None
        )

    def find(self, kind: type[Own]) -> Own | None:
        """Return the family's own block of a kind, or None where it is left out."""
        found = (getattr(self, name) for name in type(self).model_fields)
        return next((block for block in found if isinstance(block, kind)), None)

    def own(self, kind: type[Own]) -> Own:
        """Return the family's own block of a kind.

        Raises
        ------
        InputError
            If the specification has none.
        """
        found = self.find(kind)
        if found is None:
            raise InputError(f"Specification {self.name} has no {kind.__name__}.")
        return found

    @property
    def digest(self) -> str:
        """SHA-256 over everything that the specification says; what it leaves out is not in it."""
        text = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def flat(self) -> dict[str, Any]:
        """Return one level of ``block.key`` to value, as MLflow wants parameters."""
        flat: dict[str, Any] = {}

        def visit(prefix: str, value: Any) -> None:
            if isinstance(value, dict):
                for key, inner in value.items():
                    visit(f"{prefix}.{key}" if prefix else key, inner)
            elif value is not None and value != "":
                flat[prefix] = value

        visit("", self.model_dump(mode="json"))
        return flat
