"""What schemathesis is told beyond the OpenAPI document: it imports this file before it generates requests."""

import schemathesis
from hypothesis import strategies as st

from model.preprocessing import FORMATS
from tests.phantoms import draw_scan, encode

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

# Arbitrary bytes would be refused as no image, rightly, and nothing else would ever be tested.
for media_type in MEDIA_TYPES:
    schemathesis.openapi.media_type(media_type, st.sampled_from(SCANS))
schemathesis.openapi.format("binary", st.sampled_from(SCANS))
