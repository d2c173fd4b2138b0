"""Padding of the source is found where it is padding, and only there."""

import numpy as np

from qa_suite.core.volume import Grid, Volume
from qa_suite.io.field_of_view import padding_in


def scan() -> tuple[np.ndarray, np.ndarray]:
    """A body of 60×60 voxels of 2 mm with air around, in twelve slices."""
    body = np.zeros((80, 80, 12), dtype=bool)
    body[10:70, 10:70] = True
    signal = np.where(body, 300.0, 5.0).astype(np.float32)
    return signal, body


def found(signal: np.ndarray, body: np.ndarray) -> np.ndarray:
    grid = Grid(shape=body.shape, spacing_mm=(2.0, 2.0, 3.0))
    return padding_in(Volume(array=signal, grid=grid, quantity="arbitrary"), body)


def test_a_scan_without_padding_loses_nothing():
    signal, body = scan()
    assert not found(signal, body).any()


def test_blank_slices_are_padding():
    signal, body = scan()
    signal[..., :3] = 0
    expected = body.copy()
    expected[..., 3:] = False
    padding = found(signal, body)
    assert not (padding & ~expected).any()
    assert padding.sum() > 0.99 * expected.sum()  # the corners are rounded


def test_a_wedge_is_padding():
    signal, body = scan()
    signal[:30] = 0
    assert found(signal, body)[10:30, 20:60].all()
    assert not found(signal, body)[30:].any()


def test_the_rim_of_a_shifted_patient_is_no_padding():
    signal, body = scan()
    signal[~body] = 0
    shifted = np.roll(signal, 3, axis=0)  # 6 mm: the body shows where the source has air
    assert not found(shifted, body).any()


def test_a_hole_inside_the_body_is_no_padding():
    signal, body = scan()
    signal[30:50, 30:50] = 0
    signal[..., 0] = signal[..., -1] = 300
    assert not found(signal, body).any()
