"""Sets data by a template as PDF/A: the same data give the same bytes.

Set by Typst [1]_ with the font that matplotlib brings. What that font cannot show is written as
its code point, so that nothing is lost without a sign.

References
----------
.. [1] Typst, https://typst.app; the Python package ``typst`` (Apache-2.0).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from qa_suite.core.errors import InputError
from qa_suite.core.extras import how_to_install
from qa_suite.core.signing.reviewers import moment

_STANDARD: Final = "a-2a"


def typeset(
    template: Path, data: Mapping[str, Any], at: str, drawings: Mapping[str, str] | None = None
) -> bytes:
    """Return a PDF/A-2a file.

    Parameters
    ----------
    template
        In the language of Typst; it reads ``data`` and ``drawings``.
    data
        Plain data; texts are shown and never read as markup.
    at
        Date of the document; empty where none is known.
    drawings
        SVG by the names that the template asks for.

    Raises
    ------
    InputError
        If the package ``typst`` is not installed.
    """
    try:
        import typst
    except ImportError:
        raise InputError(f"A PDF cannot be set: {how_to_install('typst')}.") from None
    said = shown(dict(data)) | {"day": _day(at)}
    drawn = {name: shown(standing_alone(svg)) for name, svg in (drawings or {}).items()}
    content: bytes = typst.compile(
        str(template),
        root=str(template.parent),
        font_paths=[str(fonts_folder())],
        ignore_system_fonts=True,
        format="pdf",
        sys_inputs={"data": json.dumps(said), "drawings": json.dumps(drawn)},
        pdf_standards=[_STANDARD],
        timestamp=0,
    )
    return content


def _day(text: str) -> dict[str, int]:
    """Return a time as the template takes it; the first day of all where there is none."""
    at = moment(text) or datetime(1980, 1, 1, tzinfo=UTC)
    return {
        name: getattr(at, name) for name in ("year", "month", "day", "hour", "minute", "second")
    }


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


def shown(data: Any) -> Any:
    """Return plain data in which every letter that the font lacks is written as its code point."""
    if isinstance(data, dict):
        return {key: shown(value) for key, value in data.items()}
    if isinstance(data, list):
        return [shown(one) for one in data]
    if isinstance(data, str):
        return "".join(c if c in "\n\t" or ord(c) in _shows() else _code(c) for c in data)
    return data


def _code(letter: str) -> str:
    return f"‹U+{ord(letter):04X}›"


def lacks(text: str) -> list[str]:
    """Return the letters of a text that the font cannot show."""
    return sorted({c for c in text if c not in "\n\t" and ord(c) not in _shows()})
