"""What every page of the dashboard draws with."""

from __future__ import annotations

import base64

from markupsafe import escape


def drawing(svg: str, css: str, alt: str) -> str:
    """Return an image element of a drawing; Streamlit lets no SVG element into a page."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img class="{css}" alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}">'
