"""Instruments in MLflow and in an evaluation: hashes, leakage, independence."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.cohort import Cohort, load_cohort
from qa_suite.core.errors import InputError, LeakageError
from qa_suite.core.prediction import Prediction
from qa_suite.core.records import ModelFacts
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.instruments.extractor import TrainedExtractor
from qa_suite.instruments.files import read_instrument, save_instrument
from qa_suite.instruments.fit_extractor import fit_extractor, train_extractor
from qa_suite.instruments.independence import RefusedExtractor, RefusedSegmenter
from qa_suite.instruments.loading import load_extractor, load_segmenter
from qa_suite.instruments.registering import registered_instruments, train_and_register
from qa_suite.instruments.segmenter import TrainedSegmenter
from qa_suite.instruments.train_segmenter import train_segmenter
from qa_suite.io.cases import LoadedCase, load_case
from qa_suite.lab.oracles import oracle
from qa_suite.metrics.base import Instruments
from tests.model_registry_cases import spoilt
from tests.tiny_cohort import pair
from tests.tiny_instruments import (
    extractor_settings,
    image,
    images,
    make_structured_cohort,
    segmenter_settings,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, _empty_database: Path) -> Path:
    folder = tmp_path_factory.mktemp("store")
    (folder / "mlruns").mkdir()
    shutil.copy(_empty_database, folder / "mlruns" / "mlflow.db")
    make_structured_cohort(folder / "cohort")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _own_store(store: Path) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store / 'mlruns' / 'mlflow.db'}")
        yield


@pytest.fixture(scope="module")
def cohort(store: Path) -> Cohort:
    return load_cohort(store / "cohort")


@pytest.fixture(scope="module")
def segmenter(store: Path, cohort: Cohort, _own_store: object) -> TrainedSegmenter:
    """Registered; the test patient's files are away while it is trained."""
    (test,) = cohort.in_split("test")
    hidden = store / "hidden"
    hidden.mkdir()
    gone = [test.source, test.reference, *test.structures.values()]
    for file in gone:
        shutil.move(store / "cohort" / str(file), hidden / Path(str(file)).name)
    try:
        made = train_and_register(
            lambda note: train_segmenter(
                cohort, store / "cohort", segmenter_settings(), device="cpu", progress=note
            ),
            name="ct-segmenter",
            cohort=cohort,
            workdir=store / "work-segmenter",
        )
    finally:
        for file in gone:
            shutil.move(hidden / Path(str(file)).name, store / "cohort" / str(file))
    assert isinstance(made, TrainedSegmenter)
    return made


@pytest.fixture(scope="module")
def extractor(store: Path, cohort: Cohort, _own_store: object) -> TrainedExtractor:
    made = train_and_register(
        lambda note: train_extractor(
            cohort, store / "cohort", extractor_settings(), device="cpu", progress=note
        ),
        name="ct-features",
        cohort=cohort,
        workdir=store / "work-features",
    )
    assert isinstance(made, TrainedExtractor)
    return made


# ---------------------------------------------------------------------------------------
# Registered


def test_its_facts_say_who_was_seen_and_how_good_it_is(
    segmenter: TrainedSegmenter, cohort: Cohort
) -> None:
    facts = segmenter.facts
    seen = cohort.in_split("train", "validation")
    assert facts.training_patients == tuple(sorted(c.patient for c in seen))
    assert set(facts.training_voxel_hashes) == {h for c in seen for h in c.voxel_hashes.values()}
    assert set(facts.noise_floor) == {"Bone", "Bowel_Gas"}
    assert facts.settings["noise_floor_set"] == "validation"
    assert facts.settings["noise_floor_patients"] == {"Bone": 1, "Bowel_Gas": 1}
    assert facts.settings["left_out"] == {"Body": "found by a threshold, not learnt"}
    assert (facts.uri, facts.name, facts.version) == ("models:/ct-segmenter/1", "ct-segmenter", "1")


def test_a_reload_gives_the_same_masks(segmenter: TrainedSegmenter) -> None:
    again = load_segmenter("models:/ct-segmenter/1")
    assert again.facts == segmenter.facts and again.structures == segmenter.structures
    new = image(9)
    expected = segmenter.segment(new.volume, new.mask)
    for name, mask in again.segment(new.volume, new.mask).items():
        np.testing.assert_array_equal(mask, expected[name])


def test_no_file_of_an_instrument_may_be_another_one(segmenter: TrainedSegmenter) -> None:
    from qa_suite.core.model_files import NotAsRegistered, open_model

    whole = open_model("models:/ct-segmenter/1", kind="instruments")
    assert segmenter.facts.digest == whole.digest and segmenter.facts.unproven is None
    for name in spoilt(whole.folder):
        with pytest.raises(NotAsRegistered, match=f"{name} has .*'qa-suite list instruments'"):
            load_segmenter("models:/ct-segmenter/1")


def test_an_instrument_travels_as_its_address_and_one_without_does_not(
    segmenter: TrainedSegmenter, extractor: TrainedExtractor
) -> None:
    sent = pickle.dumps((segmenter, extractor))
    assert b"torch" not in sent and len(sent) < 20_000
    arrived = pickle.loads(sent)
    assert [one.facts for one in arrived] == [segmenter.facts, extractor.facts]
    new = image(9)
    np.testing.assert_array_equal(
        arrived[1].features(new.volume, new.mask), extractor.features(new.volume, new.mask)
    )
    with pytest.raises(InputError, match="ct-segmenter is not registered, so it cannot travel"):
        pickle.dumps(segmenter.with_facts(uri=""))
    with pytest.raises(InputError, match="is not what it was"):
        pickle.loads(pickle.dumps(segmenter.with_facts(training_patients=())))


def test_an_alias_finds_it_and_the_list_names_it(
    segmenter: TrainedSegmenter, extractor: TrainedExtractor
) -> None:
    from qa_suite.core.store import connect
    from qa_suite.evaluation.registered import registered_models

    connect().MlflowClient().set_registered_model_alias("ct-segmenter", "chosen", "1")
    assert load_segmenter("models:/ct-segmenter@chosen").facts.uri == "models:/ct-segmenter/1"
    rows = {row["uri"]: row for row in registered_instruments()}
    assert rows["models:/ct-segmenter/1"]["kind"] == "segmenter"
    assert rows["models:/ct-segmenter/1"]["structures"] == "Bone,Bowel_Gas"
    assert rows["models:/ct-features/1"]["kind"] == "extractor"
    assert registered_models() == [], "an instrument is no translator"


def test_any_mlflow_client_can_use_them_without_pickle(
    segmenter: TrainedSegmenter, extractor: TrainedExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    new = image(9)
    request = {
        "volume": new.volume.array,
        "domain": new.mask.astype(np.uint8),
        "spacing_mm": np.array(new.volume.grid.spacing_mm),
        "direction": np.array(new.volume.grid.direction),
    }
    found = mlflow.pyfunc.load_model(segmenter.facts.uri).predict(request)["masks"]
    expected = segmenter.segment(new.volume, new.mask)
    np.testing.assert_array_equal(found, np.stack(list(expected.values())))
    found = mlflow.pyfunc.load_model(extractor.facts.uri).predict(request)["features"]
    np.testing.assert_array_equal(found, extractor.features(new.volume, new.mask))


def test_changed_weights_are_refused(segmenter: TrainedSegmenter, tmp_path: Path) -> None:
    save_instrument(segmenter, tmp_path)
    assert read_instrument(tmp_path).facts.weights_sha256 == segmenter.facts.weights_sha256
    weights = tmp_path / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(InputError, match="not those that were registered"):
        read_instrument(tmp_path)
    weights.unlink()
    with pytest.raises(InputError, match=r"weights\.safetensors is missing"):
        read_instrument(tmp_path)


def test_a_spec_that_is_none_is_refused(segmenter: TrainedSegmenter, tmp_path: Path) -> None:
    save_instrument(segmenter, tmp_path)
    (tmp_path / "instrument.json").write_text("{}")
    with pytest.raises(InputError, match="describes no instrument"):
        read_instrument(tmp_path)


def test_wrong_names_get_one_clear_sentence(
    segmenter: TrainedSegmenter, extractor: TrainedExtractor
) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        load_segmenter("models:/nobody/1")
    with pytest.raises(InputError, match="names no instrument"):
        load_extractor("ct-features")
    with pytest.raises(InputError, match="--extractor"):
        load_segmenter("models:/ct-features/1")
    with pytest.raises(InputError, match="--segmenter"):
        load_extractor("models:/ct-segmenter/1")


# ---------------------------------------------------------------------------------------
# Extractor


def test_features_are_repeatable_and_standardised(extractor: TrainedExtractor) -> None:
    new = image(9)
    first = extractor.features(new.volume, new.mask)
    assert first.shape == (12, 16) and first.dtype == np.float32
    np.testing.assert_array_equal(first, extractor.features(new.volume, new.mask))
    again = load_extractor("models:/ct-features/1")
    np.testing.assert_array_equal(first, again.features(new.volume, new.mask))
    made = [
        fit_extractor(images(1, 2), images(3), extractor_settings(iterations=3), seed=2)
        for _ in range(2)
    ]
    assert made[0].facts.weights_sha256 == made[1].facts.weights_sha256
    seen = np.concatenate([made[0].features(i.volume, i.mask) for i in images(1, 2)])
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(seen.std(axis=0), 1, atol=0.1)


def test_slices_without_the_mask_are_left_out(extractor: TrainedExtractor) -> None:
    new = image(9)
    part = new.mask.copy()
    part[:, :, :3] = part[:, :, 6:8] = False
    assert extractor.features(new.volume, part).shape[0] == 7
    assert extractor.features(new.volume, np.zeros_like(part)).shape == (0, 16)


def test_what_lies_outside_the_mask_makes_no_difference(extractor: TrainedExtractor) -> None:
    new = image(9)
    other = new.volume.array.copy()
    other[~new.mask] = np.nan
    np.testing.assert_array_equal(
        extractor.features(new.volume, new.mask),
        extractor.features(new.volume.with_array(other), new.mask),
    )


# ---------------------------------------------------------------------------------------
# In an evaluation


def _examination(
    cohort: Cohort,
    store: Path,
    instruments: Instruments,
    *,
    allow_leakage: bool = False,
    split: str = "test",
    **facts: object,
) -> Examination:
    model = ModelFacts(uri="images:x", name="x", family="external", **facts)
    settings = EvaluationSettings(
        families=("segmentation",), keep_volumes="none", split=split, allow_leakage=allow_leakage
    )
    return Examination(
        cohort=cohort,
        folder=store / "cohort",
        model=model,
        settings=settings,
        translate=_another_scan,
        instruments=instruments,
    )


def _another_scan(loaded: LoadedCase) -> Prediction:
    """Return a CT of the same anatomy with noise of its own: no copy of the reference."""
    _, ct, _ = pair(int(loaded.case.case.removeprefix("case")), scan=8)
    return Prediction(mean=ct)


def test_an_instrument_stands_in_the_record_and_in_its_identifier(
    cohort: Cohort,
    store: Path,
    segmenter: TrainedSegmenter,
    extractor: TrainedExtractor,
    tmp_path: Path,
) -> None:
    both = Instruments(segmenters=(segmenter,), extractor=extractor)
    examination = _examination(cohort, store, both)
    bare = _examination(cohort, store, Instruments())
    other = segmenter.with_facts(weights_sha256="0" * 64)
    changed = _examination(cohort, store, Instruments(segmenters=(other,), extractor=extractor))
    assert len({e.identifier for e in (examination, bare, changed)}) == 3
    record = evaluate(examination, tmp_path)
    assert [f.uri for f in record.instruments] == [
        "models:/ct-segmenter/1",
        "models:/ct-features/1",
    ]
    assert record.instruments[0].weights_sha256 == segmenter.facts.weights_sha256
    from qa_suite.core.record_files import read_measurements

    table = read_measurements(tmp_path)
    mine = table[table["variant"] == "ct-segmenter"]
    dice = mine[(mine["metric"] == "dice") & (mine["region"] == "seg:Bone")]
    (case,) = cohort.in_split("test")
    loaded = load_case(cohort, case, store / "cohort")
    assert loaded.reference is not None and loaded.mask is not None
    first = segmenter.segment(loaded.reference, loaded.mask)["Bone"]
    second = segmenter.segment(_another_scan(loaded).mean, loaded.mask)["Bone"]
    expected = 2 * np.count_nonzero(first & second) / (first.sum() + second.sum())
    assert expected > 0.9, "the same anatomy twice"
    assert dice["value"].tolist() == [pytest.approx(expected, abs=1e-12)]


@pytest.mark.parametrize("how", ["loss", "itself"])
def test_a_network_that_the_model_was_trained_to_please_is_not_applied(
    how: str,
    cohort: Cohort,
    store: Path,
    segmenter: TrainedSegmenter,
    extractor: TrainedExtractor,
    tmp_path: Path,
) -> None:
    digest = segmenter.facts.weights_sha256
    facts: dict[str, object] = (
        {"loss_networks": (digest, extractor.facts.weights_sha256)}
        if how == "loss"
        else {"weights_sha256": digest}
    )
    both = Instruments(segmenters=(segmenter,), extractor=extractor)
    examination = _examination(cohort, store, both, **facts)
    assert isinstance(examination.instruments.segmenters[0], RefusedSegmenter)
    refused = isinstance(examination.instruments.extractor, RefusedExtractor)
    assert refused == (how == "loss")
    record = evaluate(examination, tmp_path)
    assert any("cannot examine it" in notice for notice in record.notices)
    from qa_suite.core.record_files import read_measurements

    table = read_measurements(tmp_path)
    rows = table[table["variant"].str.startswith("ct-segmenter")]
    assert len(rows) > 0 and set(rows["status"]) == {"error"}
    assert rows["why"].str.contains("cannot examine it").all()
    if how == "loss":
        new = image(9)
        with pytest.raises(InputError, match="loss that x was trained with"):
            examination.instruments.extractor.features(new.volume, new.mask)  # type: ignore[union-attr]


def test_an_instrument_that_was_trained_on_the_examined_is_refused(
    cohort: Cohort, store: Path, segmenter: TrainedSegmenter, tmp_path: Path
) -> None:
    mine = Instruments(segmenters=(segmenter,))
    with pytest.raises(LeakageError, match=r"ct-segmenter .* was trained on 3 of the examined"):
        evaluate(_examination(cohort, store, mine, split="train"), tmp_path / "a")
    assert not list((tmp_path / "a").glob("**/*.json")), "before anything is measured"
    by_voxels = segmenter.with_facts(training_patients=())
    with pytest.raises(LeakageError):
        evaluate(
            _examination(cohort, store, Instruments(segmenters=(by_voxels,)), split="train"),
            tmp_path / "b",
        )
    allowed = _examination(cohort, store, mine, split="train", allow_leakage=True)
    record = evaluate(allowed, tmp_path / "c")
    assert any("no held-out result" in notice for notice in record.notices)


def test_the_oracle_is_examined_by_any_instrument(
    cohort: Cohort, store: Path, segmenter: TrainedSegmenter
) -> None:
    facts, translate = oracle("oracle:truth")
    examination = Examination(
        cohort=cohort,
        folder=store,
        model=facts,
        translate=translate,
        settings=EvaluationSettings(),
        instruments=Instruments(segmenters=(segmenter,)),
    )
    assert examination.instruments.segmenters == (segmenter,)
