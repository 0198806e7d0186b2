"""The answer as a DICOM report: Comprehensive 3D SR with the measurement report of PS3.16, TID 1500.

Needs highdicom, of requirements/dicom.txt. No standard has codes for the classes of any weights: theirs are the names
in the card, in a private scheme, for which designators that begin with 99 are set aside (PS3.16, section 8).
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
from pydicom.uid import UID, generate_uid

from model.dicom_results.instance import DISCLAIMER, MANUFACTURER, ResultContext

SCHEME = "99BTMRI"
_KIND = "report"
_MAX_MEANING = 64  # characters of a code's meaning, VR LO


def create_report(context: ResultContext) -> Dataset:
    """Make a report with the classes, their probabilities, and which weights gave them."""
    identity = context.identity
    return Comprehensive3DSR(
        evidence=[context.source],
        content=_create_content(context)[0],
        series_instance_uid=context.series_uid(_KIND),
        series_number=context.series_number(_KIND),
        sop_instance_uid=context.instance_uid(_KIND),
        instance_number=context.instance_number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=identity.name[:64],
        software_versions=identity.version[:64],
        is_complete=True,
        is_final=False,
        series_description=DISCLAIMER,
        specific_character_set=context.source.SpecificCharacterSet,
    )


def _create_content(context: ResultContext) -> MeasurementReport:
    device = DeviceObserverIdentifyingAttributes(
        uid=_identify_device(context), name=MANUFACTURER, model_name=context.identity.name
    )
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


def _identify_device(context: ResultContext) -> UID:
    return generate_uid(entropy_srcs=["device", context.identity.sha256])


def _private(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, SCHEME, meaning[:_MAX_MEANING])
