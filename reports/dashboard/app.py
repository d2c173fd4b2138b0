"""The dashboard's pages and how one gets from one to another."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from qa_suite.core.errors import QAError
from reports.dashboard import hands as handed
from reports.dashboard import parts
from reports.dashboard.hands import Hands
from reports.dashboard.pages import (
    case,
    cases,
    compare,
    doses,
    exam,
    measures,
    models,
    monitor,
    overview,
    provenance,
    readiness,
    review,
    sites,
)


def main(hands: Hands) -> None:
    """Show the page that the address names.

    Parameters
    ----------
    hands
        What rooms that a report may not know do for the dashboard.
    """
    handed.give(hands)
    st.set_page_config(page_title="qa-suite", page_icon="🔬", layout="wide")
    parts.style()
    pages = {
        "Models": [
            _page(overview.show, "Overview", "", default=True),
            _page(compare.show, "Compare", "compare"),
            _page(monitor.show, "Monitor", "monitor"),
            _page(models.show, "Registry", "models"),
        ],
        "Evaluation": [
            _page(readiness.show, "Readiness", "readiness"),
            _page(sites.show, "Generalization", "sites"),
            _page(cases.show, "Cases", "cases"),
            _page(case.show, "Case viewer", "case"),
            _page(doses.show, "Dose", "dose"),
            _page(exam.show, "Exam and hazards", "exam"),
            _page(measures.show, "Measures", "measures"),
            _page(review.show, "Review and sign", "review"),
            _page(provenance.show, "Report and record", "record"),
        ],
    }
    st.navigation(pages, expanded=True).run()


def _page(show: Callable[[], None], title: str, path: str, *, default: bool = False) -> st.Page:
    """Return a page; what is wrong with its input is one sentence, and the others work."""

    def shown() -> None:
        try:
            show()
        except QAError as error:
            st.error(parts.plain(str(error)))

    return st.Page(shown, title=title, url_path=path or "overview", default=default)
