"""What every page has in common: its templates and style, and writing it whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from qa_suite.core.whole_files import write_text
from qa_suite.core.wording import count
from reports.facts import wording

TEMPLATES = Path(__file__).parent / "templates"


def filled(template: str, names: dict[str, Any], **content: Any) -> str:
    """Fill a template; a name that it asks for and nobody gives is an error.

    Parameters
    ----------
    template
        File name in the folder of templates.
    names
        Functions and tables that macros may use too, beside ``say``, ``symbols`` and ``counted``.
    content
        What the page shows; ``style`` is the sheet of all pages.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        {"say": wording, "symbols": wording.OUTCOME_SYMBOLS, "counted": count, **names}
    )
    style = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(style=style, **content)


def write_page(page: str, out: Path) -> Path:
    """Write a page (all at once or not at all); return its path."""
    out = Path(out)
    write_text(out, page)
    return out
