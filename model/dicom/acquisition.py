"""Warnings about a DICOM image whose acquisition differs from the training data.

The public training data (Figshare, SARTAJ, Br35H) are slices of the head, mostly T1-weighted after a contrast agent,
axial, coronal and sagittal (Cheng et al., "Enhanced Performance of Brain Tumor Classification via Tumor Region
Augmentation and Partition", PLoS ONE 2015), in the orientation of radiological display. The texts are fixed: no value
of a header, which may identify the patient, gets into a response.
"""

import re
import unicodedata
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from model.kinds import KindName

NOT_MR = "the DICOM header does not name magnetic resonance as the modality; all training images are MR"
NOT_HEAD = "the DICOM header names another body part than the head; all training images show the head"
OBLIQUE = "the slice is oblique; all training images are axial, coronal or sagittal"
TURNED = "the slice is stored turned or mirrored; all training images are in radiological display orientation"
NOT_T1 = "the echo time or contrast in the DICOM header is not T1 weighting; most training images are T1-weighted"
NO_CONTRAST = "the DICOM header names no contrast agent; most training images of tumours were taken after one"

# Defined terms of PS3.16, annex L (table L-1), for regions that include the brain and come once.
HEAD_PARTS = ("HEAD", "BRAIN", "SKULL", "HEADNECK", "CEREBELLUM", "FACE")
# Parts of them, what comes twice but is seen in slices of the head, and the head where scanners speak other languages.
_MORE_HEAD_PARTS = (
    *("BRAINSTEM", "CEREBRUM", "MIDBRAIN", "PONS", "PITUITARY", "HYPOPHYSIS", "SELLA", "CRANIUM", "FOREHEAD"),
    *("IAC", "INTERNALAUDITORYCANAL", "EAR", "INNEREAR", "TEMPORALBONE", "MASTOID", "SINUS", "PARANASALSINUS"),
    *(
        "ORBIT",
        "ORBITS",
        "EYE",
        "EYES",
        "OPTICCANAL",
        "SELLATURCICA",
        "CIRCLEOFWILLIS",
        "SKULLBASE",
        "CRANIAL",
        "NEURO",
    ),
    *("CABEZA", "CRANEO", "CEREBRO", "ENCEFALO", "CABECA", "CRANIO", "TESTA", "CERVELLO", "TETE", "CRANE", "CERVEAU"),
    *("KOPF", "SCHADEL", "SCHAEDEL", "GEHIRN", "HOOFD", "HERSENEN", "HUVUD", "HJARNA", "HODE", "HJERNE", "HOVED"),
    *("GLOWA", "MOZG", "HLAVA", "MOZEK"),
)
_WORD = re.compile("[A-Z]+")
_UNSAID_MODALITIES = ("", "OT", "SC")  # "other" and captures of a screen: of anything
# T1 weighting has TE below 30 ms, T2 weighting above 80 ms: Bitar et al., "MR pulse sequences: what every radiologist
# wants to know but is afraid to ask", RadioGraphics 2006, table 1.
MAX_T1_ECHO_MILLISECONDS = 30.0
# Beyond 30 degrees a slice is nearer to halfway between two planes than to one of them (45 degrees is halfway).
MIN_COSINE = float(np.cos(np.deg2rad(30)))
# Directions of rows and columns in patient coordinates (left, back, up) by plane, as slices are displayed.
DISPLAYS = {
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "axial": ((1, 0, 0), (0, 1, 0)),
}
_AXES = tuple(DISPLAYS)  # the plane whose normal is each axis


def describe_misfits(frame: Dataset) -> tuple[str, ...]:
    """List the differences from the training data, in fixed words.

    Args:
        frame: Its attributes; see `model.dicom.image.describe_frame`.
    """
    if frame.get("Modality") != "MR":
        return (NOT_MR, *_describe_part(frame))
    return (*_describe_part(frame), *_describe_orientation(frame), *_describe_contrast(frame))


def find_kind(frame: Dataset) -> KindName | None:
    """Name the kind of picture that the header states; None where it leaves that open.

    Args:
        frame: As of `describe_misfits`.
    """
    modality = str(frame.get("Modality") or "")
    if (modality not in _UNSAID_MODALITIES and modality != "MR") or _describe_part(frame):
        return "not_head_mr"
    notes = _describe_contrast(frame)
    if NOT_T1 in notes:
        return "other_mr"
    is_t1 = frame.get("AcquisitionContrast") == "T1" or isinstance(_find_echo_time(frame), float)
    return "contrast_t1" if is_t1 and NO_CONTRAST not in notes else None


def find_plane(orientation: Any) -> str | None:
    """Name the plane of a slice by its normal; None if it is oblique.

    Args:
        orientation: Direction cosines of rows and columns, ImageOrientationPatient; PS3.3 C.7.6.2.1.1.
    """
    rows, columns = np.asarray(orientation, np.float64).reshape(2, 3)
    normal = np.abs(np.cross(rows, columns))
    length = float(np.linalg.norm(normal))
    axis = int(normal.argmax())
    return _AXES[axis] if normal[axis] >= MIN_COSINE * length > 0 else None


def _describe_part(frame: Dataset) -> tuple[str, ...]:
    """Compare the whole name and its first word: HEAD AND NECK shows the head, FEMORAL HEAD does not."""
    plain = unicodedata.normalize("NFKD", str(frame.get("BodyPartExamined") or "")).upper()
    words = _WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter)))
    is_head = {"".join(words), *words[:1]} & {*HEAD_PARTS, *_MORE_HEAD_PARTS}
    return () if is_head or not words else (NOT_HEAD,)


def _describe_orientation(frame: Dataset) -> tuple[str, ...]:
    orientation = frame.get("ImageOrientationPatient")
    if not isinstance(orientation, MultiValue) or len(orientation) != 6:
        return ()
    if not all(isinstance(cosine, float) and np.isfinite(cosine) for cosine in orientation):
        return ()
    plane = find_plane(orientation)
    if plane is None:
        return (OBLIQUE,)
    shown = np.asarray(orientation, np.float64).reshape(2, 3)
    agreement = (shown * np.asarray(DISPLAYS[plane])).sum(axis=1)
    return (TURNED,) if agreement.min() < MIN_COSINE else ()


def _find_echo_time(frame: Dataset) -> Any:
    """Look up TE, milliseconds."""
    return frame.get("EffectiveEchoTime", frame.get("EchoTime"))


def _describe_contrast(frame: Dataset) -> tuple[str, ...]:
    weighting = str(frame.get("AcquisitionContrast") or "T1")
    echo = _find_echo_time(frame)
    is_long = isinstance(echo, float) and echo > MAX_T1_ECHO_MILLISECONDS
    has_agent = frame.get("ContrastBolusAgent") or frame.get("ContrastBolusAgentSequence")
    notes = (NOT_T1,) if is_long or weighting not in ("T1", "UNKNOWN") else ()
    return notes if has_agent else (*notes, NO_CONTRAST)
