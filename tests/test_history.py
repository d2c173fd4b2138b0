"""What was done with a test cohort before now: logs and folders by hand, and what is counted."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qa_suite.core.errors import InputError
from qa_suite.core.examination_log import Log, LogLine, append
from qa_suite.core.records import CohortUse, ProfileTried
from qa_suite.core.records.lock import Lock
from qa_suite.judging.history import History, _known, _same_model, _without_secrets, look
from qa_suite.judging.protocol import protocol_of
from tests.judging_record import Record, profile

COHORT = ("digest", "test")
OURS = ("models:/m/1", "w1")


def line(what: str, at: int, evaluation: str = "", **more: Any) -> LogLine:
    facts = {
        "what": what, "at": f"2026-01-{at:02d}T00:00:00+00:00", "cohort": "pelves",
        "cohort_digest": COHORT[0], "split": COHORT[1], "evaluation": evaluation,
        "model": OURS[0], "weights_sha256": OURS[1],
    }  # fmt: skip
    return LogLine.model_validate(facts | more)


def tried(digest: str, outcome: str = "fail", bounds: int = 1) -> ProfileTried:
    return ProfileTried(name="p", version="1", sha256=digest, outcome=outcome, bounds=bounds)


def recorded(place: Path, name: str, at: int, **more: Any) -> None:
    """Write as much of an evaluation's file as is looked at."""
    said = {
        "evaluation": name,
        "when": {"started": f"2026-01-{at:02d}T00:00:00+00:00"},
        "model": {"uri": OURS[0], "weights_sha256": OURS[1]},
        "cohort": {"digest": COHORT[0], "split": COHORT[1]},
    }
    (place / name).mkdir()
    (place / name / "evaluation.json").write_text(json.dumps(said | more))


def found(place: Path, *lines: LogLine, **more: Any) -> History:
    for one in lines:
        append(place / "examinations.jsonl", one)
    return look(place / "mine", cohort=COHORT, **more)


def uses(history: History) -> list[tuple[str, str, int | None, tuple[str, ...]]]:
    return [(use.evaluation, use.begun[8:10], use.shared, use.seen_in) for use in history.uses]


def test_nothing_is_known_where_there_is_neither_log_nor_folder(tmp_path):
    history = found(tmp_path)
    assert (history.uses, history.tried, history.tried_elsewhere) == ((), (), ())
    assert ["there is none" in said for said in history.looked_in] == [True, False]


def test_log_and_folders_tell_each_examination_once_the_earliest_first(tmp_path):
    recorded(tmp_path, "one", 3)
    recorded(tmp_path, "two", 2, model={"uri": "models:/other/1"})
    recorded(tmp_path, "far", 1, cohort={"digest": "another", "split": "test"})
    recorded(tmp_path, "half", 1, when={})  # being written
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "evaluation.json").write_text("[]")
    history = found(tmp_path, line("examined", 3, "one"), line("examined", 5, "one"))
    assert uses(history) == [
        ("two", "02", None, ("folder",)),
        ("one", "03", None, ("log", "folder")),
        ("one", "05", None, ("log",)),
    ]
    models = [(use.model, use.weights_sha256) for use in history.uses]
    assert models == [("models:/other/1", None), OURS, OURS]
    assert "2 lines" in history.looked_in[0] and "3 evaluations" in history.looked_in[1]
    assert len(history.log.lines) == 2


def test_another_cohort_counts_by_the_scans_that_it_shares(tmp_path):
    other = {"cohort_digest": "renamed"}
    lines = [
        line("examined", 1, "alike", cases=("s1", "s2", "s9"), **other),
        line("examined", 2, "apart", cases=("s7",), **other),
        line("examined", 3, "split", cases=("s1",), split="train"),
        line("examined", 4, "mine", cases=("s1", "s2", "s3")),
        line("recorded", 5, "mine", cases=("s1",)),
        line("examined", 6, "same"),
    ]
    history = found(tmp_path, *lines, evaluation="mine")
    expected = [
        ("alike", "01", 2, ("log",)),
        ("split", "03", 1, ("log",)),
        ("mine", "04", None, ("log",)),
        ("same", "06", None, ("log",)),
    ]
    assert uses(history) == expected
    assert [use[0] for use in uses(look(tmp_path / "mine", cohort=COHORT))] == ["mine", "same"]
    told = look(tmp_path / "mine", cohort=COHORT, scans=("s7", "s9"))
    assert [use[:3:2] for use in uses(told)][:2] == [("alike", 1), ("apart", 1)]


def test_profiles_are_counted_here_and_for_other_evaluations_of_the_model(tmp_path):
    lines = [
        line("judged", 1, "mine", profile=tried("a" * 8)),
        line("judged", 2, "mine", profile=tried("a" * 8, "pass")),
        line("judged", 3, "other", profile=tried("a" * 8)),
        line("judged", 3, "other", profile=tried("b" * 8)),
        line("judged", 3, "other", profile=tried("c" * 8, bounds=0)),  # it only describes
        line("judged", 4, "mine", profile=tried("d" * 8, bounds=0)),
        line("judged", 4, "theirs", profile=tried("e" * 8), weights_sha256="w2"),
        line("judged", 4, "theirs", profile=tried("f" * 8), split="train"),
        line("judged", 4, "theirs", profile=tried("g" * 8), cohort_digest="another"),
        line("examined", 5, "mine"),
    ]
    history = found(tmp_path, *lines, evaluation="mine", model=OURS)
    assert [(one.sha256[0], one.outcome) for one in history.tried] == [("a", "fail"), ("d", "fail")]
    assert [(one.sha256[0], one.evaluation) for one in history.tried_elsewhere] == [("b", "other")]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("a", "1"), ("a", "1"), True),
        (("a", "1"), ("b", "1"), True),  # registered under two names
        (("a", "1"), ("a", "2"), False),
        (("a", None), ("a", "2"), True),
        (("a", "1"), ("a", None), True),
        (("a", None), ("b", None), False),
        (("a", "1"), ("b", None), False),
    ],
)
def test_models_are_the_same_by_weights_and_else_by_address(one, other, same):
    assert _same_model(one, other) is same


def test_an_address_is_told_without_its_secrets():
    assert _without_secrets("https://ada:word@server.org:5000/x?token=1") == "https://server.org"
    assert _without_secrets("sqlite:///mlruns.db?key=1") == "sqlite:///mlruns.db"
    assert [_known(text) for text in (None, "none", "", "w1")] == [None, None, "", "w1"]


# ---------------------------------------------------------------------------------------
# How far a protocol was kept


def use(at: int, evaluation: str = "0123456789abcdef", model: str = "models:/m/1") -> CohortUse:
    begun = f"2026-01-{at:02d}T00:00:00+00:00"
    return CohortUse(
        evaluation=evaluation, model=model, weights_sha256=None, begun=begun, seen_in=("log",)
    )


def lock_of(monkeypatch, **more: Any) -> None:
    """A lock of the record's own cohort, settings and profile, of 10 January."""
    facts = {
        "lock": "c" * 16, "profile": profile(), "cohort": "three", "cohort_digest": "d",
        "split": "test", "settings": {}, "suite_version": "0", "git_commit": None,
        "git_dirty": None, "written": "2026-01-10T00:00:00+00:00", "written_by": None,
        "person_from": "unknown",
    }  # fmt: skip
    lock = Lock.model_validate(facts | more)
    monkeypatch.setattr("qa_suite.judging.protocol.read_lock", lambda path: lock)


def state(folder: Path, *, began: str = "", started: int = 11, history: History | None = None):
    record = Record().evaluation()
    when = record.when.model_copy(
        update={"started": f"2026-01-{started:02d}T00:00:00+00:00", "lock": began}
    )
    record = record.model_copy(update={"when": when})
    return protocol_of(folder, record, profile(), history or History())


OWN = "c" * 16


def test_without_a_lock_there_is_none_or_it_is_gone(tmp_path):
    assert state(tmp_path).state == "not locked"
    gone = state(tmp_path, began=OWN)
    assert (gone.state, gone.lock, len(gone.reasons)) == ("broken", OWN, 1)
    (tmp_path / "lock.json").write_text("{}")
    unread = state(tmp_path, began=OWN)
    assert (unread.state, unread.lock, len(unread.reasons)) == ("broken", OWN, 1)


@pytest.mark.parametrize(
    ("began", "started", "before", "expected", "reasons"),
    [
        (OWN, 11, [], "locked", 0),
        (OWN, 10, [], "locked", 0),  # the very second in which it was written
        (OWN, 9, [], "locked after the fact", 1),
        ("", 11, [], "locked after the fact", 1),
        ("", 9, [], "locked after the fact", 1),  # what the plan says decides, not the clock
        (OWN, 11, [9], "locked after the fact", 1),
        (OWN, 11, [10], "locked", 0),
        (OWN, 11, [12], "locked", 0),
        ("", 11, [9, 8], "locked after the fact", 2),
        ("x" * 16, 11, [9], "broken", 1),
    ],
)
def test_a_lock_counts_from_before_the_first_examination(
    tmp_path, monkeypatch, began, started, before, expected, reasons
):
    (tmp_path / "lock.json").write_text("{}")
    lock_of(monkeypatch)
    told = state(
        tmp_path, began=began, started=started, history=History(uses=tuple(map(use, before)))
    )
    assert (told.state, told.lock, len(told.reasons)) == (expected, OWN, reasons)
    assert told.written == "2026-01-10T00:00:00+00:00"
    if before and expected == "locked after the fact":
        assert f"2026-01-{min(before):02d}" in told.reasons[-1]
        assert f"{len(before)} time" in told.reasons[-1]


def test_what_the_lock_itself_says_of_earlier_examinations_goes_before_what_is_seen(
    tmp_path, monkeypatch
):
    (tmp_path / "lock.json").write_text("{}")
    lock_of(monkeypatch, examined_before=(use(5, model="models:/first/1"),))
    told = state(tmp_path, began=OWN, history=History(uses=(use(2), use(3))))
    assert told.state == "locked after the fact"
    assert "1 time" in told.reasons[0] and "models:/first/1" in told.reasons[0]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["locked", "examined"], "locked"),
        (["examined", "locked"], "locked after the fact"),
        (["examined", "locked", "examined"], "locked after the fact"),
    ],
)
@pytest.mark.parametrize("at", [9, 11])
def test_the_order_of_the_log_decides_whatever_the_clock_says(
    tmp_path, monkeypatch, order, expected, at
):
    (tmp_path / "lock.json").write_text("{}")
    lock_of(monkeypatch)
    lines = {
        "locked": line("locked", 10, lock=OWN),
        "examined": line("examined", at, "0123456789abcdef"),
    }
    other = [line("locked", 1, lock="e" * 16), line("examined", 1, "elsewhere")]
    log = Log(path=tmp_path, lines=(other[0], *(lines[what] for what in order), other[1]))
    told = state(tmp_path, began=OWN, history=History(uses=(use(at),), log=log))
    assert told.state == expected


# ---------------------------------------------------------------------------------------
# What the store knows


class Server:
    """As much of MLflow as is asked: an experiment, and its runs by what they are filtered by."""

    def __init__(self, *runs: tuple[str, dict[str, str], dict[str, str]], there: bool = True):
        self.runs, self.there, self.asked = runs, there, []

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id=f"of {name}") if self.there else None

    def search_runs(self, **asked: Any) -> list[Any]:
        self.asked.append(asked)
        return [
            SimpleNamespace(
                info=SimpleNamespace(run_id=run), data=SimpleNamespace(tags=tags, params=params)
            )
            for run, tags, params in self.runs
        ]


def from_store(place: Path, monkeypatch, server: Server | None, uri: str, **more: Any) -> History:
    def connected(**_: Any) -> Server:
        if server is None:
            raise InputError("the store is away")
        return server

    monkeypatch.setattr("qa_suite.core.store.tracking_uri", lambda: uri)
    monkeypatch.setattr("qa_suite.core.store.connect", connected)
    return look(place / "mine", cohort=more.pop("cohort", COHORT), ask_store=True, **more)


TOLD = ("r1", {"qa.evaluation": "one", "qa.model": "models:/m/1"},
        {"weights_sha256": "w1", "started": "2026-01-03"})  # fmt: skip
UNTOLD = ("r2", {}, {"weights_sha256": "none"})


def test_runs_of_the_store_are_examinations_that_neither_log_nor_folder_told(tmp_path, monkeypatch):
    server = Server(TOLD, UNTOLD)
    history = from_store(tmp_path, monkeypatch, server, "http://ada:x@h", cohort=("d'", "t'"))
    assert [use.model_dump() for use in history.uses] == [
        {"evaluation": "r2", "model": "unknown", "weights_sha256": None, "begun": "",
         "shared": None, "seen_in": ("store",)},
        {"evaluation": "one", "model": "models:/m/1", "weights_sha256": "w1",
         "begun": "2026-01-03", "shared": None, "seen_in": ("store",)},
    ]  # fmt: skip
    (asked,) = server.asked
    assert asked["experiment_ids"] == ["of evaluations"] and asked["output_format"] == "list"
    assert asked["filter_string"] == "params.cohort_digest = 'd' and params.split = 't'"
    assert "http://h" in history.looked_in[2] and "2 runs" in history.looked_in[2]
    append(tmp_path / "examinations.jsonl", line("examined", 3, "one"))
    known = from_store(tmp_path, monkeypatch, server, "http://h")
    assert [use.seen_in for use in known.uses] == [("store",), ("log",)]


def test_a_store_without_the_experiment_or_that_is_away_or_not_there_tells_none(
    tmp_path, monkeypatch
):
    (tmp_path / "there.db").touch()
    for server, uri, words in (
        (Server(TOLD, there=False), "http://h", "0 runs"),
        (None, "http://h", "did not answer"),
        (None, f"sqlite:///{tmp_path / 'there.db'}", "did not answer"),
        (Server(TOLD), f"sqlite:///{tmp_path / 'gone.db'}", "there is none"),
    ):
        history = from_store(tmp_path, monkeypatch, server, uri)
        assert history.uses == () and words in history.looked_in[2]
    found = from_store(tmp_path, monkeypatch, Server(TOLD), f"sqlite:///{tmp_path / 'there.db'}")
    assert len(found.uses) == 1
