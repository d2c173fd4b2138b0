"""What is known of every metric and every family of metrics, and where it is registered.

A *metric* is an entry of facts: unit, direction, range, formula, empty-case rule, reference, and
the quantities it has a meaning for. A *family* is one function ``(Pair, settings) → rows`` that
writes rows of the metrics it declares, and of no others.

Families that look at one region after another (or one structure, one component) apply to each of
them every function of a :class:`MetricFunctions`: there a metric's entry and function are one
place. The others declare what they write with :meth:`METRICS.declare`, in a file of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.measure_kinds import Kind, parse_range, require_kind
from qa_suite.core.registry import Catalogue, Registry
from qa_suite.core.volume import Quantity

REFERENCE_UNIT = "unit of the reference"
"""Unit of what is told in whatever the reference is in: HU, SUVbw, or percent of a percentile."""


class MetricFacts(BaseModel):
    """The facts of one metric, as ``qa-suite list metrics`` and the docs show them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: str = Field(min_length=1)
    title: str = Field(min_length=1)
    unit: str = Field(
        min_length=1,
        description=f"a unit of its own, or {REFERENCE_UNIT!r} (also '{REFERENCE_UNIT}/mm')",
    )
    direction: Literal["lower", "higher", "zero", "none"] = Field(
        description="which way is better; 'none' describes the image and has no better side"
    )
    range: str = Field(
        description="its values with the default settings, as parse_range reads them"
    )
    kind: Kind = Field(
        description="of its values: an event, a count, bounded, positive or signed; it decides "
        "the interval of a mean"
    )
    formula: str = Field(min_length=1)
    empty: str = Field(min_length=1)
    censored: str = Field(
        default="", description="when only a bound is known: the window, cap or edge that ends it"
    )
    ends: tuple[float, ...] = Field(
        default=(),
        description="of that window with the default settings: a value at or beyond one is none",
    )
    reference: str = Field(min_length=1)
    settings: dict[str, str | float | int | bool] = {}
    quantities: tuple[Quantity, ...] = Field(
        default=(), description="of the reference that it has a meaning for; none is any"
    )
    because: str = Field(default="", description="why it has none for others")
    sampled: str = Field(
        default="",
        description="why it is taken in a part of its region by design: a coverage that is small "
        "for that reason is no loss",
    )

    @model_serializer(mode="wrap")
    def _sampled_where_it_is(self, as_usual: SerializerFunctionWrapHandler) -> Any:
        """Say nothing of a sample where all of the region is taken."""
        said = as_usual(self)
        if not self.sampled:
            said.pop("sampled", None)
        return said

    @model_validator(mode="after")
    def _ends_are_told(self) -> MetricFacts:
        if self.ends and not self.censored:
            raise ValueError("the ends of a window say when a value is censored")
        return self

    @model_validator(mode="after")
    def _kind_fits_the_range(self) -> MetricFacts:
        try:
            require_kind(self.kind, parse_range(self.range))
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    def beyond(self, value: float) -> bool:
        """Whether a number lies at an end of the window or beyond, and so is no measured value."""
        return any(value >= end if end > 0 else value <= end for end in self.ends)

    @field_validator("range")
    @classmethod
    def _spelled_as_all(cls, text: str) -> str:
        try:
            parse_range(text)
        except InputError as error:
            raise ValueError(str(error)) from None
        return text


class FamilyFacts(BaseModel):
    """What one family of measures needs and does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    needs: tuple[str, ...] = ()
    common_scale: bool = Field(
        default=False, description="whether it takes images of arbitrary scale without it"
    )
    quantities: tuple[Quantity, ...] = Field(
        default=(), description="of the reference that it has a meaning for; none is any"
    )
    because: str = Field(default="", description="why it has none for others")


METRICS: Catalogue[MetricFacts] = Catalogue("metric")
FAMILIES: Registry[FamilyFacts] = Registry("family of metrics")
PLUGIN_GROUP = "qa_suite.metrics"
"""Entry points by which other packages bring metrics and families."""
OF_NO_PAIR = ("cost", "set_distance")
"""Families of metrics that are not measured pair by pair, and so have no function of a pair."""

Function = TypeVar("Function", bound=Callable[..., Any])


class MetricFunctions(Mapping[str, Function]):
    """Metrics of a family that are functions of one thing: a region, a structure, a component.

    Parameters
    ----------
    family
        Whose metrics they are. It applies every function that stands here to every such thing,
        in the order of registration.
    """

    def __init__(self, family: str) -> None:
        self.family = family
        self._functions: dict[str, Function] = {}

    def add(self, name: str, facts: MetricFacts) -> Callable[[Function], Function]:
        """Declare a metric; the decorated function measures it.

        Raises
        ------
        ValueError
            If the facts name another family, or the name is taken.
        """
        if facts.family != self.family:
            raise ValueError(
                f"metric {name!r} is measured by the family {self.family}, and its facts say "
                f"{facts.family}."
            )
        METRICS.declare(name, facts)

        def register(function: Function) -> Function:
            self._functions[name] = function
            return function

        return register

    def __getitem__(self, name: str) -> Function:
        return self._functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)


def require_sound() -> None:
    """Refuse a registry with a metric that nobody measures, or whose unit would be wrong.

    Raises
    ------
    Problems
        Every metric of a family that is not registered, and every metric in the unit of one
        quantity that would be measured on references of another.
    """
    problems = []
    for entry in METRICS:
        facts = entry.facts
        if facts.family in FAMILIES:
            quantities = facts.quantities or FAMILIES[facts.family].facts.quantities
        elif facts.family in OF_NO_PAIR:
            quantities = facts.quantities
        else:
            problems.append(f"{entry.name} is of the family {facts.family}, which there is not")
            continue
        told_in = facts.unit.split("/")[0]
        if told_in in ("HU", "SUVbw") and quantities != (told_in,):
            problems.append(
                f"{entry.name} is told in {told_in} and measured on any reference: say "
                f"quantities=({told_in!r},), or give it the unit {REFERENCE_UNIT!r}"
            )
    raise_problems("The registry of metrics", problems)


def unit_for(metric: str, reference: str) -> str:
    """Return the unit of a metric where the values of the reference are in the given one."""
    return METRICS[metric].facts.unit.replace(REFERENCE_UNIT, reference)
