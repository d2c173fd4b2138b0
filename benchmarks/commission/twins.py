"""A virtual pelvis and its faulted twins: does a surrogate see what a reference engine sees?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.commission import protons
from benchmarks.commission.engines import Bench, photon_surrogate
from benchmarks.commission.tables import signed, table
from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.dvh.curve import dvh_of
from qa_suite.dose.engines import engine_of
from qa_suite.dose.gamma import GammaSettings, gamma, parse_criteria
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.plan.plan import Mask, Plan
from qa_suite.dose.plan.template import load_template
from qa_suite.dose.scene.gridding import mask_onto
from qa_suite.dose.scene.scene import DoseImage, DoseScene, bulk_image, dose_scene
from qa_suite.dose.structures.structures import masks_as_structures, sample_structures
from qa_suite.imaging.body import ct_body
from qa_suite.lab.phantom import LABELS, make_patient, oracle_translate

SPACING_MM = (3.0, 3.0, 3.0)
GRID_MM = {"photons": 5.0, "protons": 4.0}
HLUT = {"photons": "thomas-1999", "protons": "electron-density-as-rsp"}
HISTORIES = 2e7
_DRAWS = 20  # of noise, to see what it does to a metric
CARLO = ("reference", "bias", "bone", "outline", "gas")  # images for the Monte Carlo
GAS_MM, GAS_MOVED_MM = 12.0, 21.0
TISSUE_HU, GAS_HU = 40.0, -1000.0
BONES = ("bone_cortical", "marrow_pelvis", "marrow_sacrum", "marrow_femur", "marrow_shaft")
TITLES = {
    "clean": "clean twin (noise, blur, ±10 HU)",
    "bias": "+30 HU everywhere",
    "bone": "bone missing",
    "outline": "outline 3 mm too small",
    "gas": "gas moved by 21 mm",
    "bulk": "bulk densities",
}
ORGANS = ("Rectum", "Bladder", "Femur_Head_L")  # that the plan spares
JUDGED = ("Rectum wall", "Bladder", "Femur_Head_L")


@dataclass(kw_only=True)
class TwinResults:
    """Tables as text; doses of one twin, and the differences, for the figures.

    ``noise`` holds, by comparison, the rms of what a Monte Carlo's statistics do to differences.
    """

    tables: dict[str, str] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)
    pairs: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)


def run_photons(bench: Bench) -> TwinResults:
    """Compute the photon plan on the CT and its twins with every engine."""
    found = TwinResults()
    _photons(bench, Case.made("photons", *images()), found)
    return found


def run_protons(bench: Bench) -> TwinResults:
    """As :func:`run_photons`, for protons."""
    found = TwinResults()
    _protons(bench, Case.made("protons", *images()), found)
    return found


def images() -> tuple[Volume, dict[str, DoseImage], dict[str, Mask]]:
    """The CT, its twins, and the structures, on one grid."""
    patient = make_patient("A", 1, seed=1, spacing_mm=SPACING_MM)
    grid = patient.ct.grid
    structures = {name: np.asarray(mask, dtype=bool) for name, mask in patient.structures.items()}
    labels = np.asarray(patient.labels.array)
    before, after = _gas_pockets(grid, structures["Rectum"], structures["Prostate"])
    filled = np.isin(labels, [LABELS["gas"]])  # the patient's own gas gives way to ours
    truth = np.asarray(patient.ct_noise_free.array, dtype=np.float32)
    truth = np.where(filled, TISSUE_HU, truth)
    noise = np.asarray(patient.ct.array, dtype=np.float32) - patient.ct_noise_free.array
    plain = truth + noise
    reference = np.where(before, GAS_HU, plain).astype(np.float32)
    volume = patient.ct.with_array(reference)
    body = ct_body(reference, grid)
    noise_free = patient.ct.with_array(np.where(before, GAS_HU, truth).astype(np.float32))
    bone = np.isin(labels, [LABELS[part] for part in BONES])
    hu = {
        "clean": oracle_translate(noise_free, seed=1).array,
        "bias": reference + 30.0,
        "bone": np.where(bone, np.minimum(reference, TISSUE_HU), reference),
        "outline": np.where(_eroded(body), reference, GAS_HU),
        "gas": np.where(after, GAS_HU, plain),
    }
    twins = {
        name: DoseImage(hu=array.astype(np.float32), body=ct_body(array.astype(np.float32), grid))
        for name, array in hu.items()
    }
    twins["bulk"] = bulk_image(DoseImage(hu=reference, body=body))
    # a Monte Carlo has no steady dose in gas, and nobody prescribes to it
    structures["Rectum wall"] = structures["Rectum"] & ~(before | after)
    return volume, twins, structures


def _eroded(body: Mask) -> Mask:
    from scipy import ndimage

    made = ndimage.binary_erosion(body, ndimage.generate_binary_structure(3, 1))
    made[:, :, [0, -1]] = body[:, :, [0, -1]] & made[:, :, [1, -2]]  # the patient goes on there
    return np.asarray(made)


def _gas_pockets(grid: Grid, rectum: Mask, prostate: Mask) -> tuple[Mask, Mask]:
    """Balls of gas in the rectum behind the prostate, and further up."""
    places = grid.to_world(np.argwhere(rectum))
    level = grid.to_world(np.argwhere(prostate)).mean(axis=0)[2]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    world = grid.to_world(index)
    balls = []
    for height in (level, level + GAS_MOVED_MM):
        near = places[np.abs(places[:, 2] - height) < 6.0]
        balls.append(np.linalg.norm(world - near.mean(axis=0), axis=-1) < GAS_MM)
    return balls[0], balls[1]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One plan on the CT and its densities for all images."""

    plan: Plan
    densities: Mapping[str, Float32Array]
    samples: Any
    inside: Mask
    scene: DoseScene

    @classmethod
    def made(
        cls,
        modality: str,
        reference: Volume,
        twins: Mapping[str, DoseImage],
        structures: Mapping[str, Mask],
    ) -> Case:
        template = load_template(f"{modality[:-1]}-pelvis")
        if modality == "protons":
            template = template.model_copy(update={"machine": protons.MACHINE})
        hlut = load_hlut(HLUT[modality])
        scene = dose_scene(
            reference,
            reference,
            template=template,
            structures=structures,
            grid_mm=GRID_MM[modality],
        )
        made = {"reference": scene.reference, **twins}
        densities = {name: scene.density(image, hlut) for name, image in made.items()}
        target = scene.target_touched
        avoid = {
            name: mask_onto(structures[name], scene.image_grid, scene.grid) & ~target
            for name in ORGANS
        }
        plan = engine_of(template).plan(
            densities["reference"],
            scene.grid,
            target=target,
            avoid=avoid,
            isocentre_mm=scene.isocentre_mm,
            template=template,
            hlut=hlut,
            target_name=scene.target_name,
        )
        asked = {"PTV": scene.target, **{name: structures[name] for name in JUDGED}}
        samples = sample_structures(masks_as_structures(asked, scene.image_grid), scene.grid)
        return cls(
            plan=plan,
            densities=densities,
            samples=samples,
            inside=densities["reference"] > 0.2,
            scene=scene,
        )

    @property
    def prescription_gy(self) -> float:
        return self.plan.template.prescribed.dose_gy

    def metrics(self, dose: Volume) -> dict[str, float]:
        """DVH metrics in percent of the prescription."""
        ptv = dvh_of(dose, self.samples["PTV"])
        made = {"PTV Dmean": ptv.mean_gy}
        made |= {f"PTV D{x}": ptv.dose_at_volume_pct(x) for x in (50, 95, 2)}
        for organ in JUDGED:
            dvh = dvh_of(dose, self.samples[organ])
            made[f"{organ} Dmean"] = dvh.mean_gy
        return {name: 100 * value / self.prescription_gy for name, value in made.items()}

    def noise(self, raw: Volume, sigma: Volume, scaled: Volume) -> dict[str, float]:
        """One standard deviation that the noise of a Monte Carlo gives to metrics of two images.

        Parameters
        ----------
        raw, sigma
            A dose and its standard deviation in each voxel.
        scaled
            The same dose in Gy.
        """
        rng = np.random.default_rng(7)
        share = sigma.array / np.maximum(raw.array, 1e-30)
        drawn = [
            self.metrics(
                scaled.with_array(
                    (scaled.array * (1 + share * rng.standard_normal(share.shape))).astype(
                        np.float32
                    )
                )
            )
            for _ in range(_DRAWS)
        ]
        return {
            name: float(np.sqrt(2) * np.std([one[name] for one in drawn], ddof=1))
            for name in drawn[0]
        }

    def rate(self, reference: Volume, evaluated: Volume) -> float:
        result = gamma(reference, evaluated, parse_criteria("2/2"), GammaSettings(cutoff_pct=10.0))[
            0
        ]
        return float(result.pass_rate(self.inside).share_pct or 0.0)

    def scaled(self, doses: Mapping[str, Volume], like: Volume) -> dict[str, Volume]:
        """All doses by one factor: the target's mean on the CT becomes that of another engine."""
        factor = np.divide(
            *(dvh_of(d, self.samples["PTV"]).mean_gy for d in (like, doses["reference"]))
        )
        return {n: d.with_array((d.array * factor).astype(np.float32)) for n, d in doses.items()}


def _photons(bench: Bench, case: Case, found: TwinResults) -> None:
    ours = photon_surrogate(case.plan, case.densities)
    soft = photon_surrogate(case.plan, case.densities, mv=6)
    soft = case.scaled(soft, ours["reference"])
    plans = bench.pyradplan(case.plan, case.densities, "pelvis, 5 fields, 7 images").doses
    images = {name: case.densities[name] for name in CARLO}
    carlo = bench.montecarlo(case.plan, images, "pelvis, 5 fields, 5 images", HISTORIES)
    plans = case.scaled(plans, ours["reference"])
    mc = case.scaled(carlo.doses, ours["reference"])
    noise = case.noise(carlo.doses["reference"], carlo.sigma["reference"], mc["reference"])
    found.tables["photons_mc"] = _differences(case, ours, mc, "10 MV", "pyRadMC", found, noise)
    found.tables["photons_plan"] = _differences(case, soft, plans, "TPR 0.67", "pyRadPlan", found)
    found.tables["photons_level"] = _levels(
        case,
        {"surrogate, 10 MV": ours, "pyRadMC": mc, "surrogate, TPR 0.67": soft, "pyRadPlan": plans},
    )
    found.shown["photons"] = _slices(case, soft, plans, "bone")


def _protons(bench: Bench, case: Case, found: TwinResults) -> None:
    ours, raw, _ = protons.both(bench, case.plan, case.densities, "pelvis, protons, 7 images")
    theirs = case.scaled(raw, ours["reference"])
    found.tables["protons"] = _differences(case, ours, theirs, "protons", "pyRadPlan", found)
    found.tables["protons_level"] = _levels(
        case, {"surrogate": ours, "pyRadPlan": theirs, "pyRadPlan, not scaled": raw}
    )
    found.shown["protons"] = _slices(case, ours, theirs, "bone")


def _differences(
    case: Case,
    ours: Mapping[str, Volume],
    theirs: Mapping[str, Volume],
    label: str,
    peer: str,
    found: TwinResults,
    noise: Mapping[str, float] | None = None,
) -> str:
    base = [case.metrics(doses["reference"]) for doses in (ours, theirs)]
    noisy = noise is not None  # it broadens a DVH and spoils gamma; means and medians hold
    names = [name for name in base[0] if not (noisy and name in ("PTV D95", "PTV D2"))]
    rows = []
    for twin, title in TITLES.items():
        if twin not in theirs:
            continue
        made = [case.metrics(doses[twin]) for doses in (ours, theirs)]
        cells = []
        for name in names:
            pair = [made[k][name] - base[k][name] for k in (0, 1)]
            found.pairs.setdefault(f"{label} against {peer}", []).append((pair[0], pair[1]))
            cells.append(f"{signed(pair[0], 2)} / {signed(pair[1], 2)}")
        if not noisy:
            rates = [case.rate(doses["reference"], doses[twin]) for doses in (ours, theirs)]
            cells.append(f"{rates[0]:.1f} / {rates[1]:.1f}")
        rows.append([title, *cells])
    if noise is not None:
        rows.append([f"one σ of {peer}'s noise", *(f"{noise[name]:.2f}" for name in names)])
        found.noise[f"{label} against {peer}"] = float(
            np.sqrt(np.mean([noise[name] ** 2 for name in names]))
        )
    head = [f"surrogate ({label}) / {peer}", *(f"Δ {name}" for name in names)]
    return table(head if noisy else [*head, "γ 2 %/2 mm"], rows)


def _levels(case: Case, engines: Mapping[str, Mapping[str, Volume]]) -> str:
    made = {title: case.metrics(doses["reference"]) for title, doses in engines.items()}
    names = list(next(iter(made.values())))
    rows = [[title, *(f"{values[name]:.1f}" for name in names)] for title, values in made.items()]
    return table(["on the CT (% of the prescription)", *names], rows)


def _slices(
    case: Case, ours: Mapping[str, Volume], theirs: Mapping[str, Volume], twin: str
) -> dict[str, Any]:
    """Dose differences of one twin in the target's slice, percent of the prescription."""
    k = int(case.plan.grid.to_index(case.plan.isocentre_mm)[2].round())
    inside = case.inside[:, :, k]  # the reference gives doses to the air around, too
    shown = {}
    for name, doses in (("surrogate", ours), ("reference", theirs)):
        change = (doses[twin].array - doses["reference"].array)[:, :, k - 1 : k + 2]
        shown[name] = 100 / case.prescription_gy * change.mean(axis=2) * inside
    return {
        "twin": TITLES[twin],
        "density": case.densities["reference"][:, :, k],
        "target": case.scene.target_on_grid[:, :, k],
        **shown,
    }


def agreement(pairs: list[tuple[float, float]]) -> tuple[float, float, NDArray[np.float64]]:
    """Root mean square and largest deviation of the differences, and all pairs."""
    array = np.asarray(pairs)
    off = array[:, 0] - array[:, 1]
    return float(np.sqrt((off**2).mean())), float(np.abs(off).max()), array
