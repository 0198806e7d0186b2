import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from model.checkpoints.file_hash import hash_file
from model.classifier import Classifier
from tests.samples.phantoms import draw_scan, encode
from training.command_line import main
from training.errors import DataError
from training.evaluation.elsewhere import TABLE, count_sources, format_elsewhere, load_elsewhere, measure_elsewhere

SEQUENCES = {"lgg": ("flair", "t1c"), "ct": ("ct",)}
LICENCES = {"lgg": "CC BY-NC-SA 4.0", "ct": ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Lesions, slices without one and pictures of something else, of two sources; every fifth was trained on."""
    root = tmp_path_factory.mktemp("elsewhere")
    rows = ["path,source,patient,label,type,sequence,plane,split,licence"]
    for index in range(40):
        source = "ct" if index % 4 == 3 else "lgg"
        label = "not_mri_head" if source == "ct" else ("tumour", "lesion_free")[index % 2]
        spot = (0.4, 0.5) if label == "tumour" else None
        (root / f"{index}.png").write_bytes(encode(draw_scan(64, spot, seed=index)))
        sequence = SEQUENCES[source][index % len(SEQUENCES[source])]
        kind = "glioma" if label == "tumour" else ""
        part = "train" if index % 5 == 4 else ("validation", "calibration")[index % 2]
        rows.append(f"{index}.png,{source},{index},{label},{kind},{sequence},axial,{part},{LICENCES[source]}")
    (root / TABLE).write_text("\n".join(rows), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def classifier(calibrated_pair):
    return Classifier.load(calibrated_pair[0])


def test_the_numbers_are_those_of_the_services_own_predictions(folder, classifier):
    table = load_elsewhere(folder / TABLE, classifier.card)
    rows = {row.name: row for row in measure_elsewhere(classifier._engine, table)}
    scans = [scan for scan in table if scan.split != "train"]
    assert rows["all"].num_images == len(scans) == 32
    predictions = [classifier.predict(scan.path.read_bytes()) for scan in scans]
    lesions = np.array([bool(scan.possible) and scan.type == "glioma" for scan in scans])
    free = np.array([scan.possible == (1,) for scan in scans])
    healthy = np.array([prediction.prediction == "notumor" for prediction in predictions])
    silent = np.array([str(prediction.review.level) == "none" for prediction in predictions])
    doubts = np.array([1 - prediction.probabilities["notumor"] for prediction in predictions])
    numbers = {name: interval.value for name, interval in rows["all"].numbers.items()}
    assert numbers["called_tumor"] == pytest.approx((~healthy)[lesions].mean())
    assert numbers["called_healthy"] == pytest.approx(healthy[free].mean())
    assert numbers["missed_silently"] == pytest.approx((healthy & silent)[lesions].mean())
    assert numbers["reviewed"] == pytest.approx((~silent).mean())
    known = lesions | free
    assert numbers["lesion_auc"] == pytest.approx(roc_auc_score(lesions[known], doubts[known]))
    wrong = np.array([prediction.prediction not in ("glioma", "notumor") for prediction in predictions])
    assert numbers["wrong_type_silently"] == pytest.approx((wrong & silent)[lesions].mean())


def test_every_source_sequence_and_plane_has_a_row(folder, classifier):
    rows = measure_elsewhere(classifier._engine, load_elsewhere(folder / TABLE, classifier.card))
    assert [row.name for row in rows] == ["all", "ct", "lgg", "lgg, flair", "lgg, t1c", "plane axial"]
    assert rows[1].num_images + rows[2].num_images == rows[0].num_images
    assert "called_tumor" not in rows[1].numbers
    text = format_elsewhere(rows)
    assert text.splitlines()[0].startswith("elsewhere")
    assert len(text.splitlines()) == 7


def test_sources_are_counted_with_their_licence_in_every_part(folder, classifier):
    ct, lgg = count_sources(load_elsewhere(folder / TABLE, classifier.card))
    assert (ct.name, ct.licence, sum(ct.num_images.values())) == ("ct", "", 10)
    assert (lgg.name, lgg.licence, sum(lgg.num_images.values())) == ("lgg", "CC BY-NC-SA 4.0", 30)
    assert ct.num_images["train"] + lgg.num_images["train"] == 8


@pytest.mark.parametrize("place", ["", TABLE])
def test_the_command_prints_and_writes_it(folder, calibrated_pair, tmp_path, capsys, place):
    arguments = ["evaluate", "--elsewhere", str(folder / place), "--checkpoint", str(calibrated_pair[0])]
    main([*arguments, "--out", str(tmp_path / "report")])
    assert "lgg, t1c" in capsys.readouterr().out
    written = json.loads((tmp_path / "report" / "evaluation.json").read_text(encoding="utf-8"))["elsewhere"]
    assert (written["rows"][0]["name"], written["rows"][0]["num_images"]) == ("all", 32)
    assert written["table_sha256"] == hash_file(folder / TABLE)
    assert [source["name"] for source in written["sources"]] == ["ct", "lgg"]


def test_a_table_of_scans_that_were_all_trained_on_is_refused(folder, classifier, tmp_path):
    (tmp_path / "0.png").write_bytes((folder / "0.png").read_bytes())
    (tmp_path / TABLE).write_text("path,label,split\n0.png,tumour,train", encoding="utf-8")
    with pytest.raises(DataError, match="validation and calibration"):
        load_elsewhere(tmp_path / TABLE, classifier.card)
