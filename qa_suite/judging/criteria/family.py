"""What a criteria file declares for audits and comparisons: the primary criteria, and margins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qa_suite.core.yaml_lines import Place
from qa_suite.judging.criteria.checks import says_something

Found = Iterator[tuple[Place, str]]
_OF_MEANS = ("pooled", "each_site", "new_site")


def family_problems(given: Mapping[str, Any], criteria: Sequence[Mapping[str, Any]]) -> Found:
    """Yield place and sentence of what is wrong with a profile's primary criteria and margins.

    Parameters
    ----------
    given
        The profile's valid values by key.
    criteria
        Of each criterion the same.
    """
    by_name = {one["name"]: one for one in criteria if "name" in one}
    if given.get("schema_version") == 2:
        yield from _of_schema_2(given)
    margins = given.get("margins") or {}
    for name, stated in margins.items():
        criterion = by_name.get(name)
        if criterion is not None:
            yield from _of_margin(name, stated, criterion)


def _of_schema_2(given: Mapping[str, Any]) -> Found:
    """Ask why these are primary, and where each margin is from."""
    if given.get("primary"):
        for key in ("primary_source", "primary_rationale"):
            if not says_something(given.get(key) or ""):
                yield (key,), f"{key}: field required by schema 2 where criteria are primary"
    for name, stated in (given.get("margins") or {}).items():
        if not isinstance(stated, Mapping):
            yield (
                ("margins", name),
                f"margins.{name}: schema 2 asks for its source and rationale; write "
                f"'{{margin: {stated:g}, source: …, rationale: …}}'",
            )
        elif isinstance(text := stated.get("source"), str) and not says_something(text):
            yield ("margins", name, "source"), f"margins.{name}.source: {text!r} is no source"


def _of_margin(name: str, stated: Any, criterion: Mapping[str, Any]) -> Found:
    place: Place = ("margins", name)
    if criterion.get("statistic") != "mean" or criterion.get("scope") not in _OF_MEANS:
        yield place, f"margins.{name}: it bounds no mean over patients, and means are compared"
        return
    margin = stated.get("margin") if isinstance(stated, Mapping) else stated
    bound, way = criterion.get("bound"), criterion.get("direction")
    if bound is None or not isinstance(margin, int | float) or way == "at_least" or bound <= 0:
        return
    if margin >= bound:
        yield (
            place,
            f"margins.{name}: a margin of {margin:g} is not below the bound of {bound:g}, so that "
            f"a perfect model and one at the bound would count as alike",
        )
