"""The specification of the other direction, for families that learn both at once."""

from __future__ import annotations

from qa_suite.core.errors import InputError
from translators.spec.images import SourceSpec, TargetSpec
from translators.spec.translator import TranslatorSpec

_ENDING = "-inverse"
_SCALED = (0.0, 1000.0)  # where the percentiles of an image in arbitrary units go to


def inverted(spec: TranslatorSpec) -> TranslatorSpec:
    """Swap source and target of a specification, and whatever depends on which is which.

    A target on a scale of its own becomes a source in a fixed window: its ``centre`` ± what an
    output of 1 of the network means, clipped to the target's window. A target scaled by
    percentiles becomes a source normalised by the same ones. And the other way about.

    Raises
    ------
    InputError
        If no target can be scaled as the source is normalised.
    """
    gain = spec.network.output_gain if spec.network else 1.0
    ends = spec.name.endswith(_ENDING)
    return spec.model_copy(
        update={
            "name": spec.name.removesuffix(_ENDING) if ends else spec.name + _ENDING,
            "description": f"The other direction of {spec.name}, from the same training.",
            "direction": f"{spec.target.modality}->{spec.source.modality}",
            "source": _as_source(spec.target, spec.source, gain),
            "target": _as_target(spec.source),
        }
    )


def _as_source(target: TargetSpec, source: SourceSpec, gain: float) -> SourceSpec:
    same = {"modality": target.modality, "quantity": target.quantity, "body": source.body}
    if target.scale == "percentile":
        low, high = target.percentiles
        return SourceSpec.model_validate(
            same | {"normalisation": "percentile", "low": low, "high": high}
        )
    if target.transform != "linear":
        raise InputError(
            f"A target in {target.quantity} with the transform {target.transform} cannot be the "
            f"source of the other direction; take transform linear."
        )
    half = gain * (target.high - target.low) / 2
    ends = [(value - target.centre) / half for value in (target.low, target.high)]
    window = {"low": target.centre - half, "high": target.centre + half, "clip": ends}
    return SourceSpec.model_validate(same | {"normalisation": "window"} | window)


def _as_target(source: SourceSpec) -> TargetSpec:
    if source.normalisation == "window":
        middle, half = (source.high + source.low) / 2, (source.high - source.low) / 2
        low, high = (middle + half * end for end in source.clip)
        air = -1000.0 if source.quantity == "HU" else 0.0
        return TargetSpec(
            modality=source.modality,
            quantity=source.quantity,
            low=low,
            high=high,
            outside=min(max(air, low), high),
            centre=min(max(middle, low), high),
        )
    if source.normalisation == "percentile" and source.quantity == "arbitrary":
        low, high = _SCALED
        return TargetSpec(
            modality=source.modality,
            quantity=source.quantity,
            low=low,
            high=high,
            scale="percentile",
            percentiles=(source.low, source.high),
            outside=low,
            centre=(low + high) / 2,
        )
    raise InputError(
        f"A source in {source.quantity} with the normalisation {source.normalisation} cannot be "
        f"the target of the other direction; take window, or percentile for arbitrary units."
    )
