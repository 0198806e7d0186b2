"""The prediction as a DICOM report: Comprehensive 3D SR with the measurement report of PS3.16, TID 1500.

No standard has codes for the classes of any weights: their names in the card are the codes of a private scheme, whose
designator begins with 99 (PS3.16, section 8).
"""

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from model.dicom_results.instance import DISCLAIMER, MANUFACTURER, ResultContext
from model.errors import ResultSourceError

SCHEME = "99BTMRI"
_MAX_MEANING = 64  # characters of a code's meaning, VR LO


def create_report(context: ResultContext) -> Dataset:
    """Make a report of the classes, their probabilities, and the weights.

    Raises:
        ResultSourceError: If the image is of a class that highdicom does not know, as retired and private ones.
    """
    content = _create_content(context)[0]
    try:
        report = Comprehensive3DSR(
            evidence=[context.evidence],
            content=content,
            is_complete=True,
            is_final=False,
            **context.instance_attributes("report"),
        )
    except KeyError as error:
        raise ResultSourceError(
            "DICOM results belong to an image of a standard SOP class; this one is private or retired."
        ) from error
    context.inherit(report)
    return report


def _create_content(context: ResultContext) -> MeasurementReport:
    uid = generate_uid(entropy_srcs=["device", context.identity.sha256])
    device = DeviceObserverIdentifyingAttributes(uid=uid, name=MANUFACTURER, model_name=context.identity.name)
    return MeasurementReport(
        observation_context=ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, device)),
        procedure_reported=codes.LN.BrainMRI,
        imaging_measurements=[_create_group(context)],
    )


def _create_group(context: ResultContext) -> MeasurementsAndQualitativeEvaluations:
    prediction, identity, source = context.prediction, context.identity, context.source
    evaluations = {
        ("INTENDED_USE", "Intended use"): ("RESEARCH", DISCLAIMER),
        ("PREDICTION", "Predicted class"): (prediction.prediction, prediction.prediction),
    }
    if prediction.review is not None:
        level = prediction.review.level.value
        evaluations[("REVIEW", "Review by a person")] = (level, level)
    if prediction.ood is not None:
        outlier = "yes" if prediction.ood.outlier else "no"
        evaluations[("OUTLIER", "Unlike the training data")] = (outlier, outlier)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(context.instance_uid("finding"), "Brain MRI slice"),
        algorithm_id=AlgorithmIdentification(
            identity.name, identity.version, [f"weights sha256 {identity.sha256}"], manufacturer=MANUFACTURER
        ),
        finding_sites=[FindingSite(codes.SCT.Brain)],
        measurements=[
            Measurement(_private(f"P_{name}", f"Probability of {name}"), round(value, 6), codes.UCUM.NoUnits)
            for name, value in prediction.probabilities.items()
        ],
        qualitative_evaluations=[
            QualitativeEvaluation(_private(*name), _private(*value)) for name, value in evaluations.items()
        ],
        source_images=[
            SourceImageForMeasurementGroup(
                source.SOPClassUID, source.SOPInstanceUID, list(context.frame_numbers) or None
            )
        ],
    )


def _private(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(_write_plain(value), SCHEME, _write_plain(meaning)[:_MAX_MEANING])


def _write_plain(text: str) -> str:
    """Replace what separates values in DICOM, and line breaks; no folder's name holds a slash."""
    return " ".join(text.replace("\\", "/").split())
