"""Instruments as files: JSON and safetensors, read with their hash checked, nothing unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qa_suite.core.errors import InputError
from qa_suite.core.json_files import read_json
from qa_suite.core.plain_files import read_bytes
from qa_suite.core.tensor_files import MOST_BYTES, parse_safetensors
from qa_suite.core.validation import in_words
from qa_suite.instruments.extractor import TrainedExtractor, extractor_of, save_extractor
from qa_suite.instruments.network import sha256_of_bytes
from qa_suite.instruments.segmenter import (
    SPEC_FILE,
    WEIGHTS_FILE,
    TrainedSegmenter,
    save_segmenter,
    segmenter_of,
)

Instrument = TrainedSegmenter | TrainedExtractor


def save_instrument(instrument: Instrument, folder: Path) -> None:
    """Write ``weights.safetensors`` and ``instrument.json`` into a folder."""
    if isinstance(instrument, TrainedSegmenter):
        save_segmenter(instrument, folder)
    else:
        save_extractor(instrument, folder)


def read_instrument(folder: Path) -> Instrument:
    """Read what :func:`save_instrument` wrote.

    Raises
    ------
    InputError
        If a file is missing or unreadable, or the weights are not those that were written.
    """
    described = describe(folder)
    data = read_bytes(folder / WEIGHTS_FILE, most_bytes=MOST_BYTES)
    registered = described["facts"]["weights_sha256"]
    if sha256_of_bytes(data) != registered:
        raise InputError(
            f"The weights of {described['facts']['name']} in {folder} are not those that were "
            f"registered ({registered[:12]}…); do not use this instrument, train it again."
        )
    try:
        weights = parse_safetensors(data, folder / WEIGHTS_FILE)
        make = segmenter_of if described["kind"] == "segmenter" else extractor_of
        return make(described, weights)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        reason = in_words(error)[:160]
        raise InputError(f"The instrument in {folder} cannot be read ({reason}).") from None


def describe(folder: Path) -> dict[str, Any]:
    """Read ``instrument.json`` alone.

    Raises
    ------
    InputError
        If the folder holds no instrument.
    """
    for name in (SPEC_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise InputError(f"{folder} holds no instrument: {name} is missing.")
    try:
        described: dict[str, Any] = read_json(folder / SPEC_FILE)
        if described["kind"] not in ("segmenter", "extractor") or not described["facts"]["name"]:
            raise KeyError("kind")
        _ = described["facts"]["weights_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder / SPEC_FILE} describes no instrument ({in_words(error)})."
        ) from None
    return described
