"""An ONNX file as the network of a translator: checked when opened, run in windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qa_suite.core.answers import require_finite
from qa_suite.core.errors import InputError, raise_problems
from translators.spec import NetworkSpec

_REAL: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}

UNIT_LIMIT = 2.0
"""An answer on the unit scale has its window from -1 to 1; a network may overshoot by as much."""
_OUTLIERS = 0.01  # share of an answer's voxels that may lie beyond


@dataclass(frozen=True, kw_only=True)
class OnnxNetwork:
    """An open ONNX file and the windows that it takes.

    Parameters
    ----------
    session
        Of onnxruntime.
    name
        Of the translator, for messages.
    axes
        Order of the axes of its input and output, such as ``bcxy``.
    dtype
        Of its input.
    batch
        How many windows it takes at once, or None where any number.
    window
        Voxels along x, y[, z] that its input has, or None where any number.
    """

    session: Any
    name: str
    axes: str
    dtype: Any
    batch: int | None
    window: tuple[int | None, ...]

    def apply(self, windows: torch.Tensor) -> torch.Tensor:
        """Pass windows (batch, slices, x, y[, z]) through; see :func:`.sliding.slide`.

        Raises
        ------
        InputError
            If it cannot take them, or answers in another shape, with NaN or inf, or not on
            the unit scale.
        """
        array = windows.numpy()
        size = self.batch or len(array)
        parts = [self._run(array[start : start + size]) for start in range(0, len(array), size)]
        found = np.concatenate(parts)
        require_finite(found, f"The ONNX file of {self.name}")
        _require_unit_scale(found, self.name)
        return torch.from_numpy(found.astype(np.float32))

    def _run(self, windows: NDArray[np.float32]) -> NDArray[np.floating]:
        """Run at most one batch; a network of fixed batch gets the last window repeated."""
        lacking = (self.batch or len(windows)) - len(windows)
        filled = np.concatenate([windows, np.repeat(windows[-1:], lacking, axis=0)])
        usual = "bcxyz"[: filled.ndim]
        there = [usual.index(axis) for axis in self.axes]
        handed = np.ascontiguousarray(filled.transpose(there), dtype=self.dtype)
        try:
            (found,) = self.session.run(None, {self.session.get_inputs()[0].name: handed})
        except Exception as error:  # onnxruntime raises classes of its own, none of them public
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"The ONNX file of {self.name} refused windows of {handed.shape} "
                f"(inference.patch and inference.batch): {reason}"
            ) from None
        expected = list(handed.shape)
        expected[self.axes.index("c")] = 1
        if list(found.shape) != expected:
            raise InputError(
                f"The ONNX file of {self.name} answered {found.shape} to windows of "
                f"{handed.shape}; {tuple(expected)} is needed."
            )
        return np.asarray(found.transpose(np.argsort(there))[: len(windows)])


def open_network(content: bytes, network: NetworkSpec, *, name: str, axes: str) -> OnnxNetwork:
    """Open an ONNX file and check that it takes and gives what a window is.

    Parameters
    ----------
    content
        The bytes of the file.
    network
        Says how many axes and slices a window has; its channels are the file's own affair.
    name
        Of the translator, for messages.
    axes
        Order of its axes: ``b`` windows, ``c`` slices, and x, y[, z].

    Raises
    ------
    InputError
        If onnxruntime is not installed or the file is no ONNX.
    Problems
        If it has another number of inputs, outputs, axes or slices, or other than real numbers.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            f"{name} is an ONNX file and onnxruntime is not installed; install qa-suite[onnx]."
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    known = onnxruntime.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in known]
    try:
        session = onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # onnxruntime raises classes of its own, none of them public
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"The ONNX file of {name} cannot be opened: {reason}") from None
    raise_problems(f"The ONNX file of {name}", _problems(session, network, axes))
    shape = session.get_inputs()[0].shape
    fixed = {
        axis: size if isinstance(size, int) else None
        for axis, size in zip(axes, shape, strict=True)
    }
    return OnnxNetwork(
        session=session,
        name=name,
        axes=axes,
        dtype=_REAL[session.get_inputs()[0].type],
        batch=fixed["b"],
        window=tuple(fixed[axis] for axis in "xyz"[: network.axes]),
    )


def _problems(session: Any, network: NetworkSpec, axes: str) -> list[str]:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        return [
            f"it has {len(inputs)} inputs and {len(outputs)} outputs; a translator has one of each"
        ]
    problems = [
        f"it {verb} {end.type}, and windows hold real numbers from -1 to 1; export it with float "
        f"(or float16) tensors"
        for verb, end in (("takes", inputs[0]), ("gives", outputs[0]))
        if end.type not in _REAL
    ]
    shape = inputs[0].shape
    rank = network.axes + 2
    if len(shape) != rank:
        return [
            *problems,
            f"it takes an input of rank {len(shape)} and {network.dimensions} windows have rank "
            f"{rank}; set network.dimensions to what it was made for",
        ]
    slices = shape[axes.index("c")]
    if isinstance(slices, int) and slices != network.slices:
        hint = ""
        if shape[-1] == network.slices and axes[-1] != "c":
            hint = f"; if its channels are last, say external.axes: {_channels_last(axes)}"
        problems.append(
            f"it takes {slices} channels (of an input of {tuple(shape)}, read as {axes}) and "
            f"network.slices is {network.slices}{hint}"
        )
    return problems


def _channels_last(axes: str) -> str:
    return axes.replace("c", "") + "c"


def _require_unit_scale(found: NDArray[np.floating], name: str) -> None:
    beyond = float(np.mean(np.abs(found) > UNIT_LIMIT))
    if beyond > _OUTLIERS:
        raise InputError(
            f"The ONNX file of {name} answered {beyond:.0%} of the voxels beyond "
            f"±{UNIT_LIMIT:g} (from {float(found.min()):.4g} to {float(found.max()):.4g}); its "
            f"answers must lie on the unit scale, -1 to 1 for the target's window, not in HU."
        )
