"""No number depends on how a file stores its axes: every registered metric, curve and volume.

The axes are permuted and flipped and the affine follows, so the patient does not move. After
turning, the arrays are the same; what is left is the rounding of one corner's position (an ulp
of some hundred mm), hence the tolerance: 1e-9 of a value, or 1e-9 where it is nought.
"""

from __future__ import annotations

import csv

import numpy as np
import pytest

from qa_suite.core.cohort import Case, Cohort, save_cohort
from qa_suite.core.orientation import Turn
from qa_suite.core.record_files import read_cases, read_measurements
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.dvh.conformity import conformity_of
from qa_suite.dose.dvh.curve import dvh_of, dvhs_of
from qa_suite.dose.gamma import GammaSettings, gamma, parse_criteria
from qa_suite.dose.structures.samples import MaskStructure
from qa_suite.dose.structures.structures import sample_labels
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.evaluation.models import finished_images
from qa_suite.io.cases import LoadedCase, load_case
from qa_suite.io.images import read_image, write_image
from qa_suite.io.layouts.importing import import_cohort
from qa_suite.metrics.base import Pair
from qa_suite.metrics.facts import FAMILIES, METRICS
from qa_suite.metrics.run import Measured
from qa_suite.metrics.settings import MeasureSettings
from qa_suite.preflight import PreflightResult, PreflightSettings, preflight
from tests import battery
from tests.storage import SOME_STORAGES, STORAGES, name_of, parts_of
from tests.tiny_cohort import pair as tiny_pair

pytestmark = pytest.mark.timeout(900)  # a fresh clone compiles every kernel here first

REL = ABS = 1e-9
NAMES = ("ct", "oblique", "mr", "pet", "clinic", "rtplan")
SLOW = ("ct", "oblique")


def about(value: float | None) -> object:
    return None if value is None else pytest.approx(value, rel=REL, abs=ABS)


def require_same(one: Measured, other: Measured) -> None:
    """Hold rows, curves and kept volumes against each other."""
    assert len(one.rows) == len(other.rows)
    for a, b in zip(one.rows, other.rows, strict=True):
        key = (a.metric, a.region, a.variant)
        assert (b.metric, b.region, b.variant, b.status) == (*key, a.status), key
        assert b.value == about(a.value), key
        assert (b.at_least, b.at_most) == (about(a.at_least), about(a.at_most)), key
        assert b.coverage == about(a.coverage), key
        assert b.why == a.why, key
    for p, q in zip(one.curves, other.curves, strict=True):
        where = (p.curve, p.region, p.variant)
        assert (q.curve, q.region, q.variant) == where
        assert (q.x, q.y) == (about(p.x), about(p.y)), where
    assert one.volumes.keys() == other.volumes.keys()
    for role, volume in one.volumes.items():
        there = other.volumes[role]
        np.testing.assert_allclose(there.array, volume.array, rtol=1e-6, atol=1e-6, err_msg=role)
        assert there.grid.distance_mm(volume.grid) < 1e-9, role
        assert there.history == volume.history, role


# --- every metric of every family ----------------------------------------------------------


def test_every_registered_metric_and_family_takes_part():
    """A new metric is held from the day it is registered, or this names it."""
    rows = [row for name in NAMES for row in battery.measured(name).rows]
    met = {row.metric for row in rows if row.status == "ok"}
    met |= {row.metric for row in battery.measured_sets() if row.status == "ok"}
    registered = {entry.name for entry in METRICS}
    assert registered - met - set(battery.NOT_OF_A_PAIR) == set()
    assert {entry.name for entry in FAMILIES} <= {row.family for row in rows}
    assert not [row for row in rows if row.status == "error"]


@pytest.mark.parametrize(
    ("name", "turn"),
    [
        pytest.param(name, turn, id=f"{name}{name_of(turn)}")
        for name in ("ct", "oblique", "mr", "pet")
        for turn in (SOME_STORAGES[:3] if name in SLOW else SOME_STORAGES)
    ],
)
def test_no_metric_depends_on_the_storage(name, turn):
    require_same(battery.measured(name, doses=False), battery.measured(name, turn, doses=False))


@pytest.mark.parametrize("name", ["ct", "clinic", "rtplan"])
def test_no_dose_depends_on_the_storage(name):
    require_same(battery.measured(name), battery.measured(name, SOME_STORAGES[0]))


def test_no_distance_between_sets_depends_on_the_storage():
    one, other = battery.measured_sets(), battery.measured_sets(SOME_STORAGES[0])
    for a, b in zip(one, other, strict=True):
        assert (b.metric, b.scope, b.status) == (a.metric, a.scope, a.status)
        assert b.value == about(a.value)
        assert b.standard_error == about(a.standard_error)


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_is_the_same_in_all_48_storages(name):
    pair = battery.scenes()[name].pair
    for turn in STORAGES:
        other = Pair(**parts_of(pair, turn))
        assert other.grid.distance_mm(pair.grid) < 1e-9
        for role in ("reference", "synthetic", "source"):
            one = getattr(pair, role)
            assert one is None or np.array_equal(getattr(other, role).array, one.array)
        assert np.array_equal(other.mask, pair.mask)
        assert all(np.array_equal(other.structures[n], m) for n, m in pair.structures.items())
        if pair.prediction is not None and pair.prediction.std is not None:
            assert np.array_equal(other.prediction.std.array, pair.prediction.std.array)


# --- preflight -----------------------------------------------------------------------------


def checked(turn: Turn) -> PreflightResult:
    """Preflight of the virtual pelvis, in other storage."""
    pair = battery.scenes()["ct"].pair
    assert pair.source is not None
    case = Case(case="c", patient="p", site="s", source="source.nii.gz")
    loaded = LoadedCase(
        case=case,
        source=pair.source.turned(turn),
        reference=pair.reference.turned(turn),
        mask=turn.apply(pair.mask),
    )
    cohort = Cohort(name="one", source_modality="MR", anatomy="pelvis", cases=(case,))
    return preflight(loaded, cohort, PreflightSettings())


def test_no_check_of_preflight_depends_on_the_storage():
    one, other = checked(STORAGES[0]), checked(SOME_STORAGES[0])
    assert (other.refused, other.reason) == (one.refused, one.reason)
    assert other.values.keys() == one.values.keys()
    for key, found in one.values.items():
        assert (other.values[key].status, other.values[key].why) == (found.status, found.why), key
        assert other.values[key].value == about(found.value), key


# --- doses by themselves -------------------------------------------------------------------


def doses() -> tuple[Volume, Volume, np.ndarray]:
    grid = Grid(shape=(17, 14, 11), spacing_mm=(3.0, 2.5, 4.0), origin_mm=(-20, 7, 100))
    x, y, z = np.moveaxis(np.stack(np.indices(grid.shape), -1) * grid.spacing_mm, -1, 0)
    one = 60 * np.exp(-((((x - 25) ** 2 + (y - 16) ** 2 + (z - 19) ** 2) / 250) ** 2))
    other = 60 * np.exp(-((((x - 27) ** 2 + (y - 15) ** 2 + (z - 20) ** 2) / 250) ** 2))
    one[..., 9:] = other[..., 9:] = 0
    one[..., 2] = 0  # a slice without dose between others, which matRad leaves out
    mask = one > 30
    volumes = [Volume(array=a.astype(np.float32), grid=grid, quantity="Gy") for a in (one, other)]
    return volumes[0], volumes[1], mask


@pytest.mark.parametrize("mode", ["trilinear", "simplex", "pymedphys", "matrad"])
def test_gamma_does_not_depend_on_the_storage_of_either_dose(mode):
    one, other, mask = doses()
    settings = GammaSettings(mode=mode, max_gamma=3)
    criteria = parse_criteria("3/3,2/2", local=False)
    expected = gamma(one, other, criteria, settings)
    pairs = [(t, t) for t in (STORAGES if mode == "trilinear" else SOME_STORAGES)]
    for first, second in [*pairs, (SOME_STORAGES[0], SOME_STORAGES[2])]:
        found = gamma(one.turned(first), other.turned(second), criteria, settings)
        for a, b in zip(expected, found, strict=True):
            assert b.grid == one.grid.turned(first)
            np.testing.assert_array_equal(first.undo(b.judged), a.judged)
            np.testing.assert_allclose(first.undo(b.values), a.values, rtol=1e-5, atol=1e-6)
            assert b.pass_rate(first.apply(mask)) == a.pass_rate(mask)


def test_dvhs_and_indices_do_not_depend_on_the_storage():
    dose, _, mask = doses()
    structure = MaskStructure(name="PTV", mask=mask, grid=dose.grid)
    labels = Volume(array=mask.astype(np.int32), grid=dose.grid, quantity="label")
    one, index = dvh_of(dose, structure), conformity_of(dose, structure, 40.0)
    for turn in STORAGES:
        there = dose.turned(turn)
        second = SOME_STORAGES[0]  # a mask may be stored otherwise than its dose
        for made in (
            MaskStructure(name="PTV", mask=turn.apply(mask), grid=there.grid),
            MaskStructure(name="PTV", mask=second.apply(mask), grid=dose.grid.turned(second)),
            sample_labels(labels.turned(turn), {1: "PTV"}, there.grid)["PTV"],
        ):
            (other,) = dvhs_of(there, [made]).values()
            for metric in (95, 50, 2):
                assert other.dose_at_volume_pct(metric) == about(one.dose_at_volume_pct(metric))
            assert (other.max_gy, other.volume_cc) == (about(one.max_gy), about(one.volume_cc))
            fit = conformity_of(there, made, 40.0)
            assert (fit.paddick, fit.rtog) == (about(index.paddick), about(index.rtog))


# --- files ---------------------------------------------------------------------------------


def write_material(folder, turns, ending):
    """Write two patients as anybody might have stored them, and their finished images."""
    rows = []
    for number in (1, 2):
        mr, ct, body = tiny_pair(number)
        made = ct.with_array(ct.array + np.float32(5 * number) * (body.array > 0))
        made.array[12:20, 10:18, 3:9] += 60
        files = {"source": mr, "reference": ct, "mask": body}
        for turn, (role, volume) in zip(turns, files.items(), strict=False):
            write_image(volume.turned(turn), folder / f"{number}_{role}{ending}")
        write_image(made.turned(turns[-1]), folder / "made" / f"{number}{ending}")
        rows.append([f"P{number}", "A", *(f"{number}_{role}{ending}" for role in files)])
    with (folder / "pairs.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["patient", "site", "source", "reference", "mask"], *rows])


def table_of(folder, turns, ending, tmp_path):
    """Import the files, examine the finished images and return the table of measurements."""
    write_material(folder, turns, ending)
    out = folder / "cohort"
    cohort = import_cohort(folder, out, anatomy="pelvis", key_file=tmp_path / "key")
    assert not [case.import_problem for case in cohort.cases if case.import_problem]
    dealt = tuple(case.model_copy(update={"split": "test"}) for case in cohort.cases)
    cohort = cohort.model_copy(update={"cases": dealt})
    save_cohort(cohort, out)
    for case in cohort.cases:  # the folder names images by case; the patient's order is the key's
        number = next(n for n in "12" if f"{n}_source" in str((out / case.source).resolve()))
        image = read_image(folder / "made" / f"{number}{ending}", "HU")
        write_image(image, folder / "images" / f"{case.case}{ending}")
    facts, translate = finished_images(folder / "images", "made")
    examination = Examination(
        cohort=cohort,
        folder=out,
        model=facts,
        translate=translate,
        settings=EvaluationSettings(
            families=("image", "segmentation", "hallucination", "reference_free"),
            preflight=PreflightSettings(estimate_alignment=False),
            measures=MeasureSettings(),
        ),
    )
    evaluation = evaluate(examination, folder / "evaluation")
    assert evaluation.case_counts["evaluated"] == 2
    table = read_measurements(folder / "evaluation")
    table = table[~table["metric"].isin(battery.NOT_OF_A_PAIR)]
    keys = ["case", "metric", "region", "variant"]
    told = {case.case: (case.voxel_hashes, case.fingerprints) for case in cohort.cases}
    kept = {
        record.case: (record.grid, record.volumes, record.history)
        for record in read_cases(folder / "evaluation")
    }
    return table.sort_values(keys).reset_index(drop=True), told, kept, (cohort, out)


@pytest.fixture(scope="module")
def plain_table(tmp_path_factory):
    folder, keys = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("keys")
    return table_of(folder, [STORAGES[0]] * 4, ".nii.gz", keys), keys


@pytest.mark.parametrize("ending", [".nii.gz", ".mha"])
def test_the_table_of_an_evaluation_is_that_of_the_patients(plain_table, tmp_path, ending):
    """Source, reference, mask and synthetic image each in other storage."""
    (plain, told, kept, (cohort, out)), keys = plain_table
    turns = [SOME_STORAGES[n] for n in (0, 2, 1, 3)]
    (tmp_path / "material").mkdir()
    other, told_there, kept_there, _ = table_of(tmp_path / "material", turns, ending, keys)
    assert told_there == told  # the hashes by which leakage is found
    assert kept_there == kept  # the kept volumes are named by their content
    for column in ("case", "metric", "region", "variant", "status", "why"):
        assert list(other[column]) == list(plain[column]), column
    both = plain["value"].notna()
    np.testing.assert_allclose(
        other["value"][both].astype(float), plain["value"][both].astype(float), rtol=1e-6, atol=1e-6
    )  # a header keeps single precision
    assert load_case(cohort, cohort.cases[0], out).source.grid.turn.changes_nothing
