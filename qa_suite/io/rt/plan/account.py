"""The account of a plan: every element that it holds is used, checked, told or idle, or named.

Values are never told, for free text may name a patient; keywords and the makers of private
elements are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qa_suite.io.rt.plan.elements import PLAN, RULES, WHO_AND_WHEN, Rule, rule_of


def unread_elements(header: Any) -> dict[str, int]:
    """Return the elements of a plan that no rule speaks of, and how often each is there.

    Returns
    -------
    dict
        ``Sequence.Keyword`` of each, or ``private elements of ...``, to the times that it holds
        a value.
    """
    found: dict[str, int] = {}
    for name in _unread(header, PLAN):
        found[name] = found.get(name, 0) + 1
    return found


def ignored_sentence(header: Any) -> str | None:
    """Say what of a plan is ignored, on one line; None where nothing is."""
    found = unread_elements(header)
    if not found:
        return None
    names = [name if count == 1 else f"{name} ({count}×)" for name, count in found.items()]
    return f"ignored, for nothing here knows what it does to dose: {', '.join(names)}"


def _unread(dataset: Any, place: str) -> Iterator[str]:
    for element in dataset:
        if element.tag.is_private:
            if not element.tag.is_private_creator:
                yield _private(element, place)
            continue
        if _is_empty(element) or element.tag.element == 0:  # a group's length
            continue
        rule = rule_of(place, element.keyword)
        if rule is None:
            if place != PLAN or element.tag.group not in WHO_AND_WHEN:
                name = element.keyword or f"({element.tag.group:04X},{element.tag.element:04X})"
                yield f"{place}.{name}" if place else name
        elif element.VR == "SQ" and element.keyword in RULES and rule.fate != "idle":
            for item in element.value:
                yield from _unread(item, element.keyword)


def _private(element: Any, place: str) -> str:
    maker = element.private_creator or "an unnamed maker"
    where = f" in {place}" if place else ""
    return f"private elements of {maker}{where}"


def _is_empty(element: Any) -> bool:
    return element.VM == 0 or (element.VR == "SQ" and len(element.value) == 0)


_PAGE = """# What becomes of each element of an RTPLAN

Made from `qa_suite/io/rt/plan/elements.py`, to which the reader is held:
`tests/test_rtplan_mutations.py` gives every attribute of the standard's modules of plans another
value, and each must change the dose or what it is judged by, be refused, or be told, but for the
idle ones.

- **used**: decides the dose, or by what it is judged.
- **checked**: refused or told where it speaks against the plan.
- **told**: its value stands in a remark.
- **idle**: cannot change the dose, for the reason beside it.

What stands in no row is told as *ignored*, by its keyword and never by its value; private elements
by their maker. Empty elements say nothing. Elements of the plan itself in the groups {groups}
(patient, study, equipment, identifiers) are idle unless a row names them. A sequence with rows
of its own is looked into; any other goes by its row as a whole.

| In | | Elements | Why |
|---|---|---|---|
"""


def elements_page() -> str:
    """Return the rules as a page of Markdown, ``docs/dose/plan-elements.md``."""
    groups = ", ".join(f"{group:04X}" for group in WHO_AND_WHEN)
    places: dict[Rule, list[str]] = {}
    for place, rules in RULES.items():
        for rule in rules:
            places.setdefault(rule, []).append(place or "the plan itself")
    return _PAGE.format(groups=groups) + "".join(
        _row(where, rule) for rule, where in places.items()
    )


def _row(places: list[str], rule: Rule) -> str:
    return f"| {', '.join(places)} | {rule.fate} | {', '.join(rule.keywords)} | {rule.why} |\n"
