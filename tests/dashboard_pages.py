"""Running one page of the dashboard without a browser, as the command would hand it over."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

from reports.dashboard.hands import OPTIONS_VARIABLE, Options

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = (
    "overview",
    "compare",
    "models",
    "monitor",
    "readiness",
    "sites",
    "cases",
    "case",
    "doses",
    "exam",
    "measures",
    "review",
    "provenance",
)
SCRIPT = """
from qa_suite.cli.dashboard.page import handed
from qa_suite.core.errors import QAError
from reports.dashboard import hands, parts
from reports.dashboard.pages import {name}
import streamlit as st
hands.give(handed())
try:
    {name}.show()
except QAError as error:
    st.error(parts.plain(str(error)))
"""


def page(name: str, asked: str = "", *, run: bool = True) -> Any:
    """Return a page after its first run; ``asked`` is what stands behind the address's ``?``."""
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_string(SCRIPT.format(name=name), default_timeout=60)
    for key, value in parse_qsl(asked):
        app.query_params[key] = value
    return app.run() if run else app


@contextmanager
def started(**options: Any) -> Iterator[None]:
    """Start the pages within with these options of the command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OPTIONS_VARIABLE, Options(**options).model_dump_json())
        yield


def everything(app: Any) -> str:
    """All text and HTML that a page shows, its tables among it."""
    kinds = ("markdown", "info", "warning", "error", "caption", "header", "subheader", "success")
    texts = [str(getattr(part, "value", "")) for kind in kinds for part in app.get(kind)]
    texts += [part.proto.body for part in app.get("html")]
    texts += [frame.value.to_string() for frame in app.dataframe]
    return "\n".join(texts)


def unescaped(text: str) -> str:
    """What Markdown shows of a text in which every sign stands for itself."""
    return text.replace("\\", "")


def store_in(home: Path) -> str:
    """The address of an MLflow store in a folder."""
    return f"sqlite:///{home / 'mlruns' / 'mlflow.db'}"
