"""Hooks of schemathesis beyond the OpenAPI document; it imports this file before it generates requests."""

from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext
from schemathesis.core.parameters import ParameterLocation

from model.images.raster import FORMATS
from tests.samples.dicoms import make_dicom
from tests.samples.phantoms import draw_scan, encode
from tests.service.triton import HEADER_LENGTH, ask_binary, ask_json

MEDIA_TYPES = (
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "application/dicom",
    "application/octet-stream",
)
SCANS = [encode(draw_scan(64, (0.4, 0.5)), form) for form in FORMATS]
SCANS.append(make_dicom(draw_scan(64, (0.4, 0.5))[:, :, 0]))

# Arbitrary bytes would be refused as no image, rightly, and nothing else would ever be tested.
for media_type in MEDIA_TYPES:
    schemathesis.openapi.media_type(media_type, st.sampled_from(SCANS))
schemathesis.openapi.format("binary", st.sampled_from(SCANS))
OUTPUTS = [None, ["cam"], ["logits", "probabilities"]]


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Let a request that fits the document fit what the document cannot express: frames and shapes that are there."""
    if case.meta is None:
        return
    if "frame" in case.query and not case.meta.is_negative_at(ParameterLocation.QUERY):
        case.query["frame"] = 1  # the only one that every file has
    if not case.path.endswith("/infer") or case.meta.is_negative_at(ParameterLocation.BODY):
        return
    number = len(str(case.body))
    names = OUTPUTS[number % len(OUTPUTS)]
    fields: dict[str, Any] = {"id": str(number)} | ({"outputs": [{"name": name} for name in names]} if names else {})
    scan = SCANS[number % len(SCANS)]
    if case.media_type == "application/octet-stream":
        message = ask_binary(scan, **fields)
        case.body = message["content"]
        case.headers[HEADER_LENGTH] = message["headers"][HEADER_LENGTH]
    else:
        case.body = ask_json(scan, **fields)
