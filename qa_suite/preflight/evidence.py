"""One case as the checks see it: what several of them look at, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from qa_suite.core.arrays import Box, Mask
from qa_suite.core.records import PreflightStatus, PreflightValue
from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.body import body_of, ct_body, signal_body
from qa_suite.imaging.boxes import box_mask, data_box
from qa_suite.imaging.robust import thinned
from qa_suite.io.cases import LoadedCase
from qa_suite.preflight.hounsfield import Hounsfield, read_hounsfield
from qa_suite.preflight.settings import PreflightSettings, Window

Status = PreflightStatus
Values = dict[str, PreflightValue]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One loaded case and what several checks look at, computed once."""

    loaded: LoadedCase
    reference: Volume
    settings: PreflightSettings

    @property
    def source(self) -> Volume:
        """The image to translate."""
        return self.loaded.source

    @property
    def grid(self) -> Grid:
        """The grid of the source, on which everything lies."""
        return self.source.grid

    @property
    def mask(self) -> Mask | None:
        """The mask of the case, if it brings one."""
        return self.loaded.mask

    @property
    def is_hu(self) -> bool:
        """Whether the reference's numbers should be HU."""
        return self.reference.quantity == "HU"

    @cached_property
    def boxes(self) -> tuple[Box, Box]:
        """The parts of the grid in which source and reference hold data."""
        found = [data_box(v.array) for v in (self.source, self.reference)]
        if found[0] is None or found[1] is None:
            raise ValueError("a constant image has no data; check 'content' before")
        return found[0], found[1]

    @cached_property
    def hounsfield(self) -> Hounsfield:
        """What the reference's numbers say about being HU."""
        return read_hounsfield(thinned(self.reference.array[self.boxes[1]]))

    @cached_property
    def source_body(self) -> Mask:
        """The body as the source shows it."""
        return body_of(self.source)

    @cached_property
    def reference_body(self) -> Mask:
        """The body as the reference shows it, whatever was done to its numbers."""
        if self.is_hu and not self.hounsfield.mistake:
            return ct_body(self.reference.array, self.grid)
        return signal_body(self.reference.array, self.grid)

    @cached_property
    def common_field(self) -> Mask:
        """Where both images were scanned, as far as padding and the case's coverage tell."""
        field = box_mask(self.boxes[0], self.grid.shape)
        field &= box_mask(self.boxes[1], self.grid.shape)
        coverage = self.loaded.coverage
        return field if coverage is None else field & coverage

    @cached_property
    def common_body(self) -> Mask:
        """The body that source, reference and mask share; the source's where they share none."""
        body = self.source_body
        for part in (self.reference_body if self.is_hu else None, self.mask):
            if part is not None and (body & part).any():
                body = body & part
        return body


def fraction(value: float | None, bound: str, status: Status, why: str = "") -> PreflightValue:
    """Return a check whose value is a share of something."""
    return PreflightValue(value=value, unit="1", bound=bound, status=status, why=why)


def undetermined(why: str, *, unit: str = "", bound: str = "") -> PreflightValue:
    """Return a check that this case cannot answer, with its reason."""
    return PreflightValue(unit=unit, bound=bound, status="undetermined", why=why)


def window_text(window: Window) -> str:
    """Write a window as people do."""
    return f"{window[0]:g} to {window[1]:g}"


def is_outside(value: float, window: Window) -> bool:
    """Whether a value lies below or above a window."""
    return not window[0] <= value <= window[1]
