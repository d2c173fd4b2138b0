"""The registry: one name, one entry; unknown names come with the close matches."""

import pytest

from qa_suite.core.errors import UnknownName
from qa_suite.core.registry import Registry


def test_a_function_is_registered_and_stays_itself():
    things: Registry[str] = Registry("thing")

    def hammer() -> int:
        return 3

    assert things.add("hammer", "a fact")(hammer) is hammer
    assert things["hammer"].function() == 3
    assert things["hammer"].facts == "a fact"
    assert [entry.name for entry in things] == ["hammer"]


def test_one_name_twice_is_a_mistake():
    things: Registry[str] = Registry("thing")
    things.add("hammer", "")(len)
    with pytest.raises(ValueError, match="twice"):
        things.add("hammer", "")(len)


def test_an_unknown_name_brings_the_close_ones():
    things: Registry[str] = Registry("thing")
    things.add("hammer", "")(len)
    with pytest.raises(UnknownName, match="did you mean hammer"):
        things["hamer"]
    with pytest.raises(UnknownName, match="known: hammer"):
        things["zzz"]
