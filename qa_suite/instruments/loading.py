"""Segmenters and feature extractors by what a user names them."""

from __future__ import annotations

from qa_suite.core.errors import InputError
from qa_suite.instruments import totalsegmentator, vision
from qa_suite.instruments.base import Extractor, Segmenter
from qa_suite.instruments.extractor import TrainedExtractor
from qa_suite.instruments.registering import load_instrument
from qa_suite.instruments.segmenter import TrainedSegmenter


def load_segmenter(uri: str) -> Segmenter:
    """Load a segmenter.

    Parameters
    ----------
    uri
        ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` or ``totalsegmentator:TASK``.

    Raises
    ------
    InputError
        If it does not exist, is no segmenter, or its weights are absent or changed.
    """
    if uri.startswith(totalsegmentator.PREFIX):
        return totalsegmentator.load_totalsegmentator(uri)
    found = load_instrument(uri)
    if not isinstance(found, TrainedSegmenter):
        raise InputError(f"{uri} is a feature extractor and no segmenter; give it as --extractor.")
    return found


def load_extractor(uri: str) -> Extractor:
    """Load a feature extractor.

    Parameters
    ----------
    uri
        ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` or ``torchvision:resnet18:FILE`` with
        the path of weights on this machine.

    Raises
    ------
    InputError
        If it does not exist, is no extractor, or its weights are absent or changed.
    """
    if uri.startswith(vision.PREFIX):
        return vision.load_vision(uri)
    found = load_instrument(uri)
    if not isinstance(found, TrainedExtractor):
        raise InputError(f"{uri} is a segmenter and no feature extractor; give it as --segmenter.")
    return found
