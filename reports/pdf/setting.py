"""Sets data by a template as PDF/A: the same data give the same bytes.

Set by Typst [1]_ with the font that matplotlib brings, and with those of a folder that the
environment names for what it lacks, such as Chinese. What none of them can show is written as its
code point, so that nothing is lost without a sign.

References
----------
.. [1] Typst, https://typst.app; the Python package ``typst`` (Apache-2.0).
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from qa_suite.core.errors import InputError
from qa_suite.core.extras import how_to_install
from qa_suite.core.signing.reviewers import moment

_STANDARD: Final = "a-2a"
MORE_FONTS: Final = "QA_SUITE_FONTS"
"""Environment variable: a folder of TTF or OTF files that are used after DejaVu Sans."""
_JOINERS: Final = "\u200c\u200d"
"""Invisible, and part of how Persian and many Indian scripts are spelt."""


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
    said = shown(dict(data)) | {"day": _day(at), "fonts": ["DejaVu Sans", *more_fonts()]}
    drawn = {name: shown(standing_alone(svg)) for name, svg in (drawings or {}).items()}
    content: bytes = typst.compile(
        str(template),
        root=str(template.parent),
        font_paths=[
            str(fonts_folder()),
            *sorted({str(path.parent) for path in more_fonts().values()}),
        ],
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


def more_fonts() -> dict[str, Path]:
    """Return the further fonts by their family, in the order of their files' names.

    Raises
    ------
    InputError
        If the folder of the environment is none, or holds no font.
    """
    named = os.environ.get(MORE_FONTS, "")
    return dict(_fonts_of(named)) if named else {}


@cache
def _fonts_of(named: str) -> tuple[tuple[str, Path], ...]:
    from fontTools.ttLib import TTFont, TTLibError

    folder = Path(named)
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in (".ttf", ".otf"))
    if not files:
        raise InputError(
            f"{MORE_FONTS} names {folder}, which holds no .ttf or .otf file; name a folder with "
            f"one, or unset it."
        )
    found = []
    for path in files:
        try:
            with TTFont(path, lazy=True) as font:
                found.append((str(font["name"].getBestFamilyName()), path))
        except (TTLibError, OSError, KeyError) as error:
            raise InputError(f"{path} cannot be read as a font: {error}") from None
    return tuple(found)


@cache
def _shows(named: str) -> frozenset[int]:
    """Return the code points that the fonts have a sign for."""
    from fontTools.ttLib import TTFont

    files = [
        fonts_folder() / "DejaVuSans.ttf",
        *(p for _, p in (_fonts_of(named) if named else ())),
    ]
    known: set[int] = set()
    for path in files:
        with TTFont(path, lazy=True) as font:
            known |= set(font.getBestCmap())
    return frozenset(known)


def shown(data: Any) -> Any:
    """Return plain data in which every letter that cannot be shown is written as its code point.

    So are those that are invisible and change how others read: controls, marks of byte order, and
    what turns the direction of writing, which itself follows from the letters.
    """
    if isinstance(data, dict):
        return {key: shown(value) for key, value in data.items()}
    if isinstance(data, list):
        return [shown(one) for one in data]
    if isinstance(data, str):
        missing = set(lacks(data))
        return "".join(_code(c) if c in missing else c for c in data) if missing else data
    return data


def _code(letter: str) -> str:
    return f"‹U+{ord(letter):04X}›"


def lacks(text: str) -> list[str]:
    """Return the letters of a text that cannot be shown, or must not be taken as they are."""
    known = _shows(os.environ.get(MORE_FONTS, ""))
    return sorted({c for c in text if c not in "\n\t" and not _plain(c, known)})


def _plain(letter: str, known: frozenset[int]) -> bool:
    if letter in _JOINERS:
        return True
    return unicodedata.category(letter) not in ("Cc", "Cf", "Co", "Cs") and ord(letter) in known
