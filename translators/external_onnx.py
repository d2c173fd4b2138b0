"""An ONNX file as the network of a translator: checked when opened, run in windows."""

from __future__ import annotations

from typing import Any

import torch

from qa_suite.errors import InputError
from translators.spec import NetworkSpec


def open_session(content: bytes, network: NetworkSpec, *, name: str) -> Any:
    """Open an ONNX file and check that it takes and gives what a window is.

    Parameters
    ----------
    content
        The bytes of the file.
    network
        Says how many axes and slices a window has; its channels are the file's own affair.
    name
        Of the translator, for messages.

    Raises
    ------
    InputError
        If onnxruntime is not installed, the file is no ONNX, or has another number of inputs,
        outputs, axes or slices.
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
    _check(session, network, name)
    return session


def _check(session: Any, network: NetworkSpec, name: str) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            f"The ONNX file of {name} has {len(inputs)} inputs and {len(outputs)} outputs; a "
            f"translator has one of each."
        )
    shape = inputs[0].shape
    rank = network.axes + 2
    if len(shape) != rank:
        raise InputError(
            f"The ONNX file of {name} takes an input of rank {len(shape)} and {network.dimensions} "
            f"windows have rank {rank}; set network.dimensions to what it was made for."
        )
    slices = shape[1]
    if isinstance(slices, int) and slices != network.slices:
        raise InputError(
            f"The ONNX file of {name} takes {slices} channels and network.slices is "
            f"{network.slices}."
        )
    if inputs[0].type != "tensor(float)":
        raise InputError(f"The ONNX file of {name} takes {inputs[0].type}, not tensor(float).")


def apply_session(session: Any, windows: torch.Tensor, *, name: str) -> torch.Tensor:
    """Pass windows through a session; see :func:`translators.sliding.slide`.

    Raises
    ------
    InputError
        If it cannot take the windows' size, or answers in another shape.
    """
    feed = {session.get_inputs()[0].name: windows.numpy()}
    try:
        (found,) = session.run(None, feed)
    except Exception as error:  # onnxruntime raises classes of its own, none of them public
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"The ONNX file of {name} refused windows of {tuple(windows.shape)} (inference.patch "
            f"and inference.batch): {reason}"
        ) from None
    expected = (len(windows), 1, *windows.shape[2:])
    if found.shape != expected:
        raise InputError(
            f"The ONNX file of {name} answered {found.shape} to windows of {tuple(windows.shape)}; "
            f"{expected} is needed."
        )
    return torch.from_numpy(found)
