"""The application that ``streamlit run`` serves; it looks for ``st.App`` in this very file."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from reports.dashboard.hands import options_said
from reports.dashboard.serving import middleware, routes

app = st.App(
    str(Path(__file__).parent / "page.py"),
    routes=routes(),
    middleware=middleware(options_said().allowed_hosts),
)
