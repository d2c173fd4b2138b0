"""PyDoseRT's pencil beams with depths that diverge; importing this module loads torch."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from pydosert import PencilDepthEngine
from pydosert.layers.BeamWiseConvolutionalLayer import BeamWiseConvolutionalLayer

from qa_suite.dose.photons.depths import DivergingDepths


class _Convolution(BeamWiseConvolutionalLayer):
    """The library's convolution, with transforms no longer than what is kept of them needs.

    Of field and kernel together the middle is kept. Half a kernel may therefore wrap round the
    end of a transform: it falls on the half before the middle, which is dropped.
    """

    def __init__(self, engine: DivergingEngine) -> None:
        super().__init__(engine.device, engine.dtype, backend="fft")
        sizes = engine.pencil_beam_kernel_layer.pbm.rs.shape
        self._half, self._longest = (min(sizes) - 1) // 2, max(sizes)

    def _fft_size(self, n: int) -> int:
        return int(super()._fft_size(max(n - self._half, self._longest)))


class DivergingEngine(PencilDepthEngine):
    """PyDoseRT's engine of one depth a pencil, the depth being that of the pencil's own ray.

    The library projects the fluence from the source (similar triangles, inverse square of the
    distance along the axis) and traces the depth of its pencils parallel to the axis. Here both
    come from one source. Only the step that turns a fluence into the dose of a beam's eye view
    is replaced, which the library leaves to its engines; the kernels, the interpolation between
    their depths and the gradient through the fluence are the library's.
    """

    _traced: tuple[bytes, DivergingDepths] | None = None

    def _initialize_layers(self, new_beam_data: Any, overwrite: bool = False) -> None:
        """Build the layers; the library lays the radii of its kernels across the wrong axes."""
        super()._initialize_layers(new_beam_data, overwrite)
        if hasattr(self, "pencil_beam_kernel_layer"):
            self.beam_wise_conv_layer = _Convolution(self)
            model = self.pencil_beam_kernel_layer.pbm
            up, across = (
                (torch.arange(size) - size // 2) * step_cm
                for size, step_cm in (
                    (model.kernel_size_h, model.res_h),
                    (model.kernel_size_w, model.res_w),
                )
            )
            model.rs = torch.hypot(up[:, None], across[None, :])

    def _bev_dose(
        self,
        fluence_maps: torch.Tensor,
        kernels: torch.Tensor,
        central_depths: torch.Tensor,
        density_image: torch.Tensor,
        rotation_layer: Any,
        keep_fluence: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        fluence = self.fluence_volume_layer(fluence_maps)
        highest = fluence.detach().amax(dim=(1, 2, 3, 4), keepdim=True)
        own = fluence >= self.PENCIL_FLUENCE_FRACTION * highest
        # what leaks and scatters past the field's edge keeps the kernel of the central axis
        rest = fluence.masked_fill(own, 0)
        dose = self.beam_wise_conv_layer(rest, kernels)
        electrons = self.machine_config.electron_contamination is not None
        wanted = torch.ones_like(own) if electrons else own
        depths = self._depths(density_image, rotation_layer.rot_angles_rad, wanted[..., 0])
        nodes, node_kernels = self._depth_node_kernels()
        box = self._in_field_box(own, node_kernels.shape[-2:])
        if box is not None:
            part = np.s_[:, :, box[0] : box[1], box[2] : box[3]]
            open_part = self.beam_wise_conv_layer.depth_binned(
                fluence[part] - rest[part], depths[part], nodes, node_kernels
            )
            dose[part] += open_part.to(dose.dtype)
        if electrons:
            dose = self._add_electron_contamination(dose, fluence_maps, depths)
        return dose, fluence if keep_fluence else None

    def _depths(
        self, density_image: torch.Tensor, gantry_rad: torch.Tensor, wanted: torch.Tensor
    ) -> torch.Tensor:
        """Return the depth of every point that is wanted, shape (beams, depth, head, width)."""
        if density_image.shape[0] != 1:
            raise ValueError(f"one density at a time, not {density_image.shape[0]}")
        density = density_image[0].detach().float().cpu().numpy()
        angles = tuple(gantry_rad.detach().double().cpu().tolist())
        geometry = repr((angles, self.iso_center, self.dose_grid_spacing, self.SID))
        key = hashlib.blake2b(density.tobytes() + geometry.encode()).digest()
        if self._traced is None or self._traced[0] != key:
            depths = DivergingDepths(
                density,
                spacing_mm=self.dose_grid_spacing,
                isocentre_mm=self.iso_center,
                gantry_rad=angles,
                sad_mm=float(self.SID),
            )
            self._traced = (key, depths)
        found = self._traced[1].at(wanted.cpu().numpy())
        return torch.from_numpy(found).to(device=self.device, dtype=self.dtype)
