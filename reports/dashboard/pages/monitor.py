"""Check-ups of new patients over time: control charts, and the rule that fired."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import streamlit as st

from qa_suite.core.wording import count
from reports.dashboard import parts
from reports.dashboard.hands import Watched, hands
from reports.figures.control_charts import control_chart

_FIRST: Final = ("out of control", "undetermined", "in control", "baseline")
_SYMBOLS: Final = {"out of control": "✕", "in control": "✓"}


def show() -> None:
    """Show the log of check-ups, model by model; charts that need a look come first."""
    st.header("Monitor")
    log = hands().options.check_ups
    if log is None:
        st.info(
            "No log of check-ups was given. "
            "`qa-suite checkup SOURCE SYNTHETIC --against EVALUATION --log check-ups.csv` keeps "
            "one, and `qa-suite dashboard --check-ups check-ups.csv` shows it."
        )
        return
    facts = log.stat()
    found = _watched(log, (facts.st_size, facts.st_mtime_ns))
    if not found:
        st.info(parts.plain(f"{log.name} holds no check-up yet."))
        return
    names = [one.model for one in found]
    place = st.selectbox("Model", range(len(names)), format_func=lambda n: names[n], key="watched")
    _model(found[place])


@lru_cache(maxsize=4)
def _watched(log: Path, _: tuple[int, int]) -> tuple[Watched, ...]:
    return tuple(hands().watched(log))


def _model(one: Watched) -> None:
    st.markdown(
        f"**{_SYMBOLS.get(one.state, '?')} {one.state.capitalize()}.** {parts.plain(one.sentence)}"
    )
    charts = sorted(one.charts, key=lambda chart: _FIRST.index(chart.state))
    st.caption(
        f"{count(len(charts), 'chart')}; the baseline is shaded, a signal is ringed, and a "
        f"check-up without a value is a cross below."
    )
    for chart in charts:
        title = f"{chart.title}, {chart.state}"
        st.markdown(f"**{parts.plain(title)}**")
        st.html(parts.drawing(control_chart(chart), "dvh", title))
        for said in chart.said:
            st.caption(parts.plain(said))
