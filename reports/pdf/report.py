"""Writes the short report as PDF/A: the same record, verdict and signatures give the same bytes.

Set by Typst [1]_ with the font that matplotlib brings. What that font cannot show is written as
its code point, so that nothing is lost without a sign.

References
----------
.. [1] Typst, https://typst.app; the Python package ``typst`` (Apache-2.0).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from qa_suite.core.errors import InputError
from qa_suite.core.extras import how_to_install
from qa_suite.core.signing.reviewers import moment
from qa_suite.core.whole_files import replacing
from reports.facts.readiness import Readiness
from reports.facts.short.findings import deciding
from reports.facts.short.records import Short
from reports.figures import intervals

_TEMPLATE = Path(__file__).with_name("report.typ")
_STANDARD: Final = "a-2a"


def pdf_of(short: Short, found: Readiness) -> bytes:
    """Return the short report as a PDF/A-2a file.

    Parameters
    ----------
    short
        What it says.
    found
        What the drawings show.

    Raises
    ------
    InputError
        If the package ``typst`` is not installed.
    """
    try:
        import typst
    except ImportError:
        raise InputError(f"A PDF cannot be set: {how_to_install('typst')}.") from None
    data = _shown(short.model_dump(mode="json")) | {"day": _day(short.at)}
    drawings = {name: _shown(svg) for name, svg in _drawings(found).items()}
    content: bytes = typst.compile(
        str(_TEMPLATE),
        root=str(_TEMPLATE.parent),
        font_paths=[str(fonts_folder())],
        ignore_system_fonts=True,
        format="pdf",
        sys_inputs={"data": json.dumps(data), "drawings": json.dumps(drawings)},
        pdf_standards=[_STANDARD],
        timestamp=0,
    )
    return content


def write_pdf(short: Short, found: Readiness, out: Path) -> Path:
    """Write the short report, all at once or not at all; return its path."""
    content = pdf_of(short, found)
    with replacing(Path(out), ending=".pdf") as draft:
        draft.write_bytes(content)
    return Path(out)


def _day(text: str) -> dict[str, int]:
    """Return a time as the template takes it; the first day of all where there is none."""
    at = moment(text) or datetime(1980, 1, 1, tzinfo=UTC)
    return {
        name: getattr(at, name) for name in ("year", "month", "day", "hour", "minute", "second")
    }


def _drawings(found: Readiness) -> dict[str, str]:
    """Return the drawings by the names that the template asks for."""
    verdict = found.verdict
    bars = intervals.finding_bars(verdict.findings)
    named = {f"finding{n}": bar for n, bar in enumerate(bars)}
    places = {id(one): n for n, one in enumerate(verdict.findings)}
    named |= {f"deciding{n}": bars[places[id(one)]] for n, one in enumerate(deciding(verdict))}
    named |= {f"gap{n}": bar for n, bar in enumerate(intervals.gap_bars(verdict.site_gaps))}
    return {name: standing_alone(svg) for name, svg in named.items()}


def standing_alone(svg: str) -> str:
    """Return a drawing of a page as a file of its own."""
    if "xmlns=" in svg.partition(">")[0]:
        return svg
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


# ---------------------------------------------------------------------------------------
# The font


def fonts_folder() -> Path:
    """Return where matplotlib keeps DejaVu Sans."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@cache
def _shows() -> frozenset[int]:
    """Return the code points that the font has a sign for."""
    from fontTools.ttLib import TTFont

    with TTFont(fonts_folder() / "DejaVuSans.ttf", lazy=True) as font:
        return frozenset(font.getBestCmap())


def _shown(data: Any) -> Any:
    """Return plain data in which every letter that the font lacks is written as its code point."""
    if isinstance(data, dict):
        return {key: _shown(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_shown(one) for one in data]
    if isinstance(data, str):
        return "".join(c if c in "\n\t" or ord(c) in _shows() else _code(c) for c in data)
    return data


def _code(letter: str) -> str:
    return f"‹U+{ord(letter):04X}›"


def lacks(text: str) -> list[str]:
    """Return the letters of a text that the font cannot show."""
    return sorted({c for c in text if not re.match(r"[\n\t]", c) and ord(c) not in _shows()})
