"""The case viewer: linked slices of all images of a case, drawn in the browser."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SCRIPTS = ("volume.js", "viewer.js")
"""One module in two files, in this order."""


@cache
def component() -> Any:
    """Return the viewer as a component of Streamlit, registered once.

    The script is given as text: a browser needs no second request for it, and an installation that
    streamlit cannot look into shows it too.
    """
    import streamlit as st

    return st.components.v2.component(
        "qa_suite_case_viewer",
        html='<div class="viewer" data-testid="case-viewer"></div>',
        css=(FOLDER / "viewer.css").read_text(encoding="utf-8"),
        js="\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS),
    )
