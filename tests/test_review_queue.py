"""The queue of reviews: what an item comes to, and that no event is lost or changed."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from qa_suite.core.review_queue import (
    QUEUE_FILE,
    Event,
    Place,
    add_event,
    items_of,
    new_event,
    read_queue,
)


def event(did: str, who: str = "Ada", **more: object) -> Event:
    return new_event(who, did, "e" * 16, **({"case": "A01"} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("did", "state"),
    [
        (["asked"], "open"),
        (["commented"], "open"),
        (["asked", "accepted"], "accepted"),
        (["asked", "accepted", "commented"], "accepted"),
        (["asked", "rejected"], "rejected"),
        (["asked", "rejected", "accepted"], "accepted"),
        (["asked", "accepted", "reopened"], "open"),
        (["asked", "accepted", "reopened", "rejected"], "rejected"),
    ],
)
def test_where_an_item_stands(did: list[str], state: str) -> None:
    (item,) = items_of([event(one, comment="words") for one in did])
    assert item.state == state


def test_who_is_to_look_and_who_has_looked() -> None:
    told = [event("asked", to="Ben"), event("assigned", to="Eve")]
    assert items_of(told)[0].waits_for == "Eve"
    told += [event("accepted", "Eve"), event("accepted", "Ben"), event("accepted", "Eve")]
    (item,) = items_of(told)
    assert item.waits_for == "" and item.people == ("Eve", "Ben")
    (item,) = items_of([*told, event("reopened", comment="why"), event("accepted", "Ben")])
    assert item.people == ("Ben",)


def test_cases_and_verdicts_are_items_of_their_own() -> None:
    told = [event("asked"), event("asked", case="", verdict="v" * 16), event("asked", case="A02")]
    assert [(i.case, i.verdict) for i in items_of(told)] == [
        ("A01", ""),
        ("", "v" * 16),
        ("A02", ""),
    ]


@pytest.mark.parametrize(
    ("did", "more"),
    [
        ("commented", {}),
        ("rejected", {"comment": " "}),
        ("reopened", {}),
        ("assigned", {}),
        ("accepted", {"who": ""}),
        ("commented", {"comment": "x", "case": "", "place": Place(xyz_mm=(1, 2, 3))}),
    ],
)
def test_an_event_that_says_nothing_is_none(did: str, more: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        event(did, **more)


def test_a_place_comes_back_to_the_last_digit(tmp_path: Path) -> None:
    place = Place(xyz_mm=(0.1 + 0.2, -1e-9, 123456.789), frame_of_reference="f", image="synthetic")
    add_event(tmp_path, event("commented", comment="here", place=place))
    assert read_queue(tmp_path).lines[0].place == place


def test_an_event_that_is_told_twice_counts_once(tmp_path: Path) -> None:
    one = event("accepted")
    add_event(tmp_path, one)
    add_event(tmp_path, one)
    assert len(read_queue(tmp_path).lines) == 1
    assert len(items_of([one, one])[0].events) == 1


def test_two_reviewers_at_once_lose_nothing(tmp_path: Path) -> None:
    def many(name: str) -> None:
        for n in range(20):
            add_event(tmp_path, event("commented", name, comment=str(n)))

    threads = [threading.Thread(target=many, args=(name,)) for name in ("Ada", "Ben")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    found = read_queue(tmp_path)
    assert len(found.lines) == 40 and not found.problems


@pytest.mark.parametrize("fault", ["edited", "taken out", "swapped", "put in"])
def test_what_is_tampered_with_is_found(tmp_path: Path, fault: str) -> None:
    for n in range(4):
        add_event(tmp_path, event("commented", comment=str(n)))
    path = tmp_path / QUEUE_FILE
    lines = path.read_text().splitlines()
    if fault == "edited":
        lines[1] = json.dumps(json.loads(lines[1]) | {"comment": "other"}, sort_keys=True)
    elif fault == "taken out":
        del lines[1]
    elif fault == "swapped":
        lines[1], lines[2] = lines[2], lines[1]
    else:
        lines.insert(2, lines[1])
    path.write_text("\n".join(lines) + "\n")
    assert read_queue(tmp_path).problems
