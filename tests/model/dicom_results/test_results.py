import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.multival import MultiValue
from pydicom.uid import Comprehensive3DSRStorage, EnhancedMRImageStorage, SecondaryCaptureImageStorage

from model.classifier import Classifier
from model.dicom.acquisition import HEAD_PARTS
from model.dicom_results.results import DicomResults, check_packages, check_source, write_results
from model.errors import InputError, ResultPackagesError, ResultSourceError
from tests.samples.corpus import GREY
from tests.samples.dicoms import PATIENT, bundled_files, make_dicom, make_study
from tests.samples.phantoms import CLASSES, draw_scan, encode

VALIDATOR = Path(sys.executable).with_name("dciodvfy")
BUNDLED = bundled_files()
SOURCE = make_study(draw_scan(96, (0.4, 0.5))[:, :, 0], 4)
UTF_8 = {"SpecificCharacterSet": "ISO_IR 192"}
INHERITED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime"),
    *("StudyID", "AccessionNumber", "ReferringPhysicianName", "StudyDescription"),
)


@pytest.fixture(scope="module")
def classifier(calibrated_pair) -> Classifier:
    return Classifier.load(calibrated_pair[1])


@pytest.fixture(scope="module")
def results(classifier) -> DicomResults:
    return write_results(SOURCE, classifier.visualize(SOURCE))


def read(data: bytes) -> Any:
    return pydicom.dcmread(io.BytesIO(data))


def read_both(results: DicomResults) -> list[Any]:
    return [read(results.capture), read(results.report)]


def validate(data: bytes, folder: Path) -> list[str]:
    """The complaints of dciodvfy about a file, but for our private codes, which it cannot know."""
    path = folder / "file.dcm"
    path.write_bytes(data)
    message = subprocess.run([VALIDATOR, "-new", path], capture_output=True, check=False, text=True).stderr
    assert "SCImage" in message or "Comprehensive3DSR" in message
    return [line for line in message.splitlines() if " - " in line and "99BTMRI" not in line]


def test_the_validator_finds_nothing(results, tmp_path):
    assert validate(results.capture, tmp_path) == []
    assert validate(results.report, tmp_path) == []


def test_the_validator_finds_nothing_if_the_image_has_no_patient(classifier, tmp_path):
    empty: dict[str, Any] = dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"))
    data = make_study(GREY, **empty, InstanceNumber=None)
    results = write_results(data, classifier.visualize(data))
    for found in (*validate(results.capture, tmp_path), *validate(results.report, tmp_path)):
        assert "needed to build DICOMDIR" in found


@pytest.mark.parametrize("part", [*HEAD_PARTS, "PITUITARY", "BRAINSTEM", "IAC", "HEAD AND NECK", "CABEZA"])
def test_the_validator_finds_no_error_whatever_the_name_of_the_head(classifier, tmp_path, part):
    data = make_study(GREY, BodyPartExamined=part)
    for found in validate(write_results(data, classifier.visualize(data)).capture, tmp_path):
        assert "only permitted to be empty when actually unknown" in found  # the laterality, which is unknown


def test_results_belong_to_the_study_and_have_series_of_their_own(results):
    source = read(SOURCE)
    capture, report = read_both(results)
    assert (capture.SOPClassUID, report.SOPClassUID) == (SecondaryCaptureImageStorage, Comprehensive3DSRStorage)
    for result in (capture, report):
        assert [result[name].value for name in INHERITED] == [source[name].value for name in INHERITED]
        assert result.SeriesDescription == "AI research - not for diagnosis"
        assert result.InstanceNumber == 4
        assert result.SpecificCharacterSet == "ISO_IR 192"
    assert len({each.SeriesInstanceUID for each in (source, capture, report)}) == 3
    assert len({each.SOPInstanceUID for each in (source, capture, report)}) == 3


def test_the_capture_is_the_picture_with_its_burned_in_annotation_declared(classifier, results):
    capture = read(results.capture)
    visualization = classifier.visualize(SOURCE)
    assert np.array_equal(capture.pixel_array, np.asarray(Image.open(io.BytesIO(visualization.picture))))
    assert capture.BurnedInAnnotation == "YES"
    assert capture.ImageType[:2] == ["DERIVED", "SECONDARY"]
    (reference,) = capture.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == read(SOURCE).SOPInstanceUID
    assert "ReferencedFrameNumber" not in reference


def test_the_report_holds_the_prediction_and_refers_to_the_image(classifier, results):
    prediction = classifier.predict(SOURCE)
    document = hd.sr.srread(io.BytesIO(results.report))
    assert isinstance(document, hd.sr.Comprehensive3DSR)
    content: Any = document.content
    assert read(results.report).ContentTemplateSequence[0].TemplateIdentifier == "1500"
    (group,) = content.get_image_measurement_groups()
    found = {item.name.meaning: item.value for item in group.get_measurements()}
    expected = {f"Probability of {name}": prediction.probabilities[name] for name in CLASSES}
    assert found == pytest.approx(expected, abs=1e-5)
    found = {item.name.meaning: item.value.meaning for item in group.get_qualitative_evaluations()}
    assert prediction.review
    assert prediction.ood
    assert found == {
        "Intended use": "AI research - not for diagnosis",
        "Predicted class": prediction.prediction,
        "Review by a person": prediction.review.level,
        "Unlike the training data": "yes" if prediction.ood.outlier else "no",
    }
    text = read(results.report).to_json()
    for fact in (prediction.model.name, prediction.model.version, prediction.model.sha256):
        assert fact in text
    source = read(SOURCE)
    assert {item.referenced_sop_instance_uid for item in group.source_images} == {source.SOPInstanceUID}
    evidence = list(document.get_evidence())
    assert evidence == [(source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID, source.SOPClassUID)]


def test_the_same_request_makes_the_same_instances_and_another_one_others(classifier, results):
    again = write_results(SOURCE, classifier.visualize(SOURCE))
    assert identify(again) == identify(results)
    other = next(name for name in CLASSES if name != classifier.predict(SOURCE).prediction)
    others = [
        write_results(SOURCE, classifier.visualize(SOURCE, other)),
        write_results(SOURCE, classifier.visualize(SOURCE), "0.7 overlay"),
    ]
    neighbour = make_study(GREY, 5)
    others.append(write_results(neighbour, classifier.visualize(neighbour)))
    for found in others:
        assert not set(identify(found)) & set(identify(results))
        assert [each.SeriesInstanceUID for each in read_both(found)] == [
            each.SeriesInstanceUID for each in read_both(results)
        ]


def identify(results):
    return [str(each.SOPInstanceUID) for each in read_both(results)]


def test_the_classified_one_of_several_frames_is_named(classifier, tmp_path):
    data = make_study(GREY, raw=GREY.tobytes() * 3, NumberOfFrames=3, SOPClassUID=EnhancedMRImageStorage)
    results = write_results(data, classifier.visualize(data, frame=3))
    assert read(results.capture).SourceImageSequence[0].ReferencedFrameNumber == 3
    document: Any = hd.sr.srread(io.BytesIO(results.report))
    (group,) = document.content.get_image_measurement_groups()
    assert [item.referenced_frame_numbers for item in group.source_images] == [[3]]
    assert identify(results) != identify(write_results(data, classifier.visualize(data, frame=2)))
    assert validate(results.capture, tmp_path) == validate(results.report, tmp_path) == []


@pytest.mark.parametrize("name", BUNDLED)
def test_every_file_of_pydicom_gets_valid_results_or_a_named_error(classifier, name, tmp_path):
    try:
        results = write_results(BUNDLED[name], classifier.visualize(BUNDLED[name]))
    except InputError:
        return
    for found in (*validate(results.capture, tmp_path), *validate(results.report, tmp_path)):
        assert not found.startswith("Error"), found  # warnings may be about what the image has
    hd.sr.srread(io.BytesIO(results.report))


@pytest.mark.parametrize(
    "wrong",
    [
        {"PatientSex": "female", "StudyDate": "yesterday", "StudyTime": "9 o'clock", "PatientBirthDate": "1.1.1950"},
        {"InstanceNumber": -3, "StudyDate": "20261399", "StudyTime": "250000", "PatientBirthDate": "00000000"},
    ],
)
def test_values_against_the_standard_are_not_carried_over(classifier, tmp_path, wrong):
    data = make_study(GREY, **wrong)
    results = write_results(data, classifier.visualize(data))
    for found in (*validate(results.capture, tmp_path), *validate(results.report, tmp_path)):
        assert "needed to build DICOMDIR" in found


@pytest.mark.parametrize(
    "tags",
    [
        {"PatientID": "A\\B", "AccessionNumber": "1\\2", "StudyDescription": "\\", "IssuerOfPatientID": "a \\b"},
        {"PatientID": "x" * 100, "AccessionNumber": "y" * 40, "StudyID": "z" * 40, "StudyDescription": "d" * 300},
        {
            "PatientID": "  4711",
            "AccessionNumber": " 1",
            "PatientName": "von  Doe^^Jane^",
            "StudyDescription": "a\nb\tc",
        },
        {"PatientName": "=".join("ABCDE^FGHIJ^KLMNO^PQRST^UVWXY" + letter * 35 for letter in "xyz")},
        {"PatientName": "Doe", "ReferringPhysicianName": "^^^Dr^", "PatientID": "\u3000\xa0\xad\u200b", **UTF_8},
        {"PatientName": "A^B\\C^D", "ReferringPhysicianName": "a=b=c=d^e^f^g^h^i"},
        {"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう", "SpecificCharacterSet": ["", "ISO 2022 IR 87"]},
        {"PatientName": "Wang^XiaoDong=王^小东", "PatientID": "誠", "SpecificCharacterSet": "GB18030"},
        {"PatientName": "Διονυσιος", "StudyDescription": "Μετά", "SpecificCharacterSet": "ISO_IR 126"},
        {"StudyInstanceUID": "1.02.003", "SeriesInstanceUID": "01.2", "SOPInstanceUID": "1.2.840.0000.1"},
        {
            "StudyDate": "20000229",
            "StudyTime": "03",
            "PatientBirthDate": "19000101",
            "PatientAge": "045Y",
            "PatientSex": "O",
        },
        {"StudyTime": "235959.999999", "PatientSex": "M", "PatientAge": "003D"},
    ],
)
def test_identifiers_pass_unchanged(classifier, tags):
    data = make_study(GREY, **tags)
    results = write_results(data, classifier.visualize(data))
    for result, encoded in zip(read_both(results), (results.capture, results.report), strict=True):
        for name, value in tags.items():
            if name not in ("SpecificCharacterSet", "SOPInstanceUID", "SeriesInstanceUID"):
                kept = result[name].value
                values = kept if isinstance(kept, MultiValue) else [kept]
                assert list(map(str, values)) == [part.rstrip() for part in value.split("\\")]
                assert value.encode() in encoded
    (reference,) = read(results.capture).SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == read(data).SOPInstanceUID
    text = read(results.report).to_json()
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert f'"{read(data)[name].value}"' in text


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("value", ["x", "1.2.", ".1", "1..2", "1.2.a", "1." + "2" * 63, "1.2\\1.3", "-1"])
def test_an_identifier_that_is_none_is_refused_by_its_name(keyword, value):
    with pytest.raises(ResultSourceError, match=rf"keep the {keyword} .* 1 to 64"):
        check_source(make_study(GREY, **{keyword: value}))


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_an_identifier_that_is_missing_is_refused_by_its_name(keyword):
    missing: dict[str, Any] = {keyword: None}
    with pytest.raises(ResultSourceError, match=f"by its {keyword}; send an image that has one"):
        check_source(make_study(GREY, **missing))


@pytest.mark.parametrize(
    ("charset", "stored"),
    [("ISO_IR 192", b"M\xfcller"), (["", "ISO 2022 IR 87"], b"a\x1b$Ba"), ("GB18030", b"a\xff\xff")],
)
def test_text_that_does_not_fit_its_character_set_is_refused_by_its_name(charset, stored):
    data = make_study(GREY, SpecificCharacterSet=charset, PatientName="1234567"[: len(stored)])
    with pytest.raises(ResultSourceError, match=r"keep the PatientName .* character set"):
        check_source(data.replace(b"1234567"[: len(stored)], stored))


def test_a_name_in_another_character_set_stays_that_name(classifier):
    data = make_study(GREY, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    for result in read_both(write_results(data, classifier.visualize(data))):
        assert result.PatientName == "Müller^Jörg"


@pytest.mark.parametrize("data", [encode(draw_scan(64)), make_dicom(GREY), make_study(GREY, StudyInstanceUID="x")])
def test_without_a_study_there_are_no_results(classifier, data):
    with pytest.raises(ResultSourceError):
        write_results(data, classifier.visualize(data))


def test_an_image_of_a_private_class_has_no_results(classifier):
    data = make_study(GREY, SOPClassUID="1.2.3.4")
    with pytest.raises(ResultSourceError, match="private"):
        write_results(data, classifier.visualize(data))


def test_without_the_packages_the_error_names_their_list(monkeypatch):
    monkeypatch.setattr("model.dicom_results.results.find_spec", lambda _: None)
    with pytest.raises(ResultPackagesError, match=r"requirements/dicom\.txt"):
        check_packages()


def test_nothing_of_the_patient_gets_into_messages_or_logs(classifier, caplog, capfd):
    caplog.set_level(0)
    wrong: list[dict[str, Any]] = [{}, {"PatientSex": PATIENT}, {"StudyInstanceUID": PATIENT}]
    for tags in wrong:
        data = make_study(GREY, **tags)
        try:
            write_results(data, classifier.visualize(data))
            message = ""
        except InputError as error:
            message = str(error)
        assert "Secret" not in message + caplog.text + "".join(capfd.readouterr())
