"""What a criteria file may not say, beyond what a stored profile can hold.

A verdict's own profile is read back as it was written, years later; a file is read before anything
is judged by it, and is held to more: every bound must be one that could be met and could be missed.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qa_suite.core.records import bare_numbers
from qa_suite.core.wording import count
from qa_suite.judging.criteria.measures import WAY, KnownMeasure, Measures, fits

Said = tuple[str, str]
"""Key of a criterion or profile, and what is wrong with it."""

LEAST_CONFIDENCE, MOST_CONFIDENCE = 0.8, 0.9999
MOST_PATIENTS = 10_000
_PLAIN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9])?")
_DEVICES = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")
_NO_SOURCE = {"todo", "tbd", "none", "n/a", "na", "unknown", "source", "xxx", "see above", "-"}
_LARGEST = {"HU": 5000, "SUVbw": 1000, "mm": 1000, "°": 180, "Gy": 500, "dB": 300, "%": 1000}
"""Magnitudes that no patient reaches: a bound beyond asks nothing."""
_TEXTS = ("name", "metric", "region", "variant", "unit", "source", "rationale", "population")


def criterion_problems(given: Mapping[str, Any]) -> Iterator[Said]:
    """Yield what is wrong with one criterion by itself.

    Parameters
    ----------
    given
        Its valid values by key, defaults included; what could not be read is left out.
    """
    yield from _blanks(given, _TEXTS)
    source = given.get("source")
    if isinstance(source, str) and source.strip() and not says_something(source):
        yield "source", f"{source!r} is no source; name a paper, a report or whose decision it is"
    confidence = given.get("confidence")
    if confidence is not None and not LEAST_CONFIDENCE <= confidence <= MOST_CONFIDENCE:
        yield (
            "confidence",
            f"{confidence:g} is no confidence to judge by; give {LEAST_CONFIDENCE} to "
            f"{MOST_CONFIDENCE}, such as 0.95",
        )
    yield from _patients(given)
    yield from _share(given)
    if given.get("direction") == "within" and limit_of(given) == 0:
        yield _limit_key(given), "a bound 'within' of zero is met by nothing that is measured"


def _patients(given: Mapping[str, Any]) -> Iterator[Said]:
    least = given.get("min_patients")
    if least is None:
        return
    if least > MOST_PATIENTS:
        yield (
            "min_patients",
            f"{count(least, 'patient')} are more than anybody has; at most {MOST_PATIENTS}",
        )
    has_none = given.get("scope") in (None, "worst_patient")
    if least == 1 and not has_none and given.get("statistic") not in ("max", "min"):
        yield "min_patients", "one patient has no interval; at least 2 are needed"


def _share(given: Mapping[str, Any]) -> Iterator[Said]:
    if given.get("statistic") != "fraction_within" or "bound" not in given:
        return
    if given["bound"] == 0:
        yield "bound", "a share of zero asks nothing; give the least share of patients, as 0.95"
    if given["bound"] == 1:
        yield (
            "bound",
            "no number of patients proves a share of 1; ask for less, or for the worst_patient",
        )


def _blanks(given: Mapping[str, Any], keys: Sequence[str]) -> Iterator[Said]:
    for key in keys:
        text = given.get(key)
        if not isinstance(text, str) or (text == "" and key in ("rationale", "population")):
            continue
        if not text.strip():
            yield key, "it is blank"
        elif any(ord(letter) < 32 and letter not in "\n\t" for letter in text):
            yield key, f"{text!r} holds a control character"
        elif key in ("name", "metric", "region", "variant", "unit") and text != text.strip():
            yield key, f"{text!r} begins or ends with a space"


def says_something(text: str) -> bool:
    """Say whether a source is more than a blank or a placeholder."""
    words = text.strip().strip(".").lower()
    return words not in _NO_SOURCE and re.search(r"[^\W\d_]{3,}", words) is not None


def limit_of(given: Mapping[str, Any]) -> float | None:
    """Return the number that single values are held against; None where it could not be read."""
    return given.get(_limit_key(given))


def _limit_key(given: Mapping[str, Any]) -> str:
    return "per_patient_bound" if given.get("statistic") == "fraction_within" else "bound"


# ---------------------------------------------------------------------------------------
# Against what is known of the measures


def measure_problems(
    given: Mapping[str, Any], direction: str, measures: Measures
) -> Iterator[Said]:
    """Yield what is wrong with a criterion, or a described measure, for what it names.

    Parameters
    ----------
    given
        As for :func:`criterion_problems`.
    direction
        Of the profile, such as ``MR->CT`` or ``any``.
    measures
        What is known.
    """
    metric = given.get("metric")
    if not isinstance(metric, str) or not metric.strip():
        return
    facts = measures.facts(metric, direction)
    if facts is None:
        close = difflib.get_close_matches(metric, measures.names(), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see qa-suite list metrics"
        yield "metric", f"there is no metric {metric!r}; {hint}"
        return
    if facts.not_for:
        yield "metric", f"{metric} {facts.not_for}"
    for key, spellings in (("region", facts.regions), ("variant", facts.variants)):
        text = given.get(key)
        if spellings is not None and isinstance(text, str) and not fits(text, spellings):
            yield key, _misspelled(metric, key, text, spellings)
    if "unit" in given and facts.unit is not None and given["unit"] != facts.unit:
        yield "unit", f"{metric} is told in '{facts.unit}', not in '{given['unit']}'"
    yield from _wrong_side(given, metric, facts)
    yield from _beyond_range(given, metric, facts)


def _misspelled(metric: str, key: str, text: str, spellings: Sequence[str]) -> str:
    close = difflib.get_close_matches(text, spellings, n=2)
    if close:
        return f"{metric} has no {key} {text!r}; did you mean {' or '.join(close)}?"
    return f"{metric} has no {key} {text!r}; it has {', '.join(map(_example, spellings))}"


def _example(spelling: str) -> str:
    """Return a spelling with an example for what only the material or the settings know."""
    examples = {"NAME": "Rectum", "PLAN": "photon-pelvis", "N": "2"}
    if spelling.startswith("beam:"):
        examples["NAME"] = "G090"
    parts = re.split(r"(NAME|PLAN|N)", spelling)
    shown = "".join(examples.get(part, part) for part in parts)
    return shown if shown == spelling else f"{shown} (an example)"


def _wrong_side(given: Mapping[str, Any], metric: str, facts: KnownMeasure) -> Iterator[Said]:
    way, wanted = given.get("direction"), WAY.get(facts.better)
    if way is None or wanted is None or way == wanted:
        return
    better = {"lower": "better when lower", "higher": "better when higher"}.get(
        facts.better, "best at zero, and errs to both sides"
    )
    yield (
        "direction",
        f"{metric} is {better}: it is bounded '{wanted}', and '{way}' would pass what is worse",
    )


def _beyond_range(given: Mapping[str, Any], metric: str, facts: KnownMeasure) -> Iterator[Said]:
    limit, way, key = limit_of(given), given.get("direction"), _limit_key(given)
    if limit is None or way is None:
        return
    reach = max(abs(facts.low), abs(facts.high))
    nothing = {
        "at_most": limit >= facts.high,
        "at_least": limit <= facts.low,
        "within": limit >= reach,
    }[way]
    never = {"at_most": limit < facts.low, "at_least": limit > facts.high, "within": False}[way]
    ends = f"its values lie between {facts.low:g} and {facts.high:g}"
    if nothing:
        yield key, f"every {metric} meets {limit:g}: {ends}"
    elif never:
        yield key, f"no {metric} meets {limit:g}: {ends}"
    elif (largest := _LARGEST.get(facts.unit or "", math.inf)) < abs(limit):
        yield key, f"{limit:g} {facts.unit} asks nothing of {metric}; at most {largest}"
    elif facts.unit == "%" and way == "at_least" and facts.high == 100 and 0 < limit <= 1:
        yield key, f"{metric} is told in %: write {100 * limit:g} if you mean {limit:g} of 1"


# ---------------------------------------------------------------------------------------
# The profile as a whole


def profile_problems(given: Mapping[str, Any]) -> Iterator[Said]:
    """Yield what is wrong with what a profile says of itself."""
    yield from _blanks(given, ("version", "direction", "anatomy", "intended_use"))
    for sentence in bare_numbers(given.get("exclude") or {}):
        yield "exclude", sentence
    name = given.get("name")
    if isinstance(name, str) and (not _PLAIN_NAME.fullmatch(name) or _DEVICES.fullmatch(name)):
        yield (
            "name",
            f"{name!r} cannot name a verdict's file; use up to 80 letters, digits, dots, hyphens "
            f"and underscores, without a path",
        )
    schema = given.get("schema_version")
    if schema is not None and type(schema) is not int:
        yield "schema_version", f"a whole number is needed (got {str(schema)!r})"
    direction = given.get("direction")
    if isinstance(direction, str) and direction.strip() and direction != "any":
        source, _, target = direction.partition("->")
        if not re.fullmatch(r"[A-Z0-9]+", source) or not re.fullmatch(r"[A-Z0-9]+", target):
            yield "direction", f"{direction!r} is no direction; write it as MR->CT, or any"


def repeated(criteria: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str, str]]:
    """Yield position, key and sentence of criteria that ask of one thing twice."""
    names: set[str] = set()
    asked: dict[tuple[Any, ...], int] = {}
    for at, one in enumerate(criteria):
        name = one.get("name")
        if isinstance(name, str):
            if name in names:
                yield at, "name", f"two criteria are named '{name}'"
            names.add(name)
        keys = ("metric", "region", "variant", "scope", "direction")
        if any(key not in one for key in (*keys, "statistic")):
            continue
        worst = one["scope"] == "worst_patient"
        what = (
            *(one[key] for key in keys),
            None if worst else one["statistic"],
            one.get("per_patient_bound"),
        )
        if what in asked:
            first = criteria[asked[what]].get("name", f"number {asked[what] + 1}")
            yield at, "", f"it asks the same as '{first}': one bound for one measure and scope"
        asked.setdefault(what, at)
