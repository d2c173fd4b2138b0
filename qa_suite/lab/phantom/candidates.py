"""Known-good candidates: what the examiner must let pass, each for its own reason.

A fault that is caught in the image of an oracle says little: a bound that no learned translator
can meet catches everything. So every fault is also planted into a candidate that errs as a good
learned translator does, and a third candidate is what clinics planned on for years.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.arrays import Mask
from qa_suite.core.errors import InputError
from qa_suite.core.registry import Registry
from qa_suite.core.volume import Volume
from qa_suite.lab.phantom.candidate_errors import displaced, displacement, error_model, with_errors
from qa_suite.lab.phantom.oracle import oracle_translate
from qa_suite.lab.phantom.randomness import generator

TWIN, REALISTIC, BULK = "twin", "realistic", "bulk"

BULK_HU = {"air": -1000.0, "fat": -98.0, "water": 49.0, "bone": 380.0}
"""Assigned values, found as clinics find them: the mean over the CTs of a population, here of the
virtual hospitals (seed 1). Choi JH et al. (2019), Front Oncol 9:997, assign -110, 23 and 366 HU
to fat, muscle and bone, the means of 54 patients."""
BULK_LIMITS_HU = (-550.0, -30.0)
"""Half way from air to fat, and where fat ends (Choi et al. 2019), in the noise-free CT."""


class KnownTruth(Protocol):
    """What a candidate is made from; a :class:`VirtualPatient` is one."""

    @property
    def ct_noise_free(self) -> Volume:
        """The true CT before noise, in HU."""

    @property
    def body(self) -> Mask:
        """Mask of the body."""

    @property
    def structures(self) -> Mapping[str, Mask]:
        """Masks by name; ``Bone`` is outlined."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The truth of one patient, where it was read from a cohort."""

    ct_noise_free: Volume
    body: Mask
    structures: Mapping[str, Mask]


class CandidateFacts(BaseModel):
    """The facts of one candidate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1)
    description: str = Field(min_length=1, description="what it is, in a sentence")
    profiles: tuple[str, ...] = Field(
        min_length=1, description="names of the profiles that its clean images must pass"
    )
    measures: str = Field(
        default="*",
        description="of these profiles it must meet the criteria whose variant fits this pattern",
    )


CANDIDATES: Registry[CandidateFacts] = Registry("candidate")
"""Functions ``(patient: KnownTruth, seed: int) -> Volume`` in HU on the patient's grid."""


@CANDIDATES.add(
    TWIN,
    CandidateFacts(
        title="Twin of the truth",
        description="The true CT, hardly spoiled: better than any real translator.",
        profiles=("mr-to-ct-pelvis", "mr-to-ct-pelvis-dose"),
    ),
)
def twin(patient: KnownTruth, seed: int) -> Volume:
    """Return the image of the oracle translator; ``seed`` is that of its noise and field."""
    return oracle_translate(patient.ct_noise_free, seed=seed)


@CANDIDATES.add(
    REALISTIC,
    CandidateFacts(
        title="Realistic translator",
        description="The true CT with errors like those of a well-trained network.",
        profiles=("mr-to-ct-pelvis", "mr-to-ct-pelvis-dose"),
    ),
)
def realistic(patient: KnownTruth, seed: int) -> Volume:
    """Return the true CT with the errors of a learned translator.

    Parameters
    ----------
    patient
        Whose truth is known.
    seed
        Of all that is random in the errors.

    See Also
    --------
    qa_suite.lab.phantom.candidate_errors : the errors, and what they were learned from.
    """
    return with_errors(_hu(patient), patient.body, error_model(), seed=seed)


@CANDIDATES.add(
    BULK,
    CandidateFacts(
        title="Bulk densities",
        description="Air, fat, water and bone of one value each, without noise or texture.",
        profiles=("mr-to-ct-pelvis-dose",),
        measures="photon-*",  # clinics plan photons on them; the range of protons is beyond them
    ),
)
def bulk(patient: KnownTruth, seed: int) -> Volume:
    """Return four assigned values, the tissues outlined with a small error of their borders.

    Parameters
    ----------
    patient
        Whose truth is known.
    seed
        Of the error of the borders.
    """
    truth = _hu(patient)
    shift = displacement(truth.grid, error_model().border, generator(seed, "candidate", BULK))
    kinds = np.digitize(displaced(truth.array, shift), BULK_LIMITS_HU)
    kinds[displaced(patient.structures["Bone"], shift) >= 0.5] = len(BULK_LIMITS_HU) + 1
    values = np.array(list(BULK_HU.values()), dtype=np.float32)
    return truth.with_array(values[kinds], step=f"bulk densities, seed {seed}")


def _hu(patient: KnownTruth) -> Volume:
    truth = patient.ct_noise_free
    if truth.quantity != "HU":
        raise InputError(f"A candidate needs a true CT in HU, got {truth.quantity}.")
    return truth
