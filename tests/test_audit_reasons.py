"""Why an audit shows no interval or names nobody: the reason that decided, everywhere alike."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import pandas as pd
import pytest
from markupsafe import escape

from qa_suite.audit.asked import AuditSettings
from qa_suite.audit.audit import audit_material
from qa_suite.audit.joined import join
from qa_suite.cli.audit import show
from qa_suite.core.records import Audit, CellFinding
from reports.html.audit import render_audit
from tests.audit_cases import profile, source

FEW = "too few to interpret"


def alike(rows: pd.DataFrame, *sites: str) -> None:
    rows.loc[rows["site"].isin(sites), "value"] = 60.0


def lose(rows: pd.DataFrame, site: str, keep: int) -> None:
    gone = rows.index[rows["site"] == site][keep:]
    rows.loc[gone, ["value", "status", "why"]] = [None, "error", "it raised"]


def censor(rows: pd.DataFrame, site: str) -> None:
    one = rows.index[rows["site"] == site][0]
    rows.loc[one, ["value", "status", "at_least", "why"]] = [None, "censored", 50.0, "the window"]


def audited(change: Callable[[pd.DataFrame], None]) -> Audit:
    """Three hospitals of 20 patients, two of them trained at, with a change of their MAE."""
    made = source(sites=("A", "B", "C"))
    rows = made.measurements.astype({"value": object, "at_least": object})
    mae = rows[rows["metric"] == "mae"].copy()
    change(mae)
    rows.loc[mae.index] = mae
    made = dataclasses.replace(made, measurements=rows.infer_objects())
    settings = AuditSettings(primary=("mae:body",), divided_by=("site",))
    return audit_material(join((made,)), profile(), settings)


def at(found: Audit, site: str) -> CellFinding:
    (one,) = [f for f in found.findings if (f.cell, f.metric) == (site, "mae")]
    return one


CASES = [
    # what is changed, the site asked about, why it cannot be named, why it has no interval
    (lambda rows: None, "C", "", ""),
    (lambda rows: lose(rows, "C", 3), "C", "3 patients with a value, 5 needed", FEW),
    (lambda rows: lose(rows, "C", 1), "C", "1 patient with a value, 5 needed", FEW),
    (lambda rows: censor(rows, "C"), "C", "1 patient censored", ""),
    (lambda rows: censor(rows, "A"), "C", "1 patient of the other sites censored", ""),
    (
        lambda rows: [lose(rows, site, 2) for site in "AB"],
        "C",
        "20 against 4 patients, 5 needed on each side",
        "",
    ),
    (
        lambda rows: (lose(rows, "A", 1), lose(rows, "B", 0)),
        "C",
        "20 against 1 patient, 2 needed on each side",
        "",
    ),
    (
        lambda rows: alike(rows, "A", "B", "C"),
        "C",
        "all values are alike, and nothing tells their spread",
        "no interval: all 20 values are alike",
    ),
    (lambda rows: alike(rows, "C"), "C", "", "no interval: all 20 values are alike"),
]


@pytest.mark.parametrize(("change", "site", "untested", "no_interval"), CASES)
def test_the_reason_is_the_one_that_decided_on_page_and_terminal(
    change, site, untested, no_interval, capsys
):
    found = audited(change)
    one = at(found, site)
    assert one.untested == untested
    assert (one.test is None) == bool(untested)
    assert one.no_interval.startswith(no_interval) and bool(one.no_interval) == bool(no_interval)
    assert (one.low is None) == (bool(no_interval) or one.estimate is None)
    assert (FEW in one.sentence) == (one.patients < found.small_below)
    show(found)
    for told in (one.sentence, re.sub(r"\s+", " ", capsys.readouterr().out)):
        assert not untested or untested in told or one.patients < found.small_below, told
    page = render_audit(found)
    for why in filter(None, (untested, one.no_interval)):
        assert f"<small>{escape(why)}</small>" in page
    if untested:
        assert f"{site} ({untested})" in found.sentence
